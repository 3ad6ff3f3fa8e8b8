#include "text/jinja_lexer.h"

#include <algorithm>
#include <charconv>

#include "base/strings.h"
#include "text/jinja_text.h"
#include "text/unicode.h"

namespace andiron::jinja {

namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool is_name_code_point(uint32_t code_point) {
  const Category category = category_of(code_point);
  return code_point == '_' || category <= Category::kNl;  // letters, marks, decimal digits and letter numbers
}

std::string with_unix_line_breaks(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      out += source[i];
    } else if (i + 1 == source.size() || source[i + 1] != '\n') {
      out += '\n';
    }
  }
  if (!out.empty() && out.back() == '\n') out.pop_back();
  return out;
}

}  // namespace

bool is_python_space(uint32_t code_point) {
  return (code_point >= 0x1c && code_point <= 0x1f) || is_white_space(code_point);
}

std::string describe(const Token& token) {
  switch (token.kind) {
    case TokenKind::kEnd: return "the end of the template";
    case TokenKind::kData: return "text";
    case TokenKind::kVariableBegin: return "'{{'";
    case TokenKind::kVariableEnd: return "'}}'";
    case TokenKind::kBlockBegin: return "'{%'";
    case TokenKind::kBlockEnd: return "'%}'";
    case TokenKind::kString: return "a string";
    case TokenKind::kInteger:
    case TokenKind::kReal: return "a number";
    case TokenKind::kName:
    case TokenKind::kOperator: break;
  }
  return "'" + in_quotes(token.text) + "'";
}

Lexer::Lexer(std::string_view source) : source_(with_unix_line_breaks(source)) {}

Error Lexer::fail(std::string_view what) const { return make_error("line {}: {}", line_, what); }

void Lexer::advance(size_t bytes) {
  line_ += static_cast<int>(std::count(source_.begin() + static_cast<ptrdiff_t>(pos_),
                                       source_.begin() + static_cast<ptrdiff_t>(pos_ + bytes), '\n'));
  pos_ += bytes;
}

size_t Lexer::space_end(size_t from) const {
  while (from < source_.size()) {
    size_t next = from;
    if (!is_python_space(next_code_point(source_, next))) break;
    from = next;
  }
  return from;
}

void Lexer::skip_space() { advance(space_end(pos_) - pos_); }

void Lexer::emit(TokenKind kind, std::string text) {
  Token token;
  token.kind = kind;
  token.line = line_;
  token.text = std::move(text);
  ready_.push_back(std::move(token));
}

// Emits the text from the current place to `end`, where a tag begins, without the white space that the tag's sign or
// lstrip_blocks takes away; moves to `end`.
void Lexer::emit_text(size_t end, char sign, bool is_variable) {
  std::string_view text(source_.data() + pos_, end - pos_);
  if (sign == '-') {
    size_t keep = 0;
    for (size_t i = 0; i < text.size();) {
      if (!is_python_space(next_code_point(text, i))) keep = i;
    }
    text = text.substr(0, keep);
  } else if (sign != '+' && !is_variable) {
    const size_t line_break = text.rfind('\n');
    const size_t start = line_break == std::string_view::npos ? 0 : line_break + 1;
    const bool blank = start < text.size() && space_end(pos_ + start) >= end;
    if ((start > 0 || line_starting_) && blank) text = text.substr(0, start);
  }
  if (!text.empty()) emit(TokenKind::kData, std::string(text));
  advance(end - pos_);
}

// Where the content of a raw block starts whose tag is at `tag`, or npos when it is another tag.
size_t Lexer::raw_content(size_t tag) const {
  size_t at = tag + 2;
  if (at < source_.size() && (source_[at] == '-' || source_[at] == '+')) ++at;
  at = space_end(at);
  if (source_.compare(at, 3, "raw") != 0) return std::string::npos;
  at = space_end(at + 3);
  if (source_.compare(at, 3, "-%}") == 0) return space_end(at + 3);
  return source_.compare(at, 2, "%}") == 0 ? at + 2 : std::string::npos;
}

Status Lexer::lex_data() {
  size_t tag = pos_;
  while (true) {
    tag = source_.find('{', tag);
    if (tag == std::string::npos || tag + 1 >= source_.size()) {
      if (pos_ < source_.size()) emit(TokenKind::kData, source_.substr(pos_));
      advance(source_.size() - pos_);
      return {};
    }
    const char second = source_[tag + 1];
    if (second == '{' || second == '%' || second == '#') break;
    ++tag;
  }
  const char kind = source_[tag + 1];
  const char next = tag + 2 < source_.size() ? source_[tag + 2] : '\0';
  const char sign = next == '-' || next == '+' ? next : '\0';
  emit_text(tag, sign, kind == '{');
  line_starting_ = false;
  const size_t content = kind == '%' ? raw_content(tag) : std::string::npos;
  if (content != std::string::npos) return lex_raw(content);
  advance(sign == '\0' ? 2 : 3);
  if (kind == '#') return lex_comment();
  emit(kind == '{' ? TokenKind::kVariableBegin : TokenKind::kBlockBegin, "");
  mode_ = kind == '{' ? Mode::kVariable : Mode::kBlock;
  return {};
}

// After a block's or comment's end tag: what its sign and trim_blocks take away.
void Lexer::finish_block_tag(char sign) {
  const size_t before = pos_;
  if (sign == '-') {
    skip_space();
  } else if (sign != '+' && at("\n")) {
    advance(1);
  }
  line_starting_ = pos_ > before && source_[pos_ - 1] == '\n';
}

Status Lexer::lex_comment() {
  if (pos_ == source_.size()) return {};  // Jinja lets "{#" pass when nothing follows
  const size_t end = source_.find("#}", pos_);
  if (end == std::string::npos) return fail("a comment without '#}'");
  const char sign = end > pos_ ? source_[end - 1] : '\0';
  advance(end + 2 - pos_);
  finish_block_tag(sign);
  return {};
}

Status Lexer::lex_raw(size_t content) {
  advance(content - pos_);
  if (pos_ == source_.size()) return {};  // as for comments
  line_starting_ = source_[content - 1] == '\n';
  for (size_t tag = source_.find("{%", pos_); tag != std::string::npos; tag = source_.find("{%", tag + 2)) {
    size_t at = tag + 2;
    const char sign = at < source_.size() && (source_[at] == '-' || source_[at] == '+') ? source_[at++] : '\0';
    at = space_end(at);
    if (source_.compare(at, 6, "endraw") != 0) continue;
    at = space_end(at + 6);
    const char end_sign = at < source_.size() && (source_[at] == '-' || source_[at] == '+') ? source_[at++] : '\0';
    if (source_.compare(at, 2, "%}") != 0) continue;
    emit_text(tag, sign, false);
    advance(at + 2 - pos_);
    finish_block_tag(end_sign);
    return {};
  }
  return fail("a raw block without 'endraw'");
}

// Consumes the end of a tag (`symbol` is "%}" or "}}") if it is here.
bool Lexer::end_tag(std::string_view symbol) {
  const bool is_block = symbol == "%}";
  const char first = source_[pos_];
  const char sign = first == '-' || (is_block && first == '+') ? first : '\0';
  const size_t length = sign == '\0' ? 0 : 1;
  if (source_.compare(pos_ + length, 2, symbol) != 0) return false;
  emit(is_block ? TokenKind::kBlockEnd : TokenKind::kVariableEnd, "");
  advance(length + 2);
  mode_ = Mode::kData;
  if (is_block) {
    finish_block_tag(sign);
  } else {
    finish_block_tag(sign == '-' ? '-' : '+');  // trim_blocks leaves the line break after '}}'
  }
  return true;
}

Result<Token> Lexer::next() {
  while (ready_.empty()) {
    if (mode_ == Mode::kData) {
      if (pos_ >= source_.size()) {
        Token end;
        end.line = line_;
        return end;
      }
      TRY(lex_data());
      continue;
    }
    if (pos_ >= source_.size()) {
      Token end;  // inside a tag: the parser says what is missing
      end.line = line_;
      return end;
    }
    const std::string_view symbol = mode_ == Mode::kBlock ? "%}" : "}}";
    if (open_brackets_.empty() && end_tag(symbol)) continue;
    if (const size_t after = space_end(pos_); after > pos_) {
      advance(after - pos_);
      continue;
    }
    return lex_code();
  }
  Token token = std::move(ready_.front());
  ready_.pop_front();
  return token;
}

Result<Token> Lexer::lex_code() {
  const char c = source_[pos_];
  if (is_digit(c)) return lex_number();
  if (c == '"' || c == '\'') return lex_string();
  size_t next = pos_;
  if (is_name_code_point(next_code_point(source_, next))) return lex_name();
  return lex_operator();
}

Result<Token> Lexer::lex_name() {
  Token token;
  token.kind = TokenKind::kName;
  token.line = line_;
  size_t end = pos_;
  while (end < source_.size()) {
    size_t next = end;
    if (!is_name_code_point(next_code_point(source_, next))) break;
    end = next;
  }
  token.text = source_.substr(pos_, end - pos_);
  advance(end - pos_);
  return token;
}

// The end of digits with single underscores between them; `from` when there is no digit.
size_t Lexer::digits_end(size_t from) const {
  size_t end = from;
  while (end < source_.size() &&
         (is_digit(source_[end]) || (source_[end] == '_' && end > from && is_digit(source_[end - 1]) &&
                                     end + 1 < source_.size() && is_digit(source_[end + 1])))) {
    ++end;
  }
  return end;
}

Result<Token> Lexer::lex_number() {
  size_t end = digits_end(pos_);
  bool is_real = false;
  if (pos_ == 0 || source_[pos_ - 1] != '.') {  // in x.0.1 the parts are whole numbers
    size_t fraction = end;
    if (end < source_.size() && source_[end] == '.') fraction = digits_end(end + 1);
    if (fraction == end + 1) fraction = end;
    size_t exponent = fraction;
    if (exponent < source_.size() && (source_[exponent] == 'e' || source_[exponent] == 'E')) {
      ++exponent;
      if (exponent < source_.size() && (source_[exponent] == '+' || source_[exponent] == '-')) ++exponent;
    }
    const size_t exponent_end = exponent > fraction ? digits_end(exponent) : exponent;
    is_real = fraction > end || exponent_end > exponent;
    if (is_real) end = exponent_end > exponent ? exponent_end : fraction;
  }
  if (!is_real) return lex_integer(end, 10);
  Token token;
  token.kind = TokenKind::kReal;
  token.line = line_;
  std::string digits = source_.substr(pos_, end - pos_);
  std::erase(digits, '_');
  auto value = parse_double(digits, "number");
  if (!value.ok()) return fail("a number too large or too small: " + in_quotes(digits));
  token.real = *value;
  advance(end - pos_);
  return token;
}

Result<Token> Lexer::lex_integer(size_t end, int base) {
  size_t start = pos_;
  const char prefix = start + 1 < source_.size() ? source_[start + 1] : '\0';
  if (source_[start] == '0' &&
      (prefix == 'x' || prefix == 'X' || prefix == 'o' || prefix == 'O' || prefix == 'b' || prefix == 'B')) {
    base = prefix == 'x' || prefix == 'X' ? 16 : prefix == 'o' || prefix == 'O' ? 8 : 2;
    const std::string_view allowed = base == 16 ? "0123456789abcdefABCDEF_" : base == 8 ? "01234567_" : "01_";
    start += 2;
    end = std::min(source_.find_first_not_of(allowed, start), source_.size());
  } else if (source_[start] == '0') {  // "007" is 00 and 7, as in Python's grammar
    end = std::min(source_.find_first_not_of("0_", start), end);
  }
  std::string digits = source_.substr(start, end - start);
  std::erase(digits, '_');
  Token token;
  token.kind = TokenKind::kInteger;
  token.line = line_;
  const auto [last, code] = std::from_chars(digits.data(), digits.data() + digits.size(), token.integer, base);
  if (code != std::errc() || last != digits.data() + digits.size()) {
    return fail("a whole number that does not fit 64 bits: " + in_quotes(source_.substr(pos_, end - pos_), 40));
  }
  advance(end - pos_);
  return token;
}

namespace {

// Python's string escapes. `at` stands after the backslash and is moved past the escape.
Status unescape(std::string_view body, size_t& at, std::string& out) {
  static constexpr std::string_view kFrom = "\\'\"abfnrtv";
  static constexpr std::string_view kTo = "\\'\"\a\b\f\n\r\t\v";
  const char kind = body[at];
  if (kind == '\n') {  // a backslash at the end of a line joins it with the next
    ++at;
    return {};
  }
  if (const size_t found = kFrom.find(kind); found != std::string_view::npos) {
    out += kTo[found];
    ++at;
    return {};
  }
  size_t length = kind == 'x' ? 2 : kind == 'u' ? 4 : kind == 'U' ? 8 : 0;
  int base = 16;
  size_t start = at + 1;
  if (length == 0 && kind >= '0' && kind <= '7') {
    base = 8;
    start = at;
    while (length < 3 && start + length < body.size() && body[start + length] >= '0' && body[start + length] <= '7') {
      ++length;
    }
  }
  if (length == 0) {
    if (kind == 'N') return make_error("\\N escapes are not supported; write \\u and four hexadecimal digits");
    out += '\\';  // Python keeps an unknown escape as it is
    if (static_cast<uint8_t>(kind) >= 0x80) {
      const uint32_t code_point = next_code_point(body, at);
      out += code_point < 0x100     ? format("x{:02x}", code_point)
             : code_point < 0x10000 ? format("u{:04x}", code_point)
                                    : format("U{:08x}", code_point);
      return {};
    }
    out += kind;
    ++at;
    return {};
  }
  uint32_t code_point = 0;
  const auto digits = body.substr(std::min(start, body.size()), length);
  const auto [last, code] = std::from_chars(digits.data(), digits.data() + digits.size(), code_point, base);
  if (digits.size() != length || code != std::errc() || last != digits.data() + length) {
    return make_error("a malformed \\{} escape", kind);
  }
  if (code_point > 0x10ffff || (code_point >= 0xd800 && code_point <= 0xdfff)) {
    return make_error("the escape \\{}{} is no character", kind, digits);
  }
  append_utf8(out, code_point);
  at = start + length;
  return {};
}

}  // namespace

Result<Token> Lexer::lex_string() {
  const char quote = source_[pos_];
  size_t end = pos_ + 1;
  while (end < source_.size() && source_[end] != quote) end += source_[end] == '\\' ? 2 : 1;
  if (end >= source_.size()) return fail("a string without its closing quote");
  const std::string_view body(source_.data() + pos_ + 1, end - pos_ - 1);
  Token token;
  token.kind = TokenKind::kString;
  token.line = line_;
  for (size_t at = 0; at < body.size();) {
    const size_t backslash = std::min(body.find('\\', at), body.size());
    token.text.append(body.substr(at, backslash - at));
    at = backslash + 1;
    if (backslash == body.size()) break;
    if (auto status = unescape(body, at, token.text); !status.ok()) return fail(status.error().message);
  }
  advance(end + 1 - pos_);
  return token;
}

Result<Token> Lexer::lex_operator() {
  static constexpr std::string_view kSymbols[] = {"//", "**", "==", "!=", ">=", "<=", "+", "-", "/",
                                                  "*",  "%",  "~",  "[",  "]",  "(",  ")", "{", "}",
                                                  ">",  "<",  "=",  ".",  ":",  "|",  ",", ";"};
  const auto found = std::find_if(std::begin(kSymbols), std::end(kSymbols), [&](auto symbol) { return at(symbol); });
  if (found == std::end(kSymbols)) {
    size_t next = pos_;
    next_code_point(source_, next);
    return fail("unexpected character '" + in_quotes(source_.substr(pos_, next - pos_)) + "'");
  }
  Token token;
  token.kind = TokenKind::kOperator;
  token.line = line_;
  token.text = std::string(*found);
  const char c = token.text[0];
  if (c == '(' || c == '[' || c == '{') open_brackets_ += c == '(' ? ')' : c == '[' ? ']' : '}';
  if (c == ')' || c == ']' || c == '}') {
    if (open_brackets_.empty()) return fail(format("unexpected '{}'", c));
    if (open_brackets_.back() != c) return fail(format("unexpected '{}', expected '{}'", c, open_brackets_.back()));
    open_brackets_.pop_back();
  }
  advance(token.text.size());
  return token;
}

}  // namespace andiron::jinja
