// The parsed form of a template. Immutable after parsing, and shared by any number of renders at once.
//
// Depth is bounded at parse time (kMaxSyntaxDepth), so that walking and destroying a tree needs little stack. Chains
// such as a + b + c are one node with many parts for the same reason.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "text/jinja_value.h"

namespace andiron::jinja {

// Expressions and statements nested deeper than this are refused.
inline constexpr int kMaxSyntaxDepth = 100;

// Where a variable lives: `hops` frames outwards, then a slot of that frame.
struct SlotRef {
  int hops = 0;
  int slot = -1;
};

// What a frame does for one slot when it is entered; slots without a load start unset.
struct Load {
  int slot = 0;
  int variable = -1;  // index into Syntax::variables: take the render's variable or global of that name; or else
  SlotRef outer;      // copy this slot, counted from the frame being entered
};

// One scope of names (a template, a macro or loop body, ...): what its frames hold.
struct Scope {
  int slots = 0;
  std::vector<Load> loads;
  bool is_captured = false;  // a macro is defined inside, which may outlive the scope's execution
};

enum class ExprKind : uint8_t {
  kConstant,         // constant
  kName,             // text, slot
  kNamespaceTarget,  // text (the variable), slot, constant (the attribute's name); only as an assignment's target
  kTuple,            // parts
  kList,             // parts
  kDict,             // parts: key, value, key, value, ...
  kAttribute,        // parts[0] . text (also in constant)
  kItem,             // parts[0] [ parts[1] ]
  kSlice,            // parts: start, stop, step, each may be null; only as parts[1] of kItem
  kCall,             // parts[0] ( arguments )
  kFilter,           // parts[0] | text ( arguments ); parts[0] is null for a block's filter
  kTest,             // parts[0] is text ( arguments )
  kNot,              // parts[0]
  kNegative,         // parts[0]
  kPositive,         // parts[0]
  kArithmetic,       // parts[0] operators[0] parts[1] operators[1] ..., left to right
  kConcat,           // parts[0] ~ parts[1] ...
  kAnd,              // parts
  kOr,               // parts
  kCompare,          // parts[0] operators[0] parts[1] ..., as Python chains comparisons
  kConditional,      // parts[1] if parts[0] else parts[2]; parts[2] may be null
};

enum class Operator : uint8_t {
  kAdd,
  kSubtract,
  kMultiply,
  kDivide,
  kFloorDivide,
  kModulo,
  kPower,
  kEqual,
  kNotEqual,
  kLess,
  kLessEqual,
  kGreater,
  kGreaterEqual,
  kIn,
  kNotIn,
};

struct Expr;
using ExprPtr = std::unique_ptr<Expr>;

struct Arguments {
  std::vector<ExprPtr> positional;
  std::vector<std::pair<std::string, ExprPtr>> named;
  ExprPtr spread;        // *args
  ExprPtr spread_named;  // **kwargs
};

struct Expr {
  ExprKind kind = ExprKind::kConstant;
  int line = 1;
  int depth = 1;  // of the tree below, this node included
  SlotRef slot;
  std::string text;
  Value constant;
  std::vector<ExprPtr> parts;
  std::vector<Operator> operators;
  std::unique_ptr<Arguments> arguments;
};

enum class StatementKind : uint8_t {
  kData,         // text
  kPrint,        // expr
  kIf,           // branches
  kFor,          // target in expr if test; body, otherwise; scopes: body, test, otherwise
  kSet,          // target = expr
  kSetBlock,     // target = body through expr (a kFilter chain, may be null)
  kWith,         // pairs, body
  kFilterBlock,  // body through expr
  kMacro,        // macro, target (its name)
  kCall,         // expr (a kCall, or null for a generation block) called with macro as its caller
  kBreak,
  kContinue,
};

struct Statement;
using Body = std::vector<std::unique_ptr<Statement>>;

struct Branch {
  ExprPtr test;  // null for else
  Body body;
};

struct MacroNode {
  struct Parameter {
    std::string name;
    ExprPtr default_value;  // may be null
    int slot = -1;
  };
  std::string name;
  std::vector<Parameter> parameters;
  // Slots of the special variables that the body mentions; -1 for those it does not.
  int caller_slot = -1;
  int kwargs_slot = -1;
  int varargs_slot = -1;
  int caller_parameter = -1;  // index of an explicit parameter named "caller"
  Body body;
  Scope scope;
};

struct Statement {
  StatementKind kind = StatementKind::kData;
  int line = 1;
  bool is_recursive = false;  // kFor
  int loop_slot = -1;         // kFor: slot of `loop` in the body's scope, -1 when the body never mentions it
  Value text;                 // kData
  ExprPtr expr;
  ExprPtr target;
  ExprPtr test;
  std::vector<Branch> branches;
  std::vector<std::pair<ExprPtr, ExprPtr>> pairs;  // kWith: target, value
  Body body;
  Body otherwise;
  std::unique_ptr<MacroNode> macro;
  Scope scope;            // of body
  Scope test_scope;       // kFor
  Scope otherwise_scope;  // kFor
  ExprPtr test_target;    // kFor with a test: the target once more, with slots of test_scope
};

// A parsed template.
struct Syntax {
  Body body;
  Scope scope;
  std::vector<std::string> variables;  // names that are looked up outside the template
};

}  // namespace andiron::jinja
