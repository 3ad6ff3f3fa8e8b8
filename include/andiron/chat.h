// ChatTemplate: from a conversation to the prompt that a chat model was trained to answer.
//
//   auto chat = andiron::ChatTemplate::create(model);
//   auto prompt = chat->render({{"user", "Why is the sky blue?"}});
//   session.set_prompt(prompt->tokens);
//
// The template comes with the model, and runs in a small interpreter that can reach nothing and has a budget: a hostile
// one gives an Error. Only the template's own words can become control tokens; whatever stands in messages and tools
// stays text.
// Render the whole conversation for every turn: a Session computes only what is new.
// A handle like Model: cheap to copy, never changes, any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "andiron/model.h"
#include "andiron/result.h"
#include "andiron/version.h"

namespace andiron::ANDIRON_V1 {

struct Message {
  std::string role;  // "system", "user", "assistant"
  std::string content;
};

struct ChatOptions {
  // End the prompt where the assistant's answer begins. Default on.
  bool add_generation_prompt = true;
  // A JSON object of further variables for the template, such as {"enable_thinking": false}. Default none.
  std::string variables;
};

struct Prompt {
  std::string text;             // as the model will see it
  std::vector<int32_t> tokens;  // with the token that begins a text, where the model wants one
};

class ChatTemplate {
 public:
  // An Error for a base model, which continues text and does not chat.
  static Result<ChatTemplate> create(const Model& model);

  // An Error says which message is malformed, or what the template had against the conversation.
  Result<Prompt> render(const std::vector<Message>& messages, const ChatOptions& options = {}) const;
  // The same from JSON, for tool calls and content in parts: `messages` a list as OpenAI's API has it, `tools` a list
  // of tool definitions or "".
  Result<Prompt> render_json(std::string_view messages, std::string_view tools = {},
                             const ChatOptions& options = {}) const;

  // The template's source.
  std::string_view source() const;

 private:
  struct Impl;
  explicit ChatTemplate(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}

  std::shared_ptr<const Impl> impl_;
};

}  // namespace andiron::ANDIRON_V1
