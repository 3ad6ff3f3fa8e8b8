#include "api/impl.h"
#include "base/json.h"
#include "base/strings.h"

namespace andiron::v1 {

namespace {

Result<Json> parse_variables(const std::string& text) {
  if (text.empty()) return Json::object();
  TRY_ASSIGN(Json variables, parse_json(text, "the template's variables"));
  if (!variables.is_object()) return make_error("the template's variables: expected a JSON object");
  return variables;
}

}  // namespace

Result<ChatTemplate> ChatTemplate::create(const Model& model) {
  TRY_ASSIGN(auto chat, ChatPrompt::create(model.tokenizer().impl_->tokenizer, model.info().path));
  return ChatTemplate(std::make_shared<const Impl>(Impl{model, std::move(chat)}));
}

Result<Prompt> ChatTemplate::Impl::render(const Json& messages, const Json& tools, const ChatOptions& options) const {
  andiron::ChatOptions inner;
  inner.add_generation_prompt = options.add_generation_prompt;
  TRY_ASSIGN(inner.variables, parse_variables(options.variables));
  TRY_ASSIGN(RenderedPrompt rendered, chat.render(messages, tools, std::move(inner)));
  Prompt prompt;
  prompt.tokens = chat.tokens(rendered);
  prompt.text = std::move(rendered.text);
  return prompt;
}

Result<Prompt> ChatTemplate::render(const std::vector<Message>& messages, const ChatOptions& options) const {
  Json list = Json::array();
  for (const Message& message : messages) {
    Json entry = Json::object();
    entry.set("role", message.role);
    entry.set("content", message.content);
    list.push(std::move(entry));
  }
  return impl_->render(list, Json(), options);
}

Result<Prompt> ChatTemplate::render_json(std::string_view messages, std::string_view tools,
                                         const ChatOptions& options) const {
  TRY_ASSIGN(const Json list, parse_json(messages, "messages"));
  Json definitions;
  if (!tools.empty()) {
    TRY_ASSIGN(definitions, parse_json(tools, "tools"));
  }
  return impl_->render(list, definitions, options);
}

std::string_view ChatTemplate::source() const { return impl_->chat.chat_template().source(); }

}  // namespace andiron::v1
