#include "text/regex.h"

#include <algorithm>
#include <map>
#include <string>
#include <unordered_map>
#include <utility>

#include "base/strings.h"
#include "text/regex_parser.h"

namespace andiron {

namespace {

constexpr size_t kInstructionsMax = 8192;
constexpr size_t kStatesMax = 4096;
constexpr size_t kStateItemsMax = 400'000;
constexpr size_t kClassesMax = 255;
// Closure steps while the automaton is built; the largest published pattern takes 93,000.
constexpr uint64_t kBuildStepsMax = 2'000'000;
// An attempt that has gone this far past its last match starts to leave a trail.
constexpr size_t kTrailFrom = 32;
constexpr size_t kAttemptBytesOverBudget = 64;

using Kind = RegexNode::Kind;

// One instruction of the non-deterministic machine that a tree becomes (K. Thompson, 1968; R. Cox, "Regular
// Expression Matching: the Virtual Machine Approach", 2009). kSplit prefers `next`.
struct Instruction {
  enum class Op : uint8_t { kSet, kLook, kSplit, kMatch } op = Op::kMatch;
  bool at_end = false;
  uint32_t set = 0;
  uint32_t next = 0;
  uint32_t other = 0;
};

using Op = Instruction::Op;

}  // namespace

class RegexCompiler {
 public:
  RegexCompiler(std::string_view pattern, RegexTree tree) : pattern_(pattern), tree_(std::move(tree)) {}

  Result<Regex> compile() {
    const uint32_t match = emit({});
    TRY_ASSIGN(const uint32_t start, emit_node(tree_.root, match));
    TRY(number_classes());
    TRY(build_states(start));
    return std::move(regex_);
  }

 private:
  Error fail(std::string_view what) const {
    return make_error("the regular expression \"{}\" cannot be used: {}", in_quotes(pattern_, 400), what);
  }

  uint32_t emit(Instruction instruction) {
    program_.push_back(instruction);
    return static_cast<uint32_t>(program_.size() - 1);
  }
  uint32_t emit_split(uint32_t preferred, uint32_t other) {
    Instruction split;
    split.op = Op::kSplit;
    split.next = preferred;
    split.other = other;
    return emit(split);
  }

  // Instructions for a node that go on to `next`; returns where they begin. Depth is bounded by the parser.
  Result<uint32_t> emit_node(uint32_t index, uint32_t next) {
    if (program_.size() > kInstructionsMax) return fail("it needs more than 8192 instructions");
    if (++steps_ > kBuildStepsMax) return fail("its repeats are nested too deeply");
    const RegexNode& node = tree_.nodes[index];
    switch (node.kind) {
      case Kind::kEmpty: return next;
      case Kind::kSet:
      case Kind::kLook: {
        Instruction step;
        step.op = node.kind == Kind::kSet ? Op::kSet : Op::kLook;
        step.set = node.set;
        step.at_end = node.at_end;
        step.next = next;
        return emit(step);
      }
      case Kind::kSequence: {
        for (size_t i = node.children.size(); i-- > 0;) {
          TRY_ASSIGN(next, emit_node(node.children[i], next));
        }
        return next;
      }
      case Kind::kAlternation: {
        TRY_ASSIGN(uint32_t start, emit_node(node.children.back(), next));
        for (size_t i = node.children.size() - 1; i-- > 0;) {
          TRY_ASSIGN(const uint32_t branch, emit_node(node.children[i], next));
          start = emit_split(branch, start);
        }
        return start;
      }
      case Kind::kRepeat: return emit_repeat(node, next);
    }
    return next;
  }

  // x{m,n} as m copies and n - m optional ones, x{m,} as m copies and a loop.
  Result<uint32_t> emit_repeat(const RegexNode& node, uint32_t next) {
    const uint32_t child = node.children[0];
    const auto choice = [&](uint32_t into, uint32_t past) {
      return node.greedy ? emit_split(into, past) : emit_split(past, into);
    };
    uint32_t start = next;
    if (node.max == RegexNode::kUnbounded) {
      const uint32_t loop = emit_split(0, 0);
      TRY_ASSIGN(const uint32_t body, emit_node(child, loop));
      program_[loop].next = node.greedy ? body : next;
      program_[loop].other = node.greedy ? next : body;
      start = loop;
    } else {
      for (uint32_t i = node.min; i < node.max; ++i) {
        TRY_ASSIGN(const uint32_t body, emit_node(child, start));
        start = choice(body, next);
      }
    }
    for (uint32_t i = 0; i < node.min; ++i) {
      TRY_ASSIGN(start, emit_node(child, start));
    }
    return start;
  }

  // Splits all code points into classes by which sets hold them.
  Status number_classes() {
    std::map<uint32_t, uint64_t> flips;  // where membership changes, and in which sets
    flips[0] = 0;
    for (size_t i = 0; i < tree_.sets.size(); ++i) {
      for (const auto& range : tree_.sets[i].ranges()) {
        flips[range.first] ^= uint64_t{1} << i;
        flips[range.last + 1] ^= uint64_t{1} << i;
      }
    }
    std::unordered_map<uint64_t, uint8_t> class_of_members;
    regex_.plane0_class_.resize(0x10000);
    uint64_t members = 0;
    for (auto at = flips.begin(); at != flips.end() && at->first <= 0x10ffff; ++at) {
      members ^= at->second;
      const auto [found, is_new] = class_of_members.emplace(members, static_cast<uint8_t>(class_members_.size()));
      if (is_new) class_members_.push_back(members);
      if (class_members_.size() > kClassesMax) return fail("its character classes overlap in more than 255 ways");
      const auto after = std::next(at);
      const uint32_t end = after == flips.end() ? 0x110000 : after->first;
      if (at->first < 0x10000) {
        std::fill(regex_.plane0_class_.begin() + at->first, regex_.plane0_class_.begin() + std::min(end, 0x10000u),
                  found->second);
      }
      regex_.range_start_.push_back(at->first);
      regex_.range_class_.push_back(found->second);
    }
    std::copy_n(regex_.plane0_class_.begin(), regex_.ascii_class_.size(), regex_.ascii_class_.begin());
    regex_.class_count_ = static_cast<uint32_t>(class_members_.size());
    return {};
  }

  // A state is the ordered list of instructions that lie ahead; the order is the preference among alternatives.
  using State = std::vector<uint16_t>;

  // The instructions reachable from `state` without taking a character, given that the next one is of class
  // `next_class` (class_count_: the end). Stops at a match: whatever stands behind it in preference is dropped.
  bool close(const State& state, uint32_t next_class, State& out) {
    ++mark_;
    out.clear();
    const bool end = next_class == regex_.class_count_;
    const uint64_t members = end ? 0 : class_members_[next_class];
    for (const uint16_t first : state) {
      stack_.assign(1, first);
      while (!stack_.empty()) {
        const uint16_t at = stack_.back();
        stack_.pop_back();
        ++steps_;
        if (visited_[at] == mark_) continue;
        visited_[at] = mark_;
        const Instruction& step = program_[at];
        const bool holds = end ? step.at_end : (members >> step.set & 1) != 0;
        switch (step.op) {
          case Op::kMatch: return true;
          case Op::kSet:
            if (!end && holds) out.push_back(at);
            break;
          case Op::kLook:
            if (holds) stack_.push_back(static_cast<uint16_t>(step.next));
            break;
          case Op::kSplit:
            stack_.push_back(static_cast<uint16_t>(step.other));
            stack_.push_back(static_cast<uint16_t>(step.next));
            break;
        }
      }
    }
    return false;
  }

  // The states behind `closed` after one character; an instruction counts where it first appears.
  State advance(const State& closed) {
    ++mark_;
    State next;
    for (const uint16_t at : closed) {
      const auto target = static_cast<uint16_t>(program_[at].next);
      if (visited_[target] == mark_) continue;
      visited_[target] = mark_;
      next.push_back(target);
    }
    return next;
  }

  Status build_states(uint32_t start) {
    if (program_.size() > kInstructionsMax) return fail("it needs more than 8192 instructions");
    visited_.assign(program_.size(), 0);
    std::map<State, uint16_t> number_of;
    std::vector<State> states = {State{}, State{static_cast<uint16_t>(start)}};
    number_of[states[0]] = 0;
    number_of[states[1]] = 1;
    size_t items = 0;
    State closed;
    for (size_t s = 0; s < states.size(); ++s) {
      const State from = states[s];
      for (uint32_t c = 0; c <= regex_.class_count_; ++c) {
        const bool matched = close(from, c, closed);
        State next = advance(closed);
        const auto [found, is_new] = number_of.emplace(next, static_cast<uint16_t>(states.size()));
        if (is_new) {
          items += next.size();
          states.push_back(std::move(next));
        }
        if (states.size() > kStatesMax || items > kStateItemsMax || steps_ > kBuildStepsMax) {
          return fail("its automaton is too large");
        }
        regex_.transitions_.push_back(static_cast<uint16_t>(found->second << 1 | (matched ? 1 : 0)));
      }
    }
    return {};
  }

  std::string_view pattern_;
  RegexTree tree_;
  std::vector<Instruction> program_;
  std::vector<uint64_t> class_members_;  // by class: bit i set when sets[i] holds it
  std::vector<uint32_t> visited_;
  std::vector<uint16_t> stack_;
  uint32_t mark_ = 0;
  uint64_t steps_ = 0;
  Regex regex_;
};

Result<Regex> Regex::compile(std::string_view pattern) {
  TRY_ASSIGN(RegexTree tree, parse_regex(pattern));
  return RegexCompiler(pattern, std::move(tree)).compile();
}

uint32_t Regex::class_of(uint32_t code_point) const {
  if (code_point < 0x10000) return plane0_class_[code_point];
  const auto after = std::upper_bound(range_start_.begin(), range_start_.end(), code_point);
  return range_class_[static_cast<size_t>(after - range_start_.begin() - 1)];
}

size_t RegexScanner::match_at(size_t at) {
  const uint16_t* transitions = regex_.transitions_.data();
  const uint32_t width = regex_.class_count_ + 1;
  size_t matched = at;
  size_t p = at;
  uint32_t state = 1;
  while (p < text_.size()) {
    const auto byte = static_cast<uint8_t>(text_[p]);
    const size_t here = p;
    const uint32_t char_class = byte < 0x80 ? regex_.ascii_class_[byte] : regex_.class_of(next_code_point(text_, p));
    if (byte < 0x80) ++p;
    const uint16_t step = transitions[state * width + char_class];
    if ((step & 1) != 0) matched = here;
    state = step >> 1;
    if (state == 0) return matched - at;
    if (p - matched > kTrailFrom) return match_recorded(at, p, state, matched) - at;
  }
  if ((transitions[state * width + regex_.class_count_] & 1) != 0) matched = p;
  return matched - at;
}

// Goes on with an attempt that began at `at` and has reached `state` at `from`, leaving a trail; returns where the
// match ends.
size_t RegexScanner::match_recorded(size_t at, size_t from, uint32_t state, size_t matched) {
  const uint16_t* transitions = regex_.transitions_.data();
  const uint32_t width = regex_.class_count_ + 1;
  size_t limit = text_.size();
  if (steps_left_ == 0) limit = std::min(limit, at + kAttemptBytesOverBudget);
  fresh_.clear();
  size_t fresh_start = from;
  size_t p = from;
  while (p < limit) {
    // Past every match of this attempt, in a state the failed attempt had here: the same failure lies ahead.
    if (p >= trail_start_ && p - trail_start_ < trail_.size() && trail_[p - trail_start_] == state) return matched;
    fresh_.resize(p - fresh_start + 1);
    fresh_.back() = static_cast<uint16_t>(state);
    const size_t here = p;
    const uint16_t step = transitions[state * width + regex_.class_of(next_code_point(text_, p))];
    if (steps_left_ > 0) --steps_left_;
    if ((step & 1) != 0) {
      matched = here;
      fresh_.clear();
      fresh_start = p;
    }
    state = step >> 1;
    if (state == 0) break;
  }
  if (p == text_.size() && state != 0 && (transitions[state * width + regex_.class_count_] & 1) != 0) {
    matched = p;
    fresh_.clear();
  }
  std::swap(trail_, fresh_);
  trail_start_ = fresh_start;
  return matched;
}

}  // namespace andiron
