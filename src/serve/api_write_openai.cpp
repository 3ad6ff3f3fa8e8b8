// Chat completions and completions (API reference, "The chat completion chunk object", "The completion object").
#include <map>
#include <utility>

#include "base/strings.h"
#include "http/errors.h"
#include "serve/api_write.h"

namespace andiron {

namespace {

using Kind = AnswerPart::Kind;

constexpr std::string_view kDone = "data: [DONE]\n\n";

std::string_view finish_reason(FinishReason reason, bool has_calls) {
  if (reason == FinishReason::kLength || reason == FinishReason::kContext) return "length";
  return has_calls ? "tool_calls" : "stop";
}

Json usage_json(const AnswerUsage& usage) {
  return object_of(at("prompt_tokens", usage.prompt), at("completion_tokens", usage.generated),
                   at("total_tokens", usage.prompt + usage.generated),
                   at("prompt_tokens_details", object_of(at("cached_tokens", usage.prompt_reused))),
                   at("completion_tokens_details", object_of(at("reasoning_tokens", usage.thinking))));
}

// What chunks and whole answers of both APIs have in common.
class OpenAiWriter : public AnswerWriter {
 public:
  OpenAiWriter(const AnswerAsk& ask, AnswerHead head, std::string_view prefix)
      : head_(std::move(head)),
        id_(format("{}-{}", prefix, head_.id)),
        scored_(ask.logprobs_top >= 0),
        stream_usage_(ask.stream_usage) {}

  std::string end(const AnswerUsage& usage) override {
    std::string out;
    if (stream_usage_) {
      Json last = shell(Json::array());
      last.set("usage", usage_json(usage));
      out = sse_event("", last.dump());
    }
    return out.append(kDone);
  }

 protected:
  virtual std::string_view chunk_kind() const = 0;

  Json base(std::string_view kind, Json choices) const {
    return object_of(at("id", id_), at("object", kind), at("created", head_.created), at("model", head_.model),
                     at("system_fingerprint", head_.fingerprint), at("choices", std::move(choices)));
  }
  // A chunk without its usage.
  Json shell(Json choices) const { return base(chunk_kind(), std::move(choices)); }
  std::string chunk(Json choice) const {
    Json choices = Json::array();
    choices.push(std::move(choice));
    Json out = shell(std::move(choices));
    if (stream_usage_) out.set("usage", Json());
    return sse_event("", out.dump());
  }

  AnswerHead head_;
  std::string id_;
  bool scored_;
  bool stream_usage_;
};

class ChatWriter : public OpenAiWriter {
 public:
  ChatWriter(const AnswerAsk& ask, AnswerHead head, bool show_thinking)
      : OpenAiWriter(ask, std::move(head), "chatcmpl"), choices_(ask.choices), show_thinking_(show_thinking) {}

  std::string begin(int64_t) override {
    std::string out;
    for (int32_t i = 0; i < choices_; ++i) {
      out += delta(i, object_of(at("role", "assistant"), at("content", "")), {}, Json());
    }
    return out;
  }

  std::string add(int32_t choice, std::span<const AnswerPart> parts, std::span<const TokenScore> scores) override {
    std::string out;
    for (const AnswerPart& part : parts) {
      if (part.kind == Kind::kThinking && !show_thinking_) continue;
      out += delta(choice, part_delta(choice, part), scores, Json());
      scores = {};  // with the first of them
    }
    if (!scores.empty()) out += delta(choice, object_of(at("content", "")), scores, Json());
    return out;
  }

  std::string end_choice(int32_t choice, const ChoiceEnd& end) override {
    return delta(choice, Json::object(), {}, finish_reason(end.reason, calls_[choice] > 0));
  }

  Json whole(std::span<const AnswerChoice> choices, const AnswerUsage& usage) override {
    Json list = Json::array();
    for (size_t i = 0; i < choices.size(); ++i) {
      const AnswerChoice& choice = choices[i];
      list.push(object_of(at("index", static_cast<int64_t>(i)), at("message", message(choice)),
                          at("logprobs", logprobs(choice.scores)),
                          at("finish_reason", finish_reason(choice.end.reason, choice.has_calls()))));
    }
    Json out = base("chat.completion", std::move(list));
    out.set("usage", usage_json(usage));
    return out;
  }

 private:
  std::string_view chunk_kind() const override { return "chat.completion.chunk"; }

  Json logprobs(std::span<const TokenScore> scores) const {
    if (!scored_) return {};
    return object_of(at("content", scores_json(scores)), at("refusal", Json()));
  }

  std::string delta(int32_t choice, Json delta, std::span<const TokenScore> scores, Json reason) const {
    return chunk(object_of(at("index", int64_t{choice}), at("delta", std::move(delta)),
                           at("logprobs", scores.empty() ? Json() : logprobs(scores)),
                           at("finish_reason", std::move(reason))));
  }

  Json part_delta(int32_t choice, const AnswerPart& part) {
    if (part.kind == Kind::kText) return object_of(at("content", part.text));
    if (part.kind == Kind::kThinking) return object_of(at("reasoning_content", part.text));
    Json call = Json::object();
    if (part.kind == Kind::kCall) {
      call.set("index", int64_t{calls_[choice]++}).set("id", part.id).set("type", "function");
      call.set("function", object_of(at("name", part.text), at("arguments", "")));
    } else {
      call.set("index", int64_t{calls_[choice] - 1}).set("function", object_of(at("arguments", part.text)));
    }
    Json list = Json::array();
    list.push(std::move(call));
    return object_of(at("tool_calls", std::move(list)));
  }

  Json message(const AnswerChoice& choice) const {
    Json calls = Json::array();
    for (const auto& block : choice.blocks) {
      if (block.kind != Kind::kCall) continue;
      calls.push(object_of(at("id", block.id), at("type", "function"),
                           at("function", object_of(at("name", block.name), at("arguments", block.text)))));
    }
    const std::string text = choice.text();
    const bool silent = text.empty() && choice.has_calls();
    Json out = object_of(at("role", "assistant"), at("content", silent ? Json() : Json(text)), at("refusal", Json()));
    const std::string thinking = choice.thinking();
    if (!thinking.empty() && show_thinking_) out.set("reasoning_content", thinking);
    if (choice.has_calls()) out.set("tool_calls", std::move(calls));
    return out;
  }

  int32_t choices_;
  bool show_thinking_;
  std::map<int32_t, int32_t> calls_;  // begun, by choice
};

class CompletionWriter : public OpenAiWriter {
 public:
  CompletionWriter(const AnswerAsk& ask, AnswerHead head) : OpenAiWriter(ask, std::move(head), "cmpl") {}

  std::string begin(int64_t) override { return {}; }

  std::string add(int32_t choice, std::span<const AnswerPart> parts, std::span<const TokenScore> scores) override {
    AnswerChoice gathered;
    gathered.add(parts);
    return chunk(choice_json(choice, gathered.text(), scores, Json()));
  }

  std::string end_choice(int32_t choice, const ChoiceEnd& end) override {
    return chunk(choice_json(choice, "", {}, finish_reason(end.reason, false)));
  }

  Json whole(std::span<const AnswerChoice> choices, const AnswerUsage& usage) override {
    Json list = Json::array();
    for (size_t i = 0; i < choices.size(); ++i) {
      const AnswerChoice& choice = choices[i];
      list.push(
          choice_json(static_cast<int32_t>(i), choice.text(), choice.scores, finish_reason(choice.end.reason, false)));
    }
    Json out = base("text_completion", std::move(list));
    out.set("usage", usage_json(usage));
    return out;
  }

 private:
  std::string_view chunk_kind() const override { return "text_completion"; }

  Json choice_json(int32_t choice, std::string text, std::span<const TokenScore> scores, Json reason) {
    return object_of(at("index", int64_t{choice}), at("text", std::move(text)),
                     at("logprobs", logprobs(choice, scores)), at("finish_reason", std::move(reason)));
  }

  // Lists side by side; offsets count characters from the beginning of the answer.
  Json logprobs(int32_t choice, std::span<const TokenScore> scores) {
    if (!scored_ || scores.empty()) return {};
    Json tokens = Json::array(), values = Json::array(), tops = Json::array(), offsets = Json::array();
    for (const TokenScore& score : scores) {
      tokens.push(score.chosen.bytes);
      values.push(score.chosen.logprob);
      Json top = Json::object();
      for (const ScoredToken& token : score.top) {
        if (top.find(token.bytes) == nullptr) top.set(token.bytes, token.logprob);
      }
      tops.push(std::move(top));
      int64_t& offset = offsets_[choice];
      offsets.push(offset);
      for (const char byte : score.chosen.bytes) offset += (static_cast<uint8_t>(byte) & 0xc0) != 0x80 ? 1 : 0;
    }
    return object_of(at("tokens", std::move(tokens)), at("token_logprobs", std::move(values)),
                     at("top_logprobs", std::move(tops)), at("text_offset", std::move(offsets)));
  }

  std::map<int32_t, int64_t> offsets_;
};

}  // namespace

std::unique_ptr<AnswerWriter> make_openai_chat_writer(const AnswerAsk& ask, AnswerHead head, bool show_thinking) {
  return std::make_unique<ChatWriter>(ask, std::move(head), show_thinking);
}

std::unique_ptr<AnswerWriter> make_openai_completion_writer(const AnswerAsk& ask, AnswerHead head) {
  return std::make_unique<CompletionWriter>(ask, std::move(head));
}

}  // namespace andiron
