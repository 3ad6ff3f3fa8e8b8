// JSON: what is read and written again is the same, on one line and indented.
#include <cstdlib>

#include "base/json.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace andiron;
  const auto value = parse_json({reinterpret_cast<const char*>(data), size}, "input");
  if (!value.ok()) return 0;
  const std::string once = value->dump();
  for (const int indent : {0, 2}) {
    const auto again = parse_json(value->dump(indent), "again");
    if (!again.ok() || again->dump() != once) std::abort();
  }
  return 0;
}
