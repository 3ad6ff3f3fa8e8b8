#include "store/chats.h"

#include <algorithm>
#include <map>

#include "base/strings.h"
#include "store/search.h"

namespace andiron {

namespace {

constexpr std::string_view kSelectConversation =
    "SELECT c.id, c.title, c.system, c.model, c.adapters, c.sampling, c.for_training, s.id, c.created_ms, c.changed_ms "
    "FROM conversation c LEFT JOIN message s ON s.number = c.shown ";

// Without what may be large.
constexpr std::string_view kSelectSummary =
    "SELECT c.id, c.title, '', c.model, c.adapters, '{}', c.for_training, s.id, c.created_ms, c.changed_ms "
    "FROM conversation c LEFT JOIN message s ON s.number = c.shown ";

constexpr std::string_view kSelectMessage =
    "SELECT m.number, m.id, c.id, p.id, e.id, m.role, m.content, m.reasoning, m.extra, m.model, m.adapters, m.thumb, "
    "m.created_ms FROM message m JOIN conversation c ON c.number = m.conversation "
    "LEFT JOIN message p ON p.number = m.parent LEFT JOIN message e ON e.number = m.edit_of ";

Result<Conversation> read_conversation(SqliteRow& row) {
  Conversation c;
  c.id = row.text(0);
  c.title = row.text(1);
  c.system = row.text(2);
  c.model = row.text(3);
  c.adapters = row.text(4);
  TRY_ASSIGN(c.sampling, parse_kept(row.text(5)));
  c.for_training = row.integer(6) != 0;
  c.shown = row.text_or_empty(7);
  c.created_ms = row.integer(8);
  c.changed_ms = row.integer(9);
  return c;
}

Result<Message> read_message(SqliteRow& row) {
  Message m;
  m.id = row.text(1);
  m.conversation = row.text(2);
  m.parent = row.text_or_empty(3);
  m.edit_of = row.text_or_empty(4);
  m.role = row.text(5);
  m.content = row.text(6);
  m.reasoning = row.text(7);
  TRY_ASSIGN(m.extra, parse_kept(row.text(8)));
  m.model = row.text(9);
  m.adapters = row.text(10);
  m.thumb = static_cast<int>(row.integer(11));
  m.created_ms = row.integer(12);
  return m;
}

using Values = std::initializer_list<SqlValue>;

Result<std::vector<Conversation>> read_conversations(SqliteConnection& db, std::string_view select,
                                                     std::string_view rest, Values values) {
  std::vector<Conversation> out;
  TRY(db.query(std::string(select).append(rest), values, [&](SqliteRow& row) -> Status {
    TRY_ASSIGN(Conversation conversation, read_conversation(row));
    out.push_back(std::move(conversation));
    return {};
  }));
  return out;
}

Result<std::vector<Message>> read_messages(SqliteConnection& db, const std::string& rest, Values values) {
  std::vector<Message> out;
  std::map<int64_t, size_t> index;
  TRY(db.query(std::string(kSelectMessage).append(rest), values, [&](SqliteRow& row) -> Status {
    index[row.integer(0)] = out.size();
    TRY_ASSIGN(Message message, read_message(row));
    out.push_back(std::move(message));
    return {};
  }));
  if (out.empty()) return out;
  // Numbers of other conversations lie between, too; files are few.
  TRY(
      db.query("SELECT mf.message, f.hash FROM message_file mf JOIN file f ON f.number = mf.file "
               "WHERE mf.message BETWEEN ? AND ? ORDER BY mf.message, mf.place",
               {index.begin()->first, index.rbegin()->first}, [&](SqliteRow& row) {
                 const auto found = index.find(row.integer(0));
                 if (found != index.end()) out[found->second].files.push_back(row.text(1));
                 return Status();
               }));
  return out;
}

Error no_conversation(std::string_view id) {
  return make_error(ErrorKind::kNotFound, "there is no conversation \"{}\"", in_quotes(id));
}
Error no_message(std::string_view id) {
  return make_error(ErrorKind::kNotFound, "there is no message \"{}\"", in_quotes(id));
}

Result<int64_t> conversation_number(SqliteConnection& db, std::string_view id) {
  TRY_ASSIGN(const auto number, db.find_number("SELECT number FROM conversation WHERE id = ?", {id}));
  if (!number) return no_conversation(id);
  return *number;
}

// A message of that conversation, which `what` names; nothing for "".
Result<std::optional<int64_t>> number_within(SqliteConnection& db, int64_t conversation, std::string_view id,
                                             std::string_view what) {
  if (id.empty()) return std::optional<int64_t>();
  TRY_ASSIGN(const auto number,
             db.find_number("SELECT number FROM message WHERE id = ? AND conversation = ?", {id, conversation}));
  if (!number) return make_error("{} \"{}\" is no message of this conversation", what, in_quotes(id));
  return number;
}

// Whether a client that asks for `wanted` twice would find it in `kept`.
bool is_same(const Message& kept, const Message& wanted) {
  return kept.conversation == wanted.conversation && kept.parent == wanted.parent && kept.edit_of == wanted.edit_of &&
         kept.role == wanted.role && kept.content == wanted.content && kept.reasoning == wanted.reasoning &&
         kept.extra.dump() == wanted.extra.dump() && kept.files == wanted.files;
}

Status attach(SqliteConnection& db, int64_t message, const std::vector<std::string>& files) {
  int64_t place = 0;
  for (const std::string& hash : files) {
    TRY(db.run("INSERT INTO message_file (message, place, file) SELECT ?, ?, number FROM file WHERE hash = ?",
               {message, place++, hash}));
    if (db.changes() != 1) return make_error("there is no file \"{}\"", in_quotes(hash));
  }
  return {};
}

// An edit stands beside what it edits.
Status check_edit(SqliteConnection& db, const Message& message) {
  if (message.edit_of.empty()) return {};
  TRY_ASSIGN(const auto original, find_message(db, message.edit_of));
  if (original && original->parent == message.parent && original->role == message.role) return {};
  return make_error("\"{}\" cannot be an edit of \"{}\": that has another parent or role", in_quotes(message.id),
                    in_quotes(message.edit_of));
}

// To look at every text for each message that comes would make a long conversation's import quadratic in its bytes: of
// many small messages each 64th looks.
constexpr int64_t kLookEach = 64;
constexpr size_t kSmallBytes = 256 << 10;

Status check_room(SqliteConnection& db, int64_t conversation, size_t more) {
  TRY_ASSIGN(const int64_t count, db.number("SELECT count(*) FROM message WHERE conversation = ?", {conversation}));
  if (count >= StoreLimits::kMessagesPerConversation) {
    return make_error("the conversation has {} messages, as many as one may have; begin another", count);
  }
  if (more < kSmallBytes && count % kLookEach != 0) return {};
  TRY_ASSIGN(const int64_t bytes,
             db.number("SELECT coalesce(sum(length(CAST(content AS BLOB)) + length(CAST(reasoning AS BLOB)) + "
                       "length(CAST(extra AS BLOB))), 0) FROM message WHERE conversation = ?",
                       {conversation}));
  if (bytes + static_cast<int64_t>(more) <= StoreLimits::kConversationBytes) return {};
  return make_error(
      "the conversation has {} of text, and {} more would be beyond the {} that one may have; begin another",
      human_bytes(static_cast<uint64_t>(bytes)), human_bytes(more), human_bytes(StoreLimits::kConversationBytes));
}

Status touch(SqliteConnection& db, int64_t conversation, int64_t now_ms) {
  return db.run("UPDATE conversation SET changed_ms = max(changed_ms, ?) WHERE number = ?", {now_ms, conversation});
}

// The numbers of a message and of all below it, parents first.
Result<std::vector<int64_t>> numbers_below(SqliteConnection& db, int64_t message) {
  std::vector<int64_t> numbers;
  TRY(
      db.query("WITH RECURSIVE below (number, conversation) AS ("
               "  SELECT number, conversation FROM message WHERE number = ?"
               "  UNION SELECT m.number, m.conversation FROM message m JOIN below b"
               "  ON m.conversation = b.conversation AND m.parent = b.number) SELECT number FROM below ORDER BY number",
               {message}, [&](SqliteRow& row) {
                 numbers.push_back(row.integer(0));
                 return Status();
               }));
  return numbers;
}

Status remove_numbers(SqliteConnection& db, const std::vector<int64_t>& numbers, Removed& removed) {
  std::vector<int64_t> files;
  for (const int64_t number : numbers) {
    TRY(db.query("SELECT file FROM message_file WHERE message = ?", {number}, [&](SqliteRow& row) {
      files.push_back(row.integer(0));
      return Status();
    }));
    TRY(db.run("DELETE FROM message_file WHERE message = ?", {number}));
    TRY(remove_words(db, number));
    TRY(
        db.run("UPDATE message SET edit_of = NULL WHERE edit_of = ?1 AND conversation = "
               "(SELECT conversation FROM message WHERE number = ?1)",
               {number}));
  }
  for (const int64_t number : numbers) TRY(db.run("DELETE FROM message WHERE number = ?", {number}));
  removed.messages += static_cast<int64_t>(numbers.size());
  for (const int64_t file : files) {
    TRY(db.run("DELETE FROM file WHERE number = ?1 AND NOT EXISTS (SELECT 1 FROM message_file WHERE file = ?1)",
               {file}));
    removed.files += db.changes();
  }
  return {};
}

}  // namespace

Result<Conversation> add_conversation(SqliteConnection& db, Conversation conversation, int64_t now_ms) {
  TRY(check_record(conversation));
  if (conversation.id.empty()) {
    TRY_ASSIGN(conversation.id, new_id());
  }
  if (conversation.created_ms == 0) conversation.created_ms = now_ms;
  if (conversation.changed_ms == 0) conversation.changed_ms = conversation.created_ms;
  TRY_ASSIGN(const auto there, db.find_number("SELECT number FROM conversation WHERE id = ?", {conversation.id}));
  if (there) return make_error(ErrorKind::kConflict, "there is a conversation \"{}\" already", conversation.id);
  conversation.shown.clear();
  const std::string sampling = conversation.sampling.dump();
  TRY(db.run(
      "INSERT INTO conversation (id, title, system, model, adapters, sampling, for_training, created_ms, changed_ms) "
      "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
      {conversation.id, conversation.title, conversation.system, conversation.model, conversation.adapters, sampling,
       int64_t{conversation.for_training}, conversation.created_ms, conversation.changed_ms}));
  return conversation;
}

Result<std::optional<Conversation>> find_conversation(SqliteConnection& db, std::string_view id) {
  TRY_ASSIGN(auto found, read_conversations(db, kSelectConversation, "WHERE c.id = ?", {id}));
  if (found.empty()) return std::optional<Conversation>();
  return std::optional<Conversation>(std::move(found.front()));
}

Result<std::vector<Conversation>> list_conversations(SqliteConnection& db, int64_t limit, int64_t offset) {
  return read_conversations(db, kSelectSummary, "ORDER BY c.changed_ms DESC, c.number DESC LIMIT ? OFFSET ?",
                            {std::max<int64_t>(limit, 0), std::max<int64_t>(offset, 0)});
}

Status change_conversation(SqliteConnection& db, std::string_view id, const ConversationChange& change,
                           int64_t now_ms) {
  TRY(check_record(change));
  TRY_ASSIGN(const int64_t number, conversation_number(db, id));
  const auto set = [&](std::string_view column, const SqlValue& value) {
    return db.run(format("UPDATE conversation SET {} = ? WHERE number = ?", column), {value, number});
  };
  if (change.title) TRY(set("title", *change.title));
  if (change.system) TRY(set("system", *change.system));
  if (change.model) TRY(set("model", *change.model));
  if (change.adapters) TRY(set("adapters", *change.adapters));
  if (change.for_training) TRY(set("for_training", int64_t{*change.for_training}));
  if (change.sampling) {
    const std::string sampling = change.sampling->dump();
    TRY(set("sampling", sampling));
  }
  if (change.shown) {
    TRY_ASSIGN(const auto shown, number_within(db, number, *change.shown, "what is to be shown,"));
    TRY(set("shown", sql_number(shown)));
  }
  return touch(db, number, now_ms);
}

Result<Message> add_message(SqliteConnection& db, Message message, int64_t now_ms) {
  TRY(check_record(message));
  if (message.id.empty()) {
    TRY_ASSIGN(message.id, new_id());
  }
  TRY_ASSIGN(auto kept, find_message(db, message.id));
  if (kept && is_same(*kept, message)) return std::move(*kept);
  if (kept) return make_error(ErrorKind::kConflict, "there is another message \"{}\" already", message.id);
  if (message.created_ms == 0) message.created_ms = now_ms;
  TRY_ASSIGN(const int64_t conversation, conversation_number(db, message.conversation));
  TRY_ASSIGN(const auto parent, number_within(db, conversation, message.parent, "the parent"));
  TRY_ASSIGN(const auto edit_of, number_within(db, conversation, message.edit_of, "the message that was edited,"));
  TRY(check_edit(db, message));
  const std::string extra = message.extra.dump();
  TRY(check_room(db, conversation, message.content.size() + message.reasoning.size() + extra.size()));
  TRY(
      db.run("INSERT INTO message (id, conversation, parent, edit_of, role, content, reasoning, extra, model, "
             "adapters, thumb, "
             "created_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
             {message.id, conversation, sql_number(parent), sql_number(edit_of), message.role, message.content,
              message.reasoning, extra, message.model, message.adapters, int64_t{message.thumb}, message.created_ms}));
  const int64_t number = db.last_number();
  TRY(attach(db, number, message.files));
  TRY(add_words(db, number));
  TRY(db.run("UPDATE conversation SET shown = ? WHERE number = ?", {number, conversation}));
  TRY(touch(db, conversation, message.created_ms));
  return message;
}

Result<std::optional<Message>> find_message(SqliteConnection& db, std::string_view id) {
  TRY_ASSIGN(auto found, read_messages(db, "WHERE m.id = ?", {id}));
  if (found.empty()) return std::optional<Message>();
  return std::optional<Message>(std::move(found.front()));
}

Result<std::vector<Message>> list_messages(SqliteConnection& db, std::string_view conversation) {
  return read_messages(db, "WHERE c.id = ? ORDER BY m.number", {conversation});
}

Result<std::vector<Message>> list_path(SqliteConnection& db, std::string_view message) {
  return read_messages(db,
                       "WHERE m.number IN (WITH RECURSIVE up (number) AS ("
                       "  SELECT number FROM message WHERE id = ?"
                       "  UNION SELECT a.parent FROM message a JOIN up ON a.number = up.number "
                       "  WHERE a.parent IS NOT NULL) SELECT number FROM up) ORDER BY m.number",
                       {message});
}

Status set_thumb(SqliteConnection& db, std::string_view message, int thumb, int64_t now_ms) {
  if (thumb < -1 || thumb > 1) return make_error("the thumb is {}; expected -1, 0 or 1", thumb);
  TRY_ASSIGN(const auto conversation, db.find_number("SELECT conversation FROM message WHERE id = ?", {message}));
  if (!conversation) return no_message(message);
  TRY(db.run("UPDATE message SET thumb = ? WHERE id = ?", {int64_t{thumb}, message}));
  return touch(db, *conversation, now_ms);
}

Status remove_message(SqliteConnection& db, std::string_view id, Removed& removed) {
  TRY_ASSIGN(const auto number, db.find_number("SELECT number FROM message WHERE id = ?", {id}));
  if (!number) return no_message(id);
  TRY_ASSIGN(const int64_t conversation, db.number("SELECT conversation FROM message WHERE number = ?", {*number}));
  TRY_ASSIGN(const auto parent, db.find_number("SELECT parent FROM message WHERE number = ?", {*number}));
  TRY_ASSIGN(const auto shown, db.find_number("SELECT shown FROM conversation WHERE number = ?", {conversation}));
  TRY_ASSIGN(const auto numbers, numbers_below(db, *number));
  TRY(remove_numbers(db, numbers, removed));
  if (!shown || !std::binary_search(numbers.begin(), numbers.end(), *shown)) return {};
  // The newest message of a tree has nothing below it.
  std::optional<int64_t> newest;
  if (parent) {
    TRY_ASSIGN(const auto left, numbers_below(db, *parent));
    newest = left.back();
  } else {
    TRY_ASSIGN(newest, db.find_number("SELECT max(number) FROM message WHERE conversation = ?", {conversation}));
  }
  return db.run("UPDATE conversation SET shown = ? WHERE number = ?", {sql_number(newest), conversation});
}

Status remove_conversation(SqliteConnection& db, std::string_view id, Removed& removed) {
  TRY_ASSIGN(const int64_t conversation, conversation_number(db, id));
  std::vector<int64_t> numbers;
  TRY(db.query("SELECT number FROM message WHERE conversation = ?", {conversation}, [&](SqliteRow& row) {
    numbers.push_back(row.integer(0));
    return Status();
  }));
  TRY(db.run("UPDATE conversation SET shown = NULL WHERE number = ?", {conversation}));
  TRY(remove_numbers(db, numbers, removed));
  ++removed.conversations;
  return db.run("DELETE FROM conversation WHERE number = ?", {conversation});
}

}  // namespace andiron
