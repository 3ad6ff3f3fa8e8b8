#include "data/record.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/strings.h"
#include "data/messages.h"

namespace andiron {

namespace {

// Members that mean the same in different data sets.
using Names = std::array<std::string_view, 2>;
constexpr Names kAlpacaAnswer = {"output", "response"};
constexpr Names kAlpacaInput = {"input", "context"};
constexpr Names kPrompt = {"prompt", "question"};
constexpr Names kCompletion = {"completion", "answer"};
constexpr Names kRightChoice = {"answer", "answerKey"};
constexpr Names kLabel = {"label", "kto_tag"};

// The first of `names` that the record has and that is not null.
const Json* find_any(const Json& record, const Names& names) {
  for (const std::string_view name : names) {
    const Json* value = record.find(name);
    if (value != nullptr && !value->is_null()) return value;
  }
  return nullptr;
}

bool has(const Json& record, std::string_view name) { return record.find(name) != nullptr; }

bool has_label(const Json& record) {
  const Json* label = find_any(record, kLabel);
  return label != nullptr && label->is_bool();
}

// The format of what is asked and answered, labels aside.
std::optional<DataFormat> detect_plain(const Json& record) {
  if (has(record, "messages")) return DataFormat::kChat;
  if (has(record, "conversations")) return DataFormat::kShareGpt;
  if (has(record, "instruction") && find_any(record, kAlpacaAnswer) != nullptr) return DataFormat::kAlpaca;
  if (find_any(record, kPrompt) != nullptr && find_any(record, kCompletion) != nullptr) return DataFormat::kCompletion;
  if (has(record, "text")) return DataFormat::kTextRows;
  return std::nullopt;
}

Result<std::string> text_of(const Json* value, std::string_view name) {
  if (value == nullptr || value->is_null()) return std::string();
  if (!value->is_string()) return make_error("\"{}\" is not text", name);
  return value->as_string();
}

Result<std::string> needed_text(const Json* value, std::string_view name) {
  TRY_ASSIGN(std::string text, text_of(value, name));
  if (is_blank(text)) return make_error("\"{}\" is {}", name, value == nullptr ? "missing" : "empty");
  return text;
}

Status add_system(const Json& record, Json& messages) {
  TRY_ASSIGN(std::string system, text_of(record.find("system"), "system"));
  if (!is_blank(system)) messages.push(text_message("system", std::move(system)));
  return {};
}

Status add_tools(const Json& record, Example& out) {
  if (const Json* tools = record.find("tools")) {
    TRY_ASSIGN(out.tools, read_tools(*tools));
  }
  return {};
}

// There is an answer to learn, and none of those is empty.
Status check_answers(const Example& example) {
  bool any = false;
  for (size_t i = 0; i < example.trained.size(); ++i) {
    if (example.trained[i] == 0) continue;
    if (!has_content(example.messages.items()[i])) return make_error("an answer is empty");
    any = true;
  }
  if (!any) return make_error("there is no answer of the assistant to learn");
  return {};
}

Result<Example> read_conversation(const Json& record, std::string_view member) {
  Example out;
  const Json* list = record.find(member);
  if (list == nullptr || !list->is_array()) return make_error("\"{}\" is not a list", member);
  if (member == "conversations") TRY(add_system(record, out.messages));
  out.trained.assign(out.messages.items().size(), 0);
  TRY_ASSIGN(Json messages, read_messages(*list, &out.trained));
  for (Json& message : messages.items()) out.messages.push(std::move(message));
  TRY(add_tools(record, out));
  return out;
}

// Alpaca's question: the earlier turns, the instruction and its input below it.
Status add_instruction(const Json& record, Json& messages) {
  TRY(add_system(record, messages));
  const Json* history = record.find("history");
  if (history != nullptr && !history->is_null()) {
    if (!history->is_array()) return make_error("\"history\" is not a list");
    for (const Json& turn : history->items()) {
      const bool pair =
          turn.is_array() && turn.items().size() == 2 && turn.items()[0].is_string() && turn.items()[1].is_string();
      if (!pair) return make_error("a turn of \"history\" is not a question and an answer");
      messages.push(text_message("user", turn.items()[0].as_string()));
      messages.push(text_message("assistant", turn.items()[1].as_string()));
    }
  }
  TRY_ASSIGN(std::string question, needed_text(record.find("instruction"), "instruction"));
  TRY_ASSIGN(const std::string input, text_of(find_any(record, kAlpacaInput), "input"));
  if (!is_blank(input)) question += "\n" + input;
  messages.push(text_message("user", std::move(question)));
  return {};
}

Result<Example> read_alpaca(const Json& record) {
  Example out;
  TRY(add_instruction(record, out.messages));
  TRY_ASSIGN(std::string answer, needed_text(find_any(record, kAlpacaAnswer), "output"));
  out.messages.push(text_message("assistant", std::move(answer)));
  for (const Json& message : out.messages.items()) {
    out.trained.push_back(message.find("role")->as_string() == "assistant" ? 1 : 0);
  }
  return out;
}

// Both sides as text; or both as messages: then a conversation of which only the completion is learned.
Result<Example> read_completion(const Json& record) {
  const Json* prompt = find_any(record, kPrompt);
  const Json* completion = find_any(record, kCompletion);
  Example out;
  if (prompt == nullptr || !prompt->is_array()) {
    out.kind = Example::Kind::kCompletion;
    TRY_ASSIGN(out.prompt, needed_text(prompt, "prompt"));
    TRY_ASSIGN(out.completion, needed_text(completion, "completion"));
    return out;
  }
  if (completion == nullptr || !completion->is_array())
    return make_error("\"completion\" is not a list, as the prompt is");
  TRY_ASSIGN(out.messages, read_messages(*prompt));
  out.trained.assign(out.messages.items().size(), 0);
  TRY_ASSIGN(Json answer, read_messages(*completion, &out.trained));
  for (Json& message : answer.items()) out.messages.push(std::move(message));
  TRY(add_tools(record, out));
  return out;
}

Result<Example> read_text_row(const Json& record) {
  Example out;
  out.kind = Example::Kind::kText;
  TRY_ASSIGN(out.text, needed_text(record.find("text"), "text"));
  return out;
}

// One side of a pair: text, a message, or a list of messages.
Result<Json> read_side(const Json* side, std::string_view name) {
  if (side == nullptr || side->is_null()) return make_error("\"{}\" is missing", name);
  Json list = Json::array();
  if (side->is_array()) {
    TRY_ASSIGN(list, read_messages(*side));
  } else if (side->is_object()) {
    Json one = Json::array();
    one.push(*side);
    TRY_ASSIGN(list, read_messages(one));
  } else {
    TRY_ASSIGN(std::string text, needed_text(side, name));
    list.push(text_message("assistant", std::move(text)));
  }
  if (list.items().empty()) return make_error("\"{}\" is empty", name);
  const Json& last = list.items().back();
  if (last.find("role")->as_string() != "assistant") return make_error("\"{}\" does not end with an answer", name);
  if (!has_content(last)) return make_error("\"{}\" is empty", name);
  return list;
}

// Sides that are whole conversations begin alike: that is the prompt, which moves to `messages`.
void take_common_prompt(Example& out) {
  Json::Array& a = out.chosen.items();
  Json::Array& b = out.rejected.items();
  size_t common = 0;
  while (common + 1 < a.size() && common + 1 < b.size() && a[common].dump() == b[common].dump()) ++common;
  out.messages = Json(Json::Array(a.begin(), a.begin() + static_cast<std::ptrdiff_t>(common)));
  a.erase(a.begin(), a.begin() + static_cast<std::ptrdiff_t>(common));
  b.erase(b.begin(), b.begin() + static_cast<std::ptrdiff_t>(common));
}

Result<Example> read_preference(const Json& record) {
  Example out;
  out.kind = Example::Kind::kPreference;
  TRY_ASSIGN(out.chosen, read_side(record.find("chosen"), "chosen"));
  TRY_ASSIGN(out.rejected, read_side(record.find("rejected"), "rejected"));
  if (out.chosen.dump() == out.rejected.dump()) return make_error("\"chosen\" and \"rejected\" are the same");
  const Json* prompt = find_any(record, kPrompt);
  if (out.chosen.items().size() > 1 && out.rejected.items().size() > 1) {
    take_common_prompt(out);
  } else if (has(record, "conversations")) {
    TRY_ASSIGN(Example conversation, read_conversation(record, "conversations"));
    out.messages = std::move(conversation.messages);
  } else if (has(record, "instruction")) {
    TRY(add_instruction(record, out.messages));
  } else if (prompt != nullptr && prompt->is_array()) {
    TRY_ASSIGN(out.messages, read_messages(*prompt));
  } else {
    TRY(add_system(record, out.messages));
    TRY_ASSIGN(std::string text, needed_text(prompt, "prompt"));
    out.messages.push(text_message("user", std::move(text)));
  }
  TRY(add_tools(record, out));
  if (out.messages.items().empty()) return make_error("there is no prompt");
  return out;
}

Result<Example> read_labelled(const Json& record) {
  const Json* label = find_any(record, kLabel);
  if (label == nullptr || !label->is_bool()) return make_error("\"label\" is not true or false");
  const auto plain = detect_plain(record);
  if (!plain || *plain == DataFormat::kTextRows) return make_error("there is a label, but no prompt and answer");
  TRY_ASSIGN(Example out, read_record(record, *plain));
  out.desirable = label->as_bool();
  if (out.kind == Example::Kind::kChat && out.trained.back() == 0) return make_error("the last message is no answer");
  return out;
}

// Choices as a list of texts; or ARC's, with the names that stand before them in "label".
Status read_choices(const Json& record, Example& out, std::vector<std::string>& labels) {
  const Json* member = record.find("choices");
  const Json* texts = member != nullptr && member->is_object() ? member->find("text") : member;
  if (texts == nullptr || !texts->is_array()) return make_error("\"choices\" is not a list of texts");
  for (const Json& choice : texts->items()) {
    TRY_ASSIGN(std::string text, needed_text(&choice, "choices"));
    out.choices.push_back(std::move(text));
  }
  if (out.choices.size() < 2) return make_error("\"choices\" has fewer than two");
  const Json* names = member->find("label");
  for (size_t i = 0; i < out.choices.size(); ++i) {
    const bool named = names != nullptr && names->is_array() && i < names->items().size();
    labels.push_back(named && names->items()[i].is_string() ? names->items()[i].as_string()
                                                            : std::string(1, static_cast<char>('A' + i % 26)));
  }
  return {};
}

// Which choice "answer" (or ARC's "answerKey") means: its index from 0, its text, or the name before it.
Result<size_t> right_choice(const Json& record, const Example& example, const std::vector<std::string>& labels) {
  const Json* answer = find_any(record, kRightChoice);
  if (answer == nullptr) return make_error("\"answer\" is missing");
  const size_t count = example.choices.size();
  if (answer->is_int()) {
    const int64_t index = answer->as_int();
    if (index >= 0 && index < static_cast<int64_t>(count)) return static_cast<size_t>(index);
    return make_error("\"answer\" is {}; there are {} choices, the first of them 0", index, count);
  }
  if (!answer->is_string()) return make_error("\"answer\" is neither the index of a choice nor text");
  for (const auto* names : {&example.choices, &labels}) {
    const auto found = std::find(names->begin(), names->end(), answer->as_string());
    if (found != names->end()) return static_cast<size_t>(found - names->begin());
  }
  return make_error("\"answer\" is \"{}\", which is none of the choices nor a letter of one",
                    in_quotes(answer->as_string()));
}

// A preference pair is a question with two choices.
Result<Example> read_choice(const Json& record) {
  if (!has(record, "choices") && has(record, "chosen")) return read_preference(record);
  Example out;
  out.kind = Example::Kind::kChoice;
  std::vector<std::string> labels;
  TRY(read_choices(record, out, labels));
  TRY_ASSIGN(out.right, right_choice(record, out, labels));
  const Json* prompt = find_any(record, kPrompt);
  const Json* messages = has(record, "messages") ? record.find("messages") : prompt;
  if (has(record, "instruction")) {
    TRY(add_instruction(record, out.messages));
  } else if (messages != nullptr && messages->is_array()) {
    TRY_ASSIGN(out.messages, read_messages(*messages));
    if (out.messages.items().empty()) return make_error("there is no question");
  } else {
    TRY_ASSIGN(out.prompt, needed_text(prompt, "question"));
  }
  return out;
}

}  // namespace

std::optional<DataFormat> detect_record(const Json& record) {
  if (!record.is_object()) return std::nullopt;
  if (has(record, "chosen") && has(record, "rejected")) return DataFormat::kPreference;
  const auto plain = detect_plain(record);
  if (plain && *plain != DataFormat::kTextRows && has_label(record)) return DataFormat::kLabelled;
  return plain;
}

Result<Example> read_record(const Json& record, DataFormat format) {
  if (!record.is_object()) return make_error("the row is not an object");
  auto out = [&]() -> Result<Example> {
    switch (format) {
      case DataFormat::kChat: return read_conversation(record, "messages");
      case DataFormat::kShareGpt: return read_conversation(record, "conversations");
      case DataFormat::kAlpaca: return read_alpaca(record);
      case DataFormat::kCompletion: return read_completion(record);
      case DataFormat::kPreference: return read_preference(record);
      case DataFormat::kLabelled: return read_labelled(record);
      case DataFormat::kTextRows: return read_text_row(record);
      case DataFormat::kChoice: return read_choice(record);
      case DataFormat::kText:
      case DataFormat::kMarkdown: break;
    }
    return make_error("not a format of rows");
  }();
  if (out.ok() && out->kind == Example::Kind::kChat) TRY(check_answers(*out));
  return out;
}

}  // namespace andiron
