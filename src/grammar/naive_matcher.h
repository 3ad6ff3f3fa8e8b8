// For tests only: a recogniser written as plainly as possible, to hold the automaton against. It works on code points
// and knows nothing of bytes, states or stacks.
#pragma once

#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/strings.h"
#include "grammar/grammar.h"

namespace andiron {

class NaiveMatcher {
 public:
  NaiveMatcher(const Grammar& grammar, std::string_view text) : grammar_(grammar) {
    for (size_t at = 0; at < text.size();) text_.push_back(next_code_point(text, at));
  }

  // The whole text matches.
  bool matches() {
    for (const size_t end : ends(grammar_.rules[grammar_.root].body, 0)) {
      if (end == text_.size()) return true;
    }
    return false;
  }

 private:
  using Ends = std::set<size_t>;

  // Where a match of the node that begins at `at` may end.
  Ends ends(uint32_t index, size_t at) {
    const GrammarNode& node = grammar_.nodes[index];
    Ends out;
    switch (node.kind) {
      case GrammarNode::Kind::kText: {
        size_t here = at;
        for (size_t i = 0; i < node.text.size();) {
          if (here == text_.size() || next_code_point(node.text, i) != text_[here++]) return {};
        }
        return {here};
      }
      case GrammarNode::Kind::kChars:
        if (at < text_.size() && grammar_.sets[node.index].contains(text_[at])) out.insert(at + 1);
        return out;
      case GrammarNode::Kind::kSequence:
        out = {at};
        for (const uint32_t child : node.children) out = step(child, out);
        return out;
      case GrammarNode::Kind::kChoice:
        for (const uint32_t child : node.children) out.merge(ends(child, at));
        return out;
      case GrammarNode::Kind::kRepeat: return repeat(node, at);
      case GrammarNode::Kind::kRule: return ends(grammar_.rules[node.index].body, at);
    }
    return out;
  }

  Ends step(uint32_t child, const Ends& from) {
    Ends out;
    for (const size_t at : from) out.merge(ends(child, at));
    return out;
  }

  Ends repeat(const GrammarNode& node, size_t at) {
    Ends now = {at}, out;
    for (uint32_t i = 0; i < node.min; ++i) now = step(node.children[0], now);
    out = now;
    for (uint32_t i = node.min; i < node.max && !now.empty(); ++i) {
      Ends fresh;
      for (const size_t end : step(node.children[0], now)) {
        if (out.insert(end).second) fresh.insert(end);
      }
      now = fresh;
    }
    return out;
  }

  const Grammar& grammar_;
  std::vector<uint32_t> text_;
};

}  // namespace andiron
