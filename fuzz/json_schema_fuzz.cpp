// JSON schema: any text as a schema, which is then followed; what ends is JSON.
#include <cstdlib>

#include "base/json.h"
#include "grammar/json_schema.h"
#include "grammar_walk.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace andiron;
  const auto grammar = parse_json_schema({reinterpret_cast<const char*>(data), size}, "input");
  if (!grammar.ok()) {
    if (grammar.error().message.empty()) std::abort();
    return 0;
  }
  const auto [text, ended] = walk_grammar(*grammar, 60);
  if (!ended) return 0;
  const auto value = parse_json(text, "answer");
  // A grammar cannot know which names an object has had.
  if (!value.ok() && value.error().message.find("appears twice") == std::string::npos) std::abort();
  return 0;
}
