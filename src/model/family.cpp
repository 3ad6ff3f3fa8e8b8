#include "model/family.h"

namespace andiron {

extern const Family kLlama;

namespace {
constexpr const Family* kFamilies[] = {&kLlama};
}  // namespace

std::span<const Family* const> all_families() { return kFamilies; }

const Family* find_family(std::string_view name) {
  for (const Family* family : kFamilies) {
    if (family->name == name) return family;
  }
  return nullptr;
}

}  // namespace andiron
