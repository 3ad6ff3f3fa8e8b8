#include "grammar/gbnf.h"

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/strings.h"

namespace andiron {

namespace {

constexpr int kDepthMax = 64;

bool is_name_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char lower = static_cast<char>(c | 32);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

class Parser {
 public:
  Parser(std::string_view text, std::string_view source) : text_(text) { grammar_.source = source; }

  Result<Grammar> parse() {
    if (text_.size() > kGrammarBytesMax) {
      return make_error("{}: the grammar has {} bytes; at most {} can be read", grammar_.source, text_.size(),
                        kGrammarBytesMax);
    }
    if (!is_valid_utf8(text_)) return make_error("{}: the grammar is not UTF-8", grammar_.source);
    for (skip(true); !done(); skip(true)) TRY(rule());
    const auto root = rules_.find("root");
    if (root == rules_.end()) return make_error("{}: there is no rule \"root\"", grammar_.source);
    grammar_.root = root->second;
    for (const auto& [name, rule] : rules_) {
      if (grammar_.rules[rule].body != GrammarRule::kNone) continue;
      at_ = first_use_[rule];
      return make_error("{}: rule \"{}\" is used but not defined", place(), name);
    }
    TRY(check_grammar(grammar_));
    return std::move(grammar_);
  }

 private:
  bool done() const { return at_ >= text_.size(); }
  char peek() const { return done() ? '\0' : text_[at_]; }
  bool accept(std::string_view word) {
    if (text_.substr(at_, word.size()) != word) return false;
    at_ += word.size();
    return true;
  }

  std::string place() const {
    size_t line = 1, column = 1;
    for (size_t at = 0; at < at_;) {
      const bool ends_line = text_[at] == '\n';
      next_code_point(text_, at);
      line += ends_line ? 1 : 0;
      column = ends_line ? 1 : column + 1;
    }
    return format("{}, line {}, column {}", grammar_.source, line, column);
  }

  Error expected(std::string_view what) const {
    if (done()) return make_error("{}: expected {}, but the grammar ends", place(), what);
    size_t end = at_;
    next_code_point(text_, end);
    return make_error("{}: expected {}, got '{}'", place(), what, in_quotes(text_.substr(at_, end - at_)));
  }

  // White space and comments; line ends too where `lines`.
  void skip(bool lines) {
    for (; !done(); ++at_) {
      const char c = peek();
      if (c == '#') {
        while (!done() && peek() != '\n' && peek() != '\r') ++at_;
        if (done()) return;
        --at_;
      } else if (c != ' ' && c != '\t' && !(lines && (c == '\n' || c == '\r'))) {
        return;
      }
    }
  }

  Result<std::string> name() {
    const size_t begin = at_;
    while (is_name_char(peek())) ++at_;
    if (at_ == begin) return expected("the name of a rule");
    return std::string(text_.substr(begin, at_ - begin));
  }

  uint32_t rule_named(const std::string& name, size_t use) {
    const auto [found, fresh] = rules_.try_emplace(name, 0);
    if (fresh) {
      found->second = grammar_.rule(name);
      first_use_.push_back(use);
    }
    return found->second;
  }

  Status rule() {
    const size_t begin = at_;
    TRY_ASSIGN(const std::string rule_name, name());
    const uint32_t rule = rule_named(rule_name, begin);
    if (grammar_.rules[rule].body != GrammarRule::kNone) {
      at_ = begin;
      return make_error("{}: rule \"{}\" is defined a second time", place(), rule_name);
    }
    skip(false);
    if (!accept("::=")) return expected(format("\"::=\" after the rule's name \"{}\"", rule_name));
    skip(true);
    TRY_ASSIGN(grammar_.rules[rule].body, alternatives(0));
    if (!done() && peek() != '\n' && peek() != '\r') return expected("the end of the line, or '|'");
    return {};
  }

  Result<uint32_t> alternatives(int depth) {
    if (depth > kDepthMax) return make_error("{}: groups are nested deeper than {}", place(), kDepthMax);
    std::vector<uint32_t> choices;
    while (true) {
      TRY_ASSIGN(const uint32_t one, sequence(depth));
      choices.push_back(one);
      if (!accept("|")) return grammar_.choice(std::move(choices));
      skip(true);
    }
  }

  Result<uint32_t> sequence(int depth) {
    std::vector<uint32_t> parts;
    while (!done() && peek() != '|' && peek() != ')' && peek() != '\n' && peek() != '\r') {
      TRY_ASSIGN(uint32_t part, item(depth));
      skip(depth > 0);
      TRY_ASSIGN(part, quantified(part, depth));
      parts.push_back(part);
      if (grammar_.nodes.size() > kGrammarNodesMax) {
        return make_error("{}: the grammar has more than {} parts", place(), kGrammarNodesMax);
      }
    }
    return grammar_.sequence(std::move(parts));
  }

  Result<uint32_t> item(int depth) {
    if (accept("\"")) return literal();
    if (accept("[")) return char_class();
    if (accept(".")) return grammar_.chars(CharSet::all());
    if (accept("(")) {
      skip(true);
      TRY_ASSIGN(const uint32_t group, alternatives(depth + 1));
      if (!accept(")")) return expected("')' or '|'");
      return group;
    }
    if (peek() == '<' || peek() == '!') {
      return make_error("{}: references to tokens (<...>) are not supported; write the text that is wanted", place());
    }
    if (!is_name_char(peek())) return expected("a literal, a class, a rule, '(' or '.'");
    const size_t begin = at_;
    TRY_ASSIGN(const std::string rule_name, name());
    return grammar_.call(rule_named(rule_name, begin));
  }

  Result<uint32_t> quantified(uint32_t part, int depth) {
    for (int count = 0;; ++count) {
      if (count > kDepthMax) return make_error("{}: more than {} quantifiers follow one another", place(), kDepthMax);
      uint32_t min = 0, max = GrammarNode::kUnbounded;
      if (accept("?")) {
        max = 1;
      } else if (accept("+")) {
        min = 1;
      } else if (accept("{")) {
        TRY(interval(min, max));
      } else if (!accept("*")) {
        return part;
      }
      part = grammar_.repeat(part, min, max);
      skip(depth > 0);
    }
  }

  // After "{".
  Status interval(uint32_t& min, uint32_t& max) {
    const size_t begin = at_;
    skip(false);
    TRY_ASSIGN(min, count());
    max = min;
    if (accept(",")) {
      skip(false);
      max = GrammarNode::kUnbounded;
      if (peek() != '}') {
        TRY_ASSIGN(max, count());
      }
    }
    if (!accept("}")) return expected("'}'");
    if (max >= min) return {};
    at_ = begin;
    return make_error("{}: {{{},{}}} asks for more than it allows", place(), min, max);
  }

  Result<uint32_t> count() {
    if (peek() < '0' || peek() > '9') return expected("a number");
    const size_t begin = at_;
    uint32_t value = 0;
    for (; peek() >= '0' && peek() <= '9'; ++at_) {
      value = value * 10 + static_cast<uint32_t>(peek() - '0');
      if (value <= kGrammarRepeatMax) continue;
      at_ = begin;
      return make_error("{}: at most {} repetitions can be asked for", place(), kGrammarRepeatMax);
    }
    skip(false);
    return value;
  }

  // One character, or an escape, of a literal or a class that is to end with `close`.
  Result<uint32_t> character(char close) {
    if (done() || peek() == '\n' || peek() == '\r') return expected(format("'{}' on the same line", close));
    if (peek() != '\\') return next_code_point(text_, at_);
    ++at_;
    const char letter = peek();
    const std::string_view plain = "\\\"[]-^";
    const size_t digits = letter == 'x' ? 2 : letter == 'u' ? 4 : letter == 'U' ? 8 : 0;
    if (digits == 0 && letter != 'n' && letter != 'r' && letter != 't' &&
        (done() || plain.find(letter) == std::string_view::npos)) {
      return expected("one of n r t \\ \" [ ] - ^ x u U after '\\'");
    }
    ++at_;
    if (digits == 0)
      return static_cast<uint32_t>(letter == 'n' ? '\n' : letter == 'r' ? '\r' : letter == 't' ? '\t' : letter);
    uint32_t value = 0;
    for (size_t i = 0; i < digits; ++i, ++at_) {
      if (hex_digit(peek()) < 0) return expected(format("{} hexadecimal digits after '\\{}'", digits, letter));
      value = value << 4 | static_cast<uint32_t>(hex_digit(peek()));
    }
    if (value <= 0x10ffff && (value < 0xd800 || value > 0xdfff)) return value;
    at_ -= digits;
    return expected("a code point (at most 10FFFF, and no surrogate)");
  }

  Result<uint32_t> literal() {
    std::string text;
    while (!accept("\"")) {
      TRY_ASSIGN(const uint32_t code_point, character('"'));
      append_utf8(text, code_point);
    }
    return grammar_.text(text);
  }

  Result<uint32_t> char_class() {
    const bool negated = accept("^");
    std::vector<CharSet> members;
    while (!accept("]")) {
      const size_t begin = at_;
      TRY_ASSIGN(const uint32_t first, character(']'));
      uint32_t last = first;
      if (peek() == '-' && text_.substr(at_ + 1, 1) != "]") {
        ++at_;
        TRY_ASSIGN(last, character(']'));
      }
      if (last < first) {
        at_ = begin;
        return make_error("{}: a range of characters out of order", place());
      }
      members.emplace_back(first, last);
    }
    CharSet set = CharSet::union_of(members);
    if (negated) set.complement();
    return grammar_.chars(std::move(set));
  }

  std::string_view text_;
  size_t at_ = 0;
  Grammar grammar_;
  std::map<std::string, uint32_t> rules_;
  std::vector<size_t> first_use_;  // by rule
};

}  // namespace

Result<Grammar> parse_gbnf(std::string_view text, std::string_view source) { return Parser(text, source).parse(); }

}  // namespace andiron
