// ChatPrompt: from a conversation to the tokens a model sees, with the template and the tokenizer that belong to it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace andiron {

class ChatPrompt {
 public:
  // `name` of the model, for messages. An Error when the model has no chat template and none can be guessed: it is a
  // base model, which continues text. `tokenizer` must outlive what is created.
  static Result<ChatPrompt> create(const Tokenizer& tokenizer, std::string_view name);
  // The same with kPlainChatTemplate in place of that Error: what a base model that chats is trained with, and is then
  // to be asked with.
  static Result<ChatPrompt> create_or_plain(const Tokenizer& tokenizer, std::string_view name);
  // For a base model: the prompt is the texts of the messages, one after the other, each of the user's on a new line;
  // the model goes on where they end.
  static Result<ChatPrompt> create_for_continuing(const Tokenizer& tokenizer);
  // Whether create() finds a template for the model of this tokenizer.
  static bool can_chat(const Tokenizer& tokenizer);

  // messages: a list of {"role", "content", ...}; tools: a list, or null. Bos, eos and the clock are filled in.
  Result<RenderedPrompt> render(const Json& messages, const Json& tools = {}, ChatOptions options = {}) const;
  // The prompt's tokens, with a bos in front where the model wants one and the template does not write it.
  std::vector<int32_t> tokens(const RenderedPrompt& prompt) const;

  const ChatTemplate& chat_template() const { return template_; }

 private:
  ChatPrompt(const Tokenizer& tokenizer, ChatTemplate chat_template)
      : tokenizer_(&tokenizer), template_(std::move(chat_template)) {}

  const Tokenizer* tokenizer_;
  ChatTemplate template_;
};

// Seconds since 1970-01-01 00:00 of the clock on the wall: what templates show as today.
int64_t local_now();

// Tokens of a text to be continued: as encode(), without the end token that some tokenizers append.
std::vector<int32_t> text_prompt_tokens(const Tokenizer& tokenizer, std::string_view text, EncodeOptions options);

}  // namespace andiron
