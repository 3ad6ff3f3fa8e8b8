#include "text/jinja_interpreter.h"

#include <algorithm>

#include "base/strings.h"
#include "text/jinja_operations.h"

namespace andiron::jinja {

namespace {

// Statements and expressions running within each other. Each takes up to 1.6 KiB of native stack (nested loops).
constexpr int kMaxNesting = 1000;

}  // namespace

Value& Frame::at(const SlotRef& ref) {
  Frame* frame = this;
  for (int i = 0; i < ref.hops; ++i) frame = frame->parent;
  return frame->slots[static_cast<size_t>(ref.slot)];
}

Interpreter::Interpreter(const Syntax& syntax, const Variables& variables, const Limits& limits)
    : Runtime(limits), syntax_(syntax), variables_(syntax.variables.size()) {
  for (size_t i = 0; i < variables_.size(); ++i) {
    const std::string& name = syntax.variables[i];
    // Of two variables with one name the later counts.
    const auto found =
        std::find_if(variables.rbegin(), variables.rend(), [&](const auto& v) { return v.first == name; });
    if (found != variables.rend()) {
      variables_[i] = found->second;
    } else if (const Builtin* builtin = find_global(name); builtin != nullptr) {
      auto function = std::make_shared<FunctionObject>();
      function->builtin = builtin;
      variables_[i] = Value::of(Kind::kFunction, std::move(function));
    }
  }
}

// Values must die before the budget they are charged to.
Interpreter::~Interpreter() { clear_namespaces(); }

Result<Text> Interpreter::render() {
  if (!now) {
    for (size_t i = 0; i < variables_.size(); ++i) {
      const bool is_clock = syntax_.variables[i] == "strftime_now" && variables_[i].is(Kind::kFunction);
      if (is_clock) variables_[i] = Value();  // templates ask whether it is defined
    }
  }
  TextBuilder out(*this);
  const OutputGuard guard(*this, out);
  root_out_ = &out;
  ScopeGuard scope(*this);
  TRY(scope.open(syntax_.scope, nullptr));
  TRY_ASSIGN([[maybe_unused]] const Flow flow, run_body(syntax_.body, scope.frame()));
  TRY(check_output());
  return out.take();
}

Status Interpreter::check_nesting() const {
  if (nesting_ > kMaxNesting) return make_error("the template's calls are nested too deeply");
  return {};
}

Error Interpreter::locate(Error error, int line) {
  if (is_located_) return error;
  is_located_ = true;
  return make_error("line {}: {}", line, error.message);
}

Interpreter::ScopeGuard::~ScopeGuard() {
  if (frame_ == nullptr || frame_ == &local_ || keep_) return;
  for (Value& value : frame_->slots) value = Value();
}

Status Interpreter::ScopeGuard::open(const Scope& scope, Frame* parent, bool keep) {
  keep_ = keep;
  frame_ = &local_;
  if (scope.is_captured) {
    const uint64_t bytes = sizeof(Frame) + static_cast<uint64_t>(scope.slots) * sizeof(Value);
    if (!interpreter_.budget().charge(bytes)) return interpreter_.out_of_memory();
    interpreter_.kept_frames_.push_back(std::make_unique<Frame>());
    frame_ = interpreter_.kept_frames_.back().get();
  }
  TRY(interpreter_.spend(static_cast<uint64_t>(scope.slots) / 16));
  frame_->parent = parent;
  frame_->slots.resize(static_cast<size_t>(scope.slots));
  interpreter_.enter(scope, *frame_);
  return {};
}

void Interpreter::enter(const Scope& scope, Frame& frame) {
  for (Value& slot : frame.slots) slot = Value();
  for (const Load& load : scope.loads) {
    frame.slots[static_cast<size_t>(load.slot)] =
        load.variable >= 0 ? variables_[static_cast<size_t>(load.variable)] : frame.at(load.outer);
  }
}

Result<Interpreter::Flow> Interpreter::run_body(const Body& body, Frame& frame) {
  for (const auto& statement : body) {
    TRY_ASSIGN(const Flow flow, run(*statement, frame));
    if (flow != Flow::kNormal) return flow;
  }
  return Flow::kNormal;
}

Result<Interpreter::Flow> Interpreter::run(const Statement& statement, Frame& frame) {
  const NestingGuard guard(*this);
  TRY(check_nesting());
  auto flow = run_statement(statement, frame);
  if (!flow.ok()) return locate(std::move(flow).error(), statement.line);
  return flow;
}

Result<Interpreter::Flow> Interpreter::run_statement(const Statement& s, Frame& frame) {
  TRY(spend(1));
  switch (s.kind) {
    case StatementKind::kData:
      TRY(spend_bytes(s.text.text().size()));
      out_->append(s.text.text());
      TRY(check_output());
      return Flow::kNormal;
    case StatementKind::kPrint: {
      TRY_ASSIGN(const Value value, evaluate(*s.expr, frame));
      TRY(print(value));
      return Flow::kNormal;
    }
    case StatementKind::kIf: return run_if(s, frame);
    case StatementKind::kFor: return run_for(s, frame);
    case StatementKind::kSet: {
      TRY_ASSIGN(const Value value, evaluate(*s.expr, frame));
      TRY(assign(*s.target, value, frame));
      return Flow::kNormal;
    }
    case StatementKind::kSetBlock: return run_set_block(s, frame);
    case StatementKind::kWith: return run_with(s, frame);
    case StatementKind::kFilterBlock: return run_filter_block(s, frame);
    case StatementKind::kMacro: {
      TRY_ASSIGN(const Value macro, make_macro(*s.macro, frame));
      TRY(assign(*s.target, macro, frame));
      return Flow::kNormal;
    }
    case StatementKind::kCall: TRY(run_call(s, frame)); return Flow::kNormal;
    case StatementKind::kBreak: return Flow::kBreak;
    case StatementKind::kContinue: return Flow::kContinue;
  }
  return Flow::kNormal;
}

Status Interpreter::check_output() {
  if (out_->failed()) return out_->error();
  if (out_ == root_out_ && out_->size() > limits().output_bytes) {
    return make_error("the output is longer than {}", human_bytes(limits().output_bytes));
  }
  return {};
}

Status Interpreter::print(const Value& value) {
  Status status;
  append_text(*this, *out_, value, status);
  TRY(status);
  if (value.is_string()) TRY(spend_bytes(value.text().size()));
  return check_output();
}

Result<Interpreter::Flow> Interpreter::run_if(const Statement& s, Frame& frame) {
  for (const Branch& branch : s.branches) {
    if (branch.test) {
      TRY_ASSIGN(const Value test, evaluate(*branch.test, frame));
      if (!truth(test)) continue;
    }
    return run_body(branch.body, frame);
  }
  return Flow::kNormal;
}

Result<Interpreter::Flow> Interpreter::run_with(const Statement& s, Frame& frame) {
  ScopeGuard scope(*this);
  TRY(scope.open(s.scope, &frame));
  for (const auto& [target, expr] : s.pairs) {
    TRY_ASSIGN(const Value value, evaluate(*expr, frame));
    TRY(assign(*target, value, scope.frame()));
  }
  return run_body(s.body, scope.frame());
}

Result<Interpreter::Flow> Interpreter::run_set_block(const Statement& s, Frame& frame) {
  ScopeGuard scope(*this);
  TRY(scope.open(s.scope, &frame));
  TextBuilder out(*this);
  {
    const OutputGuard guard(*this, out);
    TRY_ASSIGN(const Flow flow, run_body(s.body, scope.frame()));
    if (flow != Flow::kNormal) return flow;  // leaves the block for the loop around it, without assigning
  }
  TRY_ASSIGN(Value value, out.finish());
  if (s.expr) {
    captured_ = std::move(value);
    TRY_ASSIGN(value, evaluate(*s.expr, scope.frame()));
  }
  TRY(assign(*s.target, value, frame));
  return Flow::kNormal;
}

Result<Interpreter::Flow> Interpreter::run_filter_block(const Statement& s, Frame& frame) {
  ScopeGuard scope(*this);
  TRY(scope.open(s.scope, &frame));
  TextBuilder out(*this);
  {
    const OutputGuard guard(*this, out);
    TRY_ASSIGN(const Flow flow, run_body(s.body, scope.frame()));
    if (flow != Flow::kNormal) return flow;
  }
  TRY_ASSIGN(captured_, out.finish());
  TRY_ASSIGN(const Value value, evaluate(*s.expr, scope.frame()));
  TRY(print(value));
  return Flow::kNormal;
}

Result<Value> Interpreter::make_macro(const MacroNode& node, Frame& frame) {
  TRY_ASSIGN(auto macro, make<MacroObject>(0));
  macro->node = &node;
  macro->frame = &frame;
  return Value::of(Kind::kMacro, std::move(macro));
}

Status Interpreter::run_call(const Statement& s, Frame& frame) {
  TRY_ASSIGN(const Value caller, make_macro(*s.macro, frame));
  if (!s.expr) {  // a generation block
    Call none;
    TRY_ASSIGN(const Value text, call(caller, none));
    return print(text);
  }
  TRY_ASSIGN(const Value text, evaluate_call(*s.expr, frame, &caller));
  return print(text);
}

Status Interpreter::assign(const Expr& target, const Value& value, Frame& frame) {
  if (target.kind == ExprKind::kName) {
    frame.at(target.slot) = value;
    return {};
  }
  if (target.kind == ExprKind::kNamespaceTarget) return assign_attribute(target, value, frame);
  TRY_ASSIGN(const auto items, iterate(*this, value));
  if (items.size() != target.parts.size()) {
    return make_error("{} values cannot be given to {} names", items.size(), target.parts.size());
  }
  for (size_t i = 0; i < items.size(); ++i) TRY(assign(*target.parts[i], items[i], frame));
  return {};
}

Status Interpreter::assign_attribute(const Expr& target, const Value& value, Frame& frame) {
  const Value& owner = frame.at(target.slot);
  if (!owner.is(Kind::kNamespace)) {
    return make_error("'{}' is no namespace, so its attributes cannot be set", in_quotes(target.text));
  }
  const std::string_view name = target.constant.view();
  NamespaceObject& object = owner.name_space();
  if (Value* slot = object.find(name); slot != nullptr) {
    *slot = value;
    return {};
  }
  if (object.attributes.size() >= kMaxNamespaceAttributes) return make_error("a namespace with too many attributes");
  object.attributes.emplace_back(std::string(name), value);
  return {};
}

}  // namespace andiron::jinja
