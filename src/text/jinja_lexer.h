// Splits a template into tokens, with Jinja's rules for white space between tags.
//
// The settings are those Hugging Face transformers renders chat templates with: trim_blocks and lstrip_blocks on, one
// final line break dropped. Grammar: the Jinja 3.1 template designer documentation.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>

#include "base/result.h"

namespace andiron::jinja {

enum class TokenKind : uint8_t {
  kEnd,
  kData,           // text outside tags
  kVariableBegin,  // {{
  kVariableEnd,    // }}
  kBlockBegin,     // {%
  kBlockEnd,       // %}
  kName,
  kString,
  kInteger,
  kReal,
  kOperator,
};

struct Token {
  TokenKind kind = TokenKind::kEnd;
  int line = 1;
  std::string text;  // data, a name, an operator, or a string without quotes and escapes
  int64_t integer = 0;
  double real = 0;

  bool is_operator(std::string_view symbol) const { return kind == TokenKind::kOperator && text == symbol; }
  bool is_name(std::string_view name) const { return kind == TokenKind::kName && text == name; }
};

// How a token reads in a message.
std::string describe(const Token& token);

// `source` must be valid UTF-8 and outlive the lexer.
class Lexer {
 public:
  explicit Lexer(std::string_view source);

  // The next token; kEnd again and again after the last. An error ends the lexer's use.
  Result<Token> next();

 private:
  enum class Mode : uint8_t { kData, kBlock, kVariable };

  Error fail(std::string_view what) const;
  bool at(std::string_view text) const { return source_.substr(pos_, text.size()) == text; }
  void advance(size_t bytes);
  void skip_space();
  size_t space_end(size_t from) const;

  Status lex_data();
  Status lex_comment();
  Status lex_raw(size_t content);
  size_t raw_content(size_t tag) const;
  void emit_text(size_t end, char sign, bool is_variable);
  void emit(TokenKind kind, std::string text);
  bool end_tag(std::string_view symbol);
  void finish_block_tag(char sign);

  Result<Token> lex_code();
  Result<Token> lex_name();
  Result<Token> lex_number();
  Result<Token> lex_integer(size_t end, int base);
  Result<Token> lex_string();
  Result<Token> lex_operator();
  size_t digits_end(size_t from) const;

  std::string source_;  // line breaks made "\n"
  size_t pos_ = 0;
  int line_ = 1;
  Mode mode_ = Mode::kData;
  bool line_starting_ = true;  // the last token ended a line
  std::string open_brackets_;  // the closing ones still expected
  std::deque<Token> ready_;
};

// Python's str.isspace for one code point: White_Space and the four information separators.
bool is_python_space(uint32_t code_point);

}  // namespace andiron::jinja
