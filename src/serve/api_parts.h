// Parts of requests that several APIs share.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/strings.h"
#include "serve/api_ask.h"
#include "serve/api_fields.h"

namespace andiron {

// "MODEL+ADAPTER:STRENGTH+..."; `place` stands in the refusal.
std::optional<ApiError> parse_model(const std::string& text, const std::string& place, ModelChoice& model);
// "model", with its adapters, and "adapters": {"me": 0.8} or ["me", {"name": "work", "scale": 0.5}].
void read_model(FieldReader& in, ModelChoice& model);
// Fields of the sampling chain that OpenAI and Anthropic lack, under the names that local servers give them.
void read_local_sampling(FieldReader& in, AnswerAsk& ask);
extern const std::vector<ApiField> kLocalFields;
void read_seed(FieldReader& in, AnswerAsk& ask);
// {"15043": -100}: an id as text, and what is added to its logit, -100 to 100.
void read_logit_bias(FieldReader& in, AnswerAsk& ask);
// GBNF as text.
void read_grammar(FieldReader& in, AnswerAsk& ask);
// {"type": "text" | "json_object" | "json_schema", ...}; `nested`: the schema stands in a member "json_schema".
void read_response_format(FieldReader& in, std::string_view name, bool nested, AnswerAsk& ask);
// "low" and its like: "none" turns thinking off, the others are passed to the template.
void read_effort(FieldReader& in, std::string_view name, ChatAsk& ask);
// An object for the template: "enable_thinking" and what else it knows.
void read_template_variables(FieldReader& in, ChatAsk& ask);
// One function's definition into ask.tools, in OpenAI's form.
void add_tool(ChatAsk& ask, std::string name, std::string description, Json parameters);
// The same of one that is still JSON; its schema stands in the member `schema_name`.
void read_function(const Json& function, const ApiTable& table, const std::string& place, std::string_view schema_name,
                   ChatAsk& ask, std::optional<ApiError>& error);
// Each of the list "tools" and its place ("tools[0]"), until one is refused.
template <typename Read>
void each_tool(FieldReader& in, const std::optional<ApiError>& error, Read&& read) {
  const Json* tools = in.find("tools");
  if (tools == nullptr) return;
  if (!tools->is_array() || tools->items().size() > kToolsMax) {
    return in.wrong("tools", format("a list of at most {} tools", kToolsMax));
  }
  for (size_t i = 0; i < tools->items().size() && !error; ++i) read(tools->items()[i], format("tools[{}]", i));
}
// Whether a tool_choice that names a tool names one of ask.tools; `place` stands in the refusal.
void check_tool_choice(ChatAsk& ask, const std::string& place, std::optional<ApiError>& error);
// The text of content: text, or a list of parts of which each is {"type": TYPE, "text": ...} with TYPE one of `types`.
// nullopt, and an error, for anything else, images among it.
std::optional<std::string> read_text_content(const Json& content, std::span<const std::string_view> types,
                                             const std::string& place, std::optional<ApiError>& error);
// Text, a list of texts, ids, or a list of lists of ids.
void read_prompts(FieldReader& in, std::string_view name,
                  std::vector<std::variant<std::string, std::vector<int32_t>>>& prompts);
// A message in OpenAI's form.
Json chat_message(std::string_view role, std::string text);

template <typename T>
ApiResult<T> finished(T value, std::optional<ApiError>& error) {
  if (error) return std::move(*error);
  return value;
}

}  // namespace andiron
