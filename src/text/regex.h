// Regex: the regular expressions of pre-tokenizers, compiled to a finite automaton.
//
// Every published pre-tokenizer is a regular expression with "first alternative wins, quantifiers greedy" matching.
// Here it becomes a deterministic automaton when the tokenizer is loaded, so a match is one table look-up a
// character: no backtracking, no recursion, and no input that makes it slow (see RegexScanner). That is why there
// is neither std::regex nor one hand-written scanner a pattern: a pattern stays what its model published.
//
// The language: literals, . $ \z, classes (nested, negated, with && for intersection), \s \S \d \D \w \W, \p{..} and
// \P{..} for general categories and some scripts, \xHH \x{H..} \uHHHH, groups, (?i) and (?i:..), alternation,
// * + ? {m,n} greedy, lazy or possessive (read as greedy), and (?=X) (?!X) for one character X. Characters mean
// code points. \s is the White_Space property, \d category Nd; $ is the end of the text only.
// Not supported, and refused with an Error: look-behind, longer look-ahead, back-references, \b, ^, atomic groups.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace andiron {

// Immutable once compiled; any thread may match with it.
class Regex {
 public:
  // The Error prints the pattern and what in it is not supported, or that its automaton would be too large.
  static Result<Regex> compile(std::string_view pattern);

 private:
  friend class RegexScanner;
  friend class RegexCompiler;

  Regex() = default;
  uint32_t class_of(uint32_t code_point) const;

  // Code points that no part of the pattern tells apart share a class. `class_count_` itself stands for the end.
  uint32_t class_count_ = 0;
  std::array<uint8_t, 128> ascii_class_{};
  std::vector<uint8_t> plane0_class_;  // by code point below 0x10000
  std::vector<uint32_t> range_start_;  // above: the class of [range_start_[i], range_start_[i + 1])
  std::vector<uint8_t> range_class_;
  // [state][class or end] -> next state << 1 | whether a match ended before this character. State 0 is dead.
  std::vector<uint16_t> transitions_;
};

// Finds matches in one text, by one thread. Steps over the whole text stay within a constant times its length: a
// failed attempt leaves its trail of states, on which a later attempt recognises that it would fail the same way;
// should a pattern evade that, attempts are cut to 64 bytes once 16 steps for each byte of text are spent.
class RegexScanner {
 public:
  // Both must outlive the scanner. Bytes that are not UTF-8 count as U+FFFD, one each.
  RegexScanner(const Regex& regex, std::string_view text)
      : regex_(regex), text_(text), steps_left_(16 * text.size() + 4096) {}

  // Bytes in the match that begins at `at`, or 0 when there is none (or only an empty one). at < text.size().
  size_t match_at(size_t at);

 private:
  size_t match_recorded(size_t at, size_t from, uint32_t state, size_t matched);

  const Regex& regex_;
  std::string_view text_;
  size_t steps_left_;
  // How the last long attempt ended without a further match: its state at trail_start_ + i, 0 where no character began.
  size_t trail_start_ = 0;
  std::vector<uint16_t> trail_;
  std::vector<uint16_t> fresh_;  // the trail of the attempt under way
};

}  // namespace andiron
