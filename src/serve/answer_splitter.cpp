#include "serve/answer_splitter.h"

#include <utility>

#include "base/strings.h"

namespace andiron {

namespace {

// Some prompts end with the mark of a call; others do because a call is forced, and are followed by what else is.
std::string begun_call(const CallStyle& style, const AnswerSplitter::Options& options) {
  if (!options.call_begin.empty()) return options.call_begin;
  return !style.open.empty() && options.prompt.ends_with(style.open) ? style.open : "";
}

}  // namespace

AnswerStyle find_answer_style(std::string_view chat_template, bool can_call) {
  return {find_reasoning_style(chat_template), find_call_style(chat_template, can_call)};
}

AnswerSplitter::AnswerSplitter(const AnswerStyle& style, Options options)
    : dropped_(std::move(options.dropped)),
      reasoning_(style.reasoning, opens_reasoning(options.prompt, style.reasoning)),
      calls_(style.calls, std::move(options.tools),
             {options.parallel, options.id_seed, begun_call(style.calls, options)}) {
  std::erase_if(dropped_, [](const std::string& text) { return text.empty(); });
}

void AnswerSplitter::push(std::string_view text, std::vector<AnswerPart>& parts) {
  if (dropped_.empty()) return pass(text, parts);
  held_ += text;
  for (;;) {
    size_t found = held_.size(), size = 0;
    for (const std::string& one : dropped_) {
      const size_t at = held_.find(one);
      if (at >= found) continue;
      found = at;
      size = one.size();
    }
    if (size == 0) break;
    pass(std::string_view(held_).substr(0, found), parts);
    held_.erase(0, found + size);
  }
  const size_t certain = held_.size() - possible_mark(held_, dropped_);
  pass(std::string_view(held_).substr(0, certain), parts);
  held_.erase(0, certain);
}

void AnswerSplitter::pass(std::string_view text, std::vector<AnswerPart>& parts) {
  if (text.empty()) return;
  std::string thought, said;
  reasoning_.push(text, thought, said);
  add_part(parts, AnswerPart::Kind::kThinking, thought);
  if (!said.empty()) calls_.push(said, parts);
}

void AnswerSplitter::finish(std::vector<AnswerPart>& parts) {
  pass(std::exchange(held_, {}), parts);
  std::string thought, said;
  reasoning_.finish(thought, said);
  add_part(parts, AnswerPart::Kind::kThinking, thought);
  if (!said.empty()) calls_.push(said, parts);
  calls_.finish(parts);
}

}  // namespace andiron
