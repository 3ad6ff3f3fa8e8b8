#include "text/chat_template.h"

#include <algorithm>

#include "base/strings.h"
#include "text/chat_template_adapt.h"
#include "text/chat_template_probe.h"

namespace andiron {

const std::string_view kChatmlTemplate =
    "{%- for message in messages -%}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\\n' }}{%- endif -%}";

const std::string_view kPlainChatTemplate =
    "{%- for message in messages -%}"
    "{{ '### ' + message['role'] | capitalize + '\\n' + message['content'] }}"
    "{{ (eos_token if message['role'] == 'assistant' else '') + '\\n\\n' }}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '### Assistant\\n' }}{%- endif -%}";

namespace {

using jinja::Value;

// Roles that templates know, and paste between the halves of special tokens ('<|' + role + '|>'). Any other role is the
// caller's text.
constexpr std::string_view kRoles[] = {
    "system", "developer", "user",     "assistant", "tool",        "function",      "ipython",      "observation",
    "model",  "context",   "document", "documents", "environment", "tool_response", "tool_results", "available_tools"};

bool is_known_role(const Json& role) {
  return role.is_string() && std::find(std::begin(kRoles), std::end(kRoles), role.as_string()) != std::end(kRoles);
}

Result<Value> message_value(const Json& message) {
  std::vector<jinja::DictObject::Entry> entries;
  for (const auto& [key, item] : message.members()) {
    TRY_ASSIGN(Value value, jinja::value_from_json(item, !(key == "role" && is_known_role(item))));
    entries.emplace_back(jinja::make_string(jinja::Text(key, true)), std::move(value));
  }
  return jinja::make_dict(std::move(entries));
}

Status check_messages(const Json& messages) {
  if (!messages.is_array()) return make_error("messages: a list is expected");
  for (size_t i = 0; i < messages.items().size(); ++i) {
    if (!messages.items()[i].member("role").is_string()) {
      return make_error("messages[{}]: an object with \"role\" as text is expected", i);
    }
  }
  return {};
}

// Requires check_messages.
Result<Value> messages_value(const Json& messages) {
  std::vector<Value> out;
  for (size_t i = 0; i < messages.items().size(); ++i) {
    auto value = message_value(messages.items()[i]);
    if (!value.ok()) return make_error("messages[{}]: {}", i, value.error().message);
    out.push_back(std::move(*value));
  }
  return jinja::make_list(std::move(out));
}

Status add_trusted(std::vector<std::pair<std::string, Value>>& variables, const std::string& name,
                   const std::string& token) {
  if (!is_valid_utf8(token)) return make_error("{}: the token's text is not UTF-8", in_quotes(name));
  variables.emplace_back(name, jinja::make_string(token));
  return {};
}

// Bytes of text in a value; what limits are scaled by.
uint64_t text_bytes(const Json& json) {
  uint64_t bytes = 1;
  if (json.is_string()) bytes += json.as_string().size();
  if (json.is_array()) {
    for (const Json& item : json.items()) bytes += text_bytes(item);
  }
  if (json.is_object()) {
    for (const auto& [key, item] : json.members()) bytes += key.size() + text_bytes(item);
  }
  return bytes;
}

// A long conversation may cost more than a small one: templates walk over all messages, some for each message.
jinja::Limits limits_for(uint64_t input_bytes, uint64_t messages) {
  jinja::Limits limits;
  limits.steps += 2000 * messages + 2 * input_bytes;
  limits.output_bytes += 4 * input_bytes;
  limits.memory_bytes += 32 * input_bytes;
  return limits;
}

RenderedPrompt to_prompt(const jinja::Text& text) {
  RenderedPrompt out;
  const auto add = [&](size_t begin, size_t end, bool trusted) {
    if (begin < end) out.segments.push_back({text.bytes().substr(begin, end - begin), trusted});
  };
  size_t at = 0;
  for (const jinja::TaintRange& range : text.tainted()) {
    add(at, range.begin, true);
    add(range.begin, range.end, false);
    at = range.end;
  }
  add(at, text.size(), true);
  out.text = text.bytes();
  return out;
}

}  // namespace

ChatTemplate::ChatTemplate(std::string source, jinja::Template parsed)
    : source_(std::move(source)), template_(std::move(parsed)) {}

Result<ChatTemplate> ChatTemplate::create(std::string_view source, std::string_view name) {
  TRY_ASSIGN(auto parsed, jinja::Template::parse(source, name));
  ChatTemplate chat(std::string(source), std::move(parsed));
  chat.capabilities_ = probe_capabilities(chat);
  return chat;
}

Result<RenderedPrompt> ChatTemplate::render(const Json& messages, const Json& tools, const ChatOptions& options) const {
  if (!tools.is_null() && !tools.is_array()) return make_error("tools: a list is expected");
  if (!options.variables.is_object()) return make_error("template variables: an object is expected");
  TRY(check_messages(messages));
  TRY_ASSIGN(Value conversation, messages_value(options.adapt ? adapt_messages(messages, capabilities_) : messages));

  // Of variables with one name the last counts: what the caller sends cannot replace the trusted ones.
  std::vector<std::pair<std::string, Value>> variables;
  variables.emplace_back("documents", Value::none());  // transformers always defines it, and tools
  for (const auto& [name, json] : options.variables.members()) {
    auto value = jinja::value_from_json(json, true);
    if (!value.ok()) return make_error("template variable \"{}\": {}", in_quotes(name), value.error().message);
    variables.emplace_back(name, std::move(*value));
  }
  const bool wants_list = options.adapt && capabilities_.needs_tools_list && tools.is_null();
  auto tools_value = jinja::value_from_json(wants_list ? Json::array() : tools, true);
  if (!tools_value.ok()) return make_error("tools: {}", tools_value.error().message);
  variables.emplace_back("messages", std::move(conversation));
  variables.emplace_back("tools", std::move(*tools_value));
  variables.emplace_back("add_generation_prompt", Value::boolean(options.add_generation_prompt));
  for (const auto& [name, token] : options.special_tokens) TRY(add_trusted(variables, name, token));
  TRY(add_trusted(variables, "bos_token", options.bos_token));
  TRY(add_trusted(variables, "eos_token", options.eos_token));

  jinja::Template::Options render_options;
  render_options.now = options.now;
  render_options.limits = options.limits.value_or(
      limits_for(text_bytes(messages) + text_bytes(tools) + text_bytes(options.variables), messages.items().size()));
  TRY_ASSIGN(const jinja::Text text, template_.render(variables, render_options));
  return to_prompt(text);
}

bool has_chat_template(std::string_view source, bool vocabulary_has_chatml) {
  return !is_blank(source) || vocabulary_has_chatml;
}

Result<ChatTemplate> choose_chat_template(std::string_view source, bool vocabulary_has_chatml,
                                          std::string_view model_name) {
  if (!has_chat_template(source, vocabulary_has_chatml)) {
    return make_error(
        "{}: the model has no chat template, so it is most likely a base model, which continues text but does not "
        "chat; use it without chat, or give it a template of your own",
        model_name);
  }
  if (is_blank(source)) return ChatTemplate::create(kChatmlTemplate, "the built-in ChatML template");
  return ChatTemplate::create(source, std::string(model_name) + ": chat template");
}

}  // namespace andiron
