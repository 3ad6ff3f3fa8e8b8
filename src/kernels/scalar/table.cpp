// The generic kernels compiled for one instruction set; see kernels/CMakeLists.txt for its flags. The order of the
// includes matters: the generic code is written over the V that vec.h defines.
#include "kernels/kernel_table.h"
#include "kernels/scalar/vec.h"

#include "kernels/generic/install-inl.h"

namespace andiron {

void install_scalar_kernels(KernelTable* table) { install(table, "scalar"); }

}  // namespace andiron
