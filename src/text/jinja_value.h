// The values a template computes with: Python's, as far as Jinja templates can see them.
//
// A Value is a small handle. Strings, lists, tuples and dicts are immutable once made and shared freely; namespaces,
// iterators and loops change in place. Nothing here recurses without a bound: a container's depth is one more than
// its deepest item's and is limited when it is made (Runtime), and namespaces, which could form cycles, are owned by
// the Runtime and only pointed to.
//
// Memory: an object made during a render is charged to that render's Budget and gives its bytes back when it dies.
// Objects made outside a render (constants of a template, request data) have no budget.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "text/jinja_text.h"

namespace andiron::jinja {

// Containers nested deeper than this are refused: every recursion over values is bounded by it.
inline constexpr int kMaxValueDepth = 100;
// Attributes of one namespace; they are searched one after the other.
inline constexpr size_t kMaxNamespaceAttributes = 255;

// What one render may use. Both limits are hard: whatever would exceed them fails instead.
class Budget {
 public:
  Budget(uint64_t steps, uint64_t memory_bytes) : steps_left_(steps), memory_left_(memory_bytes) {}

  bool spend(uint64_t steps) {
    if (steps > steps_left_) return false;
    steps_left_ -= steps;
    return true;
  }
  bool charge(uint64_t bytes) {
    if (bytes > memory_left_) return false;
    memory_left_ -= bytes;
    return true;
  }
  void release(uint64_t bytes) { memory_left_ += bytes; }
  uint64_t memory_left() const { return memory_left_; }

 private:
  uint64_t steps_left_;
  uint64_t memory_left_;
};

enum class Kind : uint8_t {
  kMissing,  // no value: an unset variable or argument; never seen by a template
  kUndefined,
  kNone,
  kBool,
  kInt,
  kReal,
  kString,
  kList,
  kTuple,
  kDict,
  kView,  // dict.keys(), .values(), .items()
  kRange,
  kIterator,  // what map, select and the like give: can be walked once
  kNamespace,
  kMacro,
  kFunction,  // a global function or a bound method
  kLoop,
  kCycler,
  kJoiner,
};

struct Object {
  Object() = default;
  Object(const Object&) = delete;
  Object& operator=(const Object&) = delete;
  virtual ~Object() {
    if (budget != nullptr) budget->release(charged);
  }

  Budget* budget = nullptr;
  uint64_t charged = 0;
  int depth = 0;  // 0 for what holds no values
};

struct StringObject;
struct SequenceObject;
struct DictObject;
struct ViewObject;
struct RangeObject;
struct IteratorObject;
struct NamespaceObject;
struct MacroObject;
struct FunctionObject;
struct LoopObject;
struct CyclerObject;
struct JoinerObject;
struct UndefinedObject;

class Value {
 public:
  Value() = default;  // kMissing
  static Value none() { return Value(Kind::kNone); }
  static Value boolean(bool value);
  static Value integer(int64_t value);
  static Value real(double value);
  static Value undefined() { return Value(Kind::kUndefined); }
  static Value of(NamespaceObject* object);
  // Requires that the object's type is the one that `kind` has below.
  static Value of(Kind kind, std::shared_ptr<Object> object);

  Kind kind() const { return kind_; }
  bool is(Kind kind) const { return kind_ == kind; }
  bool is_missing() const { return kind_ == Kind::kMissing; }
  bool is_undefined() const { return kind_ == Kind::kUndefined; }
  bool is_none() const { return kind_ == Kind::kNone; }
  bool is_string() const { return kind_ == Kind::kString; }
  bool is_sequence() const { return kind_ == Kind::kList || kind_ == Kind::kTuple; }
  bool is_integral() const { return kind_ == Kind::kInt || kind_ == Kind::kBool; }  // Python's bool is an int
  bool is_number() const { return is_integral() || kind_ == Kind::kReal; }

  // Each is legal only for its kind.
  bool as_bool() const { return scalar_.boolean; }
  int64_t as_int() const { return kind_ == Kind::kBool ? (scalar_.boolean ? 1 : 0) : scalar_.integer; }
  double as_real() const { return kind_ == Kind::kReal ? scalar_.real : static_cast<double>(as_int()); }
  const StringObject& string() const;
  const Text& text() const;                 // kString
  std::string_view view() const;            // kString
  const std::vector<Value>& items() const;  // kList, kTuple
  const SequenceObject& sequence() const;
  const DictObject& dict() const;
  const ViewObject& dict_view() const;
  const RangeObject& range() const;
  IteratorObject& iterator() const;
  NamespaceObject& name_space() const { return *scalar_.name_space; }
  const MacroObject& macro() const;
  const FunctionObject& function() const;
  LoopObject& loop() const;
  CyclerObject& cycler() const;
  JoinerObject& joiner() const;

  // kUndefined: what is undefined, for messages.
  std::string undefined_hint() const;
  // The object behind the value, or nullptr; equal pointers mean Python's `is`.
  const Object* object() const { return object_.get(); }
  const std::shared_ptr<Object>& shared() const { return object_; }
  int depth() const { return object_ ? object_->depth : 0; }

 private:
  explicit Value(Kind kind) : kind_(kind) {}

  Kind kind_ = Kind::kMissing;
  union Scalar {
    bool boolean;
    int64_t integer;
    double real;
    NamespaceObject* name_space;
  } scalar_ = {.integer = 0};
  std::shared_ptr<Object> object_;
};

struct UndefinedObject : Object {
  std::string owner;  // "dict object", or empty for a variable
  std::string name;
  std::string message;  // used instead of the two where set
};

struct StringObject : Object {
  Text text;
  size_t length = 0;    // code points
  bool markup = false;  // marked |safe: joins with other text escape the other's HTML characters
  bool is_ascii() const { return length == text.size(); }
  // Byte offset of a code point index (at most length).
  size_t offset(size_t index) const { return is_ascii() ? index : code_point_offset(text.view(), index); }
};

struct SequenceObject : Object {
  std::vector<Value> items;
  bool is_group = false;  // what groupby yields: a pair also known as .grouper and .list
};

// Insertion-ordered; keys compare as in Python (1, 1.0 and True are one key).
struct DictObject : Object {
  using Entry = std::pair<Value, Value>;
  std::vector<Entry> entries;
  std::vector<uint32_t> order;  // indices of entries sorted by key

  const Value* find(const Value& key) const;
  const Value* find(std::string_view key) const;
};

struct ViewObject : Object {
  enum class Part : uint8_t { kKeys, kValues, kItems };
  Part part = Part::kKeys;
  Value dict;
};

// Its size is limited when it is made, so that at() cannot overflow.
struct RangeObject : Object {
  int64_t start = 0;
  int64_t stop = 0;
  int64_t step = 1;
  uint64_t size() const;
  int64_t at(int64_t index) const { return start + index * step; }
};

struct IteratorObject : Object {
  std::vector<Value> items;
  size_t next = 0;
  std::optional<Error> error;  // raised after the last item
  const char* type_name = "generator";
};

struct NamespaceObject {
  std::vector<std::pair<std::string, Value>> attributes;
  Value* find(std::string_view name);
};

struct CyclerObject : Object {
  std::vector<Value> items;
  size_t position = 0;
};

struct JoinerObject : Object {
  Value separator;
  bool used = false;
};

// Values without a budget, for constants and request data.
Value make_string(Text text);
Value make_string(std::string_view trusted);
// `depth`, or that of the value where it is greater.
inline int deepest(int depth, const Value& value) { return std::max(depth, value.depth()); }

// The items' depth plus one must not exceed kMaxValueDepth.
Value make_list(std::vector<Value> items);
// Later entries replace earlier ones with an equal key, in the earlier one's place. Keys must pass is_hashable.
Value make_dict(std::vector<DictObject::Entry> entries);

// Whether a value may be a dict key: not a list or dict, nor a tuple holding one. A tuple of very many parts is refused
// as well, so that comparing keys stays cheap.
bool is_hashable(const Value& value);
// Bytes of text in a key, those of a tuple's parts included: what comparing it with another takes. Requires
// is_hashable.
uint64_t key_bytes(const Value& key);
// A total order over hashable values in which Python's equal keys are equal.
int compare_keys(const Value& a, const Value& b);
// -1, 0 or 1 for two numbers, exact between whole numbers and reals; 2 when either is NaN.
int compare_numbers(const Value& a, const Value& b);

// Builds a DictObject's lookup table; call once when its entries are in place.
void index_dict(DictObject& dict);

// Python's name for the value's type ("str", "dict", "NoneType").
std::string_view type_name(const Value& value);

}  // namespace andiron::jinja
