// Splits an answer into what the model thought and what it said, as the text comes.
//
// Reasoning stands at the beginning of an answer, between two marks that the model's template knows ("<think>" and
// "</think>"); often the prompt already ends with the first of them. Marks further on are text like any other.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace andiron {

struct ReasoningStyle {
  std::string open, close;

  bool none() const { return close.empty(); }
};

// The marks that a chat template writes; none where it knows none.
ReasoningStyle find_reasoning_style(std::string_view chat_template);
// Whether a prompt ends within reasoning: its last opening mark is not closed.
bool opens_reasoning(std::string_view prompt, const ReasoningStyle& style);

// How far `text` might be the beginning of one of `marks`: the length of its longest end that begins one. What comes
// before may be shown.
size_t possible_mark(std::string_view text, const std::vector<std::string>& marks);

class ReasoningSplitter {
 public:
  // `inside`: the prompt opened the reasoning.
  ReasoningSplitter(ReasoningStyle style, bool inside);

  // Appends what is certain to `thinking` and `text`. The marks, and white space beside them, belong to neither.
  void push(std::string_view piece, std::string& thinking, std::string& text);
  // The answer has ended: what was held back.
  void finish(std::string& thinking, std::string& text);

  bool inside() const { return state_ == State::kInside; }

 private:
  enum class State : uint8_t { kStart, kInside, kAfter, kText };

  bool step(std::string& thinking, std::string& text);

  ReasoningStyle style_;
  State state_;
  bool begun_ = false;  // something of the reasoning has been shown
  std::string held_;    // not yet certain
  std::string space_;   // white space at the end of the reasoning so far, or of the beginning of the answer
};

}  // namespace andiron
