#include "text/jinja_scope.h"

#include <algorithm>
#include <initializer_list>
#include <map>
#include <set>
#include <string>
#include <string_view>

#include "base/strings.h"
#include "text/jinja_runtime.h"

namespace andiron::jinja {

namespace {

// How a scope's name gets its value when the scope is entered.
enum class Origin : uint8_t { kParameter, kRender, kOuter, kUnset };

struct Names {
  std::map<std::string_view, Origin> known;  // every name the scope has a slot for
  std::set<std::string_view> stored;         // those assigned in the scope
};

// A scope during the analysis.
struct Draft {
  Draft* parent = nullptr;
  Names names;
  std::map<std::string_view, int> slots;  // filled as names become known

  int slot(std::string_view name) { return slots.try_emplace(name, static_cast<int>(slots.size())).first->second; }
  bool knows(std::string_view name) const {
    return names.known.count(name) != 0 || (parent != nullptr && parent->knows(name));
  }
  // The nearest scope with the name; hops count from this scope.
  SlotRef find(std::string_view name) {
    int hops = 0;
    for (Draft* draft = this; draft != nullptr; draft = draft->parent, ++hops) {
      if (draft->names.known.count(name) != 0) return {hops, draft->slot(name)};
    }
    return {};
  }
};

// Copying names at every branch costs names times branches; templates beyond this are refused.
constexpr size_t kMaxCopiedNames = 2'000'000;

template <typename Visit>
void for_each_child(const Expr& expr, Visit visit) {
  for (const ExprPtr& part : expr.parts) {
    if (part) visit(*part);
  }
  if (!expr.arguments) return;
  for (const ExprPtr& argument : expr.arguments->positional) visit(*argument);
  for (const auto& [name, argument] : expr.arguments->named) visit(*argument);
  if (expr.arguments->spread) visit(*expr.arguments->spread);
  if (expr.arguments->spread_named) visit(*expr.arguments->spread_named);
}

// First half of the work on a scope: which names does it hold?
class NameCollector {
 public:
  NameCollector(Draft& draft, size_t& copied) : draft_(draft), copied_(copied) {}

  void declare(std::string_view name) {
    draft_.names.stored.insert(name);
    draft_.names.known[name] = Origin::kParameter;
  }

  void load(std::string_view name) {
    if (!draft_.knows(name)) draft_.names.known[name] = Origin::kRender;
  }

  void store(std::string_view name) {
    draft_.names.stored.insert(name);
    if (draft_.names.known.count(name) != 0) return;
    const bool is_outer = draft_.parent != nullptr && draft_.parent->knows(name);
    draft_.names.known[name] = is_outer ? Origin::kOuter : Origin::kUnset;
  }

  void read(const Expr& expr) {
    if (expr.kind == ExprKind::kName || expr.kind == ExprKind::kNamespaceTarget) load(expr.text);
    for_each_child(expr, [&](const Expr& child) { read(child); });
  }

  void target(const Expr& expr, bool as_parameter) {
    if (expr.kind == ExprKind::kName) {
      as_parameter ? declare(expr.text) : store(expr.text);
    } else if (expr.kind == ExprKind::kNamespaceTarget) {
      load(expr.text);
    }
    for (const ExprPtr& part : expr.parts) target(*part, as_parameter);
  }

  void body(const Body& statements) {
    for (const auto& statement : statements) visit(*statement);
  }

  bool too_complex() const { return copied_ > kMaxCopiedNames; }

 private:
  void visit(const Statement& statement) {
    switch (statement.kind) {
      case StatementKind::kPrint:
      case StatementKind::kFilterBlock:
      case StatementKind::kFor:  // what is inside has a scope of its own
        read(*statement.expr);
        break;
      case StatementKind::kCall:
        if (statement.expr) read(*statement.expr);
        break;
      case StatementKind::kIf: visit_if(statement.branches, 0); break;
      case StatementKind::kSet:
        read(*statement.expr);
        target(*statement.target, false);
        break;
      case StatementKind::kSetBlock:
        if (statement.expr) read(*statement.expr);
        target(*statement.target, false);
        break;
      case StatementKind::kWith:
        for (const auto& [name, value] : statement.pairs) read(*value);
        break;
      case StatementKind::kMacro: store(statement.macro->name); break;
      case StatementKind::kData:
      case StatementKind::kBreak:
      case StatementKind::kContinue: break;
    }
  }

  // Runs `visit_branch` on a copy of the scope's names and returns what they became.
  template <typename Visit>
  Names in_branch(Visit visit_branch) {
    copied_ += draft_.names.known.size();
    if (too_complex()) return draft_.names;
    const Names saved = draft_.names;
    visit_branch();
    Names branch = std::move(draft_.names);
    draft_.names = saved;
    return branch;
  }

  void visit_if(const std::vector<Branch>& branches, size_t first) {
    if (too_complex()) return;
    read(*branches[first].test);
    size_t otherwise = first + 1;
    while (otherwise < branches.size() && branches[otherwise].test) ++otherwise;
    // Jinja looks at three parts: the body, all elif branches in a row (each an `if` without else), and the else.
    const Names parts[] = {
        in_branch([&] { body(branches[first].body); }),
        in_branch([&] {
          for (size_t i = first + 1; i < otherwise; ++i) visit_elif(branches[i]);
        }),
        in_branch([&] {
          if (otherwise < branches.size()) body(branches[otherwise].body);
        }),
    };
    merge(parts);
  }

  void visit_elif(const Branch& branch) {
    if (too_complex()) return;
    read(*branch.test);
    const Names parts[] = {in_branch([&] { body(branch.body); })};
    merge(parts);
  }

  // A name stored in some parts but not all falls back to what it was outside.
  template <size_t N>
  void merge(const Names (&parts)[N]) {
    constexpr int kParts = 3;
    std::map<std::string_view, int> stored;
    for (const Names& part : parts) {
      for (const std::string_view name : part.stored) {
        if (draft_.names.stored.count(name) == 0) ++stored[name];
      }
    }
    for (const Names& part : parts) {
      for (const auto& [name, origin] : part.known) draft_.names.known[name] = origin;
      draft_.names.stored.insert(part.stored.begin(), part.stored.end());
    }
    for (const auto& [name, count] : stored) {
      if (count == kParts) continue;
      const bool is_outer = draft_.parent != nullptr && draft_.parent->knows(name);
      draft_.names.known[name] = is_outer ? Origin::kOuter : Origin::kRender;
    }
  }

  Draft& draft_;
  size_t& copied_;
};

// Which of `names` the statements read before (in the order of the text) assigning them, at any depth: Jinja gives a
// loop its `loop` and a macro its `caller`, `kwargs` and `varargs` only when the body mentions them so.
class MentionFinder {
 public:
  explicit MentionFinder(std::initializer_list<std::string_view> names) : open_(names) {}

  void body(const Body& statements) {
    for (const auto& statement : statements) visit(*statement);
  }
  bool found(std::string_view name) const { return found_.count(name) != 0; }

 private:
  void visit(const Statement& s) {
    if (s.target) expr(*s.target, true);
    if (s.expr) expr(*s.expr, false);
    for (const auto& branch : s.branches) {
      if (branch.test) expr(*branch.test, false);
      body(branch.body);
    }
    for (const auto& [name, value] : s.pairs) {
      expr(*name, true);
      expr(*value, false);
    }
    if (s.macro) {
      for (const auto& parameter : s.macro->parameters) {
        open_.erase(parameter.name);
        if (parameter.default_value) expr(*parameter.default_value, false);
      }
      body(s.macro->body);
    }
    body(s.body);
    body(s.otherwise);
    if (s.test) expr(*s.test, false);
  }

  void expr(const Expr& e, bool is_target) {
    if (e.kind == ExprKind::kName) {
      if (is_target) {
        open_.erase(e.text);
      } else if (open_.count(e.text) != 0) {
        found_.insert(e.text);
      }
    }
    for_each_child(e, [&](const Expr& child) { expr(child, is_target); });
  }

  std::set<std::string_view> open_;
  std::set<std::string_view> found_;
};

// Second half: with a scope's names known, give each expression its slots, and enter the scopes inside.
class Resolver {
 public:
  explicit Resolver(Syntax& syntax) : syntax_(syntax) {}

  Status run() {
    Draft root;
    NameCollector names(root, copied_);
    names.body(syntax_.body);
    TRY(resolve_body(syntax_.body, root, false));
    return seal(root, syntax_.scope);
  }

 private:
  // What surrounds the statements being resolved.
  struct Place {
    bool in_loop = false;     // break and continue are allowed
    bool below_loop = false;  // some loop is around, even across a macro
  };

  static Error fail(int line, std::string_view what) { return make_error("line {}: {}", line, what); }

  // Writes the finished scope's loads.
  Status seal(Draft& draft, Scope& scope) {
    if (copied_ > kMaxCopiedNames) return make_error("too many names in too many branches");
    for (const auto& [name, origin] : draft.names.known) {
      Load load;
      load.slot = draft.slot(name);
      if (origin == Origin::kRender) {
        load.variable = variable(name);
      } else if (origin == Origin::kOuter) {
        load.outer = draft.parent->find(name);
        ++load.outer.hops;
      } else {
        continue;
      }
      scope.loads.push_back(load);
    }
    scope.slots = static_cast<int>(draft.slots.size());
    scope.is_captured = captured_.count(&draft) != 0;
    return {};
  }

  int variable(std::string_view name) {
    const auto [found, is_new] = variable_ids_.try_emplace(name, static_cast<int>(syntax_.variables.size()));
    if (is_new) syntax_.variables.emplace_back(name);
    return found->second;
  }

  Status resolve_body(Body& body, Draft& draft, bool is_soft) {
    for (const auto& statement : body) TRY(resolve(*statement, draft, is_soft));
    return {};
  }

  // `is_soft`: inside the branch of an `if`, where an unknown filter is an error only when it is reached.
  Status resolve(Statement& s, Draft& draft, bool is_soft) {
    switch (s.kind) {
      case StatementKind::kData: return {};
      case StatementKind::kPrint: return expr(*s.expr, draft, is_soft);
      case StatementKind::kIf:
        for (Branch& branch : s.branches) {
          if (branch.test) TRY(expr(*branch.test, draft, true));
          TRY(resolve_body(branch.body, draft, true));
        }
        return {};
      case StatementKind::kFor: return resolve_for(s, draft, is_soft);
      case StatementKind::kSet: TRY(target(*s.target, draft)); return expr(*s.expr, draft, is_soft);
      case StatementKind::kSetBlock:
        TRY(target(*s.target, draft));
        return resolve_inner(s, draft, [](NameCollector&) {});
      case StatementKind::kFilterBlock:
        return resolve_inner(s, draft, [&](NameCollector& names) { names.read(*s.expr); });
      case StatementKind::kWith: return resolve_with(s, draft, is_soft);
      case StatementKind::kMacro: TRY(target(*s.target, draft)); return resolve_macro(s, draft);
      case StatementKind::kCall:
        if (s.expr) TRY(expr(*s.expr, draft, is_soft));
        return resolve_macro(s, draft);
      case StatementKind::kBreak:
      case StatementKind::kContinue:
        if (!place_.in_loop) return fail(s.line, "'break' and 'continue' need a loop around them");
        return {};
    }
    return {};
  }

  // A set or filter block: a scope with a body, and a filter that is applied inside it.
  template <typename Prepare>
  Status resolve_inner(Statement& s, Draft& outer, Prepare prepare) {
    Draft draft;
    draft.parent = &outer;
    NameCollector names(draft, copied_);
    names.body(s.body);
    prepare(names);
    TRY(resolve_body(s.body, draft, false));
    if (s.expr) TRY(expr(*s.expr, draft, false));
    return seal(draft, s.scope);
  }

  Status resolve_with(Statement& s, Draft& outer, bool is_soft) {
    Draft draft;
    draft.parent = &outer;
    NameCollector names(draft, copied_);
    for (const auto& [name, value] : s.pairs) names.target(*name, true);
    names.body(s.body);
    for (auto& [name, value] : s.pairs) {
      TRY(target(*name, draft));
      TRY(expr(*value, outer, is_soft));
    }
    TRY(resolve_body(s.body, draft, false));
    return seal(draft, s.scope);
  }

  Status resolve_for(Statement& s, Draft& outer, bool is_soft) {
    TRY(expr(*s.expr, outer, is_soft));
    const Place saved = place_;
    place_.below_loop = true;
    if (stores_loop(*s.target)) return fail(s.line, "'loop' cannot be assigned to in a loop");
    TRY(resolve_for_test(s, outer));
    TRY(resolve_for_else(s, outer));

    Draft draft;
    draft.parent = &outer;
    NameCollector names(draft, copied_);
    MentionFinder mentions({"loop"});
    mentions.body(s.body);
    const bool has_loop = s.is_recursive || mentions.found("loop");
    if (has_loop) names.declare("loop");
    names.target(*s.target, true);
    names.body(s.body);
    if (has_loop) s.loop_slot = draft.slot("loop");
    TRY(target(*s.target, draft));
    place_.in_loop = true;
    TRY(resolve_body(s.body, draft, false));
    place_ = saved;
    return seal(draft, s.scope);
  }

  Status resolve_for_test(Statement& s, Draft& outer) {
    if (!s.test) return {};
    Draft draft;
    draft.parent = &outer;
    NameCollector names(draft, copied_);
    names.target(*s.test_target, true);
    names.read(*s.test);
    TRY(target(*s.test_target, draft));
    TRY(expr(*s.test, draft, false));
    return seal(draft, s.test_scope);
  }

  Status resolve_for_else(Statement& s, Draft& outer) {
    Draft draft;
    draft.parent = &outer;
    NameCollector names(draft, copied_);
    names.body(s.otherwise);
    TRY(resolve_body(s.otherwise, draft, false));
    return seal(draft, s.otherwise_scope);
  }

  static bool stores_loop(const Expr& target) {
    if (target.kind == ExprKind::kName && target.text == "loop") return true;
    return std::any_of(target.parts.begin(), target.parts.end(), [](const auto& part) { return stores_loop(*part); });
  }

  Status resolve_macro(Statement& s, Draft& outer) {
    for (Draft* draft = &outer; draft != nullptr; draft = draft->parent) captured_.insert(draft);
    MacroNode& macro = *s.macro;
    const Place saved = place_;
    place_.in_loop = false;
    Draft draft;
    draft.parent = &outer;
    NameCollector names(draft, copied_);
    TRY(declare_parameters(s, draft, names));
    names.body(macro.body);
    for (auto& parameter : macro.parameters) {
      parameter.slot = draft.slot(parameter.name);
      if (parameter.default_value) TRY(expr(*parameter.default_value, draft, false));
    }
    TRY(resolve_body(macro.body, draft, false));
    place_ = saved;
    return seal(draft, macro.scope);
  }

  Status declare_parameters(const Statement& s, Draft& draft, NameCollector& names) {
    MacroNode& macro = *s.macro;
    MentionFinder mentions({"caller", "kwargs", "varargs"});
    mentions.body(macro.body);
    const auto index_of = [&](std::string_view name) {
      for (size_t i = 0; i < macro.parameters.size(); ++i) {
        if (macro.parameters[i].name == name) return static_cast<int>(i);
      }
      return -1;
    };
    for (const auto& parameter : macro.parameters) names.declare(parameter.name);
    for (const auto& parameter : macro.parameters) {
      if (parameter.default_value) names.read(*parameter.default_value);
    }
    macro.caller_parameter = index_of("caller");
    if (mentions.found("caller") && macro.caller_parameter < 0) {
      names.declare("caller");
      macro.caller_slot = draft.slot("caller");
    } else if (mentions.found("caller") && !macro.parameters[macro.caller_parameter].default_value) {
      return fail(s.line, "the special parameter 'caller' must be left out or have a default");
    }
    if (mentions.found("kwargs") && index_of("kwargs") < 0) {
      names.declare("kwargs");
      macro.kwargs_slot = draft.slot("kwargs");
    }
    if (mentions.found("varargs") && index_of("varargs") < 0) {
      names.declare("varargs");
      macro.varargs_slot = draft.slot("varargs");
    }
    return {};
  }

  Status target(Expr& e, Draft& draft) {
    if (e.kind == ExprKind::kName && e.text == "loop" && place_.below_loop) {
      return fail(e.line, "'loop' cannot be assigned to in a loop");
    }
    if (e.kind == ExprKind::kName || e.kind == ExprKind::kNamespaceTarget) e.slot = draft.find(e.text);
    for (const ExprPtr& part : e.parts) TRY(target(*part, draft));
    return {};
  }

  Status expr(Expr& e, Draft& draft, bool is_soft) {
    if (e.kind == ExprKind::kName) {
      e.slot = draft.find(e.text);
      return {};
    }
    is_soft = is_soft || e.kind == ExprKind::kConditional;
    const bool is_unknown = (e.kind == ExprKind::kFilter && find_filter(e.text) == nullptr) ||
                            (e.kind == ExprKind::kTest && find_test(e.text) == nullptr);
    if (is_unknown && !is_soft) {
      return fail(e.line,
                  format("there is no {} '{}'", e.kind == ExprKind::kFilter ? "filter" : "test", in_quotes(e.text)));
    }
    Status status;
    for_each_child(e, [&](const Expr& child) {
      if (status.ok()) status = expr(const_cast<Expr&>(child), draft, is_soft);
    });
    return status;
  }

  Syntax& syntax_;
  std::map<std::string_view, int> variable_ids_;
  std::set<const Draft*> captured_;
  size_t copied_ = 0;
  Place place_;
};

}  // namespace

Status assign_slots(Syntax& syntax) { return Resolver(syntax).run(); }

}  // namespace andiron::jinja
