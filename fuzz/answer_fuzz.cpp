// Answers: any text as what a model wrote, split in a style that the first byte chooses and in pieces that the second
// does. However it is cut the parts are the same, and where there is no call and no reasoning the text is the answer.
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "base/strings.h"
#include "serve/answer_splitter.h"

namespace {

using namespace andiron;

constexpr std::string_view kTemplates[] = {"<tool_call>{\"name\"</tool_call></think>",
                                           "<tool_call><function=<parameter=</think>",
                                           "<tool_call><arg_key>",
                                           "<arg_key:opensource>",
                                           "[TOOL_CALLS][ARGS][/THINK]",
                                           "[TOOL_CALLS]",
                                           "<｜tool▁call▁begin｜>```json</think>",
                                           "<｜tool▁call▁begin｜>",
                                           "<|tool_calls_section_begin|>",
                                           "｜DSML｜",
                                           "<minimax:tool_call>",
                                           "<|tool_call:begin|>",
                                           "<|START_ACTION|>",
                                           "<|tools_prefix|>",
                                           "<|tool_call_start|>",
                                           "<|tool_call><channel|>",
                                           "<start_function_call>",
                                           "<|tool_call|>",
                                           "<function=",
                                           ">>>",
                                           "<|python_tag|>",
                                           ""};

struct Split {
  std::string thinking, text;
  std::vector<std::string> calls;
  bool operator==(const Split&) const = default;
};

Split split(std::string_view source, std::string_view answer, uint8_t cut) {
  AnswerSplitter::Options options;
  options.tools = {{"f", *parse_json(R"({"properties": {"a": {"type": "string"}, "b": {}}})", "schema")}, {"g", {}}};
  AnswerSplitter splitter(find_answer_style(source, true), std::move(options));
  std::vector<AnswerPart> parts;
  uint32_t draw = cut;
  for (size_t at = 0; at < answer.size();) {
    size_t end = cut == 0 ? answer.size() : at;
    draw = draw * 1664525 + 1013904223;
    for (uint32_t count = 1 + (draw >> 24) % 9; count > 0 && end < answer.size(); --count) next_code_point(answer, end);
    splitter.push(answer.substr(at, end - at), parts);
    at = end;
  }
  splitter.finish(parts);
  Split out;
  for (const AnswerPart& part : parts) {
    if (part.kind == AnswerPart::Kind::kThinking) out.thinking += part.text;
    if (part.kind == AnswerPart::Kind::kText) out.text += part.text;
    if (part.kind == AnswerPart::Kind::kCall) out.calls.push_back(part.text);
    if (part.kind == AnswerPart::Kind::kArguments) {
      if (out.calls.empty()) std::abort();
      out.calls.back() += part.text;
    }
  }
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const std::string_view source = kTemplates[data[0] % std::size(kTemplates)];
  const std::string_view answer(reinterpret_cast<const char*>(data) + 2, size - 2);
  if (!is_valid_utf8(answer)) return 0;  // what the engine shows is
  const Split whole = split(source, answer, 0);
  if (!(split(source, answer, static_cast<uint8_t>(data[1] | 1)) == whole)) std::abort();
  const bool marked = answer.find("think") != std::string_view::npos ||
                      answer.find("THINK") != std::string_view::npos ||
                      answer.find("channel") != std::string_view::npos || source == ">>>";
  if (whole.calls.empty() && whole.thinking.empty() && !marked && whole.text != answer) std::abort();
  return 0;
}
