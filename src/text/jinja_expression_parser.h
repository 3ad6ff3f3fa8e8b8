// Reads expressions. The statement parser (jinja_parser.cpp) builds on this class; nothing else uses it.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "text/jinja_ast.h"
#include "text/jinja_lexer.h"

namespace andiron::jinja {

// Arguments of one call, and parameters of one macro.
inline constexpr int kMaxArguments = 255;

class ExpressionParser {
 public:
  explicit ExpressionParser(std::string_view source) : lexer_(source) {}

 protected:
  using ExprResult = Result<ExprPtr>;

  struct TupleOptions {
    bool with_conditional = true;
    bool may_be_empty = false;
  };
  struct TargetOptions {
    bool with_namespace = false;
  };

  // Counts how deeply the parser is nested while it lives.
  class DepthGuard {
   public:
    explicit DepthGuard(ExpressionParser& parser) : parser_(parser) { ++parser_.depth_; }
    ~DepthGuard() { --parser_.depth_; }
    DepthGuard(const DepthGuard&) = delete;
    DepthGuard& operator=(const DepthGuard&) = delete;

   private:
    ExpressionParser& parser_;
  };
  Status check_depth() const;

  Status start() { return advance(); }
  const Token& current() const { return current_; }
  Result<const Token*> peek();
  Status advance();
  Status expect(TokenKind kind);
  Status expect_operator(std::string_view symbol);
  Status expect_name(std::string_view name);
  Result<bool> skip_operator(std::string_view symbol);
  Result<bool> skip_name(std::string_view name);
  // A name that may be assigned to.
  Result<std::string> take_name();

  Error fail(std::string_view what) const { return fail_at(current_.line, what); }
  static Error fail_at(int line, std::string_view what);
  static ExprPtr make_node(ExprKind kind, int line);

  ExprResult parse_expression();
  // One expression, or several with commas between them as a tuple.
  ExprResult parse_tuple(TupleOptions options);
  ExprResult parse_target(TargetOptions options);
  static ExprResult copy_target(const Expr& target);
  // A filter's name and arguments, applied to `subject` (null in block filters).
  ExprResult parse_filter(ExprPtr subject);
  // Any number of "| filter".
  ExprResult parse_filters(ExprPtr subject);

 private:
  static ExprResult finish(ExprPtr node);
  bool at_tuple_end() const;

  ExprResult parse_or();
  ExprResult parse_and();
  ExprResult parse_not();
  ExprResult parse_compare();
  ExprResult parse_sum();
  ExprResult parse_concat();
  ExprResult parse_product();
  ExprResult parse_power();
  ExprResult parse_unary(bool with_filters);
  ExprResult parse_primary();
  ExprResult parse_list();
  ExprResult parse_dict();
  ExprResult parse_postfix(ExprPtr node);
  ExprResult parse_subscript(ExprPtr node);
  ExprResult parse_index();
  ExprResult parse_filters_and_tests(ExprPtr node);
  ExprResult parse_call(ExprPtr callee);
  ExprResult parse_test(ExprPtr subject);
  Result<std::unique_ptr<Arguments>> parse_arguments();
  Status parse_argument(Arguments& arguments);
  Result<std::string> parse_dotted_name();
  std::optional<Operator> current_comparison() const;
  // operand (symbol operand)*, as one node.
  using Rule = ExprResult (ExpressionParser::*)();
  struct Symbol {
    std::string_view text;
    Operator op;
  };
  template <size_t N>
  ExprResult parse_arithmetic(Rule operand, const Symbol (&symbols)[N]);
  ExprResult parse_logic(Rule operand, std::string_view word, ExprKind kind);

  static Status check_target(const Expr& target);

  Lexer lexer_;
  Token current_;
  std::optional<Token> ahead_;
  int depth_ = 0;
};

}  // namespace andiron::jinja
