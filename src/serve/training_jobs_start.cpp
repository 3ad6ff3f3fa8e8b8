// What a process finds of the jobs of those before it, whose ends may have come at any moment.
#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/atomic_file.h"
#include "base/atomic_folder.h"
#include "base/strings.h"
#include "serve/training_jobs.h"
#include "serve/training_jobs_entry.h"
#include "train/run_folder.h"

namespace andiron {

namespace {

constexpr uint64_t kMarkBytesMax = 64 << 10;  // a path

}  // namespace

// A job that ran when the last process ended goes first.
Status TrainingJobs::take_up() {
  TRY(make_private_folder(options_.folder));
  remove_chats(kPlanId);  // of a process that was killed while it planned
  if (const auto any = options_.adapter_folder("any"); any.ok()) remove_removed_folders(parent_of(*any));
  TRY_ASSIGN(const auto runs, store_.runs());
  std::vector<std::string> to_forget;
  for (const StoredRun& run : runs) {
    if (!run.id.starts_with(kJobPrefix)) continue;
    TrainingJob job;
    if (!from_json(run.details, job)) {
      job = TrainingJob();
      job.state = kJobFailed;
      job.created = run.created_ms / 1000;
      job.error = "what was kept of this job cannot be read";
    }
    job.id = run.id;
    job.adapter = run.adapter;
    const bool made_here = file_exists(events_path(run.id));
    auto entry = std::make_shared<Entry>(std::move(job), EventLog(events_path(run.id)), ++entries_made_);
    entries_[run.id] = entry;
    if (entry->job.is_over() || entry->job.begun == 0) remove_chats(run.id);  // the latter reads them anew
    if (!entry->job.is_over() || !entry->job.samples.items_or_none().empty()) {
      TRY_ASSIGN(const bool misses, store_.misses_lessons(run.id));
      if (misses) to_forget.push_back(run.id);
    }
    if (entry->job.decision == kJobDiscarded) finish_discarding(entry->job);
    const bool ran = entry->job.state == kJobRunning;
    if (ran) entry->job.state = kJobQueued;
    // One that came with imported chats waits until somebody wants it here.
    if (entry->job.state == kJobQueued && !made_here) entry->job.state = kJobPaused;
    // One for another model waits for a server of that.
    if (entry->job.state != kJobQueued || entry->job.ask.model != options_.model_name) continue;
    queue_.insert(ran ? queue_.begin() : queue_.end(), entry);
  }
  forget(to_forget);  // chats that went while nobody was here to be told
  finish_removing();
  return {};
}

// Of the jobs that the last process was removing what the store has let go of. Files without a mark, or with one that
// names another store, may be those of a server that keeps its jobs there.
void TrainingJobs::finish_removing() const {
  const auto names = list_folder(options_.folder);
  if (!names.ok()) return;
  for (const std::string& name : *names) {
    const std::string id = name.substr(0, name.find('.'));
    if (format("{}/{}", options_.folder, name) != mark_path(id)) continue;
    const auto marked = read_text_file(mark_path(id), kMarkBytesMax);
    if (!marked.ok() || *marked != store_.file()) continue;
    if (!entries_.contains(id)) {
      remove_chats(id);
      remove_events(id);
    }
    remove_mark(id);
  }
}

// The state is saved first: killed after that, a process has not said how the job ended. It is said when somebody asks
// or decides, for then alone the events are read.
void TrainingJobs::complete_events(Entry& entry) {
  const TrainingJob& job = entry.job;
  if (!job.is_over()) return;
  const auto add_missing = [&](std::string_view level, std::string words, int64_t when) {
    const auto all = entry.events.all();
    const bool is_there =
        std::any_of(all.begin(), all.end(), [&](const JobEvent& one) { return one.message == words; });
    if (!is_there) entry.events.add(level, std::move(words), {}, when);
  };
  // One whose details could not be read has no time of its end, and may be read at the next start.
  if (job.finished != 0) add_missing(job.state == kJobFailed ? "error" : "info", last_words(job), job.finished);
  if (job.decision == kJobDiscarded) add_missing("info", kJobDiscarded, 0);
}

// What the last process had not come to. Where nothing tells which run a folder holds, it may be anybody's by now.
void TrainingJobs::finish_discarding(const TrainingJob& job) const {
  if (job.run_begun.empty()) return;
  auto held = hold_adapter(job);
  if (!held.ok() || *held == nullptr) return;
  [[maybe_unused]] const Status removed = remove_whole_folder((*held)->path());
}

}  // namespace andiron
