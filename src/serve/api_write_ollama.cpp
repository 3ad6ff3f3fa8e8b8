// Ollama's chat and generate (its docs/api.md): a line of JSON for each piece; calls come whole.
#include <utility>

#include "base/strings.h"
#include "serve/api_write.h"

namespace andiron {

namespace {

using Kind = AnswerPart::Kind;

int64_t nanoseconds(double ms) { return static_cast<int64_t>(ms * 1e6); }

class OllamaWriter : public AnswerWriter {
 public:
  OllamaWriter(const AnswerAsk& ask, AnswerHead head, bool show_thinking)
      : head_(std::move(head)),
        is_chat_(ask.api == Api::kOllamaChat),
        scored_(ask.logprobs_top >= 0),
        show_thinking_(show_thinking) {}

  std::string_view stream_type() const override { return "application/x-ndjson"; }
  std::string begin(int64_t) override { return {}; }

  std::string add(int32_t, std::span<const AnswerPart> parts, std::span<const TokenScore> scores) override {
    AnswerChoice piece;
    std::string out;
    for (const AnswerPart& part : parts) {
      if (part.kind == Kind::kArguments) {
        call_.add({&part, 1});
        continue;
      }
      out += finish_call();
      if (part.kind != Kind::kCall) {
        piece.add({&part, 1});
        continue;
      }
      if (!piece.blocks.empty()) out += line(std::exchange(piece, {}), std::exchange(scores, {}));
      call_.add({&part, 1});
    }
    if (!piece.blocks.empty() || (scored_ && !scores.empty())) out += line(piece, scores);
    return out;
  }

  std::string end_choice(int32_t, const ChoiceEnd& end) override {
    end_ = end;
    return finish_call();
  }

  std::string end(const AnswerUsage& usage) override { return with_end(body({}, {}), end_, usage).dump() + "\n"; }

  Json whole(std::span<const AnswerChoice> choices, const AnswerUsage& usage) override {
    return with_end(body(choices.front(), choices.front().scores), choices.front().end, usage);
  }

 private:
  // Arguments are an object there; where an answer was cut within them, they stay text.
  static bool add_call(const AnswerChoice::Block& block, Json& calls) {
    auto arguments = parse_json(block.text, "arguments");
    if (!arguments.ok() || !arguments->is_object()) return false;
    calls.push(object_of(at("id", block.id),
                         at("function", object_of(at("name", block.name), at("arguments", std::move(*arguments))))));
    return true;
  }

  Json body(const AnswerChoice& choice, std::span<const TokenScore> scores) const {
    Json out = object_of(at("model", head_.model), at("created_at", utc_time(head_.created)));
    Json calls = Json::array();
    std::string text = choice.text();
    for (const auto& block : choice.blocks) {
      if (block.kind == Kind::kCall && !add_call(block, calls)) text += block.name + block.text;
    }
    const std::string thinking = show_thinking_ ? choice.thinking() : "";
    Json message = is_chat_ ? object_of(at("role", "assistant"), at("content", text)) : object_of(at("response", text));
    if (!thinking.empty()) message.set("thinking", thinking);
    if (!calls.items().empty()) message.set("tool_calls", std::move(calls));
    if (is_chat_) {
      out.set("message", std::move(message));
    } else {
      for (auto& [key, value] : message.members()) out.set(std::move(key), std::move(value));
    }
    if (scored_ && !scores.empty()) out.set("logprobs", scores_json(scores));
    return out;
  }

  std::string line(const AnswerChoice& choice, std::span<const TokenScore> scores) const {
    Json out = body(choice, scores);
    out.set("done", false);
    return out.dump() + "\n";
  }

  std::string finish_call() {
    if (call_.blocks.empty()) return {};
    return line(std::exchange(call_, {}), {});
  }

  static Json with_end(Json out, const ChoiceEnd& end, const AnswerUsage& usage) {
    const bool cut = end.reason == FinishReason::kLength || end.reason == FinishReason::kContext;
    out.set("done", true).set("done_reason", cut ? "length" : "stop");
    out.set("total_duration", nanoseconds(usage.total_ms)).set("load_duration", int64_t{0});
    out.set("prompt_eval_count", usage.prompt).set("prompt_eval_duration", nanoseconds(usage.prompt_ms));
    out.set("eval_count", usage.generated).set("eval_duration", nanoseconds(usage.decode_ms));
    return out;
  }

  AnswerHead head_;
  bool is_chat_, scored_, show_thinking_;
  AnswerChoice call_;  // the call that is being put together
  ChoiceEnd end_;
};

}  // namespace

std::unique_ptr<AnswerWriter> make_ollama_writer(const AnswerAsk& ask, AnswerHead head, bool show_thinking) {
  return std::make_unique<OllamaWriter>(ask, std::move(head), show_thinking);
}

}  // namespace andiron
