// An answer's text, split as it comes into reasoning, text and calls of tools.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "serve/reasoning.h"
#include "serve/tool_calls.h"

namespace andiron {

// How the model of one chat template writes: found once for each model.
struct AnswerStyle {
  ReasoningStyle reasoning;
  CallStyle calls;

  // The marks may be control tokens, whose text the engine shows only when asked (GenerateOptions::show_special). Then
  // the texts of those that end an answer are to be given to the splitter, which drops them.
  bool has_marks() const { return !reasoning.none() || !calls.open.empty(); }
};
AnswerStyle find_answer_style(std::string_view chat_template, bool can_call);

class AnswerSplitter {
 public:
  struct Options {
    std::vector<OfferedTool> tools = {};
    bool parallel = true;
    uint64_t id_seed = 0;
    std::string prompt = {};                // as rendered; its end says what the answer begins within
    std::string call_begin = {};            // what of that belongs to a call (AnswerPlan::call_begin)
    std::vector<std::string> dropped = {};  // texts of tokens that say nothing
  };
  AnswerSplitter(const AnswerStyle& style, Options options);

  // Appends to `parts`.
  void push(std::string_view text, std::vector<AnswerPart>& parts);
  void finish(std::vector<AnswerPart>& parts);

  bool thinking() const { return reasoning_.inside(); }
  // Nothing more need be asked of the model.
  bool done() const { return calls_.done(); }

 private:
  void pass(std::string_view text, std::vector<AnswerPart>& parts);

  std::vector<std::string> dropped_;
  std::string held_;
  ReasoningSplitter reasoning_;
  ToolCallParser calls_;
};

}  // namespace andiron
