// The store: conversations, what people said of the answers, files, settings, training runs and the ledger of what they
// learned from. One SQLite file in a folder that its user alone can enter.
//
// Ok from anything that changes it means: on disk, and there after a crash of the process, the system or the power. An
// Error means: nothing of that change is kept. (Save for one case: where the machine stops while it is being synced, a
// change that was not acknowledged may be there afterwards, whole. Asked again under its id, a message is not there
// twice.) After a sync that failed, or damage that was met, it can be read and no more written to until it is opened
// anew: what a disk holds after such a thing, nobody knows.
//
// An Error's kind tells kDiskFull and kMachine (the disk, damage, another program that holds it) from what the caller
// asked for: kNotFound, kConflict (another thing has the id), and kOther for whatever else is wrong with it.
//
// One process has it open at a time; a second one is refused. Within the process any thread may call anything: changes
// take turns and wait for the disk; reads do not wait for changes, and see each whole or not at all.
//
// What is removed leaves no trace in the folder's files: freed bytes are overwritten with zeros, the index of words is
// merged, and the log is emptied. What a file system or a disk keeps of overwritten blocks is beyond it.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "store/chats.h"
#include "store/exchange.h"
#include "store/records.h"
#include "store/runs.h"
#include "store/search.h"
#include "store/training_rows.h"

namespace andiron {

// $XDG_DATA_HOME/andiron/chats.db, or ~/.local/share/andiron/chats.db.
Result<std::string> default_store_path();

struct StoreOptions {
  // The folder belongs to andiron alone, as that of default_store_path() does, and others lose the right to see into
  // it: Store::open(path, {.own_folder = true}). False only where a person keeps other things there too.
  bool own_folder = false;
  std::function<int64_t()> now_ms{};  // the time, in milliseconds since 1970; none: the system's
  int busy_ms = 5000;                 // how long to wait for another program that reads the file
  std::string vfs{};                  // for tests: a registered SQLite VFS
};

class Store {
 public:
  // Makes the store where there is none, folders included. Errors: it is open already, it is damaged or another
  // program's or a newer andiron's (then it is left as it is), something on the way is a symbolic link or another
  // user's, the disk is full or read-only. Reads the whole file once, to know that it is whole.
  static Result<std::unique_ptr<Store>> open(const std::string& path, const StoreOptions& options = {});
  ~Store();
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  // Where it is: absolute, with the links on the way resolved.
  const std::string& file() const;

  // store/chats.h
  Result<Conversation> add_conversation(Conversation conversation);
  Result<std::optional<Conversation>> conversation(std::string_view id);
  // Without system prompts and sampler settings.
  Result<std::vector<Conversation>> conversations(int64_t limit, int64_t offset = 0);
  Status change_conversation(std::string_view id, const ConversationChange& change);
  Result<Message> add_message(Message message);
  Result<std::optional<Message>> message(std::string_view id);
  Result<std::vector<Message>> messages(std::string_view conversation);
  Result<std::vector<Message>> path(std::string_view message);
  Status set_thumb(std::string_view message, int thumb);

  // What went, and whether its traces are gone too. They are not while another program reads the file; they go when the
  // next thing is removed, or the store is closed or opened.
  struct Removal {
    Removed removed;
    bool traces_gone = false;
    std::vector<std::string> runs;  // that learned from these conversations; what they show of them is gone from here
  };
  Result<Removal> remove_message(std::string_view id);
  Result<Removal> remove_conversations(const std::vector<std::string>& ids);
  // Whether messages or conversations were removed and forgotten() has not been said since, in this process or in one
  // that was killed: the removal and this are one transaction. Then whoever else remembers them must forget them.
  Result<bool> owes_forgetting();
  Status forgotten();
  // What changes have written over goes as what is removed does. Whether its traces are gone, as of a Removal.
  Result<bool> forget_overwritten();

  // store/search.h
  Result<std::vector<SearchHit>> search(std::string_view text, int64_t limit, int64_t offset = 0);

  // store/runs.h. Files that no message has go when the store is opened.
  Result<StoredRun> put_run(StoredRun run);
  Result<std::optional<StoredRun>> run(std::string_view id);
  Result<std::vector<StoredRun>> runs();
  // Whether its traces are gone too, as of a Removal.
  Result<bool> remove_run(std::string_view id);
  Status add_lessons(const std::vector<Lesson>& lessons);
  Result<std::vector<Lesson>> lessons_of_run(std::string_view run);
  Result<std::vector<std::string>> runs_that_learned(std::string_view conversation);
  Result<bool> misses_lessons(std::string_view run);
  Result<std::string> put_file(std::string_view media, std::span<const uint8_t> bytes);
  Result<std::optional<StoredFile>> file(std::string_view hash);
  Status put_setting(std::string_view name, const Json& value);
  // Whether its traces are gone too, as of a Removal. There need be none of this name.
  Result<bool> remove_setting(std::string_view name);
  Result<Json> setting(std::string_view name);
  Result<std::vector<std::pair<std::string, Json>>> settings();

  // store/exchange.h, store/training_rows.h. The sinks are called while the store is being read: they must not call it,
  // and while they wait nothing can be removed, so no sink should be a slow client.
  Status export_all(const LineSink& sink);
  Status export_conversations(const std::vector<std::string>& ids, const LineSink& sink);
  Result<ImportReport> import(std::string_view text, bool keep_consent);
  Result<TrainingReport> training_rows(TrainingKind kind, const TrainingRowSink& sink,
                                       const std::atomic<bool>* stop = nullptr);

  // Everything that can be checked: pages, indices, references, words. An Error says what is wrong.
  Status check();

 private:
  class Impl;
  explicit Store(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace andiron
