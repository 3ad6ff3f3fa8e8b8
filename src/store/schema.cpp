#include "store/schema.h"

#include "base/strings.h"

namespace andiron {

namespace {

// "andr" as the bytes 4 to 7 of SQLite's header field: tells a store from other programs' databases.
constexpr int64_t kApplicationId = 0x616e6472;

// Ids are what the world sees; numbers are in the order of making, so a message's number is above its parent's.
//
// Messages refer to others of the same conversation only: the conversation is part of each key. The references do not
// delete along: SQLite would do that by triggers that call one another, a thousand deep at most, and conversations are
// deeper. Nor do triggers keep the index of words: those of a database that is not trusted may not touch one.
constexpr const char* kVersion1 = R"sql(
CREATE TABLE conversation (
  number INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  title TEXT NOT NULL,
  system TEXT NOT NULL,
  model TEXT NOT NULL,
  adapters TEXT NOT NULL,
  sampling TEXT NOT NULL,
  for_training INTEGER NOT NULL DEFAULT 0 CHECK (for_training IN (0, 1)),
  shown INTEGER,
  created_ms INTEGER NOT NULL,
  changed_ms INTEGER NOT NULL,
  FOREIGN KEY (number, shown) REFERENCES message (conversation, number) DEFERRABLE INITIALLY DEFERRED
) STRICT;
CREATE INDEX conversation_by_change ON conversation (changed_ms, number);

CREATE TABLE message (
  number INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  conversation INTEGER NOT NULL REFERENCES conversation (number) DEFERRABLE INITIALLY DEFERRED,
  parent INTEGER CHECK (parent < number),
  edit_of INTEGER CHECK (edit_of < number),
  role TEXT NOT NULL,
  content TEXT NOT NULL,
  reasoning TEXT NOT NULL,
  extra TEXT NOT NULL,
  model TEXT NOT NULL,
  adapters TEXT NOT NULL,
  thumb INTEGER NOT NULL DEFAULT 0 CHECK (thumb IN (-1, 0, 1)),
  created_ms INTEGER NOT NULL,
  UNIQUE (conversation, number),
  FOREIGN KEY (conversation, parent) REFERENCES message (conversation, number) DEFERRABLE INITIALLY DEFERRED,
  FOREIGN KEY (conversation, edit_of) REFERENCES message (conversation, number) DEFERRABLE INITIALLY DEFERRED
) STRICT;
CREATE INDEX message_by_parent ON message (conversation, parent);
CREATE INDEX message_by_edit ON message (conversation, edit_of) WHERE edit_of IS NOT NULL;
CREATE VIRTUAL TABLE message_words USING fts5 (
  content, content = 'message', content_rowid = 'number', tokenize = 'unicode61 remove_diacritics 2');

CREATE TABLE file (
  number INTEGER PRIMARY KEY,
  hash TEXT NOT NULL UNIQUE,
  media TEXT NOT NULL,
  bytes BLOB NOT NULL
) STRICT;
CREATE TABLE message_file (
  message INTEGER NOT NULL REFERENCES message (number),
  place INTEGER NOT NULL,
  file INTEGER NOT NULL REFERENCES file (number),
  PRIMARY KEY (message, place)
) STRICT, WITHOUT ROWID;
CREATE INDEX message_file_by_file ON message_file (file);

CREATE TABLE run (
  number INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  adapter TEXT NOT NULL,
  model TEXT NOT NULL,
  state TEXT NOT NULL,
  details TEXT NOT NULL,
  created_ms INTEGER NOT NULL,
  changed_ms INTEGER NOT NULL
) STRICT;
CREATE TABLE lesson (
  run INTEGER NOT NULL REFERENCES run (number),
  conversation TEXT NOT NULL,
  message TEXT NOT NULL,
  kind TEXT NOT NULL,
  PRIMARY KEY (run, conversation, message, kind)
) STRICT, WITHOUT ROWID;
CREATE INDEX lesson_by_conversation ON lesson (conversation);

CREATE TABLE setting (
  name TEXT PRIMARY KEY,
  value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
)sql";

// One row while something else may still remember what was removed (Store::owes_forgetting).
constexpr const char* kVersion2 = R"sql(
CREATE TABLE unforgotten (mark INTEGER PRIMARY KEY CHECK (mark = 1)) STRICT;
)sql";

constexpr const char* kMigrations[] = {kVersion1, kVersion2};

Result<int64_t> version_of(SqliteConnection& connection) { return connection.number("PRAGMA user_version"); }

}  // namespace

Migrations store_migrations() { return kMigrations; }

Status check_version(SqliteConnection& connection, Migrations migrations) {
  TRY_ASSIGN(const int64_t application, connection.number("PRAGMA application_id"));
  TRY_ASSIGN(const int64_t version, version_of(connection));
  TRY_ASSIGN(const int64_t objects, connection.number("SELECT count(*) FROM sqlite_schema"));
  if (application == 0 && version == 0 && objects == 0) return {};  // new, or its making was cut short
  if (application != kApplicationId || version < 1) {
    return make_error("{}: this is another program's database; it is left as it is", connection.path());
  }
  const auto known = static_cast<int64_t>(migrations.size());
  if (version > known) {
    return make_error(
        "{}: a newer andiron wrote this (version {} of the store; this one knows versions up to {}); it is left as it "
        "is: use the newer andiron",
        connection.path(), version, known);
  }
  return {};
}

Status migrate(SqliteConnection& connection, Migrations migrations) {
  TRY_ASSIGN(const int64_t version, version_of(connection));
  if (version == static_cast<int64_t>(migrations.size())) return {};
  TRY_ASSIGN(SqliteTransaction transaction, SqliteTransaction::begin(connection, SqliteTransaction::Kind::kWrite));
  for (const char* statements : migrations.subspan(static_cast<size_t>(version))) {
    TRY(connection.run_script(statements));
  }
  TRY(connection.run_script(
      format("PRAGMA application_id = {}; PRAGMA user_version = {}", kApplicationId, migrations.size())));
  return transaction.commit();
}

}  // namespace andiron
