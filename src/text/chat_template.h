// Turns a conversation into a prompt with the Jinja template that comes with a model.
//
// The messages and tools are JSON as the OpenAI API has them: {"role": "user", "content": "Hello"}, content also as a
// list of parts, "tool_calls", tool results. The prompt comes as segments: what the template wrote is trusted and may
// hold special tokens; what came from messages, tools or other data of the caller is not, wherever the template put it.
// The only strings of a message that count as the template's are well-known role names, which templates paste into
// special tokens.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "text/jinja.h"
#include "text/segment.h"

namespace andiron {

// What a template can do, found by rendering small conversations when it is created.
struct ChatCapabilities {
  bool system_role = false;       // a system message is accepted and shown
  bool tools = false;             // tool definitions are shown
  bool needs_tools_list = false;  // without tools the template fails unless it gets an empty list
  bool tool_calls = false;        // an assistant's tool calls are shown
  bool tool_results = false;      // messages of role "tool" are shown
  bool text_content = false;      // content as a string works
  bool content_parts = false;     // content as a list of parts works
  bool text_arguments = false;    // tool call arguments work as JSON text
  bool object_arguments = false;  // and as an object
  bool writes_bos = false;        // the prompt begins with the bos token: the tokenizer must not add another
  // The variable that switches thinking on and off ("enable_thinking", "thinking"), or empty.
  std::string thinking_variable;
};

struct ChatOptions {
  // End the prompt where the assistant's answer begins.
  bool add_generation_prompt = true;
  // Texts of the model's tokens, as in its vocabulary; empty when it has none. Trusted.
  std::string bos_token;
  std::string eos_token;
  // Further trusted variables, such as pad_token.
  std::vector<std::pair<std::string, std::string>> special_tokens;
  // Further variables from the caller ("enable_thinking": false, "documents": [...]), an object. Not trusted.
  Json variables = Json::object();
  // What strftime_now shows: seconds since 1970-01-01 00:00 of the local clock. Without it templates that ask for the
  // date use the one they have built in, or fail.
  std::optional<int64_t> now;
  // Fit the messages to the template where that loses nothing: tool call arguments between text and object, content
  // between text and parts, a system message into the first user message where the template has no system role, no
  // tools into an empty list. Off gives exactly what transformers gives.
  bool adapt = true;
  // Default: Limits{} plus what the amount of input justifies.
  std::optional<jinja::Limits> limits;
};

struct RenderedPrompt {
  std::string text;
  // In order, none empty, neighbours differ in trust; joined they are `text`.
  std::vector<Segment> segments;
};

// Immutable; may be used from several threads at once.
class ChatTemplate {
 public:
  // `name` stands in messages ("model.gguf: tokenizer.chat_template").
  static Result<ChatTemplate> create(std::string_view source, std::string_view name);

  // `messages` is a list of objects with a "role"; `tools` is a list of definitions, or null. An error says which
  // message is malformed, or what the template had against the conversation and in which line.
  Result<RenderedPrompt> render(const Json& messages, const Json& tools, const ChatOptions& options = {}) const;

  const ChatCapabilities& capabilities() const { return capabilities_; }
  const std::string& source() const { return source_; }

 private:
  ChatTemplate(std::string source, jinja::Template parsed);

  std::string source_;
  jinja::Template template_;
  ChatCapabilities capabilities_;
};

// The ChatML template, for models that were trained with it but bring no template.
extern const std::string_view kChatmlTemplate;
// For base models that are taught to chat: "### User", the text below it, and so on; answers end with the eos token.
// Plain words, since a base model has no other tokens it knows.
extern const std::string_view kPlainChatTemplate;

// Whether a model can chat: it brings a template (`source` not blank), or its vocabulary has ChatML's tokens. Otherwise
// it is a base model, which continues text.
bool has_chat_template(std::string_view source, bool vocabulary_has_chatml);

// The template for a model: its own where it brings one, else ChatML. An error for a base model.
Result<ChatTemplate> choose_chat_template(std::string_view source, bool vocabulary_has_chatml,
                                          std::string_view model_name);

}  // namespace andiron
