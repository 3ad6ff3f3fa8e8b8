#include "serve/api_grammar.h"

#include <algorithm>
#include <utility>

#include "base/strings.h"
#include "grammar/gbnf.h"
#include "grammar/json_schema.h"
#include "serve/tool_calls_grammar.h"

namespace andiron {

namespace {

using Kind = AnswerFormat::Kind;

uint32_t any_space(Grammar& grammar) {
  std::vector<CharSet> sets;
  for (const char byte : {' ', '\n', '\t', '\r'})
    sets.emplace_back(static_cast<uint32_t>(byte), static_cast<uint32_t>(byte));
  constexpr uint32_t kMost = 8;  // more between two parts of an answer is a model that has lost its way
  return grammar.repeat(grammar.chars(CharSet::union_of(sets)), 0, kMost);
}

Status set_root(Grammar& grammar, uint32_t node) {
  grammar.root = grammar.rule("root");
  grammar.rules[grammar.root].body = node;
  return check_grammar(grammar);
}

bool has_thinking(const AnswerStyle& style, std::string_view prompt) {
  return !style.reasoning.none() && opens_reasoning(prompt, style.reasoning);
}

// The reasoning in front of an answer that follows a grammar.
uint32_t add_reasoning(Grammar& grammar, const ReasoningStyle& style, bool inside) {
  const uint32_t rest = add_text_until(grammar, style.close);
  const uint32_t space = any_space(grammar);
  if (inside) return grammar.sequence({rest, space});
  return grammar.optional(grammar.sequence({grammar.text(style.open), rest, space}));
}

std::vector<OfferedTool> callable_tools(const ChatAsk& ask) {
  if (ask.tool_choice.mode == ToolMode::kNone) return {};
  std::vector<OfferedTool> tools = offered_tools(ask.tools);
  if (!ask.tool_choice.name.empty()) {
    std::erase_if(tools, [&](const OfferedTool& tool) { return tool.name != ask.tool_choice.name; });
  }
  return tools;
}

std::string tools_key(const AnswerPlan& plan, bool parallel) {
  std::string key = format("calls {} {} {}", plan.calls.name, parallel, json_quote(plan.call_begin));
  for (const OfferedTool& tool : plan.tools) key += json_quote(tool.name) + tool.parameters.dump();
  return key;
}

// What can be no control token in any vocabulary: the prompt's end is read as the template's own text.
bool is_plain(std::string_view name) {
  return std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
           c == '.';
  });
}

// The prompt ends with the mark of a call, and with the tool's name where only one can be meant.
std::string call_begin(const CallStyle& style, const std::vector<OfferedTool>& tools, bool parallel) {
  if (style.bare) return "";
  std::string begin = style.section_open.empty() ? "" : style.section_open + "\n";
  begin += style.open;
  const bool has_name = style.body == CallStyle::Body::kNamedJson || style.body == CallStyle::Body::kTagged;
  if (has_name && tools.size() == 1 && !parallel && is_plain(tools[0].name)) {
    begin += style.name_before + tools[0].name + style.name_after + style.name_end;
  }
  return begin;
}

std::optional<ApiError> plan_forced_call(const ChatAsk& ask, AnswerPlan& plan) {
  if (!has_call_grammar(plan.calls)) plan.calls = plain_call_style();
  const bool parallel = ask.tool_choice.parallel && ask.tool_choice.name.empty();
  plan.call_begin = call_begin(plan.calls, plan.tools, parallel);
  plan.prompt_end += plan.call_begin;
  Grammar grammar;
  grammar.source = "tool_choice";
  auto root = add_calls(grammar, plan.calls, plan.tools, parallel, plan.call_begin);
  Status status = root.ok() ? set_root(grammar, *root) : Status(std::move(root).error());
  if (!status.ok()) return refuse("tools", "invalid_value", "a call cannot be forced: {}", status.error().message);
  plan.grammar = std::move(grammar);
  plan.grammar_key = tools_key(plan, parallel);
  return std::nullopt;
}

// A format, with reasoning in front where the model may think, or a call instead where it has tools.
std::optional<ApiError> plan_format(const ChatAsk& ask, const AnswerStyle& style, bool inside, bool may_think,
                                    AnswerPlan& plan) {
  auto wanted = format_grammar(ask.answer.format);
  if (!wanted.ok()) return wanted.error();
  if (!*wanted) return std::nullopt;
  Grammar grammar;
  grammar.source = (*wanted)->source;
  uint32_t node = grammar.call(add_rules(grammar, **wanted));
  plan.grammar_key =
      format("{} thinking {} {} ", style.reasoning.close, inside, may_think) + format_key(ask.answer.format);
  if (!plan.tools.empty() && has_call_grammar(plan.calls)) {
    auto calls = add_calls(grammar, plan.calls, plan.tools, ask.tool_choice.parallel, "");
    if (!calls.ok()) {
      return refuse("tools", "invalid_value", "an answer in a format that may be a call instead: {}",
                    calls.error().message);
    }
    node = grammar.choice({*calls, node});
    plan.grammar_key += tools_key(plan, ask.tool_choice.parallel);
  }
  if (may_think) node = grammar.sequence({add_reasoning(grammar, style.reasoning, inside), node});
  const Status status = set_root(grammar, node);
  if (!status.ok()) return refuse("response_format", "invalid_value", "{}", status.error().message);
  plan.grammar = std::move(grammar);
  return std::nullopt;
}

}  // namespace

std::string format_key(const AnswerFormat& format) {
  switch (format.kind) {
    case Kind::kText: return "";
    case Kind::kJsonObject: return "json";
    case Kind::kJsonSchema: return "schema " + format.schema.dump();
    case Kind::kGrammar: return "gbnf " + format.grammar;
  }
  return "";
}

ApiResult<std::optional<Grammar>> format_grammar(const AnswerFormat& wanted) {
  if (wanted.kind == Kind::kText) return std::optional<Grammar>();
  const bool is_gbnf = wanted.kind == Kind::kGrammar;
  Json schema = wanted.schema;
  if (wanted.kind == Kind::kJsonObject) {
    schema = Json::object();
    schema.set("type", "object");
  }
  auto grammar = is_gbnf ? parse_gbnf(wanted.grammar, "grammar") : grammar_from_schema(schema, "schema");
  if (!grammar.ok()) {
    return refuse(is_gbnf ? "grammar" : "response_format", "invalid_value", "{}", grammar.error().message);
  }
  return std::optional<Grammar>(std::move(*grammar));
}

ApiResult<AnswerPlan> plan_answer(const ChatAsk& ask, const AnswerStyle& style, std::string_view prompt,
                                  const std::function<bool(std::string_view)>& is_control) {
  AnswerPlan plan;
  plan.tools = callable_tools(ask);
  plan.calls = style.calls;
  const bool forced = ask.tool_choice.mode == ToolMode::kRequired;
  const bool has_format = ask.answer.format.kind != Kind::kText;
  bool inside = has_thinking(style, prompt);
  // What the grammar could not close, or was not asked for, is closed in the prompt.
  const bool can_think = !style.reasoning.none() && !is_control(style.reasoning.close) && ask.think.value_or(true);
  if (inside && (forced || !ask.think.value_or(true) || (has_format && !can_think))) {
    plan.prompt_end = "\n" + style.reasoning.close + "\n\n";
    inside = false;
  }
  std::optional<ApiError> error;
  if (forced && !plan.tools.empty()) {
    error = plan_forced_call(ask, plan);
  } else if (has_format) {
    const bool may_think = can_think && plan.prompt_end.empty() && (inside || !is_control(style.reasoning.open));
    error = plan_format(ask, style, inside, may_think, plan);
  }
  if (error) return std::move(*error);
  return plan;
}

const Json& shown_tools(const ChatAsk& ask) {
  static const Json kNone;
  return ask.tool_choice.mode == ToolMode::kNone ? kNone : ask.tools;
}

Json template_variables(const ChatAsk& ask, const std::string& thinking_variable) {
  Json variables = ask.variables;
  if (ask.think && !thinking_variable.empty() && variables.find(thinking_variable) == nullptr) {
    variables.set(thinking_variable, *ask.think);
  }
  return variables;
}

}  // namespace andiron
