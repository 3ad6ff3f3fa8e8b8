#include "conversation.h"

#include "base/json.h"

namespace andiron::ember {

namespace {

void add_message(std::string& out, std::string_view role, std::string_view content) {
  if (out.back() == '}') out += ", ";
  out += R"({"role": ")";
  out += role;
  out += R"(", "content": )";
  out += json_quote(content);
  out += '}';
}

}  // namespace

std::string to_json_line(const Conversation& conversation) {
  std::string out = R"({"messages": [)";
  if (!conversation.system.empty()) add_message(out, "system", conversation.system);
  for (const auto& [user, answer] : conversation.turns) {
    add_message(out, "user", user);
    add_message(out, "assistant", answer);
  }
  return out + "]}";
}

}  // namespace andiron::ember
