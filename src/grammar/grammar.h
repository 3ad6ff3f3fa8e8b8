// Grammar: a context-free grammar over Unicode text, as plain data. Two readers make one: gbnf.h and json_schema.h;
// automaton.h compiles it.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/char_set.h"

namespace andiron {

struct GrammarNode {
  enum class Kind : uint8_t {
    kText,      // exactly `text`
    kChars,     // one code point of sets[index]
    kSequence,  // children one after another; none: the empty text
    kChoice,    // one of the children
    kRepeat,    // children[0], `min` to `max` times
    kRule,      // rules[index]
  };
  Kind kind = Kind::kSequence;
  uint32_t index = 0;
  uint32_t min = 0;
  uint32_t max = 0;  // kUnbounded: no limit
  std::string text;
  std::vector<uint32_t> children;

  static constexpr uint32_t kUnbounded = UINT32_MAX;
};

struct GrammarRule {
  std::string name;
  uint32_t body = kNone;  // a node; kNone: used but not defined

  static constexpr uint32_t kNone = UINT32_MAX;
};

struct Grammar {
  std::string source;              // the file, for messages
  std::vector<GrammarNode> nodes;  // a node stands after its children
  std::vector<CharSet> sets;
  std::vector<GrammarRule> rules;
  uint32_t root = 0;  // of rules

  // Each returns the new node, or the new rule.
  uint32_t text(std::string_view text);
  uint32_t chars(CharSet set);
  uint32_t sequence(std::vector<uint32_t> children);
  uint32_t choice(std::vector<uint32_t> children);  // at least one
  uint32_t repeat(uint32_t child, uint32_t min, uint32_t max);
  uint32_t optional(uint32_t child) { return repeat(child, 0, 1); }
  uint32_t call(uint32_t rule);
  uint32_t rule(std::string name);

 private:
  uint32_t add(GrammarNode node);

  std::map<std::vector<uint32_t>, uint32_t> set_numbers_;  // of what chars() added, by ends of ranges
};

// Greater ones are refused.
inline constexpr size_t kGrammarBytesMax = 1 << 20;
inline constexpr size_t kGrammarNodesMax = 200'000;
inline constexpr size_t kGrammarRulesMax = 20'000;
inline constexpr uint32_t kGrammarRepeatMax = 100'000;

// An Error where a rule is used but not defined, or can come to itself before any character (left recursion), naming
// it; or where the grammar is larger than the limits.
Status check_grammar(const Grammar& grammar);

}  // namespace andiron
