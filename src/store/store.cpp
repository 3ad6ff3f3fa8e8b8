#include "store/store.h"

#include <algorithm>
#include <chrono>
#include <mutex>
#include <shared_mutex>

#include "base/strings.h"
#include "base/user_folder.h"
#include "store/schema.h"
#include "store/sqlite.h"
#include "store/store_file.h"

namespace andiron {

namespace {

// 4 MiB: more is read again at the next start, and slows reads; less moves pages more often.
constexpr int kWalPages = 1000;

int64_t system_now_ms() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
}

// How the connection that writes is set up, once its file is known to be whole. Checkpoints are Store's own, so that
// their failures are seen.
constexpr const char* kWriterSetup =
    "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA secure_delete = ON; PRAGMA foreign_keys = ON; "
    "PRAGMA wal_autocheckpoint = 0; PRAGMA journal_size_limit = 0";

Status check_setup(SqliteConnection& connection) {
  std::string mode;
  TRY(connection.query("PRAGMA journal_mode", {}, [&](SqliteRow& row) {
    mode = row.text(0);
    return Status();
  }));
  if (mode != "wal") {
    return make_error("{}: its file system cannot keep a write-ahead log; chats need a local disk", connection.path());
  }
  return {};
}

// Something of this conversation has been removed: what runs show of it goes with it, whoever is there to tell them.
Status strike_from_runs(SqliteConnection& db, std::string_view conversation, std::vector<std::string>& struck) {
  TRY_ASSIGN(const auto runs, runs_that_learned(db, conversation));
  for (const std::string& run : runs) {
    if (std::find(struck.begin(), struck.end(), run) != struck.end()) continue;
    TRY(strike_samples(db, run));
    struck.push_back(run);
  }
  return {};
}

Status owe_forgetting(SqliteConnection& db) { return db.run("INSERT OR IGNORE INTO unforgotten (mark) VALUES (1)"); }

}  // namespace

Result<std::string> default_store_path() {
  const std::string data = user_folder("XDG_DATA_HOME", ".local/share");
  if (data.empty()) {
    return make_error("there is no place for chats: neither XDG_DATA_HOME nor HOME is an absolute path");
  }
  return data + "/chats.db";
}

class Store::Impl {
 public:
  Impl(StoreLock lock, std::unique_ptr<SqliteConnection> writer, StoreOptions options)
      : lock_(std::move(lock)), options_(std::move(options)), writer_(std::move(writer)) {}

  // After the last reader is closed, closing the writer empties the log and removes it.
  ~Impl() { idle_readers_.clear(); }

  // What is left to do where the last process ended early. A full disk leaves it for the next time: what is there can
  // be read all the same.
  void begin() {
    [[maybe_unused]] const auto removed = write([&](SqliteConnection& db) { return remove_loose_files(db); });
    [[maybe_unused]] const auto emptied = writer_->checkpoint(true);
  }

  const std::string& file() const { return writer_->path(); }
  int64_t now_ms() const { return options_.now_ms ? options_.now_ms() : system_now_ms(); }

  // `change(db)` in a transaction of its own, which is kept where it and the commit go well.
  template <typename Change>
  auto write(const Change& change) -> decltype(change(std::declval<SqliteConnection&>())) {
    const std::lock_guard turn(writing_);
    return write_now(change);
  }

  // The same, and no trace of what it removed stays; `gone`: whether that is so.
  template <typename Change>
  auto write_and_forget(const Change& change, bool& gone) -> decltype(change(std::declval<SqliteConnection&>())) {
    const std::lock_guard turn(writing_);
    auto result = write_now([&](SqliteConnection& db) -> decltype(change(db)) {
      auto changed = change(db);
      if (changed.ok()) TRY(forget_words(db));
      return changed;
    });
    if (!result.ok()) return result;
    // No reader of this process is under way now, and none begins. A shared_mutex alone would let readers that overlap
    // keep this waiting for ever.
    const std::lock_guard first(entering_);
    const std::unique_lock alone(reading_);
    const auto emptied = writer_->checkpoint(true);
    gone = emptied.ok() && *emptied;
    return result;
  }

  // The same of a change that gives nothing but whether its traces are gone.
  Result<bool> forget_by(const std::function<Status(SqliteConnection& db)>& change) {
    bool gone = false;
    TRY(write_and_forget(change, gone));
    return gone;
  }

  // `look(db)` on a connection that sees one state of the store.
  template <typename Look>
  auto read(const Look& look) -> decltype(look(std::declval<SqliteConnection&>())) {
    const auto together = [&] {
      const std::lock_guard after(entering_);
      return std::shared_lock(reading_);
    }();
    TRY_ASSIGN(auto reader, take_reader());
    auto result = [&]() -> decltype(look(*reader)) {
      TRY_ASSIGN(const auto transaction, SqliteTransaction::begin(*reader, SqliteTransaction::Kind::kRead));
      return look(*reader);
    }();
    const std::lock_guard turn(idle_);
    if (!reader->in_transaction()) idle_readers_.push_back(std::move(reader));
    return result;
  }

 private:
  template <typename Change>
  auto write_now(const Change& change) -> decltype(change(std::declval<SqliteConnection&>())) {
    if (!writer_->stopped().empty()) return Error{writer_->stopped(), ErrorKind::kMachine};
    TRY_ASSIGN(auto transaction, SqliteTransaction::begin(*writer_, SqliteTransaction::Kind::kWrite));
    auto result = change(*writer_);
    if (!result.ok()) return result;
    TRY(transaction.commit());
    // It is kept already; a failure here shows in stopped(), or once more next time.
    if (writer_->wal_pages() >= kWalPages) [[maybe_unused]]
      const auto moved = writer_->checkpoint(false);
    return result;
  }

  // As many as there are threads that read at once.
  Result<std::unique_ptr<SqliteConnection>> take_reader() {
    {
      const std::lock_guard turn(idle_);
      if (!idle_readers_.empty()) {
        auto reader = std::move(idle_readers_.back());
        idle_readers_.pop_back();
        return reader;
      }
    }
    TRY_ASSIGN(auto reader,
               SqliteConnection::open(writer_->path(), {.vfs = options_.vfs, .busy_ms = options_.busy_ms}));
    TRY(reader->run_script("PRAGMA query_only = ON; PRAGMA temp_store = MEMORY; PRAGMA mmap_size = 0"));
    return reader;
  }

  StoreLock lock_;  // released last
  StoreOptions options_;
  std::unique_ptr<SqliteConnection> writer_;
  std::mutex writing_;
  std::mutex entering_;  // held to begin to read
  std::shared_mutex reading_;
  std::mutex idle_;
  std::vector<std::unique_ptr<SqliteConnection>> idle_readers_;
};

Store::Store(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Store::~Store() = default;

Result<std::unique_ptr<Store>> Store::open(const std::string& wanted, const StoreOptions& options) {
  TRY_ASSIGN(const std::string path, prepare_folder(wanted, options.own_folder));
  TRY_ASSIGN(StoreLock lock, StoreLock::take(path));
  TRY(prepare_file(path));
  TRY_ASSIGN(auto writer, open_checked(path, {.vfs = options.vfs, .busy_ms = options.busy_ms}));
  TRY(writer->run_script(kWriterSetup));
  TRY(check_setup(*writer));
  TRY(migrate(*writer, store_migrations()));
  writer->keep_log_on_close(false);
  auto impl = std::make_unique<Impl>(std::move(lock), std::move(writer), options);
  impl->begin();
  return std::unique_ptr<Store>(new Store(std::move(impl)));
}

const std::string& Store::file() const { return impl_->file(); }

Result<Conversation> Store::add_conversation(Conversation conversation) {
  return impl_->write(
      [&](SqliteConnection& db) { return andiron::add_conversation(db, std::move(conversation), impl_->now_ms()); });
}

Result<std::optional<Conversation>> Store::conversation(std::string_view id) {
  return impl_->read([&](SqliteConnection& db) { return find_conversation(db, id); });
}

Result<std::vector<Conversation>> Store::conversations(int64_t limit, int64_t offset) {
  return impl_->read([&](SqliteConnection& db) { return list_conversations(db, limit, offset); });
}

Status Store::change_conversation(std::string_view id, const ConversationChange& change) {
  return impl_->write(
      [&](SqliteConnection& db) { return andiron::change_conversation(db, id, change, impl_->now_ms()); });
}

Result<Message> Store::add_message(Message message) {
  return impl_->write(
      [&](SqliteConnection& db) { return andiron::add_message(db, std::move(message), impl_->now_ms()); });
}

Result<std::optional<Message>> Store::message(std::string_view id) {
  return impl_->read([&](SqliteConnection& db) { return find_message(db, id); });
}

Result<std::vector<Message>> Store::messages(std::string_view conversation) {
  return impl_->read([&](SqliteConnection& db) { return list_messages(db, conversation); });
}

Result<std::vector<Message>> Store::path(std::string_view message) {
  return impl_->read([&](SqliteConnection& db) { return list_path(db, message); });
}

Status Store::set_thumb(std::string_view message, int thumb) {
  return impl_->write([&](SqliteConnection& db) { return andiron::set_thumb(db, message, thumb, impl_->now_ms()); });
}

Result<Store::Removal> Store::remove_message(std::string_view id) {
  bool gone = false;
  auto removal = impl_->write_and_forget(
      [&](SqliteConnection& db) -> Result<Removal> {
        Removal out;
        TRY_ASSIGN(const auto message, find_message(db, id));
        TRY(andiron::remove_message(db, id, out.removed));
        TRY(strike_from_runs(db, message->conversation, out.runs));
        TRY(owe_forgetting(db));
        return out;
      },
      gone);
  if (removal.ok()) removal->traces_gone = gone;
  return removal;
}

Result<Store::Removal> Store::remove_conversations(const std::vector<std::string>& ids) {
  bool gone = false;
  auto removal = impl_->write_and_forget(
      [&](SqliteConnection& db) -> Result<Removal> {
        Removal out;
        for (const std::string& id : ids) {
          TRY(remove_conversation(db, id, out.removed));
          TRY(strike_from_runs(db, id, out.runs));
        }
        TRY(owe_forgetting(db));
        return out;
      },
      gone);
  if (removal.ok()) removal->traces_gone = gone;
  return removal;
}

Result<bool> Store::owes_forgetting() {
  return impl_->read([](SqliteConnection& db) -> Result<bool> {
    TRY_ASSIGN(const int64_t marks, db.number("SELECT count(*) FROM unforgotten"));
    return marks > 0;
  });
}

Status Store::forgotten() {
  return impl_->write([](SqliteConnection& db) { return db.run("DELETE FROM unforgotten"); });
}

Result<bool> Store::forget_overwritten() {
  return impl_->forget_by([](SqliteConnection&) { return Status(); });
}

Result<std::vector<SearchHit>> Store::search(std::string_view text, int64_t limit, int64_t offset) {
  return impl_->read([&](SqliteConnection& db) { return search_messages(db, text, limit, offset); });
}

Result<StoredRun> Store::put_run(StoredRun run) {
  return impl_->write([&](SqliteConnection& db) { return andiron::put_run(db, std::move(run), impl_->now_ms()); });
}

Result<std::optional<StoredRun>> Store::run(std::string_view id) {
  return impl_->read([&](SqliteConnection& db) { return find_run(db, id); });
}

Result<std::vector<StoredRun>> Store::runs() {
  return impl_->read([&](SqliteConnection& db) { return list_runs(db); });
}

Result<bool> Store::remove_run(std::string_view id) {
  return impl_->forget_by([&](SqliteConnection& db) { return andiron::remove_run(db, id); });
}

Status Store::add_lessons(const std::vector<Lesson>& lessons) {
  return impl_->write([&](SqliteConnection& db) { return andiron::add_lessons(db, lessons); });
}

Result<std::vector<Lesson>> Store::lessons_of_run(std::string_view run) {
  return impl_->read([&](SqliteConnection& db) { return andiron::lessons_of_run(db, run); });
}

Result<std::vector<std::string>> Store::runs_that_learned(std::string_view conversation) {
  return impl_->read([&](SqliteConnection& db) { return andiron::runs_that_learned(db, conversation); });
}

Result<bool> Store::misses_lessons(std::string_view run) {
  return impl_->read([&](SqliteConnection& db) { return andiron::misses_lessons(db, run); });
}

Result<std::string> Store::put_file(std::string_view media, std::span<const uint8_t> bytes) {
  return impl_->write([&](SqliteConnection& db) { return andiron::put_file(db, media, bytes); });
}

Result<std::optional<StoredFile>> Store::file(std::string_view hash) {
  return impl_->read([&](SqliteConnection& db) { return find_file(db, hash); });
}

Status Store::put_setting(std::string_view name, const Json& value) {
  return impl_->write([&](SqliteConnection& db) { return andiron::put_setting(db, name, value); });
}

Result<bool> Store::remove_setting(std::string_view name) {
  return impl_->forget_by([&](SqliteConnection& db) { return andiron::put_setting(db, name, Json()); });
}

Result<Json> Store::setting(std::string_view name) {
  return impl_->read([&](SqliteConnection& db) { return find_setting(db, name); });
}

Result<std::vector<std::pair<std::string, Json>>> Store::settings() {
  return impl_->read([&](SqliteConnection& db) { return list_settings(db); });
}

Status Store::export_all(const LineSink& sink) {
  return impl_->read([&](SqliteConnection& db) { return export_store(db, sink); });
}

Status Store::export_conversations(const std::vector<std::string>& ids, const LineSink& sink) {
  return impl_->read([&](SqliteConnection& db) { return andiron::export_conversations(db, ids, sink); });
}

Result<ImportReport> Store::import(std::string_view text, bool keep_consent) {
  return impl_->write([&](SqliteConnection& db) { return import_store(db, text, keep_consent); });
}

Result<TrainingReport> Store::training_rows(TrainingKind kind, const TrainingRowSink& sink,
                                            const std::atomic<bool>* stop) {
  return impl_->read([&](SqliteConnection& db) { return andiron::training_rows(db, kind, sink, stop); });
}

Status Store::check() {
  return impl_->write([&](SqliteConnection& db) -> Status {
    std::string problem;
    TRY(db.query("PRAGMA integrity_check(1)", {}, [&](SqliteRow& row) {
      problem = row.text(0);
      return Status();
    }));
    if (problem != "ok") return make_error("{}: damaged: {}", db.path(), andiron::in_quotes(problem));
    TRY(db.query("PRAGMA foreign_key_check", {}, [&](SqliteRow& row) {
      return make_error("{}: a row of {} refers to something that is not there", db.path(), row.text(0));
    }));
    return check_words(db);
  });
}

}  // namespace andiron
