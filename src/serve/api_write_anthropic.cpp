// Anthropic's messages (API reference, "Messages" and "Streaming Messages").
#include <optional>
#include <utility>

#include "base/strings.h"
#include "http/errors.h"
#include "serve/api_write.h"

namespace andiron {

namespace {

using Kind = AnswerPart::Kind;

std::string event(std::string_view type, Json body) {
  Json out = object_of(at("type", type));
  for (auto& [key, value] : body.members()) out.set(std::move(key), std::move(value));
  return sse_event(type, out.dump());
}

class MessageWriter : public AnswerWriter {
 public:
  MessageWriter(AnswerHead head, bool show_thinking) : head_(std::move(head)), show_thinking_(show_thinking) {}

  std::string begin(int64_t prompt_tokens) override {
    AnswerUsage usage;
    usage.prompt = prompt_tokens;
    return event("message_start", object_of(at("message", message(Json::array(), Json(), Json(), usage))));
  }

  std::string add(int32_t, std::span<const AnswerPart> parts, std::span<const TokenScore>) override {
    std::string out;
    for (const AnswerPart& part : parts) {
      if (part.kind == Kind::kThinking && !show_thinking_) continue;
      const Kind kind = part.kind == Kind::kArguments ? Kind::kCall : part.kind;
      if (part.kind == Kind::kCall || open_ != kind) {
        out += close_block();
        out += open_block(kind, part);
      }
      if (part.kind != Kind::kCall) out += delta(part);
    }
    return out;
  }

  std::string end_choice(int32_t, const ChoiceEnd& end) override {
    end_ = end;
    return close_block();
  }

  std::string end(const AnswerUsage& usage) override {
    Json delta =
        object_of(at("stop_reason", stop_reason(end_.reason, called_)), at("stop_sequence", stop_sequence(end_)));
    return event("message_delta", object_of(at("delta", std::move(delta)), at("usage", usage_json(usage)))) +
           event("message_stop", Json::object());
  }

  Json whole(std::span<const AnswerChoice> choices, const AnswerUsage& usage) override {
    const AnswerChoice& choice = choices.front();
    Json content = Json::array();
    for (const auto& block : choice.blocks) {
      if (block.kind == Kind::kThinking && !show_thinking_) continue;
      content.push(whole_block(block));
    }
    return message(std::move(content), stop_reason(choice.end.reason, choice.has_calls()), stop_sequence(choice.end),
                   usage);
  }

 private:
  static std::string_view stop_reason(FinishReason reason, bool called) {
    switch (reason) {
      case FinishReason::kLength: return "max_tokens";
      case FinishReason::kContext: return "model_context_window_exceeded";
      case FinishReason::kStopString: return "stop_sequence";
      default: return called ? "tool_use" : "end_turn";
    }
  }

  static Json stop_sequence(const ChoiceEnd& end) {
    return end.reason == FinishReason::kStopString ? Json(end.stop_string) : Json();
  }

  // What was found in the cache counts apart.
  static Json usage_json(const AnswerUsage& usage) {
    return object_of(at("input_tokens", usage.prompt - usage.prompt_reused),
                     at("cache_creation_input_tokens", int64_t{0}), at("cache_read_input_tokens", usage.prompt_reused),
                     at("output_tokens", usage.generated));
  }

  Json message(Json content, Json reason, Json sequence, const AnswerUsage& usage) const {
    return object_of(at("id", "msg_" + head_.id), at("type", "message"), at("role", "assistant"),
                     at("model", head_.model), at("content", std::move(content)), at("stop_reason", std::move(reason)),
                     at("stop_sequence", std::move(sequence)), at("usage", usage_json(usage)));
  }

  static Json whole_block(const AnswerChoice::Block& block) {
    if (block.kind == Kind::kThinking) {
      return object_of(at("type", "thinking"), at("thinking", block.text), at("signature", ""));
    }
    if (block.kind == Kind::kText) return object_of(at("type", "text"), at("text", block.text));
    // An answer that was cut leaves no whole arguments: an object with the text of what there is.
    auto input = parse_json(block.text, "arguments");
    Json object = input.ok() && input->is_object() ? std::move(*input) : object_of(at("INVALID_JSON", block.text));
    return object_of(at("type", "tool_use"), at("id", block.id), at("name", block.name),
                     at("input", std::move(object)));
  }

  std::string open_block(Kind kind, const AnswerPart& part) {
    open_ = kind;
    Json block;
    if (kind == Kind::kText) block = object_of(at("type", "text"), at("text", ""));
    if (kind == Kind::kThinking) block = object_of(at("type", "thinking"), at("thinking", ""), at("signature", ""));
    if (kind == Kind::kCall) {
      called_ = true;
      block = object_of(at("type", "tool_use"), at("id", part.id), at("name", part.text), at("input", Json::object()));
    }
    return event("content_block_start", object_of(at("index", index_), at("content_block", std::move(block))));
  }

  std::string close_block() {
    if (!open_) return {};
    std::string out;
    // Clients take a block of thinking for whole once it is signed; nothing is signed here.
    if (open_ == Kind::kThinking) {
      out = block_delta(object_of(at("type", "signature_delta"), at("signature", "")));
    }
    open_.reset();
    return out + event("content_block_stop", object_of(at("index", index_++)));
  }

  std::string delta(const AnswerPart& part) const {
    if (part.kind == Kind::kText) return block_delta(object_of(at("type", "text_delta"), at("text", part.text)));
    if (part.kind == Kind::kThinking) {
      return block_delta(object_of(at("type", "thinking_delta"), at("thinking", part.text)));
    }
    return block_delta(object_of(at("type", "input_json_delta"), at("partial_json", part.text)));
  }

  std::string block_delta(Json delta) const {
    return event("content_block_delta", object_of(at("index", index_), at("delta", std::move(delta))));
  }

  AnswerHead head_;
  bool show_thinking_;
  int64_t index_ = 0;         // of the block that is open, or comes next
  std::optional<Kind> open_;  // its kind
  bool called_ = false;
  ChoiceEnd end_;
};

}  // namespace

std::unique_ptr<AnswerWriter> make_anthropic_writer(AnswerHead head, bool show_thinking) {
  return std::make_unique<MessageWriter>(std::move(head), show_thinking);
}

}  // namespace andiron
