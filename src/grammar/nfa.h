// The finite automaton of one rule of a grammar before it is made deterministic. Used by automaton.cpp only.
#pragma once

#include <cstdint>
#include <set>
#include <vector>

#include "grammar/grammar.h"

namespace andiron {

struct Nfa {
  static constexpr uint32_t kNoRule = UINT32_MAX;
  static constexpr uint32_t kNoLoop = UINT32_MAX;
  struct Edge {
    uint8_t first = 0;
    uint8_t last = 0;
    uint32_t rule = kNoRule;  // called; else a byte is read
    uint32_t target = 0;
  };
  struct State {
    std::vector<Edge> edges;
    std::vector<uint32_t> empty;  // states reached without reading
    uint32_t loop = kNoLoop;      // the loop whose child it lies within
  };
  // A repetition that is one copy of its child, with the number of times left to whoever follows it.
  struct Loop {
    uint32_t node = 0;   // of the grammar
    uint32_t begin = 0;  // state before and after each time
    uint32_t back = 0;   // where the child ends; leads to `begin`
    uint32_t end = 0;    // behind the loop
    uint32_t min = 0, max = 0;
    bool possible = true;  // no part of the child is a set of no characters
  };
  std::vector<Loop> loops;
  std::vector<State> states;  // the first is where it starts
  uint32_t end = 0;
};

// Which rules are copied into those that use them, by rule.
std::vector<bool> choose_inlined(const Grammar& grammar);

// False where it would have more than `states_max` states. A repetition of many times becomes a loop, unless it is
// among the nodes `copied`, or within another loop: then it is as many copies of its child.
bool build_nfa(const Grammar& grammar, uint32_t rule, const std::vector<bool>& inlined,
               const std::set<uint32_t>& copied, size_t states_max, Nfa& out);

}  // namespace andiron
