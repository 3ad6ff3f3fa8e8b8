#include "model/family.h"

namespace andiron {

// Each is defined in its own file.
extern const Family kLlama, kQwen2, kQwen3, kQwen3Moe, kGemma2, kGemma3, kPhi3;

namespace {
constexpr const Family* kFamilies[] = {&kLlama, &kQwen2, &kQwen3, &kQwen3Moe, &kGemma2, &kGemma3, &kPhi3};
}  // namespace

std::span<const Family* const> all_families() { return kFamilies; }

const Family* find_family(std::string_view name) {
  for (const Family* family : kFamilies) {
    if (family->name == name) return family;
  }
  return nullptr;
}

}  // namespace andiron
