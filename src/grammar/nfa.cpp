#include "grammar/nfa.h"

#include <algorithm>

#include "grammar/utf8_ranges.h"

namespace andiron {

namespace {

using Kind = GrammarNode::Kind;

// A rule of at most so many parts is copied wherever it is used; a larger one only where that is one place.
constexpr uint32_t kSmall = 24;
// Fewer times are not worth a loop.
constexpr uint32_t kLoopMin = 4;
// Rules within rules that are copied: the limit of the builder's recursion.
constexpr uint32_t kInlineDepthMax = 40;

// Sizes of rules with all that is copied into them. Of the rules of a cycle at least one, the first that was met, is
// not copied.
class Inlining {
 public:
  explicit Inlining(const Grammar& grammar)
      : grammar_(grammar),
        uses_(grammar.rules.size()),
        sizes_(grammar.rules.size(), kUnknown),
        depths_(grammar.rules.size()),
        never_(grammar.rules.size()) {
    for (const GrammarNode& node : grammar.nodes) {
      if (node.kind == Kind::kRule) ++uses_[node.index];
    }
    never_[grammar.root] = true;
  }

  std::vector<bool> choose() {
    std::vector<bool> chosen(grammar_.rules.size());
    for (uint32_t rule = 0; rule < chosen.size(); ++rule) measure(rule, 0);
    for (uint32_t rule = 0; rule < chosen.size(); ++rule) chosen[rule] = is_copied(rule);
    return chosen;
  }

 private:
  static constexpr uint32_t kUnknown = UINT32_MAX;
  static constexpr uint32_t kOpen = UINT32_MAX - 1;  // being measured
  static constexpr uint32_t kOnceMax = 20'000;

  bool is_copied(uint32_t rule) const {
    return !never_[rule] && depths_[rule] < kInlineDepthMax &&
           (sizes_[rule] <= kSmall || (uses_[rule] == 1 && sizes_[rule] <= kOnceMax));
  }

  void measure(uint32_t rule, uint32_t depth) {
    // A long chain of rules would be a long recursion: it is cut.
    if (sizes_[rule] == kOpen || depth > 4 * kInlineDepthMax) never_[rule] = true;
    if (sizes_[rule] != kUnknown || never_[rule]) return;
    sizes_[rule] = kOpen;
    uint32_t inner = 0;
    const uint64_t size = measure_node(grammar_.rules[rule].body, depth, inner);
    depths_[rule] = inner;
    sizes_[rule] = static_cast<uint32_t>(std::min<uint64_t>(size, kOnceMax + 1));
  }

  uint64_t measure_node(uint32_t index, uint32_t depth, uint32_t& inner) {
    const GrammarNode& node = grammar_.nodes[index];
    uint64_t size = 1 + node.text.size();
    if (node.kind == Kind::kRule) {
      measure(node.index, depth + 1);
      if (is_copied(node.index)) {
        inner = std::max(inner, depths_[node.index] + 1);
        size = sizes_[node.index];
      }
    }
    for (const uint32_t child : node.children) size += measure_node(child, depth, inner);
    if (node.kind == Kind::kRepeat) {
      size *= std::max<uint64_t>(1, node.max == GrammarNode::kUnbounded ? node.min : node.max);
    }
    return std::min<uint64_t>(size, kOnceMax + 1);
  }

  const Grammar& grammar_;
  std::vector<uint32_t> uses_, sizes_, depths_;
  std::vector<bool> never_;
};

// Thompson's construction. Each function reads its part from state `from` on and returns the state behind it; edges go
// out of `from`, never into it, so that several parts may begin at one state.
class Builder {
 public:
  Builder(const Grammar& grammar, const std::vector<bool>& inlined, const std::set<uint32_t>& copied, size_t states_max,
          Nfa& out)
      : grammar_(grammar), inlined_(inlined), copied_(copied), states_max_(states_max), out_(out) {}

  bool build(uint32_t rule) {
    const uint32_t start = state();
    out_.end = node(grammar_.rules[rule].body, start);
    return !full();
  }

 private:
  bool full() const { return out_.states.size() > states_max_; }
  uint32_t state() {
    out_.states.emplace_back();
    return static_cast<uint32_t>(out_.states.size() - 1);
  }
  void edge(uint32_t from, Nfa::Edge edge) { out_.states[from].edges.push_back(edge); }
  void empty(uint32_t from, uint32_t to) { out_.states[from].empty.push_back(to); }

  uint32_t node(uint32_t index, uint32_t from) {
    if (full()) return from;
    const GrammarNode& node = grammar_.nodes[index];
    switch (node.kind) {
      case Kind::kText: return text(node.text, from);
      case Kind::kChars: return chars(grammar_.sets[node.index], from);
      case Kind::kSequence:
        for (const uint32_t child : node.children) from = this->node(child, from);
        return from;
      case Kind::kChoice: return choice(node, from);
      case Kind::kRepeat: return is_loop(node, index) ? loop(node, index, from) : repeat(node, from);
      case Kind::kRule: return call(node.index, from);
    }
    return from;
  }

  bool is_loop(const GrammarNode& node, uint32_t index) const {
    const uint32_t times = node.max == GrammarNode::kUnbounded ? node.min : node.max;
    return times >= kLoopMin && !within_loop_ && copied_.count(index) == 0;
  }

  uint32_t loop(const GrammarNode& node, uint32_t index, uint32_t from) {
    const auto number = static_cast<uint32_t>(out_.loops.size());
    const uint32_t begin = state();
    empty(from, begin);
    out_.loops.push_back({index, begin, begin, begin, node.min, node.max, true});
    within_loop_ = true;
    const uint32_t back = this->node(node.children[0], begin);
    within_loop_ = false;
    for (uint32_t i = begin + 1; i < out_.states.size(); ++i) out_.states[i].loop = number;
    empty(back, begin);
    const uint32_t end = state();
    empty(begin, end);
    out_.loops[number].back = back;
    out_.loops[number].end = end;
    return end;
  }

  uint32_t text(const std::string& text, uint32_t from) {
    for (const char c : text) {
      const uint32_t to = state();
      edge(from, {static_cast<uint8_t>(c), static_cast<uint8_t>(c), Nfa::kNoRule, to});
      from = to;
    }
    return from;
  }

  uint32_t chars(const CharSet& set, uint32_t from) {
    const uint32_t end = state();
    const std::vector<Utf8Sequence> sequences = utf8_sequences(set);
    if (sequences.empty() && within_loop_) out_.loops.back().possible = false;
    for (const Utf8Sequence& sequence : sequences) {
      uint32_t at = from;
      for (uint32_t i = 0; i < sequence.size; ++i) {
        const uint32_t to = i + 1 == sequence.size ? end : state();
        edge(at, {sequence.bytes[i].first, sequence.bytes[i].last, Nfa::kNoRule, to});
        at = to;
      }
    }
    return end;
  }

  uint32_t choice(const GrammarNode& node, uint32_t from) {
    const uint32_t end = state();
    for (const uint32_t child : node.children) empty(this->node(child, from), end);
    return end;
  }

  uint32_t repeat(const GrammarNode& node, uint32_t from) {
    const uint32_t child = node.children[0];
    for (uint32_t i = 0; i < node.min && !full(); ++i) {
      const uint32_t next = this->node(child, from);
      if (next == from) break;  // nothing is read: once is as often as one likes
      from = next;
    }
    if (node.max == GrammarNode::kUnbounded) {
      const uint32_t loop = state();
      empty(from, loop);
      const uint32_t back = this->node(child, loop);
      if (back != loop) empty(back, loop);
      return loop;
    }
    const uint32_t end = state();
    for (uint32_t i = node.min; i < node.max && !full(); ++i) {
      const uint32_t next = this->node(child, from);
      if (next == from) break;
      empty(from, end);
      from = next;
    }
    empty(from, end);
    return end;
  }

  uint32_t call(uint32_t rule, uint32_t from) {
    if (inlined_[rule]) return node(grammar_.rules[rule].body, from);
    const uint32_t to = state();
    edge(from, {0, 0, rule, to});
    return to;
  }

  const Grammar& grammar_;
  const std::vector<bool>& inlined_;
  const std::set<uint32_t>& copied_;
  size_t states_max_;
  Nfa& out_;
  bool within_loop_ = false;
};

}  // namespace

std::vector<bool> choose_inlined(const Grammar& grammar) { return Inlining(grammar).choose(); }

bool build_nfa(const Grammar& grammar, uint32_t rule, const std::vector<bool>& inlined,
               const std::set<uint32_t>& copied, size_t states_max, Nfa& out) {
  return Builder(grammar, inlined, copied, states_max, out).build(rule);
}

}  // namespace andiron
