// TrainingJobs: adapters that the server teaches its own model, one after another, as `andiron learn` does: the plan,
// the run's folder among the adapters, losses, verdict.
//
// A thread of its own works on one job; the others wait in the order in which they were asked for. It gives way: before
// every region of its team (ThreadTeam::set_gate says how long one takes) it waits while the gate is closed, which the
// scheduler closes while anybody is being answered; and the system lets it run where nobody else wants to.
//
// Jobs are kept in the store. One that was running when the server ended goes on from its last checkpoint, to the bytes
// that it would have had. Any thread may call anything; calls that change a job wait until it is saved, and one for
// another; those that look wait for neither.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/result.h"
#include "base/thread_team.h"
#include "engine/thread_gate.h"
#include "kernels/kernel_table.h"
#include "model/model.h"
#include "serve/api_error.h"
#include "serve/file_shelf.h"
#include "serve/job_events.h"
#include "serve/training_job.h"
#include "serve/workers.h"
#include "store/store.h"
#include "text/tokenizer.h"
#include "train/learn.h"
#include "train/run_folder.h"

namespace andiron {

struct TrainingOptions {
  std::string model_name;  // that requests know the model by
  std::string base_path;   // of the model, as a run's record has it
  std::string version;     // of the program
  std::string general;     // LearnOptions::general: what keeps the model's skills; "": none is brought
  std::string folder;      // for what is kept of jobs beside the store; made, and closed to others
  // Where the adapter of this name lies, or will. An Error: none can be named so.
  std::function<Result<std::string>(const std::string& name)> adapter_folder;
  // Who answers questions about documents (train/study.h), with this team; empty: nothing is studied.
  std::function<Result<StudyAnswerer>(ThreadTeam& team)> answerer = {};
  ThreadGate* gate = nullptr;  // null: it gives way to nobody
  int threads = 1;
  int nice = 19;              // of these threads, as setpriority(2) has it: 19 is the lowest; 0: as the process
  uint64_t memory_bytes = 0;  // LearnOptions::memory_bytes
};

class TrainingJobs {
 public:
  static constexpr size_t kWaitingMax = 32;  // jobs; more are refused
  static constexpr size_t kJobsMax = 1000;   // those that are over too: each has a row and a file of events

  // What a watcher is told: an event, or null once no more will come. It must not wait, nor call this; false: nobody
  // listens any more.
  using Watcher = std::function<bool(const JobEvent* event)>;

  // All must outlive it. Takes up the jobs that are kept. An Error: the store or the folder cannot be used.
  static Result<std::unique_ptr<TrainingJobs>> create(std::shared_ptr<const Model> model, const Tokenizer& tokenizer,
                                                      const KernelTable& kernels, Store& store, const FileShelf& shelf,
                                                      TrainingOptions options);
  // As close(), and waits for the job.
  ~TrainingJobs();
  TrainingJobs(const TrainingJobs&) = delete;
  TrainingJobs& operator=(const TrainingJobs&) = delete;

  // The server ends: the job that runs ends after its step, saved, and goes on when the server starts again. Plans end
  // too. Does not wait. Before whoever plans is waited for.
  void close();

  // Refused with 400 or 404 where the model, a file or the name is none, 409 where there is an adapter of this name,
  // 429 where too many wait, 409 where there are too many at all.
  ApiResult<TrainingJob> add(const TrainingAsk& ask);
  // What would be done. Takes as long as reading the data takes, or until close(); 503 then.
  ApiResult<LearnPlan> plan(const TrainingAsk& ask);

  std::vector<TrainingJob> list() const;  // the newest first
  ApiResult<TrainingJob> find(std::string_view id) const;
  ApiResult<std::vector<JobEvent>> events(std::string_view id) const;  // the oldest first
  // All events so far, at once, and those that follow, in order. `gone`, where there is one, becomes true when nobody
  // listens any more: of a job that rests no event would tell.
  std::optional<ApiError> watch(std::string_view id, Watcher watcher,
                                std::shared_ptr<const std::atomic<bool>> gone = nullptr);

  // Of a job that waits, runs or rests. What was learned until then stays until it is discarded. 409 for one that is
  // over. A job that runs finishes its step after this returns. To go on is refused with 429 where too many wait.
  ApiResult<TrainingJob> cancel(std::string_view id);
  ApiResult<TrainingJob> pause(std::string_view id);
  ApiResult<TrainingJob> resume(std::string_view id);
  // The person's decision about what was learned. Discarding removes the adapter, for good.
  ApiResult<TrainingJob> keep(std::string_view id);
  ApiResult<TrainingJob> discard(std::string_view id);
  // Of the job whose adapter this model wears.
  ApiResult<TrainingJob> discard_model(std::string_view model);
  // Of a job that is over, else 409: what is kept of it goes, in the store and beside it. What it has learned stays,
  // and is nobody's to keep or to discard any more.
  std::optional<ApiError> remove(std::string_view id);

  // Removes a file from the shelf; 404 where it is not there, 409 where a job that is not over learns from it.
  std::optional<ApiError> remove_file(std::string_view id);
  // Some of the chats that these runs learn from were removed (Store::Removal::runs): those that have begun and are not
  // over are cancelled, and what was written down of the chats goes; of those that are over the samples. Whether the
  // store has no trace of these any more.
  bool forget(std::span<const std::string> runs);
  // Where nobody teaches: what jobs have written down of the chats, in TrainingOptions::folder. The jobs themselves
  // learn of it when they are taken up again.
  static void remove_chats_of(std::string_view folder, std::span<const std::string> runs);

 private:
  struct Entry;
  using Found = std::shared_ptr<Entry>;

  TrainingJobs(std::shared_ptr<const Model> model, const Tokenizer& tokenizer, const KernelTable& kernels, Store& store,
               const FileShelf& shelf, TrainingOptions options);
  Status take_up();
  void finish_removing() const;
  static void complete_events(Entry& entry);  // under mutex_

  // Under order_, and not under mutex_: it waits for the disk.
  Status save(const TrainingJob& job);
  // Not under mutex_, which they take; under order_ where the name is to be the job's.
  ApiResult<std::string> choose_name(const TrainingAsk& ask) const;
  bool is_name_taken(const std::string& name, const std::string& folder) const;
  // Under mutex_.
  Found find_entry(std::string_view id) const;
  void tell(Entry& entry, std::string_view level, std::string message, Json data = {});
  void end_watch(Entry& entry);
  static void put_away(Entry& entry);
  // `decide` writes into a copy what state the job is to have and what the person's decision is, or refuses; `act`,
  // which may be empty, does what follows from it once that is saved; where it fails, what it has taken back is saved
  // too. Both are called under mutex_.
  using Decide = std::function<std::optional<ApiError>(const Entry& entry, TrainingJob& wanted)>;
  using Act = std::function<std::optional<ApiError>(const Found& entry)>;
  ApiResult<TrainingJob> change(std::string_view id, const Decide& decide, const Act& act);
  void let_go(const Found& entry);
  void leave_queue(const Entry& entry);
  std::optional<ApiError> check_room() const;  // 429 where too many wait
  // What the job has learned, locked; null: there is nothing. 409 where it is another run's, or in use.
  ApiResult<std::unique_ptr<RunFolder>> hold_adapter(const TrainingJob& job) const;
  void finish_discarding(const TrainingJob& job) const;

  std::optional<ApiError> check_ask(const TrainingAsk& ask) const;
  std::optional<ApiError> check_files(const TrainingAsk& ask) const;
  std::optional<ApiError> check_chats(bool preferences) const;  // whether they give a row; 503 after close()
  LearnOptions options_of(const TrainingJob& job) const;
  Result<std::vector<std::string>> data_of(const TrainingJob& job, const std::string& chats_path,
                                           std::vector<Lesson>& lessons);
  Status write_chats(const TrainingJob& job, const std::string& path, std::vector<Lesson>& lessons);
  Status keep_ledger(const std::vector<Lesson>& lessons);
  std::string chats_path(std::string_view id) const;
  std::string events_path(std::string_view id) const;
  std::string mark_path(std::string_view id) const;  // of a job that is being removed; in it, the store's file
  void remove_chats(std::string_view id) const;
  void remove_events(std::string_view id) const;
  void remove_mark(std::string_view id) const;
  std::string without_paths(const TrainingAsk& ask, std::string text) const;
  void make_way(ThreadTeam& team);

  // On the thread.
  void run();
  Found next();
  void work(Entry& entry);
  Result<LearnResult> train(Entry& entry);
  LearnEvents events_of(Entry& entry);
  bool note_step(Entry& entry, const LossRow& row);
  void give_up(Entry& entry, Error why);
  TrainingJob copy_of(const Entry& entry) const;
  Status on_keeper(std::function<Status()> task);

  // On the keeper's thread, for that one.
  Status save_as_it_is(const Entry& entry);
  void on_line(Entry& entry, std::string_view line);
  void on_begin(Entry& entry, int64_t steps, int64_t done);
  void on_step(Entry& entry, const LossRow& row);
  void finish(Entry& entry, const Result<LearnResult>& result);
  std::string run_of(const TrainingJob& job) const;
  void note_result(TrainingJob& job, const LearnResult& result);

  const std::shared_ptr<const Model> model_;
  const Tokenizer& tokenizer_;
  const KernelTable& kernels_;
  Store& store_;
  const FileShelf& shelf_;
  const TrainingOptions options_;
  std::atomic<bool> closing_{false};

  // Who changes a job's state, or saves one, holds order_ from the look to the save and what follows from it, so that
  // the last thing saved is the last that was so. Who looks takes mutex_ alone, which nobody holds while the store
  // waits.
  std::mutex order_;  // before mutex_
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, Found, std::less<>> entries_;
  std::deque<Found> queue_;
  std::unique_ptr<ThreadTeam> team_;  // the thread's
  int64_t entries_made_ = 0;
  std::mutex planning_;  // before mutex_
  Workers keeper_{1};    // what the thread has to wait for the disk with, see on_keeper()
  std::thread thread_;   // begins last
};

}  // namespace andiron
