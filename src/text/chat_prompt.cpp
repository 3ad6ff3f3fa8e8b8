#include "text/chat_prompt.h"

#include <ctime>

namespace andiron {

int64_t local_now() {
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  return localtime_r(&now, &local) == nullptr ? now : now + local.tm_gmtoff;
}

namespace {

std::string token_text(const Tokenizer& tokenizer, int32_t id) {
  return id == kNoToken ? std::string() : std::string(tokenizer.piece(id));
}

bool has_chatml(const Tokenizer& tokenizer) {
  return tokenizer.id("<|im_start|>") != kNoToken && tokenizer.id("<|im_end|>") != kNoToken;
}

void drop_end_token(const Tokenizer& tokenizer, std::vector<int32_t>& tokens) {
  if (tokenizer.adds_eos() && !tokens.empty() && tokens.back() == tokenizer.eos()) tokens.pop_back();
}

}  // namespace

bool ChatPrompt::can_chat(const Tokenizer& tokenizer) {
  return has_chat_template(tokenizer.chat_template(), has_chatml(tokenizer));
}

Result<ChatPrompt> ChatPrompt::create_for_continuing(const Tokenizer& tokenizer) {
  constexpr std::string_view kTexts =
      "{% for message in messages %}{% if message.role == 'user' and not loop.first %}{{ '\\n' }}{% endif %}"
      "{{ message.content }}{% endfor %}";
  TRY_ASSIGN(auto chat_template, ChatTemplate::create(kTexts, "the built-in template of base models"));
  return ChatPrompt(tokenizer, std::move(chat_template));
}

Result<ChatPrompt> ChatPrompt::create(const Tokenizer& tokenizer, std::string_view name) {
  TRY_ASSIGN(auto chat_template, choose_chat_template(tokenizer.chat_template(), has_chatml(tokenizer), name));
  return ChatPrompt(tokenizer, std::move(chat_template));
}

Result<ChatPrompt> ChatPrompt::create_or_plain(const Tokenizer& tokenizer, std::string_view name) {
  if (can_chat(tokenizer)) return create(tokenizer, name);
  TRY_ASSIGN(auto chat_template, ChatTemplate::create(kPlainChatTemplate, "the built-in plain template"));
  return ChatPrompt(tokenizer, std::move(chat_template));
}

Result<RenderedPrompt> ChatPrompt::render(const Json& messages, const Json& tools, ChatOptions options) const {
  options.bos_token = token_text(*tokenizer_, tokenizer_->bos());
  options.eos_token = token_text(*tokenizer_, tokenizer_->eos());
  if (!options.now) options.now = local_now();
  return template_.render(messages, tools, options);
}

std::vector<int32_t> ChatPrompt::tokens(const RenderedPrompt& prompt) const {
  const bool add_special = !template_.capabilities().writes_bos;
  std::vector<int32_t> tokens = tokenizer_->encode(prompt.segments, add_special);
  if (add_special) drop_end_token(*tokenizer_, tokens);
  // A template may spell its first token out instead of naming it: one is enough.
  const int32_t bos = tokenizer_->bos();
  if (tokens.size() >= 2 && bos != kNoToken && tokens[0] == bos && tokens[1] == bos) tokens.erase(tokens.begin());
  return tokens;
}

std::vector<int32_t> text_prompt_tokens(const Tokenizer& tokenizer, std::string_view text, EncodeOptions options) {
  std::vector<int32_t> tokens = tokenizer.encode(text, options);
  if (options.add_special) drop_end_token(tokenizer, tokens);
  return tokens;
}

}  // namespace andiron
