// Which style a chat template has. What a model writes is what its template shows it as its own earlier calls.
#include <algorithm>
#include <vector>

#include "serve/tool_calls.h"
#include "serve/tool_calls_prompt.h"

namespace andiron {

namespace {

using Body = CallStyle::Body;

struct KnownStyle {
  std::vector<std::string_view> needs;  // all of them stand in the template
  CallStyle style;
};

CallStyle json_style(std::string name, std::string open, std::string close) {
  return {.name = std::move(name), .body = Body::kJson, .open = std::move(open), .close = std::move(close)};
}

// <function=NAME> <parameter=KEY> VALUE </parameter> </function>, within a section of its own.
CallStyle xml_style(std::string name, const std::string& section) {
  return {.name = std::move(name),
          .body = Body::kTagged,
          .section_open = "<" + section + ">",
          .section_close = "</" + section + ">",
          .open = "<function=",
          .close = "</function>",
          .name_end = ">",
          .key_open = "<parameter=",
          .key_end = ">",
          .value_end = "</parameter>"};
}

// <invoke name="NAME"> <parameter name="KEY" ...> VALUE </parameter> </invoke>, each name with a prefix.
CallStyle invoke_style(std::string name, const std::string& section, const std::string& prefix) {
  return {.name = std::move(name),
          .body = Body::kTagged,
          .section_open = "<" + section + ">",
          .section_close = "</" + section + ">",
          .open = "<" + prefix + "invoke name=\"",
          .close = "</" + prefix + "invoke>",
          .name_end = "\">",
          .key_open = "<" + prefix + "parameter name=\"",
          .key_end = "\"",
          .value_open = ">",
          .value_end = "</" + prefix + "parameter>"};
}

CallStyle list_style(CallStyle style) {
  style.is_list = true;
  return style;
}

CallStyle dsml_style(const std::string& section) {
  CallStyle style = invoke_style("deepseek-dsml", "｜DSML｜" + section, "｜DSML｜");
  style.text_attribute = " string=\"true\"";
  style.json_attribute = " string=\"false\"";
  return style;
}

CallStyle named_style(std::string name, std::string open, std::string name_end, std::string close) {
  return {.name = std::move(name),
          .body = Body::kNamedJson,
          .open = std::move(open),
          .close = std::move(close),
          .name_end = std::move(name_end)};
}

CallStyle within(std::string open, std::string close, CallStyle style) {
  style.section_open = std::move(open);
  style.section_close = std::move(close);
  return style;
}

CallStyle kimi_style() {
  CallStyle style = named_style("kimi", "<|tool_call_begin|>", "<|tool_call_argument_begin|>", "<|tool_call_end|>");
  style.name_before = "functions.";
  style.name_after = ":0";
  return style;
}

CallStyle solar_style() {
  CallStyle style = named_style("solar", "<|tool_call:begin|>", "<|tool_call:args|>", "<|tool_call:end|>");
  style.name_before = "call00000<|tool_call:name|>";
  return style;
}

CallStyle cohere_style() {
  CallStyle style = json_style("command", "<|START_ACTION|>", "<|END_ACTION|>");
  style.name_key = "tool_name";
  style.arguments_key = "parameters";
  style.is_list = true;
  return style;
}

CallStyle apertus_style() {
  CallStyle style = json_style("apertus", "<|tools_prefix|>", "<|tools_suffix|>");
  style.name_is_key = style.is_list = true;
  return style;
}

// Whatever is said has a name there; "all" is for everybody to read.
CallStyle functionary_style() {
  CallStyle style = named_style("functionary-3.2", ">>>", "\n", "");
  style.text_name = "all";
  return style;
}

CallStyle gemma_style(std::string open, std::string close, std::string quote) {
  return {.name = "gemma",
          .body = Body::kGemma,
          .open = std::move(open),
          .close = std::move(close),
          .value_end = std::move(quote)};
}

CallStyle llama_style() {
  CallStyle style = plain_call_style();
  style.name = "llama";
  style.open = "<|python_tag|>";
  return style;
}

CallStyle glm_style(const std::string& suffix, std::string section_open, std::string section_close) {
  return {.name = "glm",
          .body = Body::kTagged,
          .section_open = std::move(section_open),
          .section_close = std::move(section_close),
          .open = "<tool_call" + suffix + ">",
          .close = "</tool_call" + suffix + ">",
          .name_end = suffix.empty() ? "" : "<tool_sep" + suffix + ">",
          .key_open = "<arg_key" + suffix + ">",
          .key_end = "</arg_key" + suffix + ">",
          .value_open = "<arg_value" + suffix + ">",
          .value_end = "</arg_value" + suffix + ">"};
}

// In the order in which they are looked for: what is special before what is common.
const std::vector<KnownStyle>& known_styles() {
  static const std::vector<KnownStyle> kStyles = {
      {{"<arg_key{}>", ":opensource"}, glm_style(":opensource", "<tool_calls:opensource>", "</tool_calls:opensource>")},
      {{"<arg_key>"}, glm_style("", "", "")},
      {{"<seed:tool_call>"}, xml_style("seed", "seed:tool_call")},
      {{"<function=", "<parameter="}, xml_style("qwen-xml", "tool_call")},
      {{"<minimax:tool_call>"}, invoke_style("minimax", "minimax:tool_call", "")},
      {{"｜DSML｜", "function_calls>"}, dsml_style("function_calls")},
      {{"｜DSML｜"}, dsml_style("tool_calls")},
      {{"<atem:invoke"}, invoke_style("atem", "atem:function_calls", "atem:")},
      {{"<｜tool▁call▁begin｜>", "```json"},
       within("<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>",
              named_style("deepseek", "<｜tool▁call▁begin｜>function<｜tool▁sep｜>", "\n```json\n",
                          "```<｜tool▁call▁end｜>"))},
      {{"<｜tool▁call▁begin｜>"},
       within("<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>",
              named_style("deepseek-3.1", "<｜tool▁call▁begin｜>", "<｜tool▁sep｜>", "<｜tool▁call▁end｜>"))},
      {{"<|tool_calls_section_begin|>"},
       within("<|tool_calls_section_begin|>", "<|tool_calls_section_end|>", kimi_style())},
      {{"<|tool_call:begin|>"}, within("<|tool_calls|>", "<|calls|>", solar_style())},
      {{"[TOOL_CALLS]", "[ARGS]"}, named_style("mistral", "[TOOL_CALLS]", "[ARGS]", "")},
      {{"[TOOL_CALLS]"}, list_style(json_style("mistral-json", "[TOOL_CALLS]", ""))},
      {{"<|START_ACTION|>"}, cohere_style()},
      {{"<|tools_prefix|>"}, apertus_style()},
      {{"<|tool_call_start|>"},
       {.name = "lfm2", .body = Body::kPythonic, .open = "<|tool_call_start|>", .close = "<|tool_call_end|>"}},
      {{"<|tool_call>"}, gemma_style("<|tool_call>call:", "<tool_call|>", "<|\"|>")},
      {{"<start_function_call>"}, gemma_style("<start_function_call>call:", "<end_function_call>", "<escape>")},
      {{"<|tool_call|>", "<|/tool_call|>"}, list_style(json_style("phi", "<|tool_call|>", "<|/tool_call|>"))},
      {{"<|tool_call|>"}, list_style(json_style("granite", "<|tool_call|>", ""))},
      {{"functools"}, list_style(json_style("functools", "functools", ""))},
      {{"<TOOLCALL>"}, list_style(json_style("nemotron", "<TOOLCALL>", "</TOOLCALL>"))},
      {{"<tool_calls>"}, list_style(json_style("tool_calls", "<tool_calls>", "</tool_calls>"))},
      {{"<|function_call|>"}, json_style("gigachat", "<|function_call|>", "")},
      {{"'function call'", "<|role_sep|>"},
       json_style("gigachat-3", "<|message_sep|>\n\nfunction call<|role_sep|>\n", "<|message_sep|>")},
      {{"<tool_call>", "</tool_call>", "\"name\""}, json_style("hermes", "<tool_call>", "</tool_call>")},
      {{"<function="}, named_style("functionary", "<function=", ">", "</function>")},
      {{">>>"}, functionary_style()},
      {{"<|python_tag|>"}, llama_style()},
      {{"\"parameters\""}, llama_style()},
  };
  return kStyles;
}

}  // namespace

CallStyle plain_call_style() {
  CallStyle style = json_style("json", "", "");
  style.arguments_key = "parameters";
  style.bare = true;
  return style;
}

CallStyle find_call_style(std::string_view chat_template, bool can_call) {
  if (!can_call)
    return takes_tools_in_system(chat_template) ? list_style(json_style("phi", "<|tool_call|>", "<|/tool_call|>"))
                                                : plain_call_style();
  const auto stands = [&](std::string_view mark) { return chat_template.find(mark) != std::string_view::npos; };
  for (const KnownStyle& known : known_styles()) {
    if (std::all_of(known.needs.begin(), known.needs.end(), stands)) return known.style;
  }
  return plain_call_style();
}

}  // namespace andiron
