// Runs a parsed template once: statements (jinja_interpreter.cpp), expressions and calls (jinja_evaluate.cpp), loops
// (jinja_loop.cpp). Used by jinja.cpp only; an interpreter renders one time.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "text/jinja_ast.h"
#include "text/jinja_runtime.h"

namespace andiron::jinja {

// The variables of one scope while it runs.
struct Frame {
  std::vector<Value> slots;
  Frame* parent = nullptr;

  Value& at(const SlotRef& ref);
};

using Variables = std::vector<std::pair<std::string, Value>>;

class Interpreter : public Runtime {
 public:
  // All arguments must outlive the interpreter.
  Interpreter(const Syntax& syntax, const Variables& variables, const Limits& limits);
  ~Interpreter() override;

  Result<Text> render();

  Result<Value> call(const Value& callee, Call& call) override;
  Result<Value> loop_attribute(const Value& loop, std::string_view name) override;

 private:
  enum class Flow : uint8_t { kNormal, kBreak, kContinue };

  // A frame for one execution of a scope. Where a macro is defined inside, the frame outlives the execution, for the
  // macro may be kept and called later; its variables are then unset, as they are in Jinja.
  class ScopeGuard {
   public:
    explicit ScopeGuard(Interpreter& interpreter) : interpreter_(interpreter) {}
    ~ScopeGuard();
    ScopeGuard(const ScopeGuard&) = delete;
    ScopeGuard& operator=(const ScopeGuard&) = delete;

    // Call once. `keep` leaves a captured frame's variables set afterwards (macro bodies).
    Status open(const Scope& scope, Frame* parent, bool keep = false);
    Frame& frame() { return *frame_; }

   private:
    Interpreter& interpreter_;
    Frame local_;
    Frame* frame_ = nullptr;
    bool keep_ = false;
  };

  // Sends output to another builder while it lives.
  class OutputGuard {
   public:
    OutputGuard(Interpreter& interpreter, TextBuilder& out) : interpreter_(interpreter), saved_(interpreter.out_) {
      interpreter_.out_ = &out;
    }
    ~OutputGuard() { interpreter_.out_ = saved_; }
    OutputGuard(const OutputGuard&) = delete;
    OutputGuard& operator=(const OutputGuard&) = delete;

   private:
    Interpreter& interpreter_;
    TextBuilder* saved_;
  };

  // Counts nested calls of the interpreter's own functions, which use the native stack.
  class NestingGuard {
   public:
    explicit NestingGuard(Interpreter& interpreter) : interpreter_(interpreter) { ++interpreter_.nesting_; }
    ~NestingGuard() { --interpreter_.nesting_; }
    NestingGuard(const NestingGuard&) = delete;
    NestingGuard& operator=(const NestingGuard&) = delete;

   private:
    Interpreter& interpreter_;
  };
  Status check_nesting() const;

  void enter(const Scope& scope, Frame& frame);
  // Puts the line in front of an error, once.
  Error locate(Error error, int line);

  // Statements.
  Result<Flow> run_body(const Body& body, Frame& frame);
  Result<Flow> run(const Statement& statement, Frame& frame);
  Result<Flow> run_statement(const Statement& statement, Frame& frame);
  Status print(const Value& value);
  Status check_output();
  Result<Flow> run_if(const Statement& statement, Frame& frame);
  Result<Flow> run_with(const Statement& statement, Frame& frame);
  Result<Flow> run_set_block(const Statement& statement, Frame& frame);
  Result<Flow> run_filter_block(const Statement& statement, Frame& frame);
  Status run_call(const Statement& statement, Frame& frame);
  Result<Value> make_macro(const MacroNode& node, Frame& frame);
  Status assign(const Expr& target, const Value& value, Frame& frame);
  Status assign_attribute(const Expr& target, const Value& value, Frame& frame);

  // Loops.
  Result<Flow> run_for(const Statement& statement, Frame& frame);
  Result<Flow> run_loop(const Statement& statement, Frame& parent, const Value& sequence, int depth0);
  Result<Flow> run_rounds(const Statement& statement, const Value& loop, Frame& parent, bool& ran);
  Result<bool> next_item(LoopObject& loop, Value& item);
  Result<bool> peek_item(LoopObject& loop);
  Result<size_t> loop_length(LoopObject& loop);
  Result<Value> call_loop(const Value& loop, Call& call);

  // Expressions.
  Result<Value> evaluate(const Expr& expr, Frame& frame);
  Result<Value> evaluate_kind(const Expr& expr, Frame& frame);
  Result<std::vector<Value>> evaluate_all(const std::vector<ExprPtr>& parts, Frame& frame);
  Result<Value> evaluate_dict(const Expr& expr, Frame& frame);
  Result<Value> evaluate_item(const Expr& expr, Frame& frame);
  Result<Value> evaluate_arithmetic(const Expr& expr, Frame& frame);
  Result<Value> evaluate_compare(const Expr& expr, Frame& frame);
  Result<Value> evaluate_logic(const Expr& expr, Frame& frame);
  Result<Value> evaluate_conditional(const Expr& expr, Frame& frame);
  Result<Value> evaluate_filter(const Expr& expr, Frame& frame);
  Result<Value> evaluate_test(const Expr& expr, Frame& frame);
  Result<Value> evaluate_call(const Expr& expr, Frame& frame, const Value* caller);
  Result<Call> evaluate_arguments(const Arguments& arguments, Frame& frame);

  // Calls.
  Result<Value> run_builtin(const Value& callee, Call& call);
  Result<Value> call_macro(const MacroObject& macro, Call& call);
  Status bind_macro(const MacroNode& node, Call& call, Frame& frame);
  Status bind_special(const MacroNode& node, Call& call, Frame& frame);

  const Syntax& syntax_;
  std::vector<Value> variables_;  // by index in syntax_.variables
  std::vector<std::unique_ptr<Frame>> kept_frames_;
  TextBuilder* out_ = nullptr;
  const TextBuilder* root_out_ = nullptr;
  Value captured_;  // the text of the block whose filter is being applied
  int nesting_ = 0;
  int calls_open_ = 0;
  bool is_located_ = false;
};

}  // namespace andiron::jinja
