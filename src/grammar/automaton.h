// Automaton: a grammar compiled to a pushdown automaton over bytes.
//
// Each rule is a deterministic finite automaton whose edges read a byte or call a rule; a call comes back to the state
// behind it. Small rules and rules used once are copied into those that use them, so that alternatives share their
// beginnings. States from which no text leads to an end are taken away: whatever was read can always be ended.
//
// A repetition of something many times, such as a string of at most 500 characters, is a loop: one copy of what is
// repeated, and a number that goes with the text. Loops do not lie within one another, call no rules, and at every byte
// it is plain whether one more time begins or the loop is left; a repetition of which that is not true is copied.
//
// Immutable; any thread may read it.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "grammar/grammar.h"

namespace andiron {

struct ByteEdge {
  enum class Action : uint8_t {
    kNone,
    kCount,  // begins one more time of its state's loop, if there were fewer than `max`
    kLeave,  // leaves it, if there were at least `min`
  };
  uint8_t first;
  uint8_t last;  // inclusive
  Action action = Action::kNone;
  uint32_t target;
};

struct CallEdge {
  uint32_t start;   // the first state of the rule that is called
  uint32_t target;  // the state to come back to
};

struct CountedLoop {
  uint32_t min;
  uint32_t max;  // GrammarNode::kUnbounded: no limit
};

class Automaton {
 public:
  // An Error where check_grammar gives one, where the automaton would be too large, or where no text matches.
  static Result<Automaton> compile(const Grammar& grammar);

  uint32_t start() const { return start_; }
  uint32_t state_count() const { return static_cast<uint32_t>(states_.size()); }
  // Sorted and disjoint.
  std::span<const ByteEdge> bytes(uint32_t state) const {
    return std::span(bytes_).subspan(states_[state].bytes, states_[state].byte_count);
  }
  std::span<const CallEdge> calls(uint32_t state) const {
    return std::span(calls_).subspan(states_[state].calls, states_[state].call_count);
  }
  // The loop that the state belongs to, or null. A loop is entered with 0 times.
  const CountedLoop* loop(uint32_t state) const {
    return states_[state].loop == kNoLoop ? nullptr : &loops_[states_[state].loop];
  }
  // The rule may end here; in a loop, after at least `min` times.
  bool is_final(uint32_t state) const { return states_[state].final; }
  // It may end here and nowhere else: nothing need be remembered of a call that comes back to it.
  bool is_last(uint32_t state) const {
    return states_[state].final && states_[state].byte_count + states_[state].call_count == 0;
  }

 private:
  friend class AutomatonCompiler;
  struct State {
    uint32_t bytes = 0, byte_count = 0;
    uint32_t calls = 0, call_count = 0;
    uint32_t loop = kNoLoop;
    bool final = false;
  };
  static constexpr uint32_t kNoLoop = UINT32_MAX;

  uint32_t start_ = 0;
  std::vector<State> states_;
  std::vector<ByteEdge> bytes_;
  std::vector<CallEdge> calls_;
  std::vector<CountedLoop> loops_;
};

}  // namespace andiron
