#include "serve/tool_calls_values.h"

#include <utility>

#include "base/strings.h"

namespace andiron {

namespace {

constexpr int kDepthMax = 32;

bool is_name_byte(char byte) {
  return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || (byte >= '0' && byte <= '9') || byte == '_' ||
         byte == '-' || byte == '.' || static_cast<uint8_t>(byte) >= 0x80;
}

class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}

  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  bool done() const { return at_ >= text_.size(); }
  void skip_space() {
    while (!done() && is_blank(text_.substr(at_, 1))) ++at_;
  }
  bool accept(std::string_view mark) {
    skip_space();
    if (!text_.substr(at_).starts_with(mark)) return false;
    at_ += mark.size();
    return true;
  }
  std::string_view name() {
    skip_space();
    const size_t begin = at_;
    while (!done() && is_name_byte(text_[at_])) ++at_;
    return text_.substr(begin, at_ - begin);
  }
  // Up to `end`, which is taken too.
  Result<std::string_view> until(std::string_view end) {
    const size_t found = text_.find(end, at_);
    if (found == std::string_view::npos) return make_error("a text does not end");
    const auto piece = text_.substr(at_, found - at_);
    at_ = found + end.size();
    return piece;
  }
  char take() { return text_[at_++]; }

 private:
  std::string_view text_;
  size_t at_ = 0;
};

// Numbers and words: JSON's and Python's.
Result<Json> word_value(std::string_view word) {
  if (word == "True" || word == "true") return Json(true);
  if (word == "False" || word == "false") return Json(false);
  if (word == "None" || word == "null") return Json();
  TRY_ASSIGN(Json value, parse_json(word, "a value"));
  return value;
}

// 'it\'s', as Python writes it.
Result<std::string> python_text(Reader& in, char quote) {
  std::string out;
  while (!in.done()) {
    const char byte = in.take();
    if (byte == quote) return out;
    if (byte != '\\' || in.done()) {
      out += byte;
      continue;
    }
    const char escaped = in.take();
    switch (escaped) {
      case 'n': out += '\n'; break;
      case 't': out += '\t'; break;
      case 'r': out += '\r'; break;
      case '\\':
      case '\'':
      case '"': out += escaped; break;
      default: out.append(1, '\\').append(1, escaped);
    }
  }
  return make_error("a text does not end");
}

// Values of both styles: lists and objects, with the style's own texts. Python's keys are texts, Gemma's are names.
class ValueReader {
 public:
  ValueReader(Reader& in, std::string_view quote) : in_(in), quote_(quote) {}

  Result<Json> value(int depth) {
    if (depth > kDepthMax) return make_error("values are nested deeper than {}", kDepthMax);
    in_.skip_space();
    if (is_text()) {
      TRY_ASSIGN(std::string text, this->text());
      return Json(std::move(text));
    }
    if (in_.accept("[")) return list(depth);
    if (in_.accept("{")) return object(depth);
    std::string word(in_.name());
    if (word.empty() && in_.accept("+")) word = in_.name();
    return word_value(word);
  }

  Result<Json> object(int depth) {
    Json out = Json::object();
    while (!in_.accept("}")) {
      in_.skip_space();
      std::string key;
      if (is_text()) {
        TRY_ASSIGN(key, text());
      } else {
        key = in_.name();
      }
      if (key.empty() || !in_.accept(":") || out.find(key) != nullptr) return make_error("a member is malformed");
      TRY_ASSIGN(Json member, value(depth + 1));
      out.set(std::move(key), std::move(member));
      if (!in_.accept(",") && in_.peek() != '}') return make_error("an object does not end");
    }
    return out;
  }

 private:
  bool is_text() const { return quote_.empty() ? in_.peek() == '\'' || in_.peek() == '"' : starts_with_quote(); }
  bool starts_with_quote() const {
    Reader ahead = in_;
    return ahead.accept(quote_);
  }

  Result<std::string> text() {
    if (quote_.empty()) return python_text(in_, in_.take());
    in_.accept(quote_);
    TRY_ASSIGN(const std::string_view piece, in_.until(quote_));
    return std::string(piece);
  }

  Result<Json> list(int depth) {
    Json out = Json::array();
    while (!in_.accept("]")) {
      TRY_ASSIGN(Json item, value(depth + 1));
      out.push(std::move(item));
      if (!in_.accept(",") && in_.peek() != ']') return make_error("a list does not end");
    }
    return out;
  }

  Reader& in_;
  std::string_view quote_;
};

Result<WholeCall> pythonic_call(Reader& in) {
  WholeCall call{std::string(in.name()), Json::object()};
  if (call.name.empty() || !in.accept("(")) return make_error("no call");
  ValueReader values(in, "");
  while (!in.accept(")")) {
    std::string key(in.name());
    if (key.empty() || !in.accept("=") || call.arguments.find(key) != nullptr)
      return make_error("an argument is malformed");
    TRY_ASSIGN(Json value, values.value(0));
    call.arguments.set(std::move(key), std::move(value));
    if (!in.accept(",") && in.peek() != ')') return make_error("the arguments do not end");
  }
  return call;
}

}  // namespace

bool is_text_property(const Json& parameters, std::string_view key) {
  return parameters.member("properties").member(key).member("type").text_or("") == "string";
}

Json tagged_value(const Json& parameters, std::string_view key, std::string_view text) {
  if (is_text_property(parameters, key)) return Json(text);
  auto parsed = parse_json(text, "a value");
  if (parsed.ok()) return std::move(*parsed);
  if (text == "True" || text == "False") return Json(text == "True");
  if (text == "None") return {};
  return Json(text);
}

Result<std::vector<WholeCall>> parse_pythonic_calls(std::string_view text) {
  Reader in(text);
  if (!in.accept("[")) return make_error("no list of calls");
  std::vector<WholeCall> calls;
  while (!in.accept("]")) {
    TRY_ASSIGN(WholeCall call, pythonic_call(in));
    calls.push_back(std::move(call));
    if (!in.accept(",") && in.peek() != ']') return make_error("the list does not end");
  }
  in.skip_space();
  if (calls.empty() || !in.done()) return make_error("more than a list of calls");
  return calls;
}

Result<WholeCall> parse_gemma_call(std::string_view text, std::string_view quote) {
  Reader in(text);
  WholeCall call{std::string(in.name()), {}};
  if (call.name.empty() || !in.accept("{")) return make_error("no call");
  TRY_ASSIGN(call.arguments, ValueReader(in, quote).object(0));
  in.skip_space();
  if (!in.done()) return make_error("more than a call");
  return call;
}

}  // namespace andiron
