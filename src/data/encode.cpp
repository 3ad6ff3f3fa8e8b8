#include "data/encode.h"

#include <algorithm>
#include <iterator>
#include <span>
#include <string>
#include <utility>

#include "base/check.h"
#include "base/strings.h"

namespace andiron {

namespace {

template <typename Sequence>
size_t common_prefix(const Sequence& a, const Sequence& b) {
  return static_cast<size_t>(std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first - a.begin());
}

bool is_answer(const Json& message) { return message.find("role")->as_string() == "assistant"; }

// Bytes that two prompts begin with alike, written by the same hand: a "<" that somebody typed is not the template's.
size_t common_prefix(const RenderedPrompt& a, const RenderedPrompt& b) {
  size_t at = 0;
  for (size_t i = 0; i < std::min(a.segments.size(), b.segments.size()); ++i) {
    const Segment& left = a.segments[i];
    const Segment& right = b.segments[i];
    if (left.trusted != right.trusted) break;
    const size_t same = common_prefix(left.text, right.text);
    at += same;
    if (same < left.text.size() || same < right.text.size()) break;
  }
  return at;
}

// Whether everything from byte `at` on was written by the template.
bool only_template_from(const RenderedPrompt& prompt, size_t at) {
  size_t end = prompt.text.size();
  for (auto segment = prompt.segments.rbegin(); segment != prompt.segments.rend() && end > at; ++segment) {
    if (!segment->trusted) return false;
    end -= segment->text.size();
  }
  return true;
}

// Bytes [begin, end) of a prompt.
std::vector<Segment> slice(const RenderedPrompt& prompt, size_t begin, size_t end) {
  std::vector<Segment> out;
  size_t at = 0;
  for (const Segment& segment : prompt.segments) {
    const size_t from = std::max(begin, at);
    const size_t to = std::min(end, at + segment.text.size());
    if (from < to) out.push_back({segment.text.substr(from - at, to - from), segment.trusted});
    at += segment.text.size();
  }
  return out;
}

// The byte of `text` at which each token begins; nothing where the tokens do not spell the text (a tokenizer that
// changes it, a token that swallows white space). A space that encoding added, and a bos, take no bytes.
std::optional<std::vector<size_t>> token_offsets(const Tokenizer& tokenizer, std::span<const int32_t> tokens,
                                                 std::string_view text) {
  std::vector<size_t> offsets;
  offsets.reserve(tokens.size());
  size_t at = 0;
  for (const int32_t token : tokens) {
    offsets.push_back(at);
    std::string_view piece = tokenizer.piece(token);
    const std::string_view rest = text.substr(at);
    if (rest.starts_with(piece)) {
      at += piece.size();
    } else if (piece.starts_with(' ') && rest.starts_with(piece.substr(1))) {
      at += piece.size() - 1;
    } else if (offsets.size() > 1 || token != tokenizer.bos()) {
      return std::nullopt;
    }
  }
  if (at != text.size()) return std::nullopt;
  return offsets;
}

// One conversation: rendered as a whole, and answer by answer as serving would have rendered it.
class Conversation {
 public:
  Conversation(const Tokenizer& tokenizer, const ChatPrompt& chat, std::optional<int64_t> now, const Json& messages,
               const Json& tools)
      : tokenizer_(tokenizer), chat_(chat), now_(now), messages_(messages), tools_(tools) {}

  // The tokens of the whole. `to_train`: its last message is an answer that will be added.
  Status begin(bool to_train) {
    TRY_ASSIGN(whole_, render(messages_.items().size(), false));
    if (to_train) {
      const size_t last = messages_.items().size() - 1;
      TRY_ASSIGN(last_prompt_, render(last, true));
      TRY_ASSIGN(const bool stands, begins_with(last_prompt_, last));
      if (!stands) TRY(join_last_answer(last));
    }
    tokens_ = chat_.tokens(whole_);
    if (auto offsets = token_offsets(tokenizer_, tokens_, whole_.text)) offsets_ = std::move(*offsets);
    return {};
  }

  // Answer `index` is to be trained. In ascending order. An Error when the template does not write it as serving asks
  // for it.
  Status add(size_t index) {
    Answer answer;
    answer.is_last = index + 1 == messages_.items().size();
    TRY(find_begin(index, answer));
    TRY(find_end(index, answer));
    TRY(check_shown(messages_.items()[index], answer));
    if (!answer.prompt_unlike && !answer.follows_prompt) {
      // Serving gives the later answers the tokens of the whole.
      if (!answer.is_last) return make_error("the prompt has other tokens when the conversation goes on");
      join_tokens(answer.begin);
    }
    answers_.push_back(answer);
    return {};
  }

  // Tokens and mask; an end token that the template leaves out is added. `prompt_unlike` is set where a prompt is, and
  // left alone otherwise.
  TokenRow finish(bool& prompt_unlike) {
    TokenRow row;
    row.tokens = std::move(tokens_);
    row.trained.assign(row.tokens.size(), 0);
    for (const Answer& answer : answers_) {
      mark(answer, row);
      prompt_unlike = prompt_unlike || answer.prompt_unlike;
    }
    return row;
  }

 private:
  struct Answer {
    size_t begin = 0;  // bytes of the whole
    size_t end = 0;
    bool is_last = false;
    bool prompt_unlike = false;
    bool follows_prompt = false;  // the tokens of serving's prompt are those of the whole
    size_t begin_token = 0;       // where offsets are unknown
    size_t end_token = 0;
  };

  // The first `count` messages.
  Result<RenderedPrompt> render(size_t count, bool add_generation_prompt) const {
    ChatOptions options;
    options.add_generation_prompt = add_generation_prompt;
    options.now = now_;
    if (count == messages_.items().size()) return chat_.render(messages_, tools_, options);
    const auto begin = messages_.items().begin();
    return chat_.render(Json(Json::Array(begin, begin + static_cast<std::ptrdiff_t>(count))), tools_, options);
  }

  // Whether the whole begins as the prompt of answer `index` does. Only the words that ask for the answer may differ.
  Result<bool> begins_with(const RenderedPrompt& prompt, size_t index) const {
    const size_t common = common_prefix(prompt, whole_);
    if (common == prompt.text.size()) return true;
    TRY_ASSIGN(const RenderedPrompt before, render(index, false));
    const bool asks = common_prefix(before, prompt) == before.text.size() && before.text.size() < prompt.text.size();
    return only_template_from(prompt, common) && !(asks && common < before.text.size());
  }

  // For templates that rewrite the last question once it is answered (Mistral Nemo shows the system message only in an
  // unanswered one): the whole becomes the prompt of the last answer and the answer as the template writes it. Where
  // that begins is found by a private character put before it.
  Status join_last_answer(size_t last) {
    constexpr std::string_view kMark = "\ue000";
    const Error error = make_error("the model's template rewrites what came before the answer");
    const Json* content = messages_.items()[last].find("content");
    if (content == nullptr || !content->is_string() || messages_.items()[last].find("tool_calls") != nullptr)
      return error;
    Json changed = messages_;
    for (auto& [name, value] : changed.items()[last].members()) {
      if (name == "content") value = Json(std::string(kMark) + content->as_string());
    }
    ChatOptions options;
    options.add_generation_prompt = false;
    options.now = now_;
    TRY_ASSIGN(const RenderedPrompt marked, chat_.render(changed, tools_, options));
    const size_t at = common_prefix(marked.text, whole_.text);
    if (std::string_view(marked.text).substr(at, kMark.size()) != kMark) return error;
    if (std::string_view(marked.text).substr(at + kMark.size()) != std::string_view(whole_.text).substr(at))
      return error;
    RenderedPrompt joined = last_prompt_;
    for (Segment& segment : slice(whole_, at, whole_.text.size())) {
      joined.text += segment.text;
      if (!joined.segments.empty() && joined.segments.back().trusted == segment.trusted) {
        joined.segments.back().text += segment.text;
      } else {
        joined.segments.push_back(std::move(segment));
      }
    }
    whole_ = std::move(joined);
    return {};
  }

  // After what serving gives the model to answer.
  Status find_begin(size_t index, Answer& answer) const {
    RenderedPrompt earlier;
    if (!answer.is_last) {
      TRY_ASSIGN(earlier, render(index, true));
    }
    const RenderedPrompt& prompt = answer.is_last ? last_prompt_ : earlier;
    TRY_ASSIGN(const bool stands, begins_with(prompt, index));
    if (!stands) return make_error("the model's template rewrites what came before the answer");
    answer.begin = common_prefix(prompt, whole_);
    answer.prompt_unlike = answer.begin < prompt.text.size();
    const auto prompt_tokens = chat_.tokens(prompt);
    answer.begin_token = common_prefix(prompt_tokens, tokens_);
    answer.follows_prompt = answer.begin_token == prompt_tokens.size();
    return {};
  }

  // Something of the answer stands between its begin and its end, and so do the names of the functions it calls.
  Status check_shown(const Json& message, const Answer& answer) const {
    std::string shown;
    for (const Segment& segment : slice(whole_, answer.begin, answer.end)) {
      if (!segment.trusted) shown += segment.text;
    }
    if (shown.empty()) return make_error("the model's template does not show the answer");
    const Json* calls = message.find("tool_calls");
    for (size_t i = 0; calls != nullptr && i < calls->items().size(); ++i) {
      const Json* name = calls->items()[i].find("function")->find("name");
      if (shown.find(name->as_string()) != std::string::npos) continue;
      return make_error("it calls {}, which the model's template does not show", in_quotes(name->as_string()));
    }
    return {};
  }

  // One past the answer; what the template puts after its end token may be among it.
  Status find_end(size_t index, Answer& answer) const {
    answer.end = whole_.text.size();
    answer.end_token = tokens_.size();
    if (answer.is_last) return {};
    TRY_ASSIGN(const RenderedPrompt after, render(index + 1, false));
    answer.end = common_prefix(after, whole_);
    // A template may end its last message with the eos token and others not; but for that it must stand as it did.
    const std::string_view rest = trimmed(std::string_view(after.text).substr(answer.end));
    if (!rest.empty() && !tokenizer_.is_end_of_generation(tokenizer_.id(rest))) {
      return make_error("the model's template rewrites the answer when the conversation goes on");
    }
    if (offsets_.empty()) answer.end_token = common_prefix(chat_.tokens(after), tokens_);
    return {};
  }

  // Makes the tokens those of serving's prompt of the last answer, which ends at byte `at`, and behind them those of
  // the answer. Qwen3.5's prompt ends with a line end, and its template writes a second one: together they are one
  // token. GPT-2 reads two line ends at the end of a text as one token, and before a word as two.
  void join_tokens(size_t at) {
    std::vector<int32_t> tokens = chat_.tokens(last_prompt_);
    const auto answer = tokenizer_.encode(slice(whole_, at, whole_.text.size()), false);
    const std::string_view text = std::string_view(whole_.text).substr(at);
    auto offsets = token_offsets(tokenizer_, tokens, last_prompt_.text);
    const auto behind = token_offsets(tokenizer_, answer, text);
    // Where a space would be added before the answer, the tokens of the whole stay.
    if (!offsets || !behind || answer.empty() || !text.starts_with(tokenizer_.piece(answer[0]))) return;
    tokens.insert(tokens.end(), answer.begin(), answer.end());
    for (const size_t offset : *behind) offsets->push_back(at + offset);
    tokens_ = std::move(tokens);
    offsets_ = std::move(*offsets);
  }

  void mark(const Answer& answer, TokenRow& row) const {
    auto& tokens = row.tokens;
    size_t begin = answer.begin_token;
    size_t end = answer.end_token;
    if (!offsets_.empty()) {
      const auto first = std::lower_bound(offsets_.begin(), offsets_.end(), answer.begin);
      begin = static_cast<size_t>(first - offsets_.begin());
      if (begin > 0 && (first == offsets_.end() || *first > answer.begin)) --begin;  // a token across
      end = static_cast<size_t>(std::lower_bound(offsets_.begin(), offsets_.end(), answer.end) - offsets_.begin());
    }
    size_t after = end;  // one past the answer's last end token
    while (after > begin && !tokenizer_.is_end_of_generation(tokens[after - 1])) --after;
    size_t next = end;  // the first token of what follows that is no white space
    while (next < tokens.size() && is_blank(tokenizer_.piece(tokens[next]))) ++next;
    const int32_t stop = tokenizer_.eot() != kNoToken ? tokenizer_.eot() : tokenizer_.eos();
    if (after > begin) {
      end = after;
    } else if (next < tokens.size() && tokenizer_.is_end_of_generation(tokens[next])) {
      end = next + 1;  // the next turn's first token ends this one (GLM)
    } else if (answer.is_last && stop != kNoToken) {
      tokens.push_back(stop);
      row.trained.push_back(0);
      end = tokens.size();
    }
    for (size_t i = begin; i < end; ++i) row.trained[i] = 1;
  }

  const Tokenizer& tokenizer_;
  const ChatPrompt& chat_;
  std::optional<int64_t> now_;
  const Json& messages_;
  const Json& tools_;
  RenderedPrompt whole_;
  RenderedPrompt last_prompt_;  // of the last message, where that is to be trained
  std::vector<int32_t> tokens_;
  std::vector<size_t> offsets_;  // by token: its first byte; empty when unknown
  std::vector<Answer> answers_;
};

// Turns after the last wanted answer have no influence on it, but templates show answers otherwise when turns follow.
Json up_to_last(const Json& messages, const std::vector<uint8_t>& wanted) {
  const auto last = std::find(wanted.rbegin(), wanted.rend(), uint8_t{1});
  const auto count = wanted.rend() - last;
  return Json(Json::Array(messages.items().begin(), messages.items().begin() + count));
}

Status check_results_shown(const Json& messages, const ChatCapabilities& can) {
  for (const Json& message : messages.items()) {
    if (message.find("role")->as_string() == "tool" && !can.tool_results) {
      return make_error("it has results of tools, which the model's template does not show");
    }
  }
  return {};
}

// A row that ends with the last of the `wanted` answers (by message: 1) and trains it and, when all answers are
// trained, the others that stand in it as they are asked for; those are no longer wanted then.
Result<TokenRow> encode_chat_row(const Tokenizer& tokenizer, const ChatPrompt& chat,
                                 const EncodeExampleOptions& options, const Json& messages, const Json& tools,
                                 std::vector<uint8_t>& wanted, bool& prompt_unlike) {
  const Json used = up_to_last(messages, wanted);
  Conversation conversation(tokenizer, chat, options.now, used, tools);
  TRY(conversation.begin(true));
  const size_t last = used.items().size() - 1;
  for (size_t i = 0; i < last && options.loss_on == LossOn::kAnswers; ++i) {
    if (wanted[i] != 0 && conversation.add(i).ok()) wanted[i] = 0;
  }
  TRY(conversation.add(last));
  wanted[last] = 0;
  TokenRow row = conversation.finish(prompt_unlike);
  // What the template writes after the last end token trains nothing.
  const auto end = std::find(row.trained.rbegin(), row.trained.rend(), uint8_t{1}).base();
  row.tokens.resize(static_cast<size_t>(end - row.trained.begin()));
  row.trained.erase(end, row.trained.end());
  return row;
}

// A row of the whole conversation, all of it trained.
Result<TokenRow> encode_whole_chat(const Tokenizer& tokenizer, const ChatPrompt& chat,
                                   const EncodeExampleOptions& options, const Json& messages, const Json& tools) {
  Conversation conversation(tokenizer, chat, options.now, messages, tools);
  TRY(conversation.begin(false));
  bool unused = false;
  TokenRow row = conversation.finish(unused);
  std::fill(row.trained.begin(), row.trained.end(), uint8_t{1});
  return row;
}

// `wanted`: by message, 1 for the answers that may be trained.
Result<EncodedExample> encode_chat(const Tokenizer& tokenizer, const ChatPrompt& chat,
                                   const EncodeExampleOptions& options, const Json& messages,
                                   std::vector<uint8_t> wanted, const Json& tools) {
  TRY(check_results_shown(messages, chat.chat_template().capabilities()));
  EncodedExample out;
  if (options.loss_on == LossOn::kEverything) {
    TRY_ASSIGN(TokenRow row, encode_whole_chat(tokenizer, chat, options, messages, tools));
    out.rows.push_back(std::move(row));
  }
  const bool all = options.loss_on == LossOn::kAnswers;
  while (out.rows.empty() || (all && std::find(wanted.begin(), wanted.end(), uint8_t{1}) != wanted.end())) {
    TRY_ASSIGN(TokenRow row, encode_chat_row(tokenizer, chat, options, messages, tools, wanted, out.prompt_unlike));
    out.rows.push_back(std::move(row));
  }
  for (TokenRow& row : out.rows) {
    if (row.tokens.size() < 2) return make_error("the model's template gives fewer than two tokens");
    row.trained[0] = 0;
  }
  return out;
}

// The prompt and one side of a pair.
Result<EncodedExample> encode_side(const Tokenizer& tokenizer, const ChatPrompt& chat,
                                   const EncodeExampleOptions& options, const Example& example, const Json& side) {
  Json messages = example.messages;
  std::vector<uint8_t> wanted(messages.items().size(), 0);
  for (const Json& message : side.items()) {
    messages.push(message);
    wanted.push_back(is_answer(message) ? 1 : 0);
  }
  return encode_chat(tokenizer, chat, options, messages, wanted, example.tools);
}

}  // namespace

Result<ExampleEncoder> ExampleEncoder::create(const Tokenizer& tokenizer, std::string_view model_name,
                                              const EncodeExampleOptions& options) {
  TRY_ASSIGN(ChatPrompt chat, ChatPrompt::create_or_plain(tokenizer, model_name));
  return ExampleEncoder(tokenizer, std::move(chat), ChatPrompt::can_chat(tokenizer), options);
}

Result<EncodedExample> ExampleEncoder::encode(const Example& example) const {
  ANDIRON_CHECK(example.kind != Example::Kind::kText && example.kind != Example::Kind::kChoice);
  EncodeExampleOptions options = options_;
  if (example.kind == Example::Kind::kPreference) {
    options.loss_on = LossOn::kLastAnswer;  // one row a side
    TRY_ASSIGN(EncodedExample out, encode_side(tokenizer_, chat_, options, example, example.chosen));
    TRY_ASSIGN(EncodedExample rejected, encode_side(tokenizer_, chat_, options, example, example.rejected));
    out.rejected = std::move(rejected.rows.front());
    if (out.rows.front().tokens == out.rejected.tokens) {
      return make_error("\"chosen\" and \"rejected\" give the same tokens");
    }
    out.prompt_unlike = out.prompt_unlike || rejected.prompt_unlike;
    return out;
  }
  if (example.desirable) options.loss_on = LossOn::kLastAnswer;  // the label is the last answer's
  if (example.kind == Example::Kind::kChat) {
    return encode_chat(tokenizer_, chat_, options, example.messages, example.trained, example.tools);
  }
  if (!has_template_) {
    EncodedExample out;
    out.rows.push_back(encode_completion(example));
    return out;
  }
  Json messages = Json::array();
  Json question = Json::object();
  Json answer = Json::object();
  question.set("role", "user").set("content", example.prompt);
  answer.set("role", "assistant").set("content", example.completion);
  messages.push(std::move(question)).push(std::move(answer));
  return encode_chat(tokenizer_, chat_, options, messages, {0, 1}, Json());
}

TokenRow ExampleEncoder::encode_completion(const Example& example) const {
  const auto is_space = [](char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; };
  std::string prompt = example.prompt;
  if (!is_space(prompt.back()) && !is_space(example.completion.front())) prompt += '\n';
  const auto prompt_tokens = text_prompt_tokens(tokenizer_, prompt, {});
  TokenRow row;
  row.tokens = text_prompt_tokens(tokenizer_, prompt + example.completion, {});
  // A token across the seam is trained: serving would ask for it.
  const size_t begin = std::max<size_t>(common_prefix(prompt_tokens, row.tokens), 1);
  if (tokenizer_.eos() != kNoToken) row.tokens.push_back(tokenizer_.eos());
  row.trained.assign(row.tokens.size(), 1);
  if (options_.loss_on != LossOn::kEverything || example.desirable) {
    std::fill_n(row.trained.begin(), begin, uint8_t{0});
  }
  row.trained[0] = 0;
  return row;
}

namespace {

// The bos that rows of this model begin with, or none.
bool begins_rows(const Tokenizer& tokenizer) { return tokenizer.adds_bos() && tokenizer.bos() != kNoToken; }

// Cuts `tokens` (without a bos) into rows. With a bos each has `seq_len` of them behind it; otherwise a row begins with
// the token that the row before ends with, which was a target there. Returns how many tokens were used up: with `all`
// every one, else as many as make whole rows. `at_start`: the first token begins a document.
size_t cut_rows(const std::vector<int32_t>& tokens, const std::vector<uint8_t>& trained, int32_t bos, int64_t seq_len,
                bool at_start, bool all, std::vector<TokenRow>& out) {
  const auto length = static_cast<size_t>(seq_len);
  const size_t carried = bos == kNoToken ? 1 : 0;
  size_t at = 0;
  while (at + carried < tokens.size()) {
    if (!all && at + length + carried > tokens.size()) break;
    const size_t end = std::min(at + length + carried, tokens.size());
    TokenRow row;
    if (bos != kNoToken) {
      row.tokens.push_back(bos);
      row.trained.push_back(0);
    }
    const auto from = static_cast<std::ptrdiff_t>(at);
    const auto to = static_cast<std::ptrdiff_t>(end);
    row.tokens.insert(row.tokens.end(), tokens.begin() + from, tokens.begin() + to);
    row.trained.insert(row.trained.end(), trained.begin() + from, trained.begin() + to);
    row.trained[0] = 0;
    // In the middle of a document nothing says what comes after the bos.
    if (bos != kNoToken && !(at_start && at == 0)) row.trained[1] = 0;
    at = end - carried;
    if (std::find(row.trained.begin(), row.trained.end(), uint8_t{1}) != row.trained.end())
      out.push_back(std::move(row));
  }
  return at;
}

}  // namespace

void TextCutter::add(std::string_view text, bool first_piece, bool last_piece, std::vector<TokenRow>& out) {
  if (first_piece) {
    pending_.clear();
    at_start_ = true;
  }
  const auto tokens = tokenizer_.encode(text, {.add_special = false});
  pending_.insert(pending_.end(), tokens.begin(), tokens.end());
  if (last_piece && tokenizer_.eos() != kNoToken) pending_.push_back(tokenizer_.eos());
  const std::vector<uint8_t> trained(pending_.size(), 1);
  const int32_t bos = begins_rows(tokenizer_) ? tokenizer_.bos() : kNoToken;
  const size_t used = cut_rows(pending_, trained, bos, seq_len_, at_start_, last_piece, out);
  at_start_ = at_start_ && used == 0;
  pending_.erase(pending_.begin(), pending_.begin() + static_cast<std::ptrdiff_t>(used));
}

std::vector<TokenRow> split_row(const TokenRow& row, const Tokenizer& tokenizer, int64_t seq_len) {
  const bool bos = begins_rows(tokenizer) && row.tokens.front() == tokenizer.bos();
  const std::vector<int32_t> tokens(row.tokens.begin() + (bos ? 1 : 0), row.tokens.end());
  const std::vector<uint8_t> trained(row.trained.begin() + (bos ? 1 : 0), row.trained.end());
  std::vector<TokenRow> out;
  cut_rows(tokens, trained, bos ? tokenizer.bos() : kNoToken, seq_len, true, true, out);
  return out;
}

}  // namespace andiron
