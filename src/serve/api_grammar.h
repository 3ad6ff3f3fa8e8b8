// What a request's format and choice of tools make of an answer: where it begins, and the grammar that it follows.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "grammar/grammar.h"
#include "serve/answer_splitter.h"
#include "serve/api_ask.h"
#include "serve/api_error.h"

namespace andiron {

struct AnswerPlan {
  // Added to the prompt, as the template's own text: the mark of a call that is forced, the end of reasoning that the
  // template began and that is not wanted.
  std::string prompt_end;
  std::string call_begin;          // of that, what belongs to the call (AnswerSplitter::Options)
  std::vector<OfferedTool> tools;  // those that may be called
  CallStyle calls;                 // how they are written
  std::optional<Grammar> grammar;
  std::string grammar_key;  // the same for the same grammar: compiled ones are kept by it
};

// `prompt` is the conversation as rendered. `is_control` says of a text whether it is one token that no grammar lets
// through: what the model cannot write then. Refuses what a grammar cannot carry, by its name and place.
ApiResult<AnswerPlan> plan_answer(const ChatAsk& ask, const AnswerStyle& style, std::string_view prompt,
                                  const std::function<bool(std::string_view)>& is_control);

// The grammar of a format alone; nothing for text.
ApiResult<std::optional<Grammar>> format_grammar(const AnswerFormat& format);
// As AnswerPlan::grammar_key, of that grammar.
std::string format_key(const AnswerFormat& format);

// The tools that the template is shown: none where none may be called.
const Json& shown_tools(const ChatAsk& ask);
// ask.variables, and what switches thinking on or off as the request asks.
Json template_variables(const ChatAsk& ask, const std::string& thinking_variable);

}  // namespace andiron
