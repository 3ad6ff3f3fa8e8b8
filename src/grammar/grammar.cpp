#include "grammar/grammar.h"

#include <algorithm>
#include <utility>

#include "base/strings.h"

namespace andiron {

namespace {

using Kind = GrammarNode::Kind;

// Which parts may be empty, and which rules stand where the first character is read.
class LeftCorner {
 public:
  explicit LeftCorner(const Grammar& grammar)
      : grammar_(grammar), empty_(grammar.nodes.size()), seen_(grammar.rules.size()) {}

  Status check() {
    find_empty();
    for (uint32_t rule = 0; rule < seen_.size(); ++rule) TRY(visit(rule));
    return {};
  }

 private:
  enum Seen : uint8_t { kNew, kOpen, kDone };

  // How many of the parts that it waits for must be empty before the node may be; none: it may be as it is.
  static size_t needed(const GrammarNode& node) {
    switch (node.kind) {
      case Kind::kText: return node.text.empty() ? 0 : 1;  // 1: it has no parts, so never
      case Kind::kSequence: return node.children.size();
      case Kind::kRepeat: return node.min == 0 ? 0 : 1;
      case Kind::kChars:
      case Kind::kChoice:
      case Kind::kRule: return 1;
    }
    return 1;
  }

  // From the parts to what they are parts of, each link once: passes over all rules until nothing changes would be as
  // many as there are rules, where each waits for the one before it.
  void find_empty() {
    std::vector<std::vector<uint32_t>> waiting(grammar_.nodes.size());
    std::vector<size_t> missing(grammar_.nodes.size());
    std::vector<uint32_t> open;
    for (uint32_t index = 0; index < grammar_.nodes.size(); ++index) {
      const GrammarNode& node = grammar_.nodes[index];
      if (node.kind == Kind::kRule) waiting[grammar_.rules[node.index].body].push_back(index);
      for (const uint32_t child : node.children) waiting[child].push_back(index);
      missing[index] = needed(node);
      if (missing[index] == 0) open.push_back(index);
    }
    while (!open.empty()) {
      const uint32_t index = open.back();
      open.pop_back();
      empty_[index] = true;
      for (const uint32_t whole : waiting[index]) {
        if (missing[whole] > 0 && --missing[whole] == 0) open.push_back(whole);
      }
    }
  }

  void first_rules(uint32_t index, std::vector<uint32_t>& out) const {
    const GrammarNode& node = grammar_.nodes[index];
    if (node.kind == Kind::kRule) out.push_back(node.index);
    for (const uint32_t child : node.children) {
      first_rules(child, out);
      if (node.kind == Kind::kSequence && !empty_[child]) return;
    }
  }

  // Depth first, without recursion: a chain of rules may be long.
  Status visit(uint32_t first) {
    struct Open {
      uint32_t rule;
      std::vector<uint32_t> next;
    };
    if (seen_[first] != kNew) return {};
    std::vector<Open> path;
    const auto open = [&](uint32_t rule) {
      seen_[rule] = kOpen;
      path.push_back({rule, {}});
      first_rules(grammar_.rules[rule].body, path.back().next);
    };
    open(first);
    while (!path.empty()) {
      if (path.back().next.empty()) {
        seen_[path.back().rule] = kDone;
        path.pop_back();
        continue;
      }
      const uint32_t rule = path.back().next.back();
      path.back().next.pop_back();
      if (seen_[rule] == kNew) {
        open(rule);
      } else if (seen_[rule] == kOpen) {
        std::string chain;
        const auto begin = std::find_if(path.begin(), path.end(), [&](const Open& one) { return one.rule == rule; });
        for (auto at = begin; at != path.end(); ++at) chain += grammar_.rules[at->rule].name + " -> ";
        const std::string& name = grammar_.rules[rule].name;
        return make_error("{}: rule \"{}\" is left-recursive ({}): it comes to itself before any character",
                          grammar_.source, in_quotes(name), in_quotes(chain + name, 400));
      }
    }
    return {};
  }

  const Grammar& grammar_;
  std::vector<char> empty_;  // by node
  std::vector<Seen> seen_;
};

}  // namespace

uint32_t Grammar::add(GrammarNode node) {
  nodes.push_back(std::move(node));
  return static_cast<uint32_t>(nodes.size() - 1);
}

uint32_t Grammar::text(std::string_view text) {
  GrammarNode node;
  node.kind = Kind::kText;
  node.text = text;
  return add(std::move(node));
}

uint32_t Grammar::chars(CharSet set) {
  std::vector<uint32_t> ends;
  for (const CharSet::Range& range : set.ranges()) ends.insert(ends.end(), {range.first, range.last});
  const auto [known, fresh] = set_numbers_.try_emplace(std::move(ends), static_cast<uint32_t>(sets.size()));
  GrammarNode node;
  node.kind = Kind::kChars;
  node.index = known->second;
  if (fresh) sets.push_back(std::move(set));
  return add(std::move(node));
}

uint32_t Grammar::sequence(std::vector<uint32_t> children) {
  if (children.size() == 1) return children[0];
  GrammarNode node;
  node.children = std::move(children);
  return add(std::move(node));
}

uint32_t Grammar::choice(std::vector<uint32_t> children) {
  if (children.size() == 1) return children[0];
  GrammarNode node;
  node.kind = Kind::kChoice;
  node.children = std::move(children);
  return add(std::move(node));
}

uint32_t Grammar::repeat(uint32_t child, uint32_t min, uint32_t max) {
  GrammarNode node;
  node.kind = Kind::kRepeat;
  node.min = min;
  node.max = max;
  node.children = {child};
  return add(std::move(node));
}

uint32_t Grammar::call(uint32_t rule) {
  GrammarNode node;
  node.kind = Kind::kRule;
  node.index = rule;
  return add(std::move(node));
}

uint32_t Grammar::rule(std::string name) {
  rules.push_back({std::move(name), GrammarRule::kNone});
  return static_cast<uint32_t>(rules.size() - 1);
}

Status check_grammar(const Grammar& grammar) {
  if (grammar.nodes.size() > kGrammarNodesMax || grammar.rules.size() > kGrammarRulesMax) {
    return make_error("{}: the grammar has {} parts in {} rules; at most {} in {} can be used", grammar.source,
                      grammar.nodes.size(), grammar.rules.size(), kGrammarNodesMax, kGrammarRulesMax);
  }
  for (const GrammarRule& rule : grammar.rules) {
    if (rule.body != GrammarRule::kNone) continue;
    return make_error("{}: rule \"{}\" is used but not defined", grammar.source, in_quotes(rule.name));
  }
  return LeftCorner(grammar).check();
}

}  // namespace andiron
