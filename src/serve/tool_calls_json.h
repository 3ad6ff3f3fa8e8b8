// JSON as it comes: where a value ends, and what a call written as an object says. Internal to tool_calls.*.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace andiron {

// Follows one JSON value, without checking more than is needed to find its end.
class JsonSpan {
 public:
  enum class State : uint8_t {
    kBefore,     // white space so far
    kInside,     //
    kDone,       // the last byte was its last
    kDoneAbove,  // a number or a word, which ended before the last byte
    kWrong,      // no JSON; the last byte does not belong to it
  };
  State push(char byte);

 private:
  State state_ = State::kBefore;
  int64_t depth_ = 0;
  bool in_string_ = false, escaped_ = false, is_word_ = false;
};

// Follows {"name": ..., "arguments": {...}}, one or a list of them: [..., ...], or behind one another with , ; or white
// space between.
class JsonCallScanner {
 public:
  enum class Result : uint8_t {
    kMore,   // the byte was taken
    kName,   // taken; name() is known now
    kCall,   // taken; the object has ended
    kEnd,    // not taken: what is here is whole
    kWrong,  // not taken: this is no call
  };
  JsonCallScanner() = default;
  explicit JsonCallScanner(bool name_is_key) : name_is_key_(name_is_key) {}

  Result push(char byte);
  const std::string& name() const { return name_; }
  // What has come of the arguments and was not asked for yet.
  std::string take_arguments();
  // Of the object that is open: its arguments have begun.
  bool has_arguments() const { return has_arguments_ && phase_ != Phase::kNext; }
  // An object has ended, and nothing says that another follows.
  bool at_rest() const { return phase_ == Phase::kNext && !wants_more_; }

 private:
  enum class Phase : uint8_t { kStart, kKeyOrEnd, kKey, kColon, kValue, kAfterValue, kNext };
  enum class Role : uint8_t { kName, kArguments, kTextArguments, kFunction, kOther };

  Result push_start(char byte);
  Result push_key(char byte);
  Result push_value(char byte);
  Result push_next(char byte);
  Result end_object();
  Role role_of(std::string_view key) const;
  Result end_value();

  bool name_is_key_ = false;
  bool is_list_ = false, list_ended_ = false, wants_more_ = false;
  Phase phase_ = Phase::kStart;
  Role role_ = Role::kOther;
  int nest_ = 0;  // within "function"
  JsonSpan span_;
  std::string key_, value_, name_, arguments_;
  bool has_arguments_ = false, value_begun_ = false;
};

}  // namespace andiron
