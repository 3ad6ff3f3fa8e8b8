// A row of data: messages in turn, written as {"messages": [{"role": ..., "content": ...}, ...]}.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace andiron::ember {

struct Conversation {
  std::string system;                                      // empty: none
  std::vector<std::pair<std::string, std::string>> turns;  // what the user says, and the answer

  void ask(std::string user, std::string answer) { turns.emplace_back(std::move(user), std::move(answer)); }
  void append(Conversation other) {
    for (auto& turn : other.turns) turns.push_back(std::move(turn));
  }
};

// One line of JSON, without its end.
std::string to_json_line(const Conversation& conversation);

}  // namespace andiron::ember
