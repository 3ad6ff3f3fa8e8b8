#include "text/jinja_expression_parser.h"

#include <algorithm>
#include <utility>

#include "base/strings.h"

namespace andiron::jinja {

namespace {

bool is_constant_name(std::string_view name) {
  return name == "true" || name == "True" || name == "false" || name == "False" || name == "none" || name == "None";
}

void measure(const Expr* child, int& depth) {
  if (child != nullptr) depth = std::max(depth, child->depth);
}

}  // namespace

Error ExpressionParser::fail_at(int line, std::string_view what) { return make_error("line {}: {}", line, what); }

Status ExpressionParser::check_depth() const {
  if (depth_ > kMaxSyntaxDepth) return fail(format("nested deeper than {}", kMaxSyntaxDepth));
  return {};
}

ExprPtr ExpressionParser::make_node(ExprKind kind, int line) {
  auto node = std::make_unique<Expr>();
  node->kind = kind;
  node->line = line;
  return node;
}

// Every composed node passes here, so that a tree's depth is known and limited.
ExpressionParser::ExprResult ExpressionParser::finish(ExprPtr node) {
  int depth = 0;
  for (const ExprPtr& part : node->parts) measure(part.get(), depth);
  if (node->arguments) {
    for (const ExprPtr& argument : node->arguments->positional) measure(argument.get(), depth);
    for (const auto& [name, argument] : node->arguments->named) measure(argument.get(), depth);
    measure(node->arguments->spread.get(), depth);
    measure(node->arguments->spread_named.get(), depth);
  }
  node->depth = depth + 1;
  if (node->depth > kMaxSyntaxDepth) return fail_at(node->line, format("nested deeper than {}", kMaxSyntaxDepth));
  return node;
}

Status ExpressionParser::advance() {
  if (ahead_) {
    current_ = std::move(*ahead_);
    ahead_.reset();
    return {};
  }
  TRY_ASSIGN(current_, lexer_.next());
  return {};
}

Result<const Token*> ExpressionParser::peek() {
  if (!ahead_) {
    TRY_ASSIGN(ahead_, lexer_.next());
  }
  return &*ahead_;
}

Status ExpressionParser::expect(TokenKind kind) {
  if (current_.kind != kind) {
    Token wanted;
    wanted.kind = kind;
    return fail(format("{} is expected, got {}", describe(wanted), describe(current_)));
  }
  return advance();
}

Status ExpressionParser::expect_operator(std::string_view symbol) {
  if (!current_.is_operator(symbol)) return fail(format("'{}' is expected, got {}", symbol, describe(current_)));
  return advance();
}

Status ExpressionParser::expect_name(std::string_view name) {
  if (!current_.is_name(name)) return fail(format("'{}' is expected, got {}", name, describe(current_)));
  return advance();
}

Result<bool> ExpressionParser::skip_operator(std::string_view symbol) {
  if (!current_.is_operator(symbol)) return false;
  TRY(advance());
  return true;
}

Result<bool> ExpressionParser::skip_name(std::string_view name) {
  if (!current_.is_name(name)) return false;
  TRY(advance());
  return true;
}

Result<std::string> ExpressionParser::take_name() {
  if (current_.kind != TokenKind::kName) return fail("a name is expected, got " + describe(current_));
  if (is_constant_name(current_.text)) return fail(format("cannot assign to '{}'", current_.text));
  std::string name = current_.text;
  TRY(advance());
  return name;
}

ExpressionParser::ExprResult ExpressionParser::parse_expression() {
  const DepthGuard guard(*this);
  TRY(check_depth());
  TRY_ASSIGN(ExprPtr value, parse_or());
  while (current_.is_name("if")) {
    auto node = make_node(ExprKind::kConditional, current_.line);
    TRY(advance());
    TRY_ASSIGN(ExprPtr test, parse_or());
    node->parts.push_back(std::move(test));
    node->parts.push_back(std::move(value));
    TRY_ASSIGN(const bool has_else, skip_name("else"));
    ExprPtr otherwise;
    if (has_else) {
      TRY_ASSIGN(otherwise, parse_expression());
    }
    node->parts.push_back(std::move(otherwise));
    TRY_ASSIGN(value, finish(std::move(node)));
  }
  return value;
}

bool ExpressionParser::at_tuple_end() const {
  return current_.kind == TokenKind::kVariableEnd || current_.kind == TokenKind::kBlockEnd || current_.is_operator(")");
}

ExpressionParser::ExprResult ExpressionParser::parse_tuple(TupleOptions options) {
  const DepthGuard guard(*this);
  TRY(check_depth());
  auto tuple = make_node(ExprKind::kTuple, current_.line);
  bool is_tuple = false;
  while (!at_tuple_end()) {
    TRY_ASSIGN(ExprPtr item, options.with_conditional ? parse_expression() : parse_or());
    tuple->parts.push_back(std::move(item));
    TRY_ASSIGN(const bool comma, skip_operator(","));
    if (!comma) break;
    is_tuple = true;
  }
  if (is_tuple) return finish(std::move(tuple));
  if (!tuple->parts.empty()) return std::move(tuple->parts[0]);
  if (!options.may_be_empty) return fail("an expression is expected, got " + describe(current_));
  return tuple;
}

ExpressionParser::ExprResult ExpressionParser::parse_target(TargetOptions options) {
  if (options.with_namespace && current_.kind == TokenKind::kName) {
    TRY_ASSIGN(const Token* next, peek());
    if (next->is_operator(".")) {
      auto node = make_node(ExprKind::kNamespaceTarget, current_.line);
      node->text = current_.text;
      TRY(advance());
      TRY(advance());
      if (current_.kind != TokenKind::kName) return fail("an attribute's name is expected, got " + describe(current_));
      node->constant = make_string(current_.text);
      TRY(advance());
      return node;
    }
  }
  auto tuple = make_node(ExprKind::kTuple, current_.line);
  bool is_tuple = false;
  while (!at_tuple_end()) {
    TRY_ASSIGN(ExprPtr item, parse_primary());
    TRY(check_target(*item));
    tuple->parts.push_back(std::move(item));
    TRY_ASSIGN(const bool comma, skip_operator(","));
    if (!comma) break;
    is_tuple = true;
  }
  if (tuple->parts.empty()) return fail("a name to assign to is expected, got " + describe(current_));
  if (!is_tuple) return std::move(tuple->parts[0]);
  return finish(std::move(tuple));
}

Status ExpressionParser::check_target(const Expr& target) {
  if (target.kind == ExprKind::kName) return {};
  if (target.kind != ExprKind::kTuple) return fail_at(target.line, "only names can be assigned to");
  for (const ExprPtr& part : target.parts) TRY(check_target(*part));
  return {};
}

ExpressionParser::ExprResult ExpressionParser::copy_target(const Expr& target) {
  auto copy = make_node(target.kind, target.line);
  copy->text = target.text;
  for (const ExprPtr& part : target.parts) {
    TRY_ASSIGN(ExprPtr item, copy_target(*part));
    copy->parts.push_back(std::move(item));
  }
  return finish(std::move(copy));
}

ExpressionParser::ExprResult ExpressionParser::parse_logic(Rule operand, std::string_view word, ExprKind kind) {
  TRY_ASSIGN(ExprPtr first, (this->*operand)());
  if (!current_.is_name(word)) return first;
  auto node = make_node(kind, current_.line);
  node->parts.push_back(std::move(first));
  while (current_.is_name(word)) {
    TRY(advance());
    TRY_ASSIGN(ExprPtr next, (this->*operand)());
    node->parts.push_back(std::move(next));
  }
  return finish(std::move(node));
}

ExpressionParser::ExprResult ExpressionParser::parse_or() {
  return parse_logic(&ExpressionParser::parse_and, "or", ExprKind::kOr);
}

ExpressionParser::ExprResult ExpressionParser::parse_and() {
  return parse_logic(&ExpressionParser::parse_not, "and", ExprKind::kAnd);
}

ExpressionParser::ExprResult ExpressionParser::parse_not() {
  if (!current_.is_name("not")) return parse_compare();
  const DepthGuard guard(*this);
  TRY(check_depth());
  auto node = make_node(ExprKind::kNot, current_.line);
  TRY(advance());
  TRY_ASSIGN(ExprPtr operand, parse_not());
  node->parts.push_back(std::move(operand));
  return finish(std::move(node));
}

std::optional<Operator> ExpressionParser::current_comparison() const {
  static constexpr std::pair<std::string_view, Operator> kComparisons[] = {
      {"==", Operator::kEqual},     {"!=", Operator::kNotEqual}, {"<", Operator::kLess},
      {"<=", Operator::kLessEqual}, {">", Operator::kGreater},   {">=", Operator::kGreaterEqual}};
  for (const auto& [symbol, op] : kComparisons) {
    if (current_.is_operator(symbol)) return op;
  }
  if (current_.is_name("in")) return Operator::kIn;
  return std::nullopt;
}

ExpressionParser::ExprResult ExpressionParser::parse_compare() {
  TRY_ASSIGN(ExprPtr first, parse_sum());
  auto node = make_node(ExprKind::kCompare, first->line);
  node->parts.push_back(std::move(first));
  while (true) {
    auto op = current_comparison();
    if (!op && current_.is_name("not")) {
      TRY_ASSIGN(const Token* next, peek());
      if (!next->is_name("in")) break;
      TRY(advance());
      op = Operator::kNotIn;
    }
    if (!op) break;
    node->line = current_.line;
    TRY(advance());
    TRY_ASSIGN(ExprPtr operand, parse_sum());
    node->parts.push_back(std::move(operand));
    node->operators.push_back(*op);
  }
  if (node->operators.empty()) return std::move(node->parts[0]);
  return finish(std::move(node));
}

template <size_t N>
ExpressionParser::ExprResult ExpressionParser::parse_arithmetic(Rule operand, const Symbol (&symbols)[N]) {
  const auto here = [&] {
    return std::find_if(std::begin(symbols), std::end(symbols),
                        [&](const Symbol& symbol) { return current_.is_operator(symbol.text); });
  };
  TRY_ASSIGN(ExprPtr first, (this->*operand)());
  auto found = here();
  if (found == std::end(symbols)) return first;
  auto node = make_node(ExprKind::kArithmetic, first->line);
  node->parts.push_back(std::move(first));
  for (; found != std::end(symbols); found = here()) {
    TRY(advance());
    TRY_ASSIGN(ExprPtr next, (this->*operand)());
    node->parts.push_back(std::move(next));
    node->operators.push_back(found->op);
  }
  return finish(std::move(node));
}

ExpressionParser::ExprResult ExpressionParser::parse_sum() {
  static constexpr Symbol kSymbols[] = {{"+", Operator::kAdd}, {"-", Operator::kSubtract}};
  return parse_arithmetic(&ExpressionParser::parse_concat, kSymbols);
}

ExpressionParser::ExprResult ExpressionParser::parse_concat() {
  TRY_ASSIGN(ExprPtr first, parse_product());
  if (!current_.is_operator("~")) return first;
  auto node = make_node(ExprKind::kConcat, first->line);
  node->parts.push_back(std::move(first));
  while (current_.is_operator("~")) {
    TRY(advance());
    TRY_ASSIGN(ExprPtr next, parse_product());
    node->parts.push_back(std::move(next));
  }
  return finish(std::move(node));
}

ExpressionParser::ExprResult ExpressionParser::parse_product() {
  static constexpr Symbol kSymbols[] = {
      {"*", Operator::kMultiply}, {"/", Operator::kDivide}, {"//", Operator::kFloorDivide}, {"%", Operator::kModulo}};
  return parse_arithmetic(&ExpressionParser::parse_power, kSymbols);
}

ExpressionParser::ExprResult ExpressionParser::parse_power() {
  TRY_ASSIGN(ExprPtr first, parse_unary(true));
  if (!current_.is_operator("**")) return first;
  auto node = make_node(ExprKind::kArithmetic, first->line);
  node->parts.push_back(std::move(first));
  while (current_.is_operator("**")) {  // left to right, unlike Python: so does Jinja
    TRY(advance());
    TRY_ASSIGN(ExprPtr next, parse_unary(true));
    node->parts.push_back(std::move(next));
    node->operators.push_back(Operator::kPower);
  }
  return finish(std::move(node));
}

ExpressionParser::ExprResult ExpressionParser::parse_unary(bool with_filters) {
  const DepthGuard guard(*this);
  TRY(check_depth());
  ExprPtr node;
  if (current_.is_operator("-") || current_.is_operator("+")) {
    auto sign = make_node(current_.is_operator("-") ? ExprKind::kNegative : ExprKind::kPositive, current_.line);
    TRY(advance());
    TRY_ASSIGN(ExprPtr operand, parse_unary(false));
    sign->parts.push_back(std::move(operand));
    TRY_ASSIGN(node, finish(std::move(sign)));
  } else {
    TRY_ASSIGN(node, parse_primary());
  }
  TRY_ASSIGN(node, parse_postfix(std::move(node)));
  if (!with_filters) return node;
  return parse_filters_and_tests(std::move(node));
}

ExpressionParser::ExprResult ExpressionParser::parse_primary() {
  auto node = make_node(ExprKind::kConstant, current_.line);
  switch (current_.kind) {
    case TokenKind::kName:
      if (current_.text == "none" || current_.text == "None") {
        node->constant = Value::none();
      } else if (is_constant_name(current_.text)) {
        node->constant = Value::boolean(current_.text == "true" || current_.text == "True");
      } else {
        node->kind = ExprKind::kName;
        node->text = current_.text;
      }
      TRY(advance());
      return node;
    case TokenKind::kString: {
      std::string text;  // neighbouring strings are one, as in Python
      while (current_.kind == TokenKind::kString) {
        text += current_.text;
        TRY(advance());
      }
      node->constant = make_string(Text(std::move(text)));
      return node;
    }
    case TokenKind::kInteger:
    case TokenKind::kReal:
      node->constant =
          current_.kind == TokenKind::kInteger ? Value::integer(current_.integer) : Value::real(current_.real);
      TRY(advance());
      return node;
    default: break;
  }
  if (current_.is_operator("(")) {
    TRY(advance());
    TRY_ASSIGN(ExprPtr inner, parse_tuple({.may_be_empty = true}));
    TRY(expect_operator(")"));
    return inner;
  }
  if (current_.is_operator("[")) return parse_list();
  if (current_.is_operator("{")) return parse_dict();
  return fail("an expression is expected, got " + describe(current_));
}

ExpressionParser::ExprResult ExpressionParser::parse_list() {
  auto node = make_node(ExprKind::kList, current_.line);
  TRY(advance());
  while (!current_.is_operator("]")) {
    if (!node->parts.empty()) TRY(expect_operator(","));
    if (current_.is_operator("]")) break;
    TRY_ASSIGN(ExprPtr item, parse_expression());
    node->parts.push_back(std::move(item));
  }
  TRY(advance());
  return finish(std::move(node));
}

ExpressionParser::ExprResult ExpressionParser::parse_dict() {
  auto node = make_node(ExprKind::kDict, current_.line);
  TRY(advance());
  while (!current_.is_operator("}")) {
    if (!node->parts.empty()) TRY(expect_operator(","));
    if (current_.is_operator("}")) break;
    TRY_ASSIGN(ExprPtr key, parse_expression());
    TRY(expect_operator(":"));
    TRY_ASSIGN(ExprPtr value, parse_expression());
    node->parts.push_back(std::move(key));
    node->parts.push_back(std::move(value));
  }
  TRY(advance());
  return finish(std::move(node));
}

}  // namespace andiron::jinja
