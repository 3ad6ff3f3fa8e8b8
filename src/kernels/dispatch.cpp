#include "kernels/dispatch.h"

#include <algorithm>
#include <array>
#include <cstdlib>

#include "base/check.h"
#include "base/cpu_info.h"
#include "base/strings.h"

namespace andiron {

namespace {

constexpr std::array<std::string_view, 4> kNames = {"scalar", "avx2", "avx512", "amx"};

std::vector<Isa> find_isas() {
  std::vector<Isa> found = {Isa::kScalar};
#if defined(__x86_64__)
  const CpuInfo& cpu = cpu_info();
  if (cpu.avx2) found.push_back(Isa::kAvx2);
  if (cpu.avx512_vnni) found.push_back(Isa::kAvx512);
  if (cpu.amx_int8 && cpu.amx_bf16 && request_amx()) found.push_back(Isa::kAmx);
#endif
  return found;
}

KernelTable make_table(Isa isa) {
  KernelTable table{};
  install_scalar_kernels(&table);
#if defined(__x86_64__)
  if (isa == Isa::kAvx2) install_avx2_kernels(&table);
  if (isa == Isa::kAvx512 || isa == Isa::kAmx) install_avx512_kernels(&table);
  if (isa == Isa::kAmx) install_amx_kernels(&table);
#endif
  return table;
}

}  // namespace

std::string_view isa_name(Isa isa) { return kNames[static_cast<size_t>(isa)]; }

const std::vector<Isa>& available_isas() {
  static const std::vector<Isa> isas = find_isas();
  return isas;
}

const KernelTable& kernels_of(Isa isa) {
  const auto& isas = available_isas();
  ANDIRON_CHECK(std::find(isas.begin(), isas.end(), isa) != isas.end());
  static const std::array<KernelTable, 4> tables = {make_table(Isa::kScalar), make_table(Isa::kAvx2),
                                                    make_table(Isa::kAvx512), make_table(Isa::kAmx)};
  return tables[static_cast<size_t>(isa)];
}

Result<const KernelTable*> select_kernels(std::string_view name) {
  if (name.empty()) {
    const char* forced = std::getenv("ANDIRON_ISA");
    if (forced == nullptr || *forced == '\0') return &kernels_of(available_isas().back());
    name = forced;
  }
  std::string have;
  for (const Isa isa : available_isas()) {
    if (isa_name(isa) == name) return &kernels_of(isa);
    have += (have.empty() ? "" : ", ") + std::string(isa_name(isa));
  }
  const bool known = std::find(kNames.begin(), kNames.end(), name) != kNames.end();
  if (!known) return make_error("instruction set \"{}\": expected scalar, avx2, avx512 or amx", in_quotes(name));
  return make_error("instruction set {}: this machine does not have it; it has {}", name, have);
}

}  // namespace andiron
