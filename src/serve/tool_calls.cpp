#include "serve/tool_calls.h"

#include <algorithm>
#include <utility>

#include "base/keyed_hash.h"
#include "base/strings.h"
#include "serve/reasoning.h"
#include "serve/tool_calls_values.h"

namespace andiron {

namespace {

using Body = CallStyle::Body;
using Kind = AnswerPart::Kind;

constexpr std::string_view kSpace = " \t\r\n";
// More without the name of a tool is no call.
constexpr size_t kNameBytesMax = 512;
constexpr size_t kUncertainBytesMax = 64 << 10;
// A call that can only be read as a whole.
constexpr size_t kWholeBytesMax = 1 << 20;

// What some styles write around a tool's name: an id, a place, a number.
std::string_view plain_name(std::string_view name) {
  name = name.substr(0, name.find("[CALL_ID]"));
  constexpr std::string_view kIdEnd = "<|tool_call:name|>";
  if (const size_t at = name.find(kIdEnd); at != std::string_view::npos) name.remove_prefix(at + kIdEnd.size());
  constexpr std::string_view kPlace = "functions.";
  if (name.starts_with(kPlace)) {
    name.remove_prefix(kPlace.size());
    const size_t colon = name.rfind(':');
    const auto number = colon == std::string_view::npos ? std::string_view() : name.substr(colon + 1);
    if (!number.empty() && number.find_first_not_of("0123456789") == std::string_view::npos) {
      name = name.substr(0, colon);
    }
  }
  return trimmed(name);
}

}  // namespace

void add_part(std::vector<AnswerPart>& parts, Kind kind, std::string_view text) {
  if (text.empty()) return;
  if (parts.empty() || parts.back().kind != kind) parts.push_back({kind, "", ""});
  parts.back().text += text;
}

std::vector<OfferedTool> offered_tools(const Json& tools) {
  std::vector<OfferedTool> out;
  for (const Json& tool : tools.items_or_none()) {
    const Json& function = tool.member("function");
    out.push_back({std::string(function.member("name").text_or("")), function.member("parameters")});
  }
  return out;
}

std::string call_id(uint64_t seed, uint64_t number) {
  static constexpr std::string_view kDigits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  // Odd factors keep the numbers of one seed apart (splitmix64's mix is a bijection); nine digits hold 53 bits.
  uint64_t value = seed + (number + 1) * 0x9e3779b97f4a7c15u;
  value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9u;
  value = (value ^ value >> 27) * 0x94d049bb133111ebu;
  value ^= value >> 31;
  std::string out;
  for (int i = 0; i < 9; ++i, value /= kDigits.size()) out += kDigits[value % kDigits.size()];
  return out;
}

ToolCallParser::ToolCallParser(CallStyle style, std::vector<OfferedTool> tools, Options options)
    : style_(std::move(style)), tools_(std::move(tools)), options_(std::move(options)) {
  if (style_.body == Body::kNone || tools_.empty()) {
    tools_.clear();
    return;
  }
  if (!style_.section_open.empty()) marks_.push_back(style_.section_open);
  if (!style_.open.empty()) marks_.push_back(style_.open);
  held_ = options_.prompt_end;
  from_prompt_ = held_.size();
}

void ToolCallParser::push(std::string_view text, std::vector<AnswerPart>& parts) {
  if (tools_.empty()) return add_part(parts, Kind::kText, text);
  out_ = &parts;
  held_ += text;
  while (!held_.empty() && step() == Step::kGoOn) {
  }
  out_ = nullptr;
}

void ToolCallParser::finish(std::vector<AnswerPart>& parts) {
  out_ = &parts;
  while (!held_.empty() && step() == Step::kGoOn) {
  }
  // Each round of giving up takes a mark away, so that this ends.
  while (state_ != State::kText && state_ != State::kDone) {
    const bool is_whole = state_ == State::kAfter || (state_ == State::kBetween && mark_size_ == 0) ||
                          (state_ == State::kJson && scanner_.at_rest());
    if (state_ == State::kWhole && take_whole(held_)) {
      held_.clear();
    } else if (certain_) {
      finish_value();
      end_call();
    } else if (!is_whole) {
      give_up();
      while (!held_.empty() && step() == Step::kGoOn) {
      }
      continue;
    }
    call_text_.clear();
    state_ = State::kText;
  }
  if (state_ == State::kText) {
    say(std::exchange(space_, {}));
    say(std::exchange(held_, {}));
  }
  out_ = nullptr;
}

// The value that the answer ended in.
void ToolCallParser::finish_value() {
  if (state_ != State::kValue) return;
  if (value_is_text_) {
    const std::string text = json_quote(held_);
    show(value_begun_ ? std::string_view(text).substr(1) : text);
  } else {
    show(tagged_value(tool_->parameters, key_, trimmed(held_)).dump());
  }
  held_.clear();
  key_.clear();
}

// Text, without what the prompt holds of it.
void ToolCallParser::say(std::string_view text) {
  const size_t known = std::min(from_prompt_, text.size());
  from_prompt_ -= known;
  add_part(*out_, Kind::kText, text.substr(known));
}

// Where a mark stands in what is held; what was searched before, while nothing was taken, is not searched again.
size_t ToolCallParser::find_later(const std::string& mark) {
  const size_t found = held_.find(mark, searched_);
  if (found == std::string::npos) searched_ = held_.size() - std::min(held_.size(), mark.size() - 1);
  return found;
}

void ToolCallParser::show(std::string_view text) { add_part(*out_, Kind::kArguments, text); }

// Looked at, and part of a call that may turn out to be none.
void ToolCallParser::take(size_t size) {
  if (!certain_) call_text_.append(held_, 0, size);
  held_.erase(0, size);
}

void ToolCallParser::skip_space() { take(std::min(held_.find_first_not_of(kSpace), held_.size())); }

ToolCallParser::Match ToolCallParser::match(std::string_view mark) const {
  const std::string_view rest = held_;
  if (mark.empty()) return Match::kNo;
  if (rest.starts_with(mark)) return Match::kYes;
  return mark.starts_with(rest) ? Match::kMaybe : Match::kNo;
}

const OfferedTool* ToolCallParser::find_tool(std::string_view name) const {
  for (const OfferedTool& tool : tools_) {
    if (tool.name == name) return &tool;
  }
  return nullptr;
}

bool ToolCallParser::begin_call(std::string_view name) {
  tool_ = find_tool(name);
  if (tool_ == nullptr) return false;
  out_->push_back({Kind::kCall, tool_->name, call_id(options_.id_seed, calls_++)});
  certain_ = true;
  call_text_.clear();
  space_.clear();
  from_prompt_ = 0;
  at_start_ = false;
  arguments_begun_ = false;
  return true;
}

// The call is whole, or as whole as it gets.
void ToolCallParser::end_call() {
  if (style_.body == Body::kTagged) show(arguments_begun_ ? "}" : "{}");
  certain_ = false;
  call_text_.clear();
  state_ = State::kAfter;
}

// It was no call: its first mark is text, and what follows is looked at anew.
ToolCallParser::Step ToolCallParser::give_up() {
  held_.insert(0, call_text_);
  call_text_.clear();
  certain_ = false;
  const size_t size = std::max<size_t>(mark_size_, 1);
  say(std::exchange(space_, {}));
  say(std::string_view(held_).substr(0, size));
  held_.erase(0, size);
  at_start_ = false;
  state_ = State::kText;
  return Step::kGoOn;
}

ToolCallParser::Step ToolCallParser::step() {
  if (!certain_ && call_text_.size() > kUncertainBytesMax) return give_up();
  switch (state_) {
    case State::kText: return step_text();
    case State::kBetween: return step_between();
    case State::kName: return step_name();
    case State::kArguments: return step_arguments();
    case State::kJson: return step_json();
    case State::kTagged: return step_tagged();
    case State::kValue: return step_value();
    case State::kWhole: return step_whole();
    case State::kAfter: return step_after();
    case State::kDone: held_.clear(); return Step::kMore;
  }
  return Step::kMore;
}

ToolCallParser::Step ToolCallParser::step_text() {
  size_t found = held_.size();
  const std::string* mark = nullptr;
  for (const std::string& one : marks_) {
    const size_t at = held_.find(one);
    if (at < found) {
      found = at;
      mark = &one;
    }
  }
  const size_t bare = held_.find_first_not_of(kSpace);
  if (style_.bare && at_start_ && bare < found && (held_[bare] == '{' || held_[bare] == '[')) {
    space_.append(held_, 0, bare);
    held_.erase(0, bare);
    mark_size_ = 1;
    return begin_body();
  }
  const size_t certain = mark != nullptr ? found : held_.size() - possible_mark(held_, marks_);
  space_.append(held_, 0, certain);
  held_.erase(0, certain);
  const size_t last = space_.find_last_not_of(kSpace);
  if (last != std::string::npos) {
    at_start_ = false;
    say(std::string_view(space_).substr(0, last + 1));
    space_.erase(0, last + 1);
  }
  if (mark == nullptr) return Step::kMore;
  mark_size_ = mark->size();
  take(mark_size_);
  if (mark == &marks_.back() && !style_.open.empty()) return begin_body();
  state_ = State::kBetween;
  return Step::kGoOn;
}

// Within a section, or behind a call: another call, or the section's end.
ToolCallParser::Step ToolCallParser::step_between() {
  skip_space();
  if (held_.empty()) return Step::kMore;
  const bool fresh = mark_size_ > 0;  // a section was opened, and no call has come in it
  if (!fresh) call_text_.clear();
  if (match(style_.open) == Match::kYes) {
    if (!fresh) mark_size_ = style_.open.size();
    take(style_.open.size());
    return begin_body();
  }
  if (!fresh && match(style_.section_close) == Match::kYes) {
    held_.erase(0, style_.section_close.size());
    return Step::kGoOn;
  }
  if (!fresh && match(style_.section_open) == Match::kYes) {
    mark_size_ = style_.section_open.size();
    take(mark_size_);
    return Step::kGoOn;
  }
  if (match(style_.open) == Match::kMaybe) return Step::kMore;
  if (fresh) return give_up();
  if (match(style_.section_close) == Match::kMaybe || match(style_.section_open) == Match::kMaybe) return Step::kMore;
  state_ = State::kText;
  return Step::kGoOn;
}

ToolCallParser::Step ToolCallParser::begin_body() {
  searched_ = 0;
  switch (style_.body) {
    case Body::kNone: break;
    case Body::kJson:
      scanner_ = JsonCallScanner(style_.name_is_key);
      state_ = State::kJson;
      break;
    case Body::kNamedJson:
    case Body::kTagged: state_ = State::kName; break;
    case Body::kPythonic:
    case Body::kGemma: state_ = State::kWhole; break;
  }
  return Step::kGoOn;
}

ToolCallParser::Step ToolCallParser::step_name() {
  const size_t begin = std::min(held_.find_first_not_of(kSpace), held_.size());
  const bool until_space = style_.name_end.empty();
  const size_t end = until_space ? held_.find_first_of(" \t\r\n<", begin) : held_.find(style_.name_end, begin);
  if (end == std::string::npos) return held_.size() > kNameBytesMax ? give_up() : Step::kMore;
  const std::string name(plain_name(std::string_view(held_).substr(0, end)));
  if (!style_.text_name.empty() && name == style_.text_name) return pass_text(end + style_.name_end.size());
  if (find_tool(name) == nullptr) return give_up();
  take(end + style_.name_end.size());
  if (style_.body == Body::kTagged) {
    begin_call(name);
    state_ = State::kTagged;
    return Step::kGoOn;
  }
  tool_ = find_tool(name);
  span_ = {};
  state_ = State::kArguments;
  return Step::kGoOn;
}

// What follows is text, without the mark and the name, `size` bytes of what is held.
ToolCallParser::Step ToolCallParser::pass_text(size_t size) {
  held_.erase(0, size);
  call_text_.clear();
  from_prompt_ = 0;
  state_ = State::kText;
  return Step::kGoOn;
}

// JSON behind a name. The call is certain once it begins.
ToolCallParser::Step ToolCallParser::step_arguments() {
  if (!certain_) {
    skip_space();
    if (held_.empty()) return Step::kMore;
    if (held_.front() != '{') return give_up();
    begin_call(std::string(tool_->name));
  }
  size_t at = 0;
  JsonSpan::State state = JsonSpan::State::kInside;
  while (at < held_.size() && state == JsonSpan::State::kInside) state = span_.push(held_[at++]);
  const bool wrong = state == JsonSpan::State::kWrong;
  if (wrong) --at;
  show(std::string_view(held_).substr(0, at));
  held_.erase(0, at);
  if (state != JsonSpan::State::kInside) end_call();
  return Step::kGoOn;
}

ToolCallParser::Step ToolCallParser::step_json() {
  using Scan = JsonCallScanner::Result;
  for (size_t at = 0; at < held_.size(); ++at) {
    const auto result = scanner_.push(held_[at]);
    if (result == Scan::kMore) continue;
    if (result == Scan::kName) {
      if (find_tool(scanner_.name()) == nullptr) return give_up();
      continue;
    }
    if (result == Scan::kCall) {
      if (!certain_ && !begin_call(scanner_.name())) return give_up();
      show(scanner_.take_arguments());
      held_.erase(0, at + 1);
      certain_ = false;
      mark_size_ = 0;
      if (!options_.parallel) state_ = State::kDone;
      return Step::kGoOn;
    }
    show_json_arguments();
    take(at);
    // A separator behind which no call comes is text.
    if (!certain_ && (result == Scan::kWrong || !scanner_.at_rest())) return give_up();
    end_call();
    return Step::kGoOn;
  }
  show_json_arguments();
  take(held_.size());
  return Step::kMore;
}

// What has come of them, once it is known whose they are. The call is certain then.
void ToolCallParser::show_json_arguments() {
  if (!scanner_.has_arguments() || scanner_.name().empty()) return;
  if (certain_ || begin_call(scanner_.name())) show(scanner_.take_arguments());
}

// Within a call whose arguments stand between marks: the next of them, or its end.
ToolCallParser::Step ToolCallParser::step_tagged() {
  if (!key_.empty()) return step_key();
  skip_space();
  if (held_.empty()) return Step::kMore;
  if (match(style_.close) == Match::kYes) {
    end_call();
    return Step::kGoOn;
  }
  if (match(style_.key_open) == Match::kYes) {
    const size_t from = style_.key_open.size();
    const size_t end = held_.find(style_.key_end, from);
    if (end == std::string::npos && held_.size() < kNameBytesMax) return Step::kMore;
    if (end != std::string::npos) {
      key_ = trimmed(std::string_view(held_).substr(from, end - from));
      held_.erase(0, end + style_.key_end.size());
      if (!key_.empty()) return Step::kGoOn;
    }
  } else if (match(style_.close) == Match::kMaybe || match(style_.key_open) == Match::kMaybe) {
    return Step::kMore;
  }
  end_call();
  return Step::kGoOn;
}

// Behind a key: where its value begins. What stands between may say that it is text.
ToolCallParser::Step ToolCallParser::step_key() {
  value_is_text_ = is_text_property(tool_->parameters, key_);
  if (!style_.value_open.empty()) {
    const size_t end = held_.find(style_.value_open);
    if (end == std::string::npos) {
      if (held_.size() < kNameBytesMax) return Step::kMore;
      key_.clear();
      end_call();
      return Step::kGoOn;
    }
    if (held_.substr(0, end).find("string=\"true\"") != std::string::npos) value_is_text_ = true;
    held_.erase(0, end + style_.value_open.size());
  }
  show((arguments_begun_ ? ", " : "{") + json_quote(key_) + ": ");
  arguments_begun_ = true;
  value_begun_ = false;
  searched_ = 0;
  state_ = State::kValue;
  return Step::kGoOn;
}

// A value up to its mark; one line end at either side belongs to the marks. Texts are shown as they come.
ToolCallParser::Step ToolCallParser::step_value() {
  const size_t end = find_later(style_.value_end);
  const bool ended = end != std::string::npos;
  if (!value_is_text_) {
    if (!ended && held_.size() < kWholeBytesMax) return Step::kMore;
    const size_t size = ended ? end : held_.size();
    show(tagged_value(tool_->parameters, key_, trimmed(std::string_view(held_).substr(0, size))).dump());
    held_.erase(0, size + (ended ? style_.value_end.size() : 0));
    key_.clear();
    state_ = State::kTagged;
    return Step::kGoOn;
  }
  searched_ = 0;
  if (!value_begun_) {
    value_begun_ = true;
    show("\"");
    if (held_.front() == '\n') {
      held_.erase(0, 1);
      return Step::kGoOn;
    }
  }
  size_t size = ended ? end : held_.size() - possible_mark(held_, {"\n" + style_.value_end, style_.value_end});
  const size_t taken = ended ? end + style_.value_end.size() : size;
  if (ended && size > 0 && held_[size - 1] == '\n') --size;
  const std::string text = json_quote(std::string_view(held_).substr(0, size));
  show(std::string_view(text).substr(1, text.size() - 2));
  held_.erase(0, taken);
  if (!ended) return Step::kMore;
  show("\"");
  key_.clear();
  state_ = State::kTagged;
  return Step::kGoOn;
}

ToolCallParser::Step ToolCallParser::step_whole() {
  const size_t end = find_later(style_.close);
  if (end == std::string::npos) return held_.size() > kWholeBytesMax ? give_up() : Step::kMore;
  if (!take_whole(std::string_view(held_).substr(0, end))) return give_up();
  held_.erase(0, end);
  state_ = State::kAfter;
  return Step::kGoOn;
}

// All calls of a text, or none and false.
bool ToolCallParser::take_whole(std::string_view text) {
  std::vector<WholeCall> calls;
  if (style_.body == Body::kPythonic) {
    auto read = parse_pythonic_calls(text);
    if (!read.ok()) return false;
    calls = std::move(*read);
  } else {
    auto read = parse_gemma_call(text, style_.value_end);
    if (!read.ok()) return false;
    calls.push_back(std::move(*read));
  }
  for (const WholeCall& call : calls) {
    if (find_tool(call.name) == nullptr) return false;
  }
  for (const WholeCall& call : calls) {
    begin_call(call.name);
    show(call.arguments.dump());
    certain_ = false;
    if (!options_.parallel) break;
  }
  return true;
}

// Behind a call: its closing mark, which some models forget.
ToolCallParser::Step ToolCallParser::step_after() {
  if (!options_.parallel) {
    state_ = State::kDone;
    return Step::kGoOn;
  }
  skip_space();
  if (held_.empty()) return Step::kMore;
  if (match(style_.close) == Match::kMaybe) return Step::kMore;
  if (match(style_.close) == Match::kYes) held_.erase(0, style_.close.size());
  call_text_.clear();
  state_ = State::kBetween;
  mark_size_ = 0;
  return Step::kGoOn;
}

}  // namespace andiron
