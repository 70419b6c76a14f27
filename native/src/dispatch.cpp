#include "dispatch.h"

#include <atomic>
#include <cstring>

namespace gatewise {

namespace portable { extern const Kernels kernels; }
#if GATEWISE_HAS_AVX2
namespace avx2 { extern const Kernels kernels; }
#endif
#if GATEWISE_HAS_AVX512
namespace avx512 { extern const Kernels kernels; }
#endif

namespace {

struct Choices {
  const Kernels *tables[4] = {};
  const char *names[4] = {};
  int count = 0;

  Choices() {
#if GATEWISE_X86
    __builtin_cpu_init();
#if GATEWISE_HAS_AVX512
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl"))
      add(avx512::kernels);
#endif
#if GATEWISE_HAS_AVX2
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) add(avx2::kernels);
#endif
#endif
    add(portable::kernels);
  }
  void add(const Kernels &table) {
    tables[count] = &table;
    names[count++] = table.name;
  }
};

const Choices &choices() {
  static const Choices found;
  return found;
}

std::atomic<const Kernels *> chosen{nullptr};

}  // namespace

const Kernels &kernels() {
  const Kernels *table = chosen.load(std::memory_order_relaxed);
  return table ? *table : *choices().tables[0];
}

const char *const *available() { return choices().names; }

bool use(const char *name) {
  for (int k = 0; k < choices().count; ++k)
    if (std::strcmp(choices().names[k], name) == 0) {
      chosen.store(choices().tables[k], std::memory_order_relaxed);
      return true;
    }
  return false;
}

}  // namespace gatewise
