// Finds the calls of tools in an answer, as the text comes.
//
// Every family of models writes calls in a style of its own, which its chat template shows; CallStyle is that style as
// data. Text that begins like a call and turns out to be none (no JSON, a tool that was not offered) is given back as
// text, every byte of it; white space beside calls belongs to them.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "serve/tool_calls_json.h"

namespace andiron {

// A piece of an answer. A call begins with kCall, whose text is the tool's name; what follows of kArguments belongs to
// it, and joined is JSON, but for what the model got wrong or was cut short in.
struct AnswerPart {
  enum class Kind : uint8_t { kText, kThinking, kCall, kArguments };
  Kind kind = Kind::kText;
  std::string text;
  std::string id;  // of a call
};

// Adds to the last part where it is of the same kind.
void add_part(std::vector<AnswerPart>& parts, AnswerPart::Kind kind, std::string_view text);

struct CallStyle {
  enum class Body : uint8_t {
    kNone,       // the template knows no tools
    kJson,       // {"name": ..., "arguments": {...}}, or a list of these
    kNamedJson,  // the name, then the arguments as JSON
    kTagged,     // the name, then each argument between marks
    kPythonic,   // [name(key='value', ...), ...]
    kGemma,      // name{key:<quote>value<quote>,...}
  };
  std::string name = {};  // of the style, for messages
  Body body = Body::kNone;
  std::string section_open = {}, section_close = {};     // around all calls; "": none
  std::string open = {}, close = {};                     // around each; open "": a call begins with its body
  std::string name_end = {};                             // behind the name; "": white space or the next mark ends it
  std::string key_open = {}, key_end = {};               // kTagged: around an argument's name
  std::string value_open = {}, value_end = {};           // kTagged: around its value; kGemma: value_end is the quote
  std::string text_attribute = {}, json_attribute = {};  // kTagged: in front of value_open, by the kind of the value
  // kJson: what the model is shown. Others of the usual names are read too.
  std::string name_key = "name", arguments_key = "arguments";
  bool is_list = false;                           // kJson: the calls of an answer are one list
  bool name_is_key = false;                       // kJson: {NAME: {...}}
  bool bare = false;                              // kJson: a call may also stand without marks where the answer begins
  std::string name_before = {}, name_after = {};  // kNamedJson: shown beside the name
  std::string text_name = {};                     // kNamedJson: the name under which plain text goes
};

// By what stands in the template. `can_call`: whether it shows tools or calls of them (ChatCapabilities); where it
// shows neither, calls are plain.
CallStyle find_call_style(std::string_view chat_template, bool can_call);
// {"name": ..., "parameters": {...}} and nothing else: what any model can be held to.
CallStyle plain_call_style();

struct OfferedTool {
  std::string name;
  Json parameters;  // a JSON schema
};
// From ChatAsk::tools.
std::vector<OfferedTool> offered_tools(const Json& tools);

// Nine letters and digits, which Mistral's templates insist on; distinct for each `number`, given the same `seed`.
std::string call_id(uint64_t seed, uint64_t number);

class ToolCallParser {
 public:
  struct Options {
    bool parallel = true;  // more than one call
    uint64_t id_seed = 0;
    // The text that the prompt ends with and that belongs to the first call.
    std::string prompt_end = {};
  };

  // Without tools everything is text.
  ToolCallParser(CallStyle style, std::vector<OfferedTool> tools, Options options);

  void push(std::string_view text, std::vector<AnswerPart>& parts);
  // The answer has ended: what was held back.
  void finish(std::vector<AnswerPart>& parts);

  // The one call that was allowed is there: what comes now is dropped, and nothing more need be asked of the model.
  bool done() const { return state_ == State::kDone; }

 private:
  enum class State : uint8_t { kText, kBetween, kName, kArguments, kJson, kTagged, kValue, kWhole, kAfter, kDone };
  enum class Step : uint8_t { kMore, kGoOn };  // more has to come; something was done

  Step step();
  Step step_text();
  Step step_between();
  Step step_name();
  Step step_arguments();
  Step step_json();
  Step step_tagged();
  Step step_key();
  Step step_value();
  Step step_whole();
  Step step_after();
  Step begin_body();
  Step give_up();
  Step pass_text(size_t size);

  enum class Match : uint8_t { kNo, kMaybe, kYes };
  Match match(std::string_view mark) const;
  void take(size_t size);
  void skip_space();
  const OfferedTool* find_tool(std::string_view name) const;
  bool begin_call(std::string_view name);
  void end_call();
  bool take_whole(std::string_view text);
  void say(std::string_view text);
  size_t find_later(const std::string& mark);
  void show(std::string_view text);
  void show_json_arguments();
  void finish_value();

  CallStyle style_;
  std::vector<OfferedTool> tools_;
  Options options_;
  std::vector<std::string> marks_;  // that begin a call

  State state_ = State::kText;
  std::string held_;        // has come, and not been looked at
  size_t searched_ = 0;     // of that, in vain
  size_t from_prompt_ = 0;  // bytes of what is held and looked at that the prompt ends with
  std::string call_text_;   // was looked at as a call which is not certain yet; begins with its mark
  size_t mark_size_ = 0;    // of that mark
  std::string space_;       // white space that is text unless a call follows
  bool at_start_ = true;    // nothing but white space so far
  bool certain_ = false;    // the call has been shown
  const OfferedTool* tool_ = nullptr;
  uint64_t calls_ = 0;
  JsonCallScanner scanner_;
  JsonSpan span_;
  bool arguments_begun_ = false;  // kTagged
  std::string key_;
  bool value_is_text_ = false, value_begun_ = false;
  std::vector<AnswerPart>* out_ = nullptr;  // during push() and finish()
};

}  // namespace andiron
