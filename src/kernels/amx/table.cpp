// The AMX kernels. Everything else of the tier is the AVX-512 table's.
#include "kernels/avx512/vec.h"
#include "kernels/kernel_table.h"

#include "kernels/amx/matmul-inl.h"

namespace andiron {

void install_amx_kernels(KernelTable* table) { install_tiles(table); }

}  // namespace andiron
