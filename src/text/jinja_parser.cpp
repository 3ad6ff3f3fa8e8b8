#include "text/jinja_parser.h"

#include <algorithm>
#include <initializer_list>
#include <optional>

#include "base/strings.h"
#include "text/jinja_expression_parser.h"

namespace andiron::jinja {

namespace {

using EndTags = std::initializer_list<std::string_view>;

// Statements; expressions are the base class's.
class Parser : public ExpressionParser {
 public:
  explicit Parser(std::string_view source) : ExpressionParser(source) {}

  Result<Syntax> parse() {
    TRY(start());
    Syntax syntax;
    TRY_ASSIGN(syntax.body, parse_until({}));
    return syntax;
  }

 private:
  using StatementResult = Result<std::unique_ptr<Statement>>;

  static std::unique_ptr<Statement> make(StatementKind kind, int line) {
    auto statement = std::make_unique<Statement>();
    statement->kind = kind;
    statement->line = line;
    return statement;
  }

  // Statements up to one of `end_tags`, which stays the current token; up to the end of the template without any.
  Result<Body> parse_until(EndTags end_tags) {
    const DepthGuard guard(*this);
    TRY(check_depth());
    Body body;
    while (true) {
      const Token& token = current();
      if (token.kind == TokenKind::kEnd) {
        if (end_tags.size() == 0) return body;
        return fail(format("the template ends where '{}' is expected", *end_tags.begin()));
      }
      if (token.kind == TokenKind::kData) {
        auto statement = make(StatementKind::kData, token.line);
        statement->text = make_string(token.text);
        body.push_back(std::move(statement));
        TRY(advance());
      } else if (token.kind == TokenKind::kVariableBegin) {
        auto statement = make(StatementKind::kPrint, token.line);
        TRY(advance());
        TRY_ASSIGN(statement->expr, parse_tuple({}));
        TRY(expect(TokenKind::kVariableEnd));
        body.push_back(std::move(statement));
      } else {
        TRY(expect(TokenKind::kBlockBegin));
        const auto ends = [&](std::string_view tag) { return current().is_name(tag); };
        if (std::any_of(end_tags.begin(), end_tags.end(), ends)) return body;
        TRY(parse_statement(body));
        TRY(expect(TokenKind::kBlockEnd));
      }
    }
  }

  // The body of a block: from the end of its tag to one of `end_tags`, which stays the current token.
  Result<Body> parse_block(EndTags end_tags) {
    TRY_ASSIGN([[maybe_unused]] const bool colon, skip_operator(":"));
    TRY(expect(TokenKind::kBlockEnd));
    return parse_until(end_tags);
  }

  // The same, with the end tag consumed.
  Result<Body> parse_whole_block(std::string_view end_tag) {
    TRY_ASSIGN(Body body, parse_block({end_tag}));
    TRY(advance());
    return body;
  }

  Status parse_statement(Body& body) {
    const Token token = current();
    if (token.kind != TokenKind::kName) return fail("a tag name is expected, got " + describe(token));
    TRY(advance());
    if (token.text == "print") return parse_print(body, token.line);
    TRY_ASSIGN(auto statement, parse_tag(token));
    body.push_back(std::move(statement));
    return {};
  }

  StatementResult parse_tag(const Token& token) {
    const int line = token.line;
    if (token.text == "if") return parse_if(line);
    if (token.text == "for") return parse_for(line);
    if (token.text == "set") return parse_set(line);
    if (token.text == "macro") return parse_macro(line);
    if (token.text == "call") return parse_call_block(line);
    if (token.text == "filter") return parse_filter_block(line);
    if (token.text == "with") return parse_with(line);
    if (token.text == "generation") return parse_generation(line);
    if (token.text == "break") return make(StatementKind::kBreak, line);
    if (token.text == "continue") return make(StatementKind::kContinue, line);
    static constexpr std::string_view kRefused[] = {"include", "import", "from", "extends", "block", "autoescape"};
    if (std::find(std::begin(kRefused), std::end(kRefused), token.text) != std::end(kRefused)) {
      return fail_at(line, format("the tag '{}' is not supported in a chat template", token.text));
    }
    return fail_at(line, format("unknown tag '{}'", in_quotes(token.text)));
  }

  // {% print a, b %}
  Status parse_print(Body& body, int line) {
    bool first = true;
    while (current().kind != TokenKind::kBlockEnd) {
      if (!first) TRY(expect_operator(","));
      first = false;
      auto statement = make(StatementKind::kPrint, line);
      TRY_ASSIGN(statement->expr, parse_expression());
      body.push_back(std::move(statement));
    }
    return {};
  }

  StatementResult parse_if(int line) {
    auto statement = make(StatementKind::kIf, line);
    while (true) {
      Branch branch;
      TRY_ASSIGN(branch.test, parse_tuple({.with_conditional = false}));
      TRY_ASSIGN(branch.body, parse_block({"elif", "else", "endif"}));
      statement->branches.push_back(std::move(branch));
      const std::string tag = current().text;
      TRY(advance());
      if (tag == "elif") continue;
      if (tag == "else") {
        Branch otherwise;
        TRY_ASSIGN(otherwise.body, parse_whole_block("endif"));
        statement->branches.push_back(std::move(otherwise));
      }
      return statement;
    }
  }

  StatementResult parse_for(int line) {
    auto statement = make(StatementKind::kFor, line);
    TRY_ASSIGN(statement->target, parse_target({}));
    TRY(expect_name("in"));
    TRY_ASSIGN(statement->expr, parse_tuple({.with_conditional = false}));
    TRY_ASSIGN(const bool has_test, skip_name("if"));
    if (has_test) {
      TRY_ASSIGN(statement->test, parse_expression());
      TRY_ASSIGN(statement->test_target, copy_target(*statement->target));
    }
    TRY_ASSIGN(statement->is_recursive, skip_name("recursive"));
    TRY_ASSIGN(statement->body, parse_block({"endfor", "else"}));
    const bool has_else = current().is_name("else");
    TRY(advance());
    if (has_else) {
      TRY_ASSIGN(statement->otherwise, parse_whole_block("endfor"));
    }
    return statement;
  }

  StatementResult parse_set(int line) {
    TRY_ASSIGN(ExprPtr target, parse_target({.with_namespace = true}));
    TRY_ASSIGN(const bool has_value, skip_operator("="));
    auto statement = make(has_value ? StatementKind::kSet : StatementKind::kSetBlock, line);
    statement->target = std::move(target);
    if (has_value) {
      TRY_ASSIGN(statement->expr, parse_tuple({}));
      return statement;
    }
    TRY_ASSIGN(statement->expr, parse_filters(nullptr));
    TRY_ASSIGN(statement->body, parse_whole_block("endset"));
    return statement;
  }

  StatementResult parse_with(int line) {
    auto statement = make(StatementKind::kWith, line);
    while (current().kind != TokenKind::kBlockEnd) {
      if (!statement->pairs.empty()) TRY(expect_operator(","));
      std::pair<ExprPtr, ExprPtr> pair;
      TRY_ASSIGN(pair.first, parse_target({}));
      TRY(expect_operator("="));
      TRY_ASSIGN(pair.second, parse_expression());
      statement->pairs.push_back(std::move(pair));
    }
    TRY_ASSIGN(statement->body, parse_whole_block("endwith"));
    return statement;
  }

  StatementResult parse_filter_block(int line) {
    auto statement = make(StatementKind::kFilterBlock, line);
    TRY_ASSIGN(ExprPtr first, parse_filter(nullptr));
    TRY_ASSIGN(statement->expr, parse_filters(std::move(first)));
    TRY_ASSIGN(statement->body, parse_whole_block("endfilter"));
    return statement;
  }

  Status parse_signature(MacroNode& macro) {
    TRY(expect_operator("("));
    bool has_default = false;
    while (!current().is_operator(")")) {
      if (!macro.parameters.empty()) TRY(expect_operator(","));
      MacroNode::Parameter parameter;
      TRY_ASSIGN(parameter.name, take_name());
      const auto same = [&](const auto& other) { return other.name == parameter.name; };
      if (std::any_of(macro.parameters.begin(), macro.parameters.end(), same)) {
        return fail(format("the parameter '{}' appears twice", in_quotes(parameter.name)));
      }
      TRY_ASSIGN(const bool with_default, skip_operator("="));
      if (with_default) {
        TRY_ASSIGN(parameter.default_value, parse_expression());
      } else if (has_default) {
        return fail("a parameter without a default follows one with a default");
      }
      has_default = has_default || with_default;
      macro.parameters.push_back(std::move(parameter));
      if (macro.parameters.size() > kMaxArguments) return fail(format("more than {} parameters", kMaxArguments));
    }
    return advance();
  }

  StatementResult parse_macro(int line) {
    auto statement = make(StatementKind::kMacro, line);
    statement->macro = std::make_unique<MacroNode>();
    TRY_ASSIGN(statement->macro->name, take_name());
    statement->target = make_node(ExprKind::kName, line);
    statement->target->text = statement->macro->name;
    TRY(parse_signature(*statement->macro));
    TRY_ASSIGN(statement->macro->body, parse_whole_block("endmacro"));
    return statement;
  }

  StatementResult parse_call_block(int line) {
    auto statement = make(StatementKind::kCall, line);
    statement->macro = std::make_unique<MacroNode>();
    if (current().is_operator("(")) TRY(parse_signature(*statement->macro));
    TRY_ASSIGN(statement->expr, parse_expression());
    if (statement->expr->kind != ExprKind::kCall) return fail_at(line, "a call is expected after 'call'");
    TRY_ASSIGN(statement->macro->body, parse_whole_block("endcall"));
    return statement;
  }

  // transformers marks what the model wrote with this tag; for a prompt it is a block with its own scope.
  StatementResult parse_generation(int line) {
    auto statement = make(StatementKind::kCall, line);
    statement->macro = std::make_unique<MacroNode>();
    TRY_ASSIGN(statement->macro->body, parse_whole_block("endgeneration"));
    return statement;
  }
};

}  // namespace

Result<Syntax> parse_syntax(std::string_view source) { return Parser(source).parse(); }

}  // namespace andiron::jinja
