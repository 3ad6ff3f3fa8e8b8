#include "serve/api_answer.h"

#include <bit>
#include <cstring>
#include <ctime>
#include <utility>

#include "base/base64.h"
#include "base/strings.h"
#include "serve/api_write.h"

namespace andiron {

namespace {

using Kind = AnswerPart::Kind;

std::vector<uint8_t> little_endian(std::span<const float> values) {
  std::vector<uint8_t> out;
  for (const float value : values) {
    const auto bits = std::bit_cast<uint32_t>(value);
    for (int shift = 0; shift < 32; shift += 8) out.push_back(static_cast<uint8_t>(bits >> shift & 0xff));
  }
  return out;
}

Json numbers(std::span<const float> values) {
  Json out = Json::array();
  for (const float value : values) out.push(static_cast<double>(value));
  return out;
}

Json token_json(const ScoredToken& token) {
  Json bytes = Json::array();
  for (const char byte : token.bytes) bytes.push(int64_t{static_cast<uint8_t>(byte)});
  return object_of(at("token", token.bytes), at("logprob", token.logprob), at("bytes", std::move(bytes)));
}

}  // namespace

void AnswerChoice::add(std::span<const AnswerPart> parts) {
  for (const AnswerPart& part : parts) {
    if (part.kind == Kind::kCall) {
      blocks.push_back({Kind::kCall, "", part.id, part.text});
      continue;
    }
    const Kind kind = part.kind == Kind::kArguments ? Kind::kCall : part.kind;
    if (blocks.empty() || blocks.back().kind != kind) blocks.push_back({kind, "", "", ""});
    blocks.back().text += part.text;
  }
}

std::string AnswerChoice::text() const {
  std::string out;
  for (const Block& block : blocks) out += block.kind == Kind::kText ? block.text : "";
  return out;
}

std::string AnswerChoice::thinking() const {
  std::string out;
  for (const Block& block : blocks) out += block.kind == Kind::kThinking ? block.text : "";
  return out;
}

bool AnswerChoice::has_calls() const {
  for (const Block& block : blocks) {
    if (block.kind == Kind::kCall) return true;
  }
  return false;
}

Json score_json(const TokenScore& score) {
  Json out = token_json(score.chosen);
  Json top = Json::array();
  for (const ScoredToken& token : score.top) top.push(token_json(token));
  out.set("top_logprobs", std::move(top));
  return out;
}

Json scores_json(std::span<const TokenScore> scores) {
  Json out = Json::array();
  for (const TokenScore& score : scores) out.push(score_json(score));
  return out;
}

std::unique_ptr<AnswerWriter> make_answer_writer(const AnswerAsk& ask, AnswerHead head, Json echo, bool show_thinking) {
  switch (ask.api) {
    case Api::kOpenAiChat: return make_openai_chat_writer(ask, std::move(head), show_thinking);
    case Api::kOpenAiCompletion: return make_openai_completion_writer(ask, std::move(head));
    case Api::kOpenAiResponse: return make_response_writer(ask, std::move(head), std::move(echo));
    case Api::kAnthropic: return make_anthropic_writer(std::move(head), show_thinking);
    case Api::kOllamaChat:
    case Api::kOllamaGenerate: return make_ollama_writer(ask, std::move(head), show_thinking);
  }
  return nullptr;
}

Json openai_embeddings(std::string_view model, std::span<const std::vector<float>> vectors, bool as_base64,
                       int64_t prompt_tokens) {
  Json data = Json::array();
  for (size_t i = 0; i < vectors.size(); ++i) {
    Json vector = as_base64 ? Json(to_base64(little_endian(vectors[i]))) : numbers(vectors[i]);
    data.push(
        object_of(at("object", "embedding"), at("index", static_cast<int64_t>(i)), at("embedding", std::move(vector))));
  }
  Json usage = object_of(at("prompt_tokens", prompt_tokens), at("total_tokens", prompt_tokens));
  return object_of(at("object", "list"), at("data", std::move(data)), at("model", model),
                   at("usage", std::move(usage)));
}

Json ollama_embeddings(std::string_view model, std::span<const std::vector<float>> vectors, int64_t prompt_tokens,
                       double total_ms) {
  Json list = Json::array();
  for (const auto& vector : vectors) list.push(numbers(vector));
  return object_of(at("model", model), at("embeddings", std::move(list)),
                   at("total_duration", static_cast<int64_t>(total_ms * 1e6)), at("load_duration", int64_t{0}),
                   at("prompt_eval_count", prompt_tokens));
}

Json tokenize_answer(std::span<const int32_t> ids, std::span<const std::string_view> pieces) {
  Json tokens = Json::array();
  for (size_t i = 0; i < ids.size(); ++i) {
    if (pieces.empty()) {
      tokens.push(int64_t{ids[i]});
      continue;
    }
    // As llama.cpp: bytes where the piece alone is no text.
    Json piece(pieces[i]);
    if (!is_valid_utf8(pieces[i])) {
      piece = Json::array();
      for (const char byte : pieces[i]) piece.push(int64_t{static_cast<uint8_t>(byte)});
    }
    tokens.push(object_of(at("id", int64_t{ids[i]}), at("piece", std::move(piece))));
  }
  return object_of(at("tokens", std::move(tokens)), at("count", static_cast<int64_t>(ids.size())));
}

std::string utc_time(int64_t seconds) {
  const auto time = static_cast<std::time_t>(seconds);
  std::tm parts{};
  gmtime_r(&time, &parts);
  char text[32];
  const size_t size = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return {text, size};
}

}  // namespace andiron
