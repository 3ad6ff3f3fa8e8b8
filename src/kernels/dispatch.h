// Which kernel table this process uses.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "kernels/kernel_table.h"

namespace andiron {

enum class Isa { kScalar, kAvx2, kAvx512, kAmx };

std::string_view isa_name(Isa isa);  // "scalar", "avx2", "avx512", "amx"
// The tiers this machine can run, lowest first. AMX counts only when the kernel grants its registers.
const std::vector<Isa>& available_isas();

// The table of one tier, or an Error that says what the machine lacks. `name` empty: the environment variable
// ANDIRON_ISA where set, else the highest tier available. Tables live for the whole process; any thread.
Result<const KernelTable*> select_kernels(std::string_view name = "");

// The table of a tier that available_isas() lists.
const KernelTable& kernels_of(Isa isa);

}  // namespace andiron
