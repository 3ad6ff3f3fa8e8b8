#include "serve/reasoning.h"

#include <algorithm>
#include <utility>

#include "base/strings.h"

namespace andiron {

namespace {

constexpr std::string_view kSpace = " \t\r\n";

// Longest first where one begins another.
constexpr std::pair<std::string_view, std::string_view> kStyles[] = {
    {"<seed:think>", "</seed:think>"},
    {"<mm:think>", "</mm:think>"},
    {"<think:opensource>", "</think:opensource>"},
    {"[THINK]", "[/THINK]"},
    {"<|START_THINKING|>", "<|END_THINKING|>"},
    {"<|inner_prefix|>", "<|inner_suffix|>"},
    {"<|channel>thought\n", "<channel|>"},
    {"Here are my reasoning steps:\n", "[BEGIN FINAL RESPONSE]"},
    {"<think>", "</think>"},
};

size_t space_before_end(std::string_view text) {
  const size_t last = text.find_last_not_of(kSpace);
  return last == std::string_view::npos ? 0 : last + 1;
}

}  // namespace

ReasoningStyle find_reasoning_style(std::string_view chat_template) {
  for (const auto& [open, close] : kStyles) {
    // A template that only closes it has a model that opens it by itself.
    if (chat_template.find(close) != std::string_view::npos) return {std::string(open), std::string(close)};
  }
  return {};
}

bool opens_reasoning(std::string_view prompt, const ReasoningStyle& style) {
  if (style.none()) return false;
  // Where the mark ends with a line, the prompt may end with it trimmed.
  const std::string_view open = trimmed(style.open);
  const size_t at = prompt.rfind(open);
  return at != std::string_view::npos && is_blank(prompt.substr(at + open.size()));
}

size_t possible_mark(std::string_view text, const std::vector<std::string>& marks) {
  size_t longest = 0;
  for (const std::string& mark : marks) {
    for (size_t size = std::min(text.size(), mark.size() - 1); size > longest; --size) {
      if (text.ends_with(std::string_view(mark).substr(0, size))) longest = size;
    }
  }
  return longest;
}

ReasoningSplitter::ReasoningSplitter(ReasoningStyle style, bool inside)
    : style_(std::move(style)),
      state_(style_.none() ? State::kText
             : inside      ? State::kInside
                           : State::kStart) {}

void ReasoningSplitter::push(std::string_view piece, std::string& thinking, std::string& text) {
  held_ += piece;
  while (step(thinking, text)) {
  }
}

// One piece of what is held; false where more has to come.
bool ReasoningSplitter::step(std::string& thinking, std::string& text) {
  if (state_ == State::kText) {
    text += std::exchange(held_, {});
    return false;
  }
  if (state_ == State::kStart) {
    const size_t begin = std::min(held_.find_first_not_of(kSpace), held_.size());
    const std::string_view rest = std::string_view(held_).substr(begin);
    if (rest.starts_with(style_.open)) {
      held_.erase(0, begin + style_.open.size());
      state_ = State::kInside;
      return true;
    }
    if (std::string_view(style_.open).starts_with(rest)) return false;
    state_ = State::kText;
    return true;
  }
  if (state_ == State::kAfter) {
    held_.erase(0, std::min(held_.find_first_not_of(kSpace), held_.size()));
    if (held_.empty()) return false;
    state_ = State::kText;
    return true;
  }
  const size_t close = held_.find(style_.close);
  const bool closed = close != std::string::npos;
  std::string shown = held_.substr(0, closed ? close : held_.size() - possible_mark(held_, {style_.close}));
  held_.erase(0, shown.size() + (closed ? style_.close.size() : 0));
  if (!begun_) shown.erase(0, std::min(shown.find_first_not_of(kSpace), shown.size()));
  begun_ = begun_ || !shown.empty();
  // White space is shown once it is known that more follows.
  shown = std::exchange(space_, {}) + shown;
  space_ = shown.substr(space_before_end(shown));
  shown.resize(shown.size() - space_.size());
  thinking += shown;
  if (!closed) return false;
  space_.clear();
  state_ = State::kAfter;
  return true;
}

void ReasoningSplitter::finish(std::string& thinking, std::string& text) {
  if (state_ == State::kInside) {
    thinking += std::exchange(space_, {}) + std::exchange(held_, {});
  } else {
    text += std::exchange(held_, {});
  }
  state_ = State::kText;
}

}  // namespace andiron
