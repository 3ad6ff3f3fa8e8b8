// Jobs as requests see them. What a start finds of them is in training_jobs_start.cpp, the thread that works on them in
// training_jobs_work.cpp.
#include "serve/training_jobs.h"

#include <algorithm>
#include <ctime>
#include <filesystem>
#include <new>
#include <system_error>
#include <utility>

#include "base/atomic_file.h"
#include "base/atomic_folder.h"
#include "base/strings.h"
#include "serve/api_tuning.h"
#include "serve/training_jobs_entry.h"
#include "train/run_record.h"

namespace andiron {

namespace {

ApiError no_job(std::string_view id) {
  return {404,
          format("there is no fine-tuning job \"{}\" here", andiron::in_quotes(id)),
          "fine_tuning_job_id",
          "not_found",
          {}};
}

ApiError is_not_over() { return conflict("the job is not over; cancel it first", "job_not_over"); }

ApiError is_closing() { return {503, "the server has been stopped", "", "", {}}; }

void cancelled(TrainingJob& job) {
  job.state = kJobCancelled;
  job.finished = std::time(nullptr);
}

// Tells a watcher, which is let go of where there is no memory for it: it can ask again.
bool still_listens(const TrainingJobs::Watcher& watcher, const JobEvent* event) {
  try {
    return watcher(event);
  } catch (const std::bad_alloc&) {
    return false;
  }
}

// What a file is called without its ending: a name for what is learned from it, where that is one.
std::string stem_of(const std::string& name) { return std::filesystem::path(name).stem().string(); }

}  // namespace

std::string speed_setting(const std::string& model_name) { return "learning.tokens_per_s." + model_name; }

TrainingJobs::TrainingJobs(std::shared_ptr<const Model> model, const Tokenizer& tokenizer, const KernelTable& kernels,
                           Store& store, const FileShelf& shelf, TrainingOptions options)
    : model_(std::move(model)),
      tokenizer_(tokenizer),
      kernels_(kernels),
      store_(store),
      shelf_(shelf),
      options_(std::move(options)) {}

Result<std::unique_ptr<TrainingJobs>> TrainingJobs::create(std::shared_ptr<const Model> model,
                                                           const Tokenizer& tokenizer, const KernelTable& kernels,
                                                           Store& store, const FileShelf& shelf,
                                                           TrainingOptions options) {
  std::unique_ptr<TrainingJobs> jobs(
      new TrainingJobs(std::move(model), tokenizer, kernels, store, shelf, std::move(options)));
  TRY(jobs->take_up());
  jobs->thread_ = std::thread([made = jobs.get()] { made->run(); });
  return jobs;
}

// Together: a job that ends because of the one would fail without the other.
void TrainingJobs::close() {
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
    for (const auto& [id, entry] : entries_) entry->stop = true;
  }
  changed_.notify_all();
}

TrainingJobs::~TrainingJobs() {
  close();
  if (thread_.joinable()) thread_.join();
}

TrainingJobs::Found TrainingJobs::find_entry(std::string_view id) const {
  const auto found = entries_.find(id);
  return found == entries_.end() ? nullptr : found->second;
}

Status TrainingJobs::save(const TrainingJob& job) {
  StoredRun run;
  run.id = job.id;
  run.adapter = job.adapter;
  run.model = job.ask.model;
  run.state = job.state;
  run.details = to_json(job);
  TRY_ASSIGN(run, store_.put_run(std::move(run)));
  return {};
}

void TrainingJobs::tell(Entry& entry, std::string_view level, std::string message, Json data) {
  const JobEvent* event = entry.events.add(level, std::move(message), std::move(data));
  if (event == nullptr) return;
  std::erase_if(entry.watchers, [&](const Entry::Watch& one) { return !still_listens(one.tell, event); });
}

// Where there is no memory for the last word, the watcher goes without it, and with it what it writes to: a stream is
// cut.
void TrainingJobs::end_watch(Entry& entry) {
  for (const Entry::Watch& one : entry.watchers) still_listens(one.tell, nullptr);
  entry.watchers.clear();
}

// Of a job that is over nobody but those who ask want the events: they stay in their file.
void TrainingJobs::put_away(Entry& entry) {
  if (entry.job.is_over() && !entry.working) entry.events.put_away();
}

// ---- Asking --------------------------------------------------------------------------------------------------------

std::optional<ApiError> TrainingJobs::check_files(const TrainingAsk& ask) const {
  for (const std::string& id : ask.files) {
    if (shelf_.find(id)) continue;
    return no_file(id, "training_file");
  }
  return std::nullopt;
}

std::optional<ApiError> TrainingJobs::check_chats(bool preferences) const {
  bool found = false;
  const TrainingRowSink one_is_enough = [&](TrainingRow&&) -> Status {
    found = true;
    return make_error("the others are not looked for");
  };
  const auto kind = preferences ? TrainingKind::kPreference : TrainingKind::kChat;
  const auto report = store_.training_rows(kind, one_is_enough, &closing_);
  if (found) return std::nullopt;
  if (closing_) return is_closing();
  if (!report.ok()) return cannot(report.error());
  return refuse("training_file", "no_training_rows",
                "there is nothing to learn from in the chats: of {} that are for training none has {}",
                counted(report->conversations, "chat"),
                preferences ? "an answer that is better than another" : "an answer with a thumb up or an edited one");
}

std::optional<ApiError> TrainingJobs::check_ask(const TrainingAsk& ask) const {
  if (ask.model != options_.model_name) {
    return ApiError{404,
                    format("there is no model \"{}\" here to teach; there is \"{}\", without adapters",
                           andiron::in_quotes(ask.model), options_.model_name),
                    "model",
                    "model_not_found",
                    {}};
  }
  if (auto error = check_files(ask)) return error;
  if (ask.chats) {
    if (auto error = check_chats(ask.preferences)) return error;
  }
  TrainingJob job;
  job.ask = ask;
  const Status sound = check_learn_options(options_of(job));
  if (!sound.ok()) return refuse("", "invalid_value", "{}", sound.error().message);
  return std::nullopt;
}

bool TrainingJobs::is_name_taken(const std::string& name, const std::string& folder) const {
  if (!check_free(folder).ok()) return true;
  const std::lock_guard lock(mutex_);
  return std::any_of(entries_.begin(), entries_.end(), [&](const auto& one) {
    return one.second->job.adapter == name && (!one.second->job.is_over() || one.second->working);
  });
}

ApiResult<std::string> TrainingJobs::choose_name(const TrainingAsk& ask) const {
  constexpr int kTries = 10'000;
  const bool asked = !ask.suffix.empty();
  std::string wanted = asked ? ask.suffix : "chats";
  if (!asked && !ask.files.empty()) {
    const auto file = shelf_.find(ask.files.front());
    wanted = file ? stem_of(file->name) : "";
    if (!options_.adapter_folder(wanted).ok()) wanted = "learned";
  }
  for (int i = 1; i <= kTries; ++i) {
    std::string name = i == 1 ? wanted : format("{}-{}", wanted, i);
    const auto folder = options_.adapter_folder(name);
    if (!folder.ok()) return refuse("suffix", "invalid_value", "\"suffix\": {}", folder.error().message);
    if (!is_name_taken(name, *folder)) return name;
    if (asked) break;
  }
  ApiError error = conflict(
      format("there is an adapter \"{}\" already; choose another name, or remove it first", wanted), "adapter_exists");
  error.param = "suffix";
  return error;
}

std::optional<ApiError> TrainingJobs::check_room() const {
  if (queue_.size() < kWaitingMax) return std::nullopt;
  ApiError error = {
      429, format("{} jobs wait already; come again when some are done", queue_.size()), "", "too_many_jobs", {}};
  error.headers = {{"retry-after", "60"}};
  return error;
}

ApiResult<TrainingJob> TrainingJobs::add(const TrainingAsk& ask) {
  if (auto error = check_ask(ask)) return std::move(*error);
  const std::lock_guard order(order_);
  {
    const std::lock_guard lock(mutex_);
    if (auto error = check_room()) return std::move(*error);
    if (entries_.size() >= kJobsMax) {
      return conflict(format("there are {} jobs here, as many as may be kept; remove some that are over", kJobsMax),
                      "too_many_kept_jobs");
    }
  }
  auto name = choose_name(ask);
  if (!name.ok()) return name.error();
  // Again: until order_ was taken, nobody knew that a job was to learn from them, and they could be removed.
  if (auto error = check_files(ask)) return std::move(*error);
  TrainingJob job;
  const auto id = new_id();
  if (!id.ok()) return cannot(id.error());
  job.id = std::string(kJobPrefix) + *id;
  job.adapter = std::move(*name);
  job.state = kJobQueued;
  job.created = std::time(nullptr);
  job.ask = ask;
  auto entry = std::make_shared<Entry>(job, EventLog(events_path(job.id)), ++entries_made_);
  if (const Status saved = save(job); !saved.ok()) return cannot(saved.error());
  const std::lock_guard lock(mutex_);
  entries_[job.id] = entry;
  tell(*entry, "info",
       queue_.empty() ? "created" : format("created; {} before it", counted(std::ssize(queue_), "job")));
  queue_.push_back(std::move(entry));
  changed_.notify_all();
  return job;
}

ApiResult<LearnPlan> TrainingJobs::plan(const TrainingAsk& ask) {
  if (auto error = check_ask(ask)) return std::move(*error);
  TrainingJob job;
  job.ask = ask;
  auto name = choose_name(ask);
  if (!name.ok()) return name.error();
  job.adapter = std::move(*name);
  const std::lock_guard planning(planning_);
  if (closing_) return is_closing();
  LearnOptions learning = options_of(job);
  std::vector<Lesson> lessons;
  auto data = data_of(job, chats_path(kPlanId), lessons);
  if (closing_) remove_chats(kPlanId);
  if (closing_) return is_closing();
  if (!data.ok()) return cannot(data.error());
  learning.data = std::move(*data);
  const auto speed = store_.setting(speed_setting(options_.model_name));
  ThreadTeam team(1);
  make_way(team);
  if (!options_.answerer) learning.study = StudyMode::kOff;
  auto plan = plan_learning(*model_, tokenizer_, kernels_, team, learning, speed.ok() ? speed->number_or(0) : 0);
  remove_chats(kPlanId);
  if (closing_) return is_closing();  // whatever came of it: it has not waited for others
  if (!plan.ok()) {
    return refuse("training_file", "invalid_training_file", "{}", without_paths(ask, plan.error().message));
  }
  for (std::string& line : plan->lines) line = without_paths(ask, std::move(line));
  return std::move(*plan);
}

// ---- Looking -------------------------------------------------------------------------------------------------------

std::vector<TrainingJob> TrainingJobs::list() const {
  const std::lock_guard lock(mutex_);
  std::vector<const Entry*> entries;
  for (const auto& [id, entry] : entries_) entries.push_back(entry.get());
  std::sort(entries.begin(), entries.end(), [](const Entry* a, const Entry* b) { return a->order > b->order; });
  std::vector<TrainingJob> out;
  out.reserve(entries.size());
  for (const Entry* entry : entries) out.push_back(entry->job);
  return out;
}

ApiResult<TrainingJob> TrainingJobs::find(std::string_view id) const {
  const std::lock_guard lock(mutex_);
  const Found entry = find_entry(id);
  if (entry == nullptr) return no_job(id);
  return entry->job;
}

ApiResult<std::vector<JobEvent>> TrainingJobs::events(std::string_view id) const {
  const std::lock_guard lock(mutex_);
  const Found entry = find_entry(id);
  if (entry == nullptr) return no_job(id);
  complete_events(*entry);
  const auto all = entry->events.all();
  std::vector<JobEvent> out(all.begin(), all.end());
  put_away(*entry);
  return out;
}

std::optional<ApiError> TrainingJobs::watch(std::string_view id, Watcher watcher,
                                            std::shared_ptr<const std::atomic<bool>> gone) {
  const std::lock_guard lock(mutex_);
  const Found entry = find_entry(id);
  if (entry == nullptr) return no_job(id);
  complete_events(*entry);
  const auto all = entry->events.all();
  const bool listens = std::all_of(all.begin(), all.end(), [&](const JobEvent& event) { return watcher(&event); });
  const bool more = !entry->job.is_over() || entry->working;
  if (listens && !more) watcher(nullptr);
  put_away(*entry);
  if (!listens || !more) return std::nullopt;
  std::erase_if(entry->watchers, [](const Entry::Watch& one) { return one.gone != nullptr && *one.gone; });
  entry->watchers.push_back({std::move(watcher), std::move(gone)});
  return std::nullopt;
}

// ---- Deciding ------------------------------------------------------------------------------------------------------

ApiResult<TrainingJob> TrainingJobs::change(std::string_view id, const Decide& decide, const Act& act) {
  const std::lock_guard order(order_);
  Found entry;
  TrainingJob wanted;
  {
    const std::lock_guard lock(mutex_);
    entry = find_entry(id);
    if (entry == nullptr) return no_job(id);
    wanted = entry->job;
    if (auto error = decide(*entry, wanted)) return std::move(*error);
  }
  if (const Status saved = save(wanted); !saved.ok()) return cannot(saved.error());
  const auto go_on = [&]() -> std::optional<ApiError> {
    const std::lock_guard lock(mutex_);
    // Meanwhile it may have taken steps.
    entry->job.state = wanted.state;
    entry->job.finished = wanted.finished;
    entry->job.decision = wanted.decision;
    auto error = act ? act(entry) : std::nullopt;
    put_away(*entry);
    wanted = entry->job;
    return error;
  };
  if (auto error = go_on()) {
    [[maybe_unused]] const Status saved = save(wanted);
    return std::move(*error);
  }
  return wanted;
}

void TrainingJobs::leave_queue(const Entry& entry) {
  std::erase_if(queue_, [&](const Found& waiting) { return waiting.get() == &entry; });
}

// Of a job that is to rest, or is over: the thread lets go of it after its step.
void TrainingJobs::let_go(const Found& entry) {
  leave_queue(*entry);
  entry->stop = true;
  tell(*entry, "info", entry->job.state);
  if (!entry->job.is_over() || entry->working) return;
  remove_chats(entry->job.id);
  end_watch(*entry);
}

ApiResult<TrainingJob> TrainingJobs::cancel(std::string_view id) {
  const auto decide = [](const Entry&, TrainingJob& job) -> std::optional<ApiError> {
    if (job.is_over()) return conflict(format("the job is over: it has {}", job.state), "job_over");
    cancelled(job);
    return std::nullopt;
  };
  return change(id, decide, [this](const Found& entry) -> std::optional<ApiError> {
    let_go(entry);
    return std::nullopt;
  });
}

ApiResult<TrainingJob> TrainingJobs::pause(std::string_view id) {
  const auto decide = [](const Entry&, TrainingJob& job) -> std::optional<ApiError> {
    if (job.state != kJobQueued && job.state != kJobRunning) {
      return conflict(format("only a job that waits or runs can be paused; this one is {}", job.state),
                      "job_not_running");
    }
    job.state = kJobPaused;
    return std::nullopt;
  };
  return change(id, decide, [this](const Found& entry) -> std::optional<ApiError> {
    let_go(entry);
    return std::nullopt;
  });
}

ApiResult<TrainingJob> TrainingJobs::resume(std::string_view id) {
  const auto decide = [this](const Entry&, TrainingJob& job) -> std::optional<ApiError> {
    if (job.state != kJobPaused) {
      return conflict(format("only a job that is paused can go on; this one is {}", job.state), "job_not_paused");
    }
    if (job.ask.model != options_.model_name) {
      return conflict(format("the job teaches \"{}\", which another server has", andiron::in_quotes(job.ask.model)),
                      "model_not_found");
    }
    if (auto error = check_room()) return error;
    job.state = kJobQueued;
    return std::nullopt;
  };
  return change(id, decide, [this](const Found& entry) -> std::optional<ApiError> {
    queue_.push_back(entry);
    changed_.notify_all();
    return std::nullopt;
  });
}

ApiResult<TrainingJob> TrainingJobs::keep(std::string_view id) {
  const auto decide = [](const Entry&, TrainingJob& job) -> std::optional<ApiError> {
    if (job.state != kJobSucceeded || job.decision == kJobDiscarded) {
      return conflict(
          format("there is nothing to keep: the job is {}", job.decision.empty() ? job.state : job.decision),
          "nothing_learned");
    }
    job.decision = "kept";
    return std::nullopt;
  };
  return change(id, decide, {});
}

// Decided first, then removed: killed in between, the next start removes it. What a job has learned may be many files
// on a slow disk: only the folder's name goes while others wait.
ApiResult<TrainingJob> TrainingJobs::discard(std::string_view id) {
  std::unique_ptr<RunFolder> held;
  std::string before, hidden;
  const auto decide = [&](const Entry& entry, TrainingJob& job) -> std::optional<ApiError> {
    if (!job.is_over() || entry.working) return is_not_over();
    before = std::exchange(job.decision, kJobDiscarded);
    if (before == kJobDiscarded) return std::nullopt;
    auto found = hold_adapter(job);
    if (!found.ok()) return found.error();
    held = std::move(*found);
    return std::nullopt;
  };
  const auto act = [&](const Found& entry) -> std::optional<ApiError> {
    if (held != nullptr) {
      auto moved = hide_folder(held->path());
      if (!moved.ok()) {
        entry->job.decision = before;
        return cannot(moved.error());
      }
      hidden = std::move(*moved);
    }
    if (before != kJobDiscarded) complete_events(*entry);  // its end first, where a killed process has not said it
    return std::nullopt;
  };
  auto changed = change(id, decide, act);
  if (hidden.empty()) return changed;
  std::error_code error;
  std::filesystem::remove_all(hidden, error);
  if (error) {
    return cannot(
        make_error("{}: cannot be removed: {}; what is left goes at the next start", hidden, error.message()));
  }
  return changed;
}

ApiResult<TrainingJob> TrainingJobs::discard_model(std::string_view model) {
  for (const TrainingJob& job : list()) {
    if (tuned_model_name(job) == model && job.state == kJobSucceeded && job.decision != kJobDiscarded) {
      return discard(job.id);
    }
  }
  return ApiError{404,
                  format("there is no \"{}\" that was learned here", andiron::in_quotes(model)),
                  "model",
                  "model_not_found",
                  {}};
}

ApiResult<std::unique_ptr<RunFolder>> TrainingJobs::hold_adapter(const TrainingJob& job) const {
  const auto folder = options_.adapter_folder(job.adapter);
  if (!folder.ok()) return cannot(folder.error());
  if (job.begun == 0 || check_free(*folder).ok()) return std::unique_ptr<RunFolder>();
  const auto record = read_run_record(*folder + "/run.json");
  if ((record.ok() ? record->started : "") != job.run_begun) {
    return conflict(format("the adapter \"{}\" is another now than this job's", job.adapter), "adapter_exists");
  }
  auto held = std::make_unique<RunFolder>(*folder);
  if (const Status taken = held->open(record.ok()); !taken.ok()) {
    return conflict(taken.error().message, "adapter_in_use");
  }
  return held;
}

// From the store first: where that takes no change, all of it stays. Killed after that, the next start finds the mark
// and removes the files.
std::optional<ApiError> TrainingJobs::remove(std::string_view id) {
  const std::lock_guard order(order_);
  {
    const std::lock_guard lock(mutex_);
    const Found entry = find_entry(id);
    if (entry == nullptr) return no_job(id);
    if (!entry->job.is_over() || entry->working) return is_not_over();
  }
  [[maybe_unused]] const Status marked = write_text_file(mark_path(id), store_.file(), true);  // a full disk takes none
  const auto removed = store_.remove_run(id);
  if (!removed.ok() && removed.error().kind != ErrorKind::kNotFound) {
    remove_mark(id);
    return cannot(removed.error());
  }
  remove_chats(id);
  {
    const std::lock_guard lock(mutex_);  // nobody reads events without it, nor writes them
    entries_.erase(entries_.find(id));
    remove_events(id);
  }
  remove_mark(id);
  return std::nullopt;
}

std::optional<ApiError> TrainingJobs::remove_file(std::string_view id) {
  const std::lock_guard order(order_);
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [name, entry] : entries_) {
      const auto& files = entry->job.ask.files;
      if (entry->job.is_over() || std::find(files.begin(), files.end(), id) == files.end()) continue;
      return conflict(format("the job {} learns from this file; cancel it first, or wait", name), "file_in_use");
    }
  }
  const auto removed = shelf_.remove(id);
  if (!removed.ok()) return cannot(removed.error());
  if (*removed) return std::nullopt;
  return no_file(id);
}

bool TrainingJobs::forget(std::span<const std::string> runs) {
  const std::lock_guard order(order_);
  bool all_saved = true, any = false;
  for (const std::string& id : runs) {
    TrainingJob forgot;
    {
      const std::lock_guard lock(mutex_);
      const Found entry = find_entry(id);
      if (entry == nullptr) continue;
      if (!entry->job.is_over()) {
        if (entry->job.begun == 0 && !entry->working) continue;  // it has read nothing yet
        tell(*entry, "warn", "chats that it learns from were removed");
        cancelled(entry->job);
        let_go(entry);
      }
      entry->job.samples = Json::array();
      put_away(*entry);
      forgot = entry->job;
    }
    remove_chats(id);
    // What was removed is forgotten, whether that can be written down or not.
    all_saved = save(forgot).ok() && all_saved;
    any = true;
  }
  if (!any) return true;
  // A save may have come between the removal and this.
  const auto gone = store_.forget_overwritten();
  return all_saved && gone.ok() && *gone;
}

}  // namespace andiron
