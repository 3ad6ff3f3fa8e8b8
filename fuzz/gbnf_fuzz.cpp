// GBNF: any text as a grammar, which is then followed.
#include <cstdlib>

#include "base/strings.h"
#include "grammar/gbnf.h"
#include "grammar_walk.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace andiron;
  const auto grammar = parse_gbnf({reinterpret_cast<const char*>(data), size}, "input");
  if (!grammar.ok()) {
    if (grammar.error().message.empty()) std::abort();
    return 0;
  }
  const auto [text, ended] = walk_grammar(*grammar, 30);
  // A grammar is over characters: what it ends is whole ones.
  if (ended && !is_valid_utf8(text)) std::abort();
  return 0;
}
