// What follows an operand: attributes, items, calls, filters and tests (jinja_expression_parser.h).
#include <algorithm>
#include <utility>

#include "base/strings.h"
#include "text/jinja_expression_parser.h"

namespace andiron::jinja {

ExpressionParser::ExprResult ExpressionParser::parse_postfix(ExprPtr node) {
  while (true) {
    if (current_.is_operator(".") || current_.is_operator("[")) {
      TRY_ASSIGN(node, parse_subscript(std::move(node)));
    } else if (current_.is_operator("(")) {
      TRY_ASSIGN(node, parse_call(std::move(node)));
    } else {
      return node;
    }
  }
}

ExpressionParser::ExprResult ExpressionParser::parse_subscript(ExprPtr object) {
  const int line = current_.line;
  const bool is_dot = current_.is_operator(".");
  TRY(advance());
  auto node = make_node(ExprKind::kItem, line);
  node->parts.push_back(std::move(object));
  if (is_dot && current_.kind == TokenKind::kName) {
    node->kind = ExprKind::kAttribute;
    node->text = current_.text;
    node->constant = make_string(current_.text);
    TRY(advance());
  } else if (is_dot) {
    if (current_.kind != TokenKind::kInteger) return fail("a name or number is expected after '.'");
    auto index = make_node(ExprKind::kConstant, line);
    index->constant = Value::integer(current_.integer);
    node->parts.push_back(std::move(index));
    TRY(advance());
  } else {
    TRY_ASSIGN(ExprPtr index, parse_index());
    if (current_.is_operator(",")) {
      auto tuple = make_node(ExprKind::kTuple, line);
      while (true) {
        if (index->kind == ExprKind::kSlice) return fail("a slice cannot be part of a tuple");
        tuple->parts.push_back(std::move(index));
        TRY_ASSIGN(const bool comma, skip_operator(","));
        if (!comma) break;
        TRY_ASSIGN(index, parse_index());
      }
      TRY_ASSIGN(index, finish(std::move(tuple)));
    }
    TRY(expect_operator("]"));
    node->parts.push_back(std::move(index));
  }
  return finish(std::move(node));
}

// What stands between brackets: an expression, or start:stop:step.
ExpressionParser::ExprResult ExpressionParser::parse_index() {
  auto slice = make_node(ExprKind::kSlice, current_.line);
  slice->parts.resize(3);
  const auto at_end = [&] { return current_.is_operator("]") || current_.is_operator(","); };
  if (!current_.is_operator(":")) {
    TRY_ASSIGN(ExprPtr first, parse_expression());
    if (!current_.is_operator(":")) return first;
    slice->parts[0] = std::move(first);
  }
  TRY(advance());
  if (!current_.is_operator(":") && !at_end()) {
    TRY_ASSIGN(slice->parts[1], parse_expression());
  }
  TRY_ASSIGN(const bool has_step, skip_operator(":"));
  if (has_step && !at_end()) {
    TRY_ASSIGN(slice->parts[2], parse_expression());
  }
  return finish(std::move(slice));
}

ExpressionParser::ExprResult ExpressionParser::parse_filters_and_tests(ExprPtr node) {
  while (true) {
    if (current_.is_operator("|")) {
      TRY_ASSIGN(node, parse_filters(std::move(node)));
    } else if (current_.is_name("is")) {
      TRY_ASSIGN(node, parse_test(std::move(node)));
    } else if (current_.is_operator("(")) {
      TRY_ASSIGN(node, parse_call(std::move(node)));
    } else {
      return node;
    }
  }
}

Result<std::string> ExpressionParser::parse_dotted_name() {
  if (current_.kind != TokenKind::kName) return fail("a name is expected, got " + describe(current_));
  std::string name = current_.text;
  TRY(advance());
  while (current_.is_operator(".")) {
    TRY(advance());
    if (current_.kind != TokenKind::kName) return fail("a name is expected, got " + describe(current_));
    name += "." + current_.text;
    TRY(advance());
  }
  return name;
}

ExpressionParser::ExprResult ExpressionParser::parse_filter(ExprPtr subject) {
  auto node = make_node(ExprKind::kFilter, current_.line);
  TRY_ASSIGN(node->text, parse_dotted_name());
  node->parts.push_back(std::move(subject));
  node->arguments = std::make_unique<Arguments>();
  if (current_.is_operator("(")) {
    TRY_ASSIGN(node->arguments, parse_arguments());
  }
  return finish(std::move(node));
}

ExpressionParser::ExprResult ExpressionParser::parse_filters(ExprPtr subject) {
  while (current_.is_operator("|")) {
    TRY(advance());
    TRY_ASSIGN(subject, parse_filter(std::move(subject)));
  }
  return subject;
}

ExpressionParser::ExprResult ExpressionParser::parse_test(ExprPtr subject) {
  auto node = make_node(ExprKind::kTest, current_.line);
  TRY(advance());
  TRY_ASSIGN(const bool is_negated, skip_name("not"));
  TRY_ASSIGN(node->text, parse_dotted_name());
  node->parts.push_back(std::move(subject));
  node->arguments = std::make_unique<Arguments>();
  const TokenKind kind = current_.kind;
  const bool starts_argument = kind == TokenKind::kName || kind == TokenKind::kString || kind == TokenKind::kInteger ||
                               kind == TokenKind::kReal || current_.is_operator("[") || current_.is_operator("{");
  const bool ends_test = current_.is_name("else") || current_.is_name("or") || current_.is_name("and");
  if (current_.is_operator("(")) {
    TRY_ASSIGN(node->arguments, parse_arguments());
  } else if (starts_argument && !ends_test) {
    if (current_.is_name("is")) return fail("tests cannot be chained with 'is'");
    TRY_ASSIGN(ExprPtr argument, parse_primary());
    TRY_ASSIGN(argument, parse_postfix(std::move(argument)));
    node->arguments->positional.push_back(std::move(argument));
  }
  const int line = node->line;
  TRY_ASSIGN(ExprPtr test, finish(std::move(node)));
  if (!is_negated) return test;
  auto negation = make_node(ExprKind::kNot, line);
  negation->parts.push_back(std::move(test));
  return finish(std::move(negation));
}

ExpressionParser::ExprResult ExpressionParser::parse_call(ExprPtr callee) {
  auto node = make_node(ExprKind::kCall, current_.line);
  node->parts.push_back(std::move(callee));
  TRY_ASSIGN(node->arguments, parse_arguments());
  return finish(std::move(node));
}

Result<std::unique_ptr<Arguments>> ExpressionParser::parse_arguments() {
  auto arguments = std::make_unique<Arguments>();
  TRY(expect_operator("("));
  bool first = true;
  int count = 0;
  while (!current_.is_operator(")")) {
    if (!first) TRY(expect_operator(","));
    if (!first && current_.is_operator(")")) break;
    first = false;
    if (++count > kMaxArguments) return fail(format("more than {} arguments", kMaxArguments));
    TRY(parse_argument(*arguments));
  }
  TRY(advance());
  return arguments;
}

Status ExpressionParser::parse_argument(Arguments& arguments) {
  if (current_.is_operator("*") || current_.is_operator("**")) {
    const bool is_named = current_.is_operator("**");
    if (arguments.spread_named || (!is_named && arguments.spread)) return fail("invalid arguments of a call");
    TRY(advance());
    TRY_ASSIGN((is_named ? arguments.spread_named : arguments.spread), parse_expression());
    return {};
  }
  if (arguments.spread_named) return fail("invalid arguments of a call");
  if (current_.kind == TokenKind::kName) {
    TRY_ASSIGN(const Token* next, peek());
    if (next->is_operator("=")) {
      std::string name = current_.text;
      const auto same = [&](const auto& other) { return other.first == name; };
      if (std::any_of(arguments.named.begin(), arguments.named.end(), same)) {
        return fail(format("the argument '{}' appears twice", in_quotes(name)));
      }
      TRY(advance());
      TRY(advance());
      TRY_ASSIGN(ExprPtr value, parse_expression());
      arguments.named.emplace_back(std::move(name), std::move(value));
      return {};
    }
  }
  if (arguments.spread || !arguments.named.empty()) return fail("a positional argument after other kinds");
  TRY_ASSIGN(ExprPtr value, parse_expression());
  arguments.positional.push_back(std::move(value));
  return {};
}

}  // namespace andiron::jinja
