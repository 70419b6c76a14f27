// The choice of an instruction set when the library is loaded.
#pragma once

#include "kernels.h"

namespace gatewise {

// The kernels in use: the widest that both the compiler and the processor have, unless `use` chose others.
const Kernels &kernels();

// The names of those that run here, the widest first; null ends the list.
const char *const *available();

// Take those of this name from now on; false where they do not run here. For tests and measurements.
bool use(const char *name);

}  // namespace gatewise
