// Expressions and calls (jinja_interpreter.h).
#include <algorithm>

#include "base/strings.h"
#include "text/jinja_interpreter.h"
#include "text/jinja_operations.h"

namespace andiron::jinja {

Result<Value> Interpreter::evaluate(const Expr& expr, Frame& frame) {
  const NestingGuard guard(*this);
  TRY(check_nesting());
  TRY(spend(1));
  auto value = evaluate_kind(expr, frame);
  if (!value.ok()) return locate(std::move(value).error(), expr.line);
  return value;
}

Result<Value> Interpreter::evaluate_kind(const Expr& e, Frame& frame) {
  switch (e.kind) {
    case ExprKind::kConstant: return e.constant;
    case ExprKind::kName: {
      const Value& value = frame.at(e.slot);
      return value.is_missing() ? undefined_variable(e.text) : value;
    }
    case ExprKind::kTuple: {
      TRY_ASSIGN(auto items, evaluate_all(e.parts, frame));
      return tuple(std::move(items));
    }
    case ExprKind::kList: {
      TRY_ASSIGN(auto items, evaluate_all(e.parts, frame));
      return list(std::move(items));
    }
    case ExprKind::kDict: return evaluate_dict(e, frame);
    case ExprKind::kAttribute: {
      TRY_ASSIGN(const Value object, evaluate(*e.parts[0], frame));
      return get_attribute(*this, object, e.text);
    }
    case ExprKind::kItem: return evaluate_item(e, frame);
    case ExprKind::kCall: return evaluate_call(e, frame, nullptr);
    case ExprKind::kFilter: return evaluate_filter(e, frame);
    case ExprKind::kTest: return evaluate_test(e, frame);
    case ExprKind::kNot: {
      TRY_ASSIGN(const Value value, evaluate(*e.parts[0], frame));
      return Value::boolean(!truth(value));
    }
    case ExprKind::kNegative: {
      TRY_ASSIGN(const Value value, evaluate(*e.parts[0], frame));
      return negate(value);
    }
    case ExprKind::kPositive: {
      TRY_ASSIGN(const Value value, evaluate(*e.parts[0], frame));
      return positive(value);
    }
    case ExprKind::kArithmetic: return evaluate_arithmetic(e, frame);
    case ExprKind::kConcat: {
      TRY_ASSIGN(const auto values, evaluate_all(e.parts, frame));
      return concatenate(*this, values);
    }
    case ExprKind::kAnd:
    case ExprKind::kOr: return evaluate_logic(e, frame);
    case ExprKind::kCompare: return evaluate_compare(e, frame);
    case ExprKind::kConditional: return evaluate_conditional(e, frame);
    case ExprKind::kSlice:
    case ExprKind::kNamespaceTarget: break;  // never evaluated by themselves
  }
  return make_error("an expression that has no value");
}

Result<std::vector<Value>> Interpreter::evaluate_all(const std::vector<ExprPtr>& parts, Frame& frame) {
  std::vector<Value> values;
  values.reserve(parts.size());
  for (const ExprPtr& part : parts) {
    TRY_ASSIGN(Value value, evaluate(*part, frame));
    values.push_back(std::move(value));
  }
  return values;
}

Result<Value> Interpreter::evaluate_dict(const Expr& e, Frame& frame) {
  std::vector<DictObject::Entry> entries;
  entries.reserve(e.parts.size() / 2);
  for (size_t i = 0; i + 1 < e.parts.size(); i += 2) {
    TRY_ASSIGN(Value key, evaluate(*e.parts[i], frame));
    TRY_ASSIGN(Value value, evaluate(*e.parts[i + 1], frame));
    entries.emplace_back(std::move(key), std::move(value));
  }
  return dict(std::move(entries));
}

Result<Value> Interpreter::evaluate_item(const Expr& e, Frame& frame) {
  TRY_ASSIGN(const Value object, evaluate(*e.parts[0], frame));
  const Expr& index = *e.parts[1];
  if (index.kind != ExprKind::kSlice) {
    TRY_ASSIGN(const Value key, evaluate(index, frame));
    return get_item(*this, object, key);
  }
  Value bounds[3];
  for (size_t i = 0; i < 3; ++i) {
    if (!index.parts[i]) continue;
    TRY_ASSIGN(bounds[i], evaluate(*index.parts[i], frame));
  }
  return get_slice(*this, object, bounds[0], bounds[1], bounds[2]);
}

Result<Value> Interpreter::evaluate_arithmetic(const Expr& e, Frame& frame) {
  TRY_ASSIGN(Value left, evaluate(*e.parts[0], frame));
  for (size_t i = 0; i < e.operators.size(); ++i) {
    TRY_ASSIGN(const Value right, evaluate(*e.parts[i + 1], frame));
    TRY_ASSIGN(left, arithmetic(*this, e.operators[i], left, right));
  }
  return left;
}

Result<Value> Interpreter::evaluate_compare(const Expr& e, Frame& frame) {
  TRY_ASSIGN(Value left, evaluate(*e.parts[0], frame));
  for (size_t i = 0; i < e.operators.size(); ++i) {
    TRY_ASSIGN(Value right, evaluate(*e.parts[i + 1], frame));
    TRY_ASSIGN(const bool result, compare(*this, e.operators[i], left, right));
    if (!result) return Value::boolean(false);
    left = std::move(right);
  }
  return Value::boolean(true);
}

// `and` and `or` give one of their operands.
Result<Value> Interpreter::evaluate_logic(const Expr& e, Frame& frame) {
  const bool stops_at = e.kind == ExprKind::kOr;
  Value value;
  for (const ExprPtr& part : e.parts) {
    TRY_ASSIGN(value, evaluate(*part, frame));
    if (truth(value) == stops_at) break;
  }
  return value;
}

Result<Value> Interpreter::evaluate_conditional(const Expr& e, Frame& frame) {
  TRY_ASSIGN(const Value test, evaluate(*e.parts[0], frame));
  if (truth(test)) return evaluate(*e.parts[1], frame);
  if (e.parts[2]) return evaluate(*e.parts[2], frame);
  return undefined("the value of an 'if' without 'else' whose test is false");
}

Result<Value> Interpreter::evaluate_filter(const Expr& e, Frame& frame) {
  Value subject;
  if (e.parts[0]) {
    TRY_ASSIGN(subject, evaluate(*e.parts[0], frame));
  } else {
    subject = std::move(captured_);
  }
  TRY_ASSIGN(Call arguments, evaluate_arguments(*e.arguments, frame));
  return apply_filter(e.text, subject, arguments);
}

Result<Value> Interpreter::evaluate_test(const Expr& e, Frame& frame) {
  TRY_ASSIGN(const Value subject, evaluate(*e.parts[0], frame));
  TRY_ASSIGN(Call arguments, evaluate_arguments(*e.arguments, frame));
  TRY_ASSIGN(const bool result, apply_test(e.text, subject, arguments));
  return Value::boolean(result);
}

Result<Call> Interpreter::evaluate_arguments(const Arguments& arguments, Frame& frame) {
  Call call;
  TRY_ASSIGN(call.positional, evaluate_all(arguments.positional, frame));
  if (arguments.spread) {
    TRY_ASSIGN(const Value more, evaluate(*arguments.spread, frame));
    TRY_ASSIGN(const auto items, iterate(*this, more));
    call.positional.insert(call.positional.end(), items.begin(), items.end());
  }
  for (const auto& [name, expr] : arguments.named) {
    TRY_ASSIGN(Value value, evaluate(*expr, frame));
    call.named.emplace_back(name, std::move(value));
  }
  if (arguments.spread_named) {
    constexpr size_t kMaxNamed = 255;       // names are searched one after the other
    constexpr size_t kMaxNameBytes = 4096;  // and are copied
    TRY_ASSIGN(const Value more, evaluate(*arguments.spread_named, frame));
    if (!more.is(Kind::kDict)) return make_error("'**' needs a dict, got a {}", type_name(more));
    if (more.dict().entries.size() > kMaxNamed) return make_error("more than {} named arguments", kMaxNamed);
    TRY(spend(more.dict().entries.size()));
    for (const auto& [key, value] : more.dict().entries) {
      if (!key.is_string()) return make_error("named arguments need strings as names, got a {}", type_name(key));
      if (key.text().size() > kMaxNameBytes) return make_error("an argument's name longer than {}", kMaxNameBytes);
      const auto same = [name = key.view()](const auto& entry) { return entry.first == name; };
      if (std::any_of(call.named.begin(), call.named.end(), same)) {
        return make_error("the argument '{}' is given twice", in_quotes(key.view()));
      }
      call.named.emplace_back(std::string(key.view()), value);
    }
  }
  return call;
}

Result<Value> Interpreter::evaluate_call(const Expr& e, Frame& frame, const Value* caller) {
  TRY_ASSIGN(const Value callee, evaluate(*e.parts[0], frame));
  TRY_ASSIGN(Call arguments, evaluate_arguments(*e.arguments, frame));
  if (caller != nullptr) {
    const auto is_caller = [](const auto& entry) { return entry.first == "caller"; };
    if (std::any_of(arguments.named.begin(), arguments.named.end(), is_caller)) {
      return make_error("a call block gives 'caller' itself");
    }
    arguments.named.emplace_back("caller", *caller);
  }
  return call(callee, arguments);
}

Result<Value> Interpreter::call(const Value& callee, Call& call) {
  switch (callee.kind()) {
    case Kind::kFunction: return run_builtin(callee, call);
    case Kind::kMacro: return call_macro(callee.macro(), call);
    case Kind::kLoop: return call_loop(callee, call);
    case Kind::kJoiner: {
      JoinerObject& joiner = callee.joiner();
      if (joiner.used) return joiner.separator;
      joiner.used = true;
      return string("");
    }
    case Kind::kUndefined: return Error{callee.undefined_hint()};
    default: return make_error("a {} cannot be called", type_name(callee));
  }
}

Result<Value> Interpreter::run_builtin(const Value& callee, Call& call) {
  const FunctionObject& function = callee.function();
  return Runtime::run(*function.builtin, function.self, call);
}

Result<Value> Interpreter::call_macro(const MacroObject& macro, Call& call) {
  const MacroNode& node = *macro.node;
  if (calls_open_ >= limits().call_depth) return make_error("more than {} calls within each other", calls_open_);
  ++calls_open_;
  ScopeGuard scope(*this);
  TextBuilder out(*this);
  Status status = scope.open(node.scope, macro.frame, true);
  if (status.ok()) status = bind_macro(node, call, scope.frame());
  if (status.ok()) {
    const OutputGuard guard(*this, out);
    auto flow = run_body(node.body, scope.frame());
    if (!flow.ok()) status = std::move(flow).error();
  }
  --calls_open_;
  TRY(status);
  return out.finish();
}

// Gives a macro's parameters their values, as Jinja's Macro object does.
Status Interpreter::bind_macro(const MacroNode& node, Call& call, Frame& frame) {
  const std::string_view shown = node.name.empty() ? "caller" : std::string_view(node.name);
  for (size_t i = 0; i < node.parameters.size(); ++i) {
    const MacroNode::Parameter& parameter = node.parameters[i];
    Value& slot = frame.slots[static_cast<size_t>(parameter.slot)];
    if (i < call.positional.size()) {
      slot = call.positional[i];
      continue;
    }
    const auto found = std::find_if(call.named.begin(), call.named.end(),
                                    [&](const auto& entry) { return entry.first == parameter.name; });
    if (found == call.named.end()) continue;
    slot = std::move(found->second);
    call.named.erase(found);
  }
  TRY(bind_special(node, call, frame));
  if (!call.named.empty()) {
    return make_error("the macro '{}' has no parameter '{}'", shown, in_quotes(call.named[0].first));
  }
  if (node.varargs_slot < 0 && call.positional.size() > node.parameters.size()) {
    return make_error("the macro '{}' takes at most {} arguments, got {}", shown, node.parameters.size(),
                      call.positional.size());
  }
  for (const MacroNode::Parameter& parameter : node.parameters) {
    if (!frame.slots[static_cast<size_t>(parameter.slot)].is_missing()) continue;
    Value value = undefined(format("parameter '{}' was not provided", parameter.name));
    if (parameter.default_value) {
      TRY_ASSIGN(value, evaluate(*parameter.default_value, frame));
    }
    frame.slots[static_cast<size_t>(parameter.slot)] = std::move(value);
  }
  return {};
}

// caller, kwargs and varargs, where the body mentions them.
Status Interpreter::bind_special(const MacroNode& node, Call& call, Frame& frame) {
  if (node.caller_slot >= 0) {
    Value caller = undefined("no caller defined");
    const auto found =
        std::find_if(call.named.begin(), call.named.end(), [](const auto& entry) { return entry.first == "caller"; });
    if (found != call.named.end()) {
      if (!found->second.is_none()) caller = std::move(found->second);
      call.named.erase(found);
    }
    frame.slots[static_cast<size_t>(node.caller_slot)] = std::move(caller);
  }
  if (node.kwargs_slot >= 0) {
    std::vector<DictObject::Entry> entries;
    for (auto& [name, value] : call.named) entries.emplace_back(make_string(name), std::move(value));
    call.named.clear();
    TRY_ASSIGN(frame.slots[static_cast<size_t>(node.kwargs_slot)], dict(std::move(entries)));
  }
  if (node.varargs_slot >= 0) {
    const size_t taken = std::min(node.parameters.size(), call.positional.size());
    std::vector<Value> rest(call.positional.begin() + static_cast<ptrdiff_t>(taken), call.positional.end());
    TRY_ASSIGN(frame.slots[static_cast<size_t>(node.varargs_slot)], tuple(std::move(rest)));
  }
  return {};
}

}  // namespace andiron::jinja
