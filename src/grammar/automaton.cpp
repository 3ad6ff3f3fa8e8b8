#include "grammar/automaton.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "base/strings.h"
#include "grammar/nfa.h"

namespace andiron {

namespace {

constexpr size_t kNfaStatesMax = 400'000;  // of one rule
constexpr size_t kStatesMax = 200'000;
constexpr size_t kEdgesMax = 2'000'000;
constexpr size_t kSubsetsMax = 8'000'000;  // members of all sets of states: the memory of the subset construction
// Steps of all subset constructions of a grammar, in every attempt: what bounds its time. The grammars and schemas of
// the tests take 600,041 at most; this many take a tenth of a second.
constexpr size_t kStepsMax = 5'000'000;
constexpr int kAttemptsMax = 5;  // at a rule
constexpr uint32_t kNone = UINT32_MAX;

struct Call {
  uint32_t rule;
  uint32_t target;
};

// States of all rules before they are laid out.
struct Draft {
  std::vector<ByteEdge> bytes;
  std::vector<Call> calls;
  uint32_t loop = kNone;
  bool final = false;
};

// The subset construction for one rule; a call is a letter like a byte.
class Subsets {
 public:
  // `steps` counts on from what was built before.
  Subsets(const Nfa& nfa, std::vector<Draft>& drafts, std::vector<CountedLoop>& loops, size_t& steps)
      : nfa_(nfa),
        drafts_(drafts),
        first_loop_(static_cast<uint32_t>(loops.size())),
        marks_(nfa.states.size()),
        steps_(steps) {
    for (uint32_t loop = 0; loop < nfa.loops.size(); ++loop) {
      const Nfa::Loop& one = nfa.loops[loop];
      loops.push_back({one.min, one.max});
      begins_[one.begin] = loop;
    }
    for (const Nfa::Loop& loop : nfa.loops) {
      // Where each may be left out, each leads to all behind it.
      if (steps_ > kStepsMax) return;
      // Once more must read something, and so must whatever leads back to the loop from outside. A loop that cannot be
      // gone through must not promise to be left after so many times.
      close({loop.end});
      if (marks_[loop.begin] == mark_ || !loop.possible) unfit_.insert(loop.node);
      pure_.push_back(close({loop.begin}));
      if (marks_[loop.back] == mark_) unfit_.insert(loop.node);
    }
  }

  // False where there are too many states, or finding them takes too long.
  bool build() {
    if (steps_ > kStepsMax) return false;
    number({0});
    while (!open_.empty()) {
      const auto next = open_.back();
      open_.pop_back();
      expand(next->first, next->second);
      if (drafts_.size() > kStatesMax || members_ > kSubsetsMax || edges_ > kEdgesMax || steps_ > kStepsMax) {
        return false;
      }
    }
    return true;
  }

  // Repetitions that cannot be loops: where there are any, what was built is of no use.
  const std::set<uint32_t>& unfit() const { return unfit_; }

 private:
  using Subset = std::vector<uint32_t>;
  using Action = ByteEdge::Action;

  // These and all that they reach without reading, but for states that say nothing. Marks all.
  Subset close(Subset subset) {
    ++mark_;
    for (const uint32_t state : subset) marks_[state] = mark_;
    for (size_t i = 0; i < subset.size(); ++i) {
      for (const uint32_t next : nfa_.states[subset[i]].empty) {
        if (std::exchange(marks_[next], mark_) != mark_) subset.push_back(next);
      }
    }
    steps_ += subset.size();
    std::erase_if(subset, [&](uint32_t state) {
      return state != nfa_.end && nfa_.states[state].edges.empty() && begins_.count(state) == 0;
    });
    std::sort(subset.begin(), subset.end());
    return subset;
  }

  uint32_t number(Subset seeds) {
    Subset subset = close(std::move(seeds));
    const bool final = marks_[nfa_.end] == mark_;
    const auto [found, fresh] = numbers_.try_emplace(std::move(subset), static_cast<uint32_t>(drafts_.size()));
    if (fresh) {
      members_ += found->first.size();
      Draft& draft = drafts_.emplace_back();
      draft.final = final;
      const uint32_t loop = loop_of(found->first);
      if (loop != kNone) draft.loop = first_loop_ + loop;
      open_.push_back(found);
    }
    return found->second;
  }

  // The loop that these are in. In a loop one is alone: at its beginning with what follows it, or within its child.
  uint32_t loop_of(const Subset& subset) {
    uint32_t loop = kNone;
    for (const uint32_t state : subset) {
      const auto begin = begins_.find(state);
      const uint32_t one = begin != begins_.end() ? begin->second : nfa_.states[state].loop;
      if (one == Nfa::kNoLoop) continue;
      if (begin != begins_.end() ? subset != pure_[one] : !alone(subset, one)) unfit_.insert(nfa_.loops[one].node);
      loop = loop == kNone || begin != begins_.end() ? one : loop;
    }
    return loop;
  }
  bool alone(const Subset& subset, uint32_t loop) const {
    const bool begins = std::binary_search(subset.begin(), subset.end(), nfa_.loops[loop].begin);
    return begins ||
           std::all_of(subset.begin(), subset.end(), [&](uint32_t state) { return nfa_.states[state].loop == loop; });
  }

  void expand(const Subset& subset, uint32_t number_of_it) {
    const uint32_t loop = drafts_[number_of_it].loop == kNone ? kNone : drafts_[number_of_it].loop - first_loop_;
    const bool begins = loop != kNone && std::binary_search(subset.begin(), subset.end(), nfa_.loops[loop].begin);
    std::vector<Nfa::Edge> bytes, leaving, calls;
    for (const uint32_t state : subset) {
      const bool leaves = begins && state != nfa_.loops[loop].begin && nfa_.states[state].loop != loop;
      for (const Nfa::Edge& edge : nfa_.states[state].edges) {
        (edge.rule != Nfa::kNoRule ? calls : leaves ? leaving : bytes).push_back(edge);
      }
    }
    auto byte_edges = merge_bytes(std::move(bytes), begins ? Action::kCount : Action::kNone);
    if (begins) {
      const auto more = merge_bytes(std::move(leaving), Action::kLeave);
      byte_edges.insert(byte_edges.end(), more.begin(), more.end());
      std::sort(byte_edges.begin(), byte_edges.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
      for (size_t i = 1; i < byte_edges.size(); ++i) {
        if (byte_edges[i].first <= byte_edges[i - 1].last) unfit_.insert(nfa_.loops[loop].node);
      }
    }
    if (loop != kNone && !calls.empty()) unfit_.insert(nfa_.loops[loop].node);
    const auto call_edges = merge_calls(calls);
    edges_ += byte_edges.size() + call_edges.size();
    drafts_[number_of_it].bytes = byte_edges;
    drafts_[number_of_it].calls = call_edges;
  }

  std::vector<ByteEdge> merge_bytes(std::vector<Nfa::Edge> edges, Action action) {
    std::vector<uint32_t> cuts;
    for (const Nfa::Edge& edge : edges) cuts.insert(cuts.end(), {edge.first, edge.last + 1u});
    std::sort(cuts.begin(), cuts.end());
    cuts.erase(std::unique(cuts.begin(), cuts.end()), cuts.end());
    std::sort(edges.begin(), edges.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    std::vector<ByteEdge> out;
    for (size_t i = 0; i + 1 < cuts.size() && steps_ <= kStepsMax; ++i) {
      Subset targets;
      for (const Nfa::Edge& edge : edges) {
        if (edge.first > cuts[i]) break;
        ++steps_;
        if (edge.last >= cuts[i]) targets.push_back(edge.target);
      }
      if (targets.empty()) continue;
      dedupe(targets);
      const uint32_t target = number(std::move(targets));
      const auto last = static_cast<uint8_t>(cuts[i + 1] - 1);
      if (!out.empty() && out.back().target == target && out.back().last + 1u == cuts[i]) {
        out.back().last = last;
      } else {
        out.push_back({static_cast<uint8_t>(cuts[i]), last, action, target});
      }
    }
    return out;
  }

  std::vector<Call> merge_calls(const std::vector<Nfa::Edge>& edges) {
    std::map<uint32_t, Subset> by_rule;
    for (const Nfa::Edge& edge : edges) by_rule[edge.rule].push_back(edge.target);
    std::vector<Call> out;
    for (auto& [rule, targets] : by_rule) {
      if (steps_ > kStepsMax) break;
      dedupe(targets);
      out.push_back({rule, number(std::move(targets))});
    }
    return out;
  }

  static void dedupe(Subset& subset) {
    std::sort(subset.begin(), subset.end());
    subset.erase(std::unique(subset.begin(), subset.end()), subset.end());
  }

  const Nfa& nfa_;
  std::vector<Draft>& drafts_;
  uint32_t first_loop_;
  std::map<uint32_t, uint32_t> begins_;  // loops by the state where they begin
  std::vector<Subset> pure_;             // by loop: its beginning and what follows the loop, nothing else
  std::set<uint32_t> unfit_;             // nodes of the grammar
  std::vector<uint32_t> marks_;
  uint32_t mark_ = 0;
  std::map<Subset, uint32_t> numbers_;
  std::vector<std::map<Subset, uint32_t>::iterator> open_;
  size_t members_ = 0;
  size_t edges_ = 0;
  size_t& steps_;
};

}  // namespace

class AutomatonCompiler {
 public:
  explicit AutomatonCompiler(const Grammar& grammar) : grammar_(grammar), starts_(grammar.rules.size(), kNone) {}

  Result<Automaton> compile() {
    TRY(check_grammar(grammar_));
    const std::vector<bool> inlined = choose_inlined(grammar_);
    std::vector<uint32_t> open = {grammar_.root};
    while (!open.empty()) {
      const uint32_t rule = open.back();
      open.pop_back();
      if (starts_[rule] != kNone) continue;
      const size_t first = drafts_.size();
      starts_[rule] = static_cast<uint32_t>(first);
      if (!build(rule, inlined)) {
        return make_error("{}: rule \"{}\" is too large to be followed; fewer or smaller repetitions help",
                          grammar_.source, in_quotes(grammar_.rules[rule].name));
      }
      for (size_t state = first; state < drafts_.size(); ++state) {
        for (const Call& call : drafts_[state].calls) open.push_back(call.rule);
      }
    }
    mark_live();
    if (!live_[starts_[grammar_.root]]) return make_error("{}: no text matches the grammar", grammar_.source);
    return lay_out();
  }

 private:
  // Appends the rule's states. What turns out to be unfit for a loop is copied in the next attempt, everything in the
  // last.
  bool build(uint32_t rule, const std::vector<bool>& inlined) {
    const size_t first = drafts_.size(), first_loop = loops_.size();
    std::set<uint32_t> copied;
    for (int attempt = 0;; ++attempt) {
      Nfa nfa;
      const bool last = attempt >= kAttemptsMax - 1;
      if (!build_nfa(grammar_, rule, inlined, last ? repeats() : copied, kNfaStatesMax, nfa)) return false;
      Subsets subsets(nfa, drafts_, loops_, steps_);
      if (!subsets.build()) return false;
      if (subsets.unfit().empty()) return true;
      copied.insert(subsets.unfit().begin(), subsets.unfit().end());
      drafts_.resize(first);
      loops_.resize(first_loop);
    }
  }

  // All repetitions, found once: thousands of rules may come to their last attempt.
  const std::set<uint32_t>& repeats() {
    if (!repeats_.empty()) return repeats_;
    for (uint32_t node = 0; node < grammar_.nodes.size(); ++node) {
      if (grammar_.nodes[node].kind == GrammarNode::Kind::kRepeat) repeats_.insert(node);
    }
    return repeats_;
  }

  // The states from which the rule they belong to can be ended.
  void mark_live() {
    struct Before {
      uint32_t state;  // an edge of it leads here
      uint32_t other;  // for a call the second state that must be live, else kNone
    };
    std::vector<std::vector<Before>> before(drafts_.size());
    for (uint32_t state = 0; state < drafts_.size(); ++state) {
      for (const ByteEdge& edge : drafts_[state].bytes) before[edge.target].push_back({state, kNone});
      for (const Call& call : drafts_[state].calls) {
        before[call.target].push_back({state, starts_[call.rule]});
        before[starts_[call.rule]].push_back({state, call.target});
      }
    }
    live_.assign(drafts_.size(), false);
    std::vector<uint32_t> open;
    const auto mark = [&](uint32_t state) {
      if (live_[state]) return;
      live_[state] = true;
      open.push_back(state);
    };
    for (uint32_t state = 0; state < drafts_.size(); ++state) {
      if (drafts_[state].final) mark(state);
    }
    while (!open.empty()) {
      const uint32_t state = open.back();
      open.pop_back();
      for (const Before& earlier : before[state]) {
        if (earlier.other == kNone || live_[earlier.other]) mark(earlier.state);
      }
    }
  }
  bool is_live(const Call& call) const { return live_[call.target] && live_[starts_[call.rule]]; }

  Automaton lay_out() const {
    Automaton out;
    out.start_ = starts_[grammar_.root];
    out.loops_ = loops_;
    out.states_.resize(drafts_.size());
    for (uint32_t state = 0; state < drafts_.size(); ++state) {
      Automaton::State& laid = out.states_[state];
      laid.final = drafts_[state].final;
      laid.loop = drafts_[state].loop;
      laid.bytes = static_cast<uint32_t>(out.bytes_.size());
      laid.calls = static_cast<uint32_t>(out.calls_.size());
      for (const ByteEdge& edge : drafts_[state].bytes) {
        if (live_[edge.target]) out.bytes_.push_back(edge);
      }
      for (const Call& call : drafts_[state].calls) {
        if (is_live(call)) out.calls_.push_back({starts_[call.rule], call.target});
      }
      laid.byte_count = static_cast<uint32_t>(out.bytes_.size()) - laid.bytes;
      laid.call_count = static_cast<uint32_t>(out.calls_.size()) - laid.calls;
    }
    return out;
  }

  const Grammar& grammar_;
  std::vector<uint32_t> starts_;  // by rule
  std::vector<Draft> drafts_;
  std::vector<CountedLoop> loops_;
  size_t steps_ = 0;            // of the subset constructions
  std::set<uint32_t> repeats_;  // see repeats()
  std::vector<bool> live_;
};

Result<Automaton> Automaton::compile(const Grammar& grammar) { return AutomatonCompiler(grammar).compile(); }

}  // namespace andiron
