// What the fuzz targets of grammars do with one that was read: compiles it and follows it over a small vocabulary.
#pragma once

#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "grammar/token_grammar.h"

namespace andiron {

// Every byte, and some pieces that cross the parts of a text; the last one ends an answer.
inline std::shared_ptr<const TokenTrie> fuzz_vocabulary() {
  std::vector<std::string> pieces;
  for (int byte = 0; byte < 256; ++byte) pieces.emplace_back(1, static_cast<char>(byte));
  for (const char* piece : {"ab", "\": ", "\",\"", "\"}", "]}", "{\"", "[[", "12", "1,", "00", "\xc3\xa4", "\x82\xac",
                            "aaaaaaaa", "\\u00", "true", "\n\n", "<end>"}) {
    pieces.emplace_back(piece);
  }
  const std::vector<std::string_view> views(pieces.begin(), pieces.end());
  return std::make_shared<const TokenTrie>(views, std::vector<int32_t>{static_cast<int32_t>(pieces.size()) - 1});
}

// Writes a text of at most `steps` tokens under the masks; aborts where mask and accept() disagree, or where the
// masks lead to a place from which nothing leads on. The text, and whether it may end there.
inline std::pair<std::string, bool> walk_grammar(const Grammar& grammar, int steps) {
  static const auto vocabulary = fuzz_vocabulary();
  const auto made = TokenGrammar::create(grammar, vocabulary);
  if (!made.ok()) {
    if (made.error().message.empty()) std::abort();
    return {};
  }
  GrammarMatcher matcher(*made);
  const int32_t end = vocabulary->ends()[0];
  std::string text;
  uint32_t draw = 1;
  for (int step = 0; step < steps; ++step) {
    const auto mask = matcher.mask();
    if (!mask.ok()) return {};  // too ambiguous
    std::vector<int32_t> allowed, refused;
    for (int32_t token = 0; token < vocabulary->vocab_size(); ++token) {
      const bool may = ((*mask)[static_cast<size_t>(token) / 64] >> (token % 64) & 1) != 0;
      (may ? allowed : refused).push_back(token);
    }
    if (allowed.empty()) std::abort();  // whatever was read can be ended
    if ((allowed.back() == end) != matcher.may_end()) std::abort();
    draw = draw * 1664525 + 1013904223;
    if (!refused.empty() && matcher.accept(refused[draw % refused.size()]).ok()) std::abort();
    const int32_t next = allowed[(draw >> 8) % allowed.size()];
    const Status status = matcher.accept(next);
    if (next == end) {
      if (!status.ok() || !matcher.must_end()) std::abort();
      return {text, true};
    }
    if (!status.ok()) {
      if (status.error().message.find("ambiguous") == std::string::npos) std::abort();
      return {};
    }
    text += vocabulary->piece(next);
  }
  return {text, matcher.may_end()};
}

}  // namespace andiron
