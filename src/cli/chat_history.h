// ChatHistory: the messages of a chat, as JSON in the form that templates take and that /save writes.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"

namespace andiron {

class ChatHistory {
 public:
  explicit ChatHistory(std::string system) : system_(std::move(system)) {}

  // What /save writes ({"messages": [...]}) or a bare list of messages. `name` stands in the errors.
  static Result<ChatHistory> from_json(const Json& json, std::string_view name);

  const std::string& system() const { return system_; }
  void set_system(std::string text) { system_ = std::move(text); }

  bool empty() const { return messages_.items().empty(); }
  size_t size() const { return messages_.items().size(); }  // without the system message
  // A system message first, where there is one.
  Json all() const;

  void add(std::string_view role, std::string_view text);
  void clear() { messages_ = Json::array(); }
  // Takes the last message away.
  void pop() { messages_.items().pop_back(); }

  // How many times the user began to speak: what the model answered belongs to the question before it.
  size_t exchanges() const;
  // Forgets the oldest `count` exchanges (1 or more), at most all.
  void drop_oldest(size_t count);

  // Takes away what followed the user's last message. False, and no change, when there is none.
  bool rewind_to_question();
  // The text of the last message; of several parts, the first that is text.
  std::string last_text() const;
  // Puts another text in its place; parts that are no text stay.
  void set_last_text(std::string_view text);

 private:
  std::string system_;
  Json messages_ = Json::array();
};

}  // namespace andiron
