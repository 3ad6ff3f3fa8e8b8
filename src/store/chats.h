// Conversations and the trees of their messages, on a connection within a transaction (store/store.h makes both).
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "store/records.h"
#include "store/sqlite.h"

namespace andiron {

// The record as it is kept. One of the same id is an Error.
Result<Conversation> add_conversation(SqliteConnection& db, Conversation conversation, int64_t now_ms);
Result<std::optional<Conversation>> find_conversation(SqliteConnection& db, std::string_view id);
// Those changed last come first; without system prompt and sampler settings, which may be large.
Result<std::vector<Conversation>> list_conversations(SqliteConnection& db, int64_t limit, int64_t offset);
Status change_conversation(SqliteConnection& db, std::string_view id, const ConversationChange& change, int64_t now_ms);

// Adds a message and shows it. The same once more (with its id, which then must be given) changes nothing and gives
// what is kept: whoever lost the first answer may ask again. Another one under that id is an Error.
Result<Message> add_message(SqliteConnection& db, Message message, int64_t now_ms);
Result<std::optional<Message>> find_message(SqliteConnection& db, std::string_view id);
// The whole tree, each message behind its parent, those with one parent in the order in which they came.
Result<std::vector<Message>> list_messages(SqliteConnection& db, std::string_view conversation);
// From the first message to this one; none where there is no such message.
Result<std::vector<Message>> list_path(SqliteConnection& db, std::string_view message);
Status set_thumb(SqliteConnection& db, std::string_view message, int thumb, int64_t now_ms);

// Remove text: afterwards `forget_words` and a truncating checkpoint (Store does both) leave no trace of it. Files that
// no message has any more go too. What does not exist is an Error.
struct Removed {
  int64_t conversations = 0, messages = 0, files = 0;
};
// The message and all below it. Shown is then the newest below its parent.
Status remove_message(SqliteConnection& db, std::string_view id, Removed& removed);
Status remove_conversation(SqliteConnection& db, std::string_view id, Removed& removed);

}  // namespace andiron
