// What the store holds, as callers see it, and what each member may be.
//
// Ids are 1 to 64 letters, digits, "-" and "_". Text is UTF-8. Times are milliseconds since 1970. 0 and "" mean
// "not given": where something is added, the store sets the time and draws the id.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/json_fields.h"
#include "base/result.h"

namespace andiron {

// What is larger is refused by name. A line of an export (store/exchange.h) holds any record within these: a byte of
// text takes six in JSON at most.
struct StoreLimits {
  static constexpr size_t kIdBytes = 64;
  static constexpr size_t kNameBytes = 1000;      // titles, models, adapters, names of settings, media types
  static constexpr size_t kTextBytes = 4 << 20;   // a content, a reasoning, a system prompt: as much as a request
  static constexpr size_t kJsonBytes = 4 << 20;   // an `extra`, `sampling`, `details` or setting, as text
  static constexpr size_t kFileBytes = 16 << 20;  // a picture
  static constexpr size_t kFilesPerMessage = 64;
  static constexpr int64_t kMessagesPerConversation = 100'000;
  // Of the texts of all messages of a conversation, which is read as a whole. Small messages may bring 16 MiB more.
  static constexpr int64_t kConversationBytes = 32 << 20;
  static constexpr int64_t kSettingsBytes = 8 << 20;  // of all settings and their names, which are read together
  static constexpr size_t kLineBytes = 64 << 20;
  static constexpr int kJsonDepth = 32;
  static constexpr size_t kQueryBytes = 1000;
  static constexpr size_t kQueryWords = 32;
};

struct Conversation {
  std::string id;
  std::string title;
  std::string system;  // the system prompt
  std::string model;
  std::string adapters;            // as on the command line: "me:0.8+work:0.5"
  Json sampling = Json::object();  // sampler settings
  bool for_training = false;       // only the person who owns it sets this
  std::string shown;               // the message that ends the branch shown; "" where there are none
  int64_t created_ms = 0;
  int64_t changed_ms = 0;
};

template <FieldsOf<Conversation> C, typename Fields>
void fields(C& conversation, Fields&& at) {
  at("id", conversation.id);
  at("title", conversation.title);
  at("system", conversation.system);
  at("model", conversation.model);
  at("adapters", conversation.adapters);
  at("sampling", conversation.sampling);
  at("for_training", conversation.for_training);
  at("shown", conversation.shown);
  at("created_ms", conversation.created_ms);
  at("changed_ms", conversation.changed_ms);
}

// What is given is changed.
struct ConversationChange {
  std::optional<std::string> title, system, model, adapters, shown;
  std::optional<Json> sampling;
  std::optional<bool> for_training;
};

// One message of the tree. Its text never changes: an edit is another message with the same parent, and so is an answer
// that is written again.
struct Message {
  std::string id;
  std::string conversation;
  std::string parent;   // "" for a first message
  std::string edit_of;  // the message beside it that a person wrote anew in this one; "" otherwise
  std::string role;     // system, developer, user, assistant, tool
  std::string content;
  std::string reasoning;           // what the model thought first
  Json extra = Json::object();     // other members that OpenAI's messages have: tool_calls, tool_call_id, name
  std::vector<std::string> files;  // hashes of what is attached
  std::string model, adapters;     // what wrote it
  int thumb = 0;                   // 1 up, -1 down, 0 none
  int64_t created_ms = 0;
};

template <FieldsOf<Message> M, typename Fields>
void fields(M& message, Fields&& at) {
  at("id", message.id);
  at("conversation", message.conversation);
  at("parent", message.parent);
  at("edit_of", message.edit_of);
  at("role", message.role);
  at("content", message.content);
  at("reasoning", message.reasoning);
  at("extra", message.extra);
  at("files", message.files);
  at("model", message.model);
  at("adapters", message.adapters);
  at("thumb", message.thumb);
  at("created_ms", message.created_ms);
}

struct StoredFile {
  std::string hash;   // base/content_hash.h
  std::string media;  // "image/png"
  std::vector<uint8_t> bytes;
};

// A training run.
struct StoredRun {
  std::string id;
  std::string adapter;  // its name
  std::string model;
  std::string state;              // "running", "kept", ...: the caller's words
  Json details = Json::object();  // options, losses, ...: the caller's
  int64_t created_ms = 0;
  int64_t changed_ms = 0;
};

template <FieldsOf<StoredRun> R, typename Fields>
void fields(R& run, Fields&& at) {
  at("id", run.id);
  at("adapter", run.adapter);
  at("model", run.model);
  at("state", run.state);
  at("details", run.details);
  at("created_ms", run.created_ms);
  at("changed_ms", run.changed_ms);
}

// A line of the ledger: this run learned from this message. It holds ids alone, and outlives the conversation, so that
// what an adapter was made of can be told when the text is gone.
struct Lesson {
  std::string run;
  std::string conversation;
  std::string message;
  std::string kind;  // "chat", "preference", "labelled"
  bool operator==(const Lesson&) const = default;
};

template <FieldsOf<Lesson> L, typename Fields>
void fields(L& lesson, Fields&& at) {
  at("run", lesson.run);
  at("conversation", lesson.conversation);
  at("message", lesson.message);
  at("kind", lesson.kind);
}

// The Error names the member, what it may be and what it is. Where the store sets "", 0 or no id is fine.
Status check_record(const Conversation& conversation);
Status check_record(const ConversationChange& change);
Status check_record(const Message& message);
Status check_record(const StoredRun& run);
Status check_record(const Lesson& lesson);
Status check_id(std::string_view id, std::string_view what);
Status check_name(std::string_view text, std::string_view what);
Status check_setting(std::string_view name, const Json& value);
Status check_file(std::string_view media, size_t bytes);

// A member that the store keeps as JSON. An Error: the file is damaged.
Result<Json> parse_kept(std::string_view text);

// 128 random bits as 32 hexadecimal digits.
Result<std::string> new_id();

}  // namespace andiron
