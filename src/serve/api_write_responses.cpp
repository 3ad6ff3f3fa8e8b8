// OpenAI's responses (API reference, "The response object" and "Streaming events").
#include <optional>
#include <utility>

#include "base/strings.h"
#include "http/errors.h"
#include "serve/api_write.h"

namespace andiron {

namespace {

using Kind = AnswerPart::Kind;

Json usage_json(const AnswerUsage& usage) {
  return object_of(at("input_tokens", usage.prompt),
                   at("input_tokens_details", object_of(at("cached_tokens", usage.prompt_reused))),
                   at("output_tokens", usage.generated),
                   at("output_tokens_details", object_of(at("reasoning_tokens", usage.thinking))),
                   at("total_tokens", usage.prompt + usage.generated));
}

bool is_cut(const ChoiceEnd& end) {
  return end.reason == FinishReason::kLength || end.reason == FinishReason::kContext;
}

Json text_part(std::string_view text, std::span<const TokenScore> scores) {
  return object_of(at("type", "output_text"), at("annotations", Json::array()), at("logprobs", scores_json(scores)),
                   at("text", text));
}
Json reasoning_part(std::string_view text) { return object_of(at("type", "reasoning_text"), at("text", text)); }

class ResponseWriter : public AnswerWriter {
 public:
  ResponseWriter(const AnswerAsk& ask, AnswerHead head, Json echo)
      : head_(std::move(head)), echo_(std::move(echo)), scored_(ask.logprobs_top >= 0) {}

  std::string begin(int64_t) override {
    const Json begun = response("in_progress", Json(), Json::array(), Json());
    std::string out = event("response.created", object_of(at("response", begun)));
    return out += event("response.in_progress", object_of(at("response", begun)));
  }

  std::string add(int32_t, std::span<const AnswerPart> parts, std::span<const TokenScore> scores) override {
    if (scored_) waiting_.insert(waiting_.end(), scores.begin(), scores.end());
    std::string out;
    for (const AnswerPart& part : parts) {
      const Kind kind = part.kind == Kind::kArguments ? Kind::kCall : part.kind;
      if (part.kind == Kind::kCall || !is_open_ || open().kind != kind) {
        out += close_item("completed");
        out += open_item(kind, part);
      }
      if (part.kind != Kind::kCall) out += delta(part);
    }
    return out;
  }

  std::string end_choice(int32_t, const ChoiceEnd& end) override {
    choice_.end = end;
    return close_item(is_cut(end) ? "incomplete" : "completed");
  }

  std::string end(const AnswerUsage& usage) override {
    const bool cut = is_cut(choice_.end);
    Json response = finished_response(std::move(output_), choice_.end, usage);
    return event(cut ? "response.incomplete" : "response.completed", object_of(at("response", std::move(response))));
  }

  Json whole(std::span<const AnswerChoice> choices, const AnswerUsage& usage) override {
    const AnswerChoice& choice = choices.front();
    Json output = Json::array();
    if (scored_) item_scores_ = choice.scores;
    for (size_t i = 0; i < choice.blocks.size(); ++i) {
      const bool last = i + 1 == choice.blocks.size();
      output.push(item(choice.blocks[i], static_cast<int64_t>(i),
                       last && is_cut(choice.end) ? "incomplete" : "completed",
                       /*begun=*/false));
      if (choice.blocks[i].kind == Kind::kText) item_scores_.clear();
    }
    return finished_response(std::move(output), choice.end, usage);
  }

 private:
  AnswerChoice::Block& open() { return choice_.blocks.back(); }
  int64_t index() const { return static_cast<int64_t>(choice_.blocks.size()) - 1; }

  std::string event(std::string_view type, Json body) {
    Json out = object_of(at("type", type), at("sequence_number", sequence_++));
    for (auto& [key, value] : body.members()) out.set(std::move(key), std::move(value));
    return sse_event(type, out.dump());
  }

  Json response(std::string_view status, Json incomplete, Json output, Json usage) const {
    Json out = object_of(at("id", "resp_" + head_.id), at("object", "response"), at("created_at", head_.created),
                         at("status", status), at("error", Json()), at("incomplete_details", std::move(incomplete)),
                         at("model", head_.model), at("output", std::move(output)));
    for (const auto& [key, value] : echo_.members()) out.set(key, value);
    out.set("usage", std::move(usage));
    return out;
  }

  Json finished_response(Json output, const ChoiceEnd& end, const AnswerUsage& usage) const {
    const bool cut = is_cut(end);
    Json why = cut ? object_of(at("reason", "max_output_tokens")) : Json();
    return response(cut ? "incomplete" : "completed", std::move(why), std::move(output), usage_json(usage));
  }

  std::string item_id(Kind kind, int64_t place) const {
    const std::string_view prefix = kind == Kind::kText ? "msg" : kind == Kind::kThinking ? "rs" : "fc";
    return format("{}_{}_{}", prefix, head_.id, place);
  }

  // `begun`: as it is announced, without content.
  Json item(const AnswerChoice::Block& block, int64_t place, std::string_view status, bool begun) const {
    Json out = object_of(at("id", item_id(block.kind, place)));
    Json content = Json::array();
    if (block.kind == Kind::kCall) {
      out.set("type", "function_call").set("status", status).set("call_id", block.id).set("name", block.name);
      out.set("arguments", begun ? "" : block.text);
    } else if (block.kind == Kind::kThinking) {
      if (!begun) content.push(reasoning_part(block.text));
      out.set("type", "reasoning")
          .set("status", status)
          .set("summary", Json::array())
          .set("content", std::move(content));
    } else {
      if (!begun) content.push(text_part(block.text, item_scores_));
      out.set("type", "message").set("status", status).set("role", "assistant").set("content", std::move(content));
    }
    return out;
  }

  // What every event about the open item says.
  Json place() { return object_of(at("item_id", item_id(open().kind, index())), at("output_index", index())); }
  Json content_place() { return std::move(place().set("content_index", int64_t{0})); }
  Json part() {
    return open().kind == Kind::kText ? text_part(open().text, item_scores_) : reasoning_part(open().text);
  }

  std::string open_item(Kind kind, const AnswerPart& part_begun) {
    is_open_ = true;
    item_scores_.clear();
    choice_.blocks.push_back({kind, "", part_begun.id, kind == Kind::kCall ? part_begun.text : ""});
    std::string out =
        event("response.output_item.added",
              object_of(at("output_index", index()), at("item", item(open(), index(), "in_progress", true))));
    if (kind == Kind::kCall) return out;
    return out + event("response.content_part.added", std::move(content_place().set("part", part())));
  }

  std::string delta(const AnswerPart& part_come) {
    open().text += part_come.text;
    if (open().kind == Kind::kCall) {
      return event("response.function_call_arguments.delta", std::move(place().set("delta", part_come.text)));
    }
    Json body = std::move(content_place().set("delta", part_come.text));
    if (open().kind == Kind::kThinking) return event("response.reasoning_text.delta", std::move(body));
    body.set("logprobs", scores_json(waiting_));
    item_scores_.insert(item_scores_.end(), waiting_.begin(), waiting_.end());
    waiting_.clear();
    return event("response.output_text.delta", std::move(body));
  }

  std::string close_item(std::string_view status) {
    if (!is_open_) return {};
    is_open_ = false;
    std::string out;
    if (open().kind == Kind::kCall) {
      out = event("response.function_call_arguments.done",
                  std::move(place().set("name", open().name).set("arguments", open().text)));
    } else {
      Json done = std::move(content_place().set("text", open().text));
      if (open().kind == Kind::kText) {
        // Tokens without text, such as the one that ends the answer, came after the last of it.
        item_scores_.insert(item_scores_.end(), waiting_.begin(), waiting_.end());
        waiting_.clear();
        done.set("logprobs", scores_json(item_scores_));
      }
      out = event(open().kind == Kind::kText ? "response.output_text.done" : "response.reasoning_text.done",
                  std::move(done));
      out += event("response.content_part.done", std::move(content_place().set("part", part())));
    }
    output_.push(item(open(), index(), status, false));
    return out + event("response.output_item.done",
                       object_of(at("output_index", index()), at("item", output_.items().back())));
  }

  AnswerHead head_;
  Json echo_;
  bool scored_;
  int64_t sequence_ = 0;
  AnswerChoice choice_;  // items so far, the last of them open
  bool is_open_ = false;
  Json output_ = Json::array();          // items that are done
  std::vector<TokenScore> waiting_;      // of tokens whose text has not come yet
  std::vector<TokenScore> item_scores_;  // of the open item's text
};

}  // namespace

std::unique_ptr<AnswerWriter> make_response_writer(const AnswerAsk& ask, AnswerHead head, Json echo) {
  return std::make_unique<ResponseWriter>(ask, std::move(head), std::move(echo));
}

}  // namespace andiron
