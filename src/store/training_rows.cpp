#include "store/training_rows.h"

#include <algorithm>
#include <map>
#include <set>

#include "base/strings.h"
#include "store/chats.h"

namespace andiron {

namespace {

// One conversation's tree, and the rows made of it.
class Tree {
 public:
  Tree(const Conversation& conversation, const std::vector<Message>& messages, TrainingReport& report,
       const TrainingRowSink& sink)
      : conversation_(conversation), messages_(messages), report_(report), sink_(sink) {
    for (size_t i = 0; i < messages.size(); ++i) index_[messages[i].id] = i;
    // An edit comes behind what it edits, so backward those of a message are known when it is reached.
    for (auto message = messages.rbegin(); message != messages.rend(); ++message) {
      auto standing = standing_.find(message->id);
      if (standing == standing_.end()) {
        if (message->thumb < 0 || !is_answer(*message)) continue;
        standing = standing_.emplace(message->id, &*message).first;
      }
      if (!message->edit_of.empty()) standing_.emplace(message->edit_of, standing->second);
    }
  }

  Status chat_rows() {
    std::set<std::string> shown;
    if (!conversation_.shown.empty()) {
      Path path = path_to(conversation_.shown);
      std::set<std::string> learned;
      for (const Message* message : path) {
        shown.insert(message->id);
        if (is_taught(*message)) learned.insert(message->id);
      }
      while (!path.empty() && learned.count(path.back()->id) == 0) path.pop_back();
      TRY(put_chat(path, learned));
    }
    for (const Message& message : messages_) {
      if (is_taught(message) && shown.count(message.id) == 0) TRY(put_chat(path_to(message.id), {message.id}));
    }
    return {};
  }

  Status preference_rows() {
    std::map<std::string, std::vector<const Message*>> answers;  // by parent
    std::vector<std::string> parents;                            // in the order of their first answers
    for (const Message& message : messages_) {
      if (!is_answer(message)) continue;
      auto& list = answers[message.parent];
      if (list.empty()) parents.push_back(message.parent);
      list.push_back(&message);
    }
    for (const std::string& parent : parents) {
      std::set<std::pair<const Message*, const Message*>> pairs;
      for (const auto& pair : pairs_among(answers[parent])) {
        if (pairs.insert(pair).second) TRY(put_pair(*pair.first, *pair.second));
      }
    }
    return {};
  }

  Status labelled_rows() {
    for (const Message& message : messages_) {
      if (message.thumb == 0 || !is_answer(message)) continue;
      const auto path = path_to(message.id);
      if (!is_usable(path)) continue;
      Json row = Json::object();
      row.set("messages", to_messages(path, {message.id})).set("label", message.thumb > 0);
      TRY(put(std::move(row), {message.id}));
    }
    return {};
  }

 private:
  using Path = std::vector<const Message*>;
  using Pairs = std::vector<std::pair<const Message*, const Message*>>;  // chosen, rejected

  static bool is_answer(const Message& message) {
    const Json& calls = message.extra.member("tool_calls");
    return message.role == "assistant" && (!is_blank(message.content) || (calls.is_array() && !calls.items().empty()));
  }
  // The answer that stands for this one: the newest edit of it, itself where there is none; nullptr where all of them
  // have a thumb down.
  const Message* standing(const Message& answer) const {
    const auto found = standing_.find(answer.id);
    return found == standing_.end() ? nullptr : found->second;
  }
  // Whether somebody said that this is how to answer. What nobody judged is not learned.
  bool is_taught(const Message& message) const {
    return (message.thumb > 0 || !message.edit_of.empty()) && standing(message) == &message;
  }

  Path path_to(const std::string& id) const {
    Path path;
    for (const std::string* at = &id; !at->empty();) {
      const auto found = index_.find(*at);
      if (found == index_.end()) break;
      path.push_back(&messages_[found->second]);
      at = &path.back()->parent;
    }
    std::reverse(path.begin(), path.end());
    return path;
  }

  Pairs pairs_among(const std::vector<const Message*>& answers) const {
    Pairs pairs;
    Path good, bad;
    for (const Message* answer : answers) {
      const Message* best = standing(*answer);
      if (best != nullptr && best != answer && answer->thumb <= 0) pairs.emplace_back(best, answer);
      if (best == answer && !answer->edit_of.empty()) {
        const Message& original = messages_[index_.at(answer->edit_of)];
        if (original.thumb <= 0 && is_answer(original)) pairs.emplace_back(answer, &original);
      }
      if (answer->thumb > 0) good.push_back(answer);
      if (answer->thumb < 0) bad.push_back(answer);
    }
    if (good.empty() || bad.empty()) return pairs;
    // The newest of those that are better, and the newest of those that are worse, stand for all.
    for (const Message* answer : bad) pairs.emplace_back(good.back(), answer);
    for (const Message* answer : good) pairs.emplace_back(answer, bad.back());
    return pairs;
  }

  bool is_usable(const Path& path) {
    const bool files = std::any_of(path.begin(), path.end(), [](const Message* m) { return !m->files.empty(); });
    if (files) ++report_.with_files;
    return !files && std::any_of(path.begin(), path.end(),
                                 [](const Message* m) { return m->role != "assistant" && !is_blank(m->content); });
  }

  // As OpenAI has it. Answers that are not in `learned` get the weight 0.
  static Json to_message(const Message& message, bool learned) {
    Json out = Json::object();
    out.set("role", message.role).set("content", message.content);
    if (!message.reasoning.empty()) out.set("reasoning_content", message.reasoning);
    // What else a client left there is no part of the conversation.
    for (const char* name : {"tool_calls", "tool_call_id", "name"}) {
      if (const Json* value = message.extra.find(name)) out.set(name, *value);
    }
    if (message.role == "assistant" && !learned) out.set("weight", 0);
    return out;
  }
  Json to_messages(const Path& path, const std::set<std::string>& learned) const {
    Json out = Json::array();
    if (!is_blank(conversation_.system)) {
      Json system = Json::object();
      system.set("role", "system").set("content", conversation_.system);
      out.push(std::move(system));
    }
    for (const Message* message : path) out.push(to_message(*message, learned.count(message->id) == 1));
    return out;
  }

  Status put_chat(const Path& path, const std::set<std::string>& learned) {
    if (learned.empty() || !is_usable(path)) return {};
    Json row = Json::object();
    row.set("messages", to_messages(path, learned));
    std::vector<std::string> ids;
    for (const Message* message : path) {
      if (learned.count(message->id) == 1) ids.push_back(message->id);
    }
    return put(std::move(row), std::move(ids));
  }

  Status put_pair(const Message& chosen, const Message& rejected) {
    Json better = to_message(chosen, true), worse = to_message(rejected, true);
    if (better.dump() == worse.dump()) return {};
    Path whole = path_to(chosen.id);
    if (!is_usable(whole)) return {};
    if (!rejected.files.empty()) return {};
    whole.pop_back();
    // The prompt's answers are not learned in a pair, so they need no weight.
    std::set<std::string> all;
    for (const Message* message : whole) all.insert(message->id);
    Json row = Json::object();
    row.set("prompt", to_messages(whole, all));
    row.set("chosen", Json(Json::Array{std::move(better)})).set("rejected", Json(Json::Array{std::move(worse)}));
    return put(std::move(row), {chosen.id, rejected.id});
  }

  Status put(Json row, std::vector<std::string> messages) {
    ++report_.rows;
    return sink_({std::move(row), conversation_.id, std::move(messages)});
  }

  const Conversation& conversation_;
  const std::vector<Message>& messages_;
  TrainingReport& report_;
  const TrainingRowSink& sink_;
  std::map<std::string_view, size_t> index_;
  std::map<std::string_view, const Message*> standing_;  // by the id of an answer
};

}  // namespace

std::string training_kind_name(TrainingKind kind) {
  switch (kind) {
    case TrainingKind::kChat: return "chat";
    case TrainingKind::kPreference: return "preference";
    case TrainingKind::kLabelled: return "labelled";
  }
  return "";
}

Result<TrainingReport> training_rows(SqliteConnection& db, TrainingKind kind, const TrainingRowSink& sink,
                                     const std::atomic<bool>* stop) {
  TrainingReport report;
  std::vector<std::string> ids;
  TRY(db.query("SELECT id FROM conversation WHERE for_training = 1 ORDER BY number", {}, [&](SqliteRow& row) {
    ids.push_back(row.text(0));
    return Status();
  }));
  for (const std::string& id : ids) {
    if (stop != nullptr && *stop) return make_error("stopped while the chats were read");
    TRY_ASSIGN(const auto conversation, find_conversation(db, id));
    if (!conversation) continue;
    TRY_ASSIGN(const auto messages, list_messages(db, id));
    ++report.conversations;
    Tree tree(*conversation, messages, report, sink);
    switch (kind) {
      case TrainingKind::kChat: TRY(tree.chat_rows()); break;
      case TrainingKind::kPreference: TRY(tree.preference_rows()); break;
      case TrainingKind::kLabelled: TRY(tree.labelled_rows()); break;
    }
  }
  return report;
}

}  // namespace andiron
