// The kernels without Python, for the sanitizers; `make sanitize` builds and runs it.
#include <cstdio>

#include "dispatch.h"

int main() {
  std::printf("instruction set: %s\n", gatewise::kernels().name);
  return 0;
}
