// The AMX kernels over emulated tiles: linked into kernels_test and model_test only.
#include "kernels/avx512/vec.h"
#include "kernels/kernel_table.h"

#include "kernels/amx/emulated_tiles.h"

#include "kernels/amx/matmul-inl.h"

namespace andiron {

namespace {
void tiles_configure(const TileConfig* config) {
  for (int t = 0; t < 8; ++t) {
    g_tiles.rows[t] = config->rows[t];
    g_tiles.bytes_per_row[t] = config->bytes_per_row[t];
  }
}
void tiles_release() {}
}  // namespace

void install_emulated_amx_kernels(KernelTable* table) { install_tiles(table); }

}  // namespace andiron
