#include "serve/tool_calls_json.h"

#include <utility>

#include "base/json.h"

namespace andiron {

namespace {

bool is_space(char byte) { return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r'; }
bool is_word_byte(char byte) {
  return (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') || byte == 'E' || byte == '+' || byte == '-' ||
         byte == '.';
}

}  // namespace

JsonSpan::State JsonSpan::push(char byte) {
  if (in_string_) {
    if (escaped_) {
      escaped_ = false;
    } else if (byte == '\\') {
      escaped_ = true;
    } else if (byte == '"') {
      in_string_ = false;
      if (depth_ == 0) return state_ = State::kDone;
    }
    return state_;
  }
  if (is_word_ && !is_word_byte(byte)) {
    is_word_ = false;
    if (depth_ == 0) return state_ = State::kDoneAbove;
  }
  if (is_space(byte)) return state_;
  const bool first = state_ == State::kBefore;
  state_ = State::kInside;
  if (byte == '"') {
    in_string_ = true;
  } else if (byte == '{' || byte == '[') {
    ++depth_;
  } else if (byte == '}' || byte == ']') {
    if (first) return state_ = State::kWrong;
    if (--depth_ == 0) return state_ = State::kDone;
  } else if (is_word_byte(byte)) {
    is_word_ = true;
  } else if (first || (byte != ',' && byte != ':')) {
    return state_ = State::kWrong;
  }
  return state_;
}

JsonCallScanner::Result JsonCallScanner::push(char byte) {
  switch (phase_) {
    case Phase::kStart: return push_start(byte);
    case Phase::kKeyOrEnd:
      if (is_space(byte) || byte == ',') return Result::kMore;
      if (byte == '}') return end_object();
      if (byte != '"') return Result::kWrong;
      phase_ = Phase::kKey;
      key_.clear();
      return Result::kMore;
    case Phase::kKey: return push_key(byte);
    case Phase::kColon:
      if (is_space(byte)) return Result::kMore;
      if (byte != ':') return Result::kWrong;
      role_ = role_of(key_);
      phase_ = Phase::kValue;
      value_.clear();
      value_begun_ = false;
      span_ = {};
      return Result::kMore;
    case Phase::kValue: return push_value(byte);
    case Phase::kAfterValue:
      if (is_space(byte)) return Result::kMore;
      if (byte == '}') return end_object();
      if (byte != ',') return Result::kWrong;
      phase_ = Phase::kKeyOrEnd;
      return Result::kMore;
    case Phase::kNext: return push_next(byte);
  }
  return Result::kWrong;
}

JsonCallScanner::Result JsonCallScanner::push_start(char byte) {
  if (is_space(byte)) return Result::kMore;
  if (byte == '[' && !is_list_) {
    is_list_ = true;
    return Result::kMore;
  }
  if (byte != '{') return Result::kWrong;
  phase_ = Phase::kKeyOrEnd;
  nest_ = 0;
  name_.clear();
  arguments_.clear();
  has_arguments_ = false;
  return Result::kMore;
}

JsonCallScanner::Result JsonCallScanner::push_key(char byte) {
  if (byte == '"') {
    phase_ = Phase::kColon;
    if (!name_is_key_ || nest_ > 0) return Result::kMore;
    name_ = key_;
    return Result::kName;
  }
  constexpr size_t kKeyBytesMax = 256;
  if (byte == '\\' || key_.size() >= kKeyBytesMax) return Result::kWrong;
  key_ += byte;
  return Result::kMore;
}

JsonCallScanner::Role JsonCallScanner::role_of(std::string_view key) const {
  if (name_is_key_) return Role::kArguments;
  if (key == "name" || key == "tool_name") return Role::kName;
  if (key == "arguments" || key == "parameters") return Role::kArguments;
  return key == "function" ? Role::kFunction : Role::kOther;
}

JsonCallScanner::Result JsonCallScanner::push_value(char byte) {
  const bool begins = !value_begun_ && !is_space(byte);
  value_begun_ = value_begun_ || begins;
  if (begins && role_ == Role::kFunction) {
    if (byte == '{') {
      ++nest_;
      phase_ = Phase::kKeyOrEnd;
      return Result::kMore;
    }
    role_ = Role::kName;
  }
  if (begins && role_ == Role::kArguments) {
    if (has_arguments_) return Result::kWrong;
    if (byte != '"' && byte != '{' && byte != 'n') return Result::kWrong;
    if (byte == '"') role_ = Role::kTextArguments;
    if (byte == 'n') role_ = Role::kOther;  // null: none
    has_arguments_ = byte != 'n';
  }
  const auto state = span_.push(byte);
  if (state == JsonSpan::State::kWrong) return Result::kWrong;
  if (state == JsonSpan::State::kDoneAbove) {
    const Result ended = end_value();
    return ended == Result::kMore ? push(byte) : ended;
  }
  if (value_begun_ && role_ == Role::kArguments) arguments_ += byte;
  constexpr size_t kNameBytesMax = 512;
  if (value_begun_ && (role_ == Role::kTextArguments || role_ == Role::kName)) value_ += byte;
  if (role_ == Role::kName && value_.size() > kNameBytesMax) return Result::kWrong;
  return state == JsonSpan::State::kDone ? end_value() : Result::kMore;
}

JsonCallScanner::Result JsonCallScanner::end_value() {
  phase_ = Phase::kAfterValue;
  if (role_ != Role::kName && role_ != Role::kTextArguments) return Result::kMore;
  const auto value = parse_json(value_, "value");
  if (!value.ok() || !value->is_string()) return Result::kWrong;
  if (role_ == Role::kTextArguments) {
    arguments_ += value->as_string();
    return Result::kMore;
  }
  name_ = value->as_string();
  return Result::kName;
}

JsonCallScanner::Result JsonCallScanner::end_object() {
  if (nest_ > 0) {
    --nest_;
    phase_ = Phase::kAfterValue;
    return Result::kMore;
  }
  if (name_.empty()) return Result::kWrong;
  if (!has_arguments_) arguments_ = "{}";
  phase_ = Phase::kNext;
  wants_more_ = false;
  return Result::kCall;
}

JsonCallScanner::Result JsonCallScanner::push_next(char byte) {
  if (list_ended_) return Result::kEnd;
  if (is_space(byte)) return Result::kMore;
  if (byte == '{') return push_start(byte);
  if (byte == ']' && is_list_) {
    list_ended_ = true;
    return Result::kMore;
  }
  if ((byte != ',' && byte != ';') || wants_more_) return Result::kEnd;
  wants_more_ = true;
  return Result::kMore;
}

std::string JsonCallScanner::take_arguments() { return std::exchange(arguments_, {}); }

}  // namespace andiron
