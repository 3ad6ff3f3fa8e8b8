// The thread that works on jobs.
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <ctime>
#include <exception>
#include <filesystem>
#include <future>
#include <memory>
#include <new>
#include <utility>

#include "base/atomic_file.h"
#include "base/strings.h"
#include "serve/training_jobs.h"
#include "serve/training_jobs_entry.h"
#include "train/run_loop.h"
#include "train/run_record.h"

namespace andiron {

namespace {

constexpr uint64_t kChatsBytesMax = uint64_t{1} << 30;
constexpr size_t kPlanLinesMax = 100;
constexpr int64_t kStepsTold = 1000;  // events of steps, about, whatever the number of steps

void replace_all(std::string& text, std::string_view what, std::string_view with) {
  for (size_t at = 0; !what.empty() && (at = text.find(what, at)) != std::string::npos; at += with.size()) {
    text.replace(at, what.size(), with);
  }
}

// When the run in a folder was begun; "" where there is none.
std::string run_begun_in(const std::string& folder) {
  const auto record = read_run_record(folder + "/run.json");
  return record.ok() ? record->started : "";
}

// Of what ended a job that it did not say itself.
Error error_of(const std::exception_ptr& thrown) {
  try {
    std::rethrow_exception(thrown);
  } catch (const std::bad_alloc&) {
    return make_error(ErrorKind::kMachine, "there is not enough memory to train");
  } catch (const std::exception& exception) {
    return make_error("training was ended by a failure of the program: {}", andiron::in_quotes(exception.what()));
  }
}

std::string chats_path_in(std::string_view folder, std::string_view id) {
  return format("{}/{}.chats.jsonl", folder, id);
}

}  // namespace

std::string result_words(const TrainingJob& job) {
  return format("{} after {}", job.verdict, counted(job.step, "step"));
}

std::string last_words(const TrainingJob& job) {
  if (job.state == kJobSucceeded) return result_words(job);
  return job.state == kJobFailed ? job.error : job.state;
}

std::string TrainingJobs::chats_path(std::string_view id) const { return chats_path_in(options_.folder, id); }

std::string TrainingJobs::events_path(std::string_view id) const {
  return format("{}/{}.events.jsonl", options_.folder, id);
}

std::string TrainingJobs::mark_path(std::string_view id) const { return format("{}/{}.removed", options_.folder, id); }

// Files under the names that people know.
std::string TrainingJobs::without_paths(const TrainingAsk& ask, std::string text) const {
  for (const std::string& id : ask.files) {
    if (const auto file = shelf_.find(id)) replace_all(text, shelf_.path_of(*file), file->name);
  }
  constexpr std::string_view kEnd = ".chats.jsonl", kChats = "the chats";
  for (size_t at = 0; ask.chats && (at = text.find(options_.folder + "/", at)) != std::string::npos;) {
    const size_t end = text.find(kEnd, at);
    if (end == std::string::npos) break;
    text.replace(at, end + kEnd.size() - at, kChats);
    at += kChats.size();
  }
  return text;
}

// What was written down of the chats.
void TrainingJobs::remove_chats(std::string_view id) const {
  std::error_code ignored;
  std::filesystem::remove(chats_path(id), ignored);
}

void TrainingJobs::remove_chats_of(std::string_view folder, std::span<const std::string> runs) {
  for (const std::string& run : runs) {
    std::error_code ignored;
    std::filesystem::remove(chats_path_in(folder, run), ignored);
  }
}

void TrainingJobs::remove_events(std::string_view id) const {
  std::error_code ignored;
  std::filesystem::remove(events_path(id), ignored);
}

void TrainingJobs::remove_mark(std::string_view id) const {
  std::error_code ignored;
  std::filesystem::remove(mark_path(id), ignored);
}

LearnOptions TrainingJobs::options_of(const TrainingJob& job) const {
  const TrainingAsk& ask = job.ask;
  LearnOptions out;
  out.name = job.adapter;
  out.base_path = options_.base_path;
  out.version = options_.version;
  out.loss = ask.preferences ? LossKind::kDpo : LossKind::kNextToken;
  out.seed = static_cast<uint64_t>(ask.seed.value_or(0));
  if (ask.rank) {
    out.rank = *ask.rank;
    out.alpha = 2 * static_cast<double>(*ask.rank);
  }
  if (ask.epochs) out.epochs = static_cast<double>(*ask.epochs);
  if (ask.batch) {
    out.batch = *ask.batch;
    out.grad_accum = 1;
  }
  if (ask.rate_multiplier) out.rate = *ask.rate_multiplier * usual_rate(*model_, out);
  out.beta = ask.beta.value_or(out.beta);
  out.budget_seconds = ask.budget_seconds;
  const auto study = study_mode_from_name(ask.study);
  out.study = study.ok() && !ask.preferences ? *study : StudyMode::kOff;
  if (ask.study == "on") out.study = StudyMode::kOn;
  if (!options_.general.empty()) out.general = {options_.general};
  if (!out.general.empty() && !ask.preferences) out.kl_weight = kUsualPull;
  out.memory_bytes = options_.memory_bytes;
  out.reading.stop = &closing_;
  return out;
}

// What a job learns from, as paths.
Result<std::vector<std::string>> TrainingJobs::data_of(const TrainingJob& job, const std::string& chats_path,
                                                       std::vector<Lesson>& lessons) {
  std::vector<std::string> paths;
  for (const std::string& id : job.ask.files) {
    const auto file = shelf_.find(id);
    if (!file) return make_error("the file {} is not there any more", id);
    paths.push_back(shelf_.path_of(*file));
  }
  if (!job.ask.chats) return paths;
  paths.push_back(chats_path);
  if (job.begun == 0 || !file_exists(chats_path)) TRY(write_chats(job, chats_path, lessons));
  return paths;
}

// What the chats give, once, so that a job that goes on finds the same.
Status TrainingJobs::write_chats(const TrainingJob& job, const std::string& path, std::vector<Lesson>& lessons) {
  const TrainingKind kind = job.ask.preferences ? TrainingKind::kPreference : TrainingKind::kChat;
  TRY_ASSIGN(AtomicFile file, AtomicFile::create(path, true));
  const TrainingRowSink write = [&](TrainingRow&& row) -> Status {
    TRY(file.write(std::string_view(row.row.dump() + "\n")));
    if (file.offset() > kChatsBytesMax) return make_error("the chats are more than {}", human_bytes(kChatsBytesMax));
    for (std::string& message : row.messages) {
      lessons.push_back({job.id, row.conversation, std::move(message), training_kind_name(kind)});
    }
    return {};
  };
  const auto written = store_.training_rows(kind, write, &closing_);
  if (!written.ok()) return written.error();
  return file.commit();
}

// From here on whoever removes one of these messages learns of the job. Those that went after they were read, and
// before this, are looked for.
Status TrainingJobs::keep_ledger(const std::vector<Lesson>& lessons) {
  if (lessons.empty()) return {};
  TRY(store_.add_lessons(lessons));
  for (const Lesson& lesson : lessons) {
    TRY_ASSIGN(const auto message, store_.message(lesson.message));
    if (!message) return make_error("chats that it was to learn from have just been removed; begin another job");
  }
  return {};
}

void TrainingJobs::make_way(ThreadTeam& team) {
  if (options_.gate == nullptr) return;
  team.set_gate([this] { options_.gate->wait_for_idle(&closing_); });
}

void TrainingJobs::run() {
  // The team's threads, made by the first job, take after this one: they run where nobody else wants to.
  if (options_.nice > 0) ::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), options_.nice);
  while (const Found entry = next()) work(*entry);
  team_.reset();
}

// The next job, which is then at work; null when the server ends.
TrainingJobs::Found TrainingJobs::next() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return closing_ || !queue_.empty(); });
  if (closing_) return nullptr;
  Found entry = std::move(queue_.front());
  queue_.pop_front();
  entry->working = true;
  entry->stop = false;
  entry->job.state = kJobRunning;
  entry->job.plan.clear();
  return entry;
}

void TrainingJobs::work(Entry& entry) {
  const auto end_with = [&](const Result<LearnResult>& result) {
    [[maybe_unused]] const Status ended = on_keeper([&] {
      finish(entry, result);
      return Status();
    });
  };
  // What is thrown, above all where memory runs out, costs the job and not the server.
  std::exception_ptr thrown;
  try {
    return end_with(train(entry));
  } catch (const std::exception&) {
    thrown = std::current_exception();
  }
  // What the job held has been given back by now.
  Error why;
  try {
    why = error_of(thrown);
    end_with(why);
  } catch (const std::exception&) {
    give_up(entry, std::move(why));
  }
}

// Where not even that can be written down. Takes no memory that it cannot do without.
void TrainingJobs::give_up(Entry& entry, Error why) {
  const std::lock_guard order(order_);
  const std::lock_guard lock(mutex_);
  entry.working = false;
  entry.began = 0;
  const bool fails = !entry.job.is_over();  // it may have been cancelled
  if (fails) {
    entry.job.state = kJobFailed;
    entry.job.error = std::move(why.message);
    if (entry.job.error.empty()) entry.job.error = "out of memory";  // so short that it lies in the text itself
    entry.job.finished = std::time(nullptr);
  }
  try {
    // In the store it still runs: the next start has it go on, and reads the chats anew.
    remove_chats(entry.job.id);
    if (fails) tell(entry, "error", entry.job.error);
  } catch (const std::bad_alloc&) {
    // It is said to those who ask later; those who watch hear of the end.
  }
  leave_queue(entry);
  end_watch(entry);
  put_away(entry);
}

TrainingJob TrainingJobs::copy_of(const Entry& entry) const {
  const std::lock_guard lock(mutex_);
  return entry.job;
}

// Does it on a thread that gets a processor as all others do, and waits. This one gets none while others have work
// (nice), and would keep a lock all that time, the jobs' or the store's, for which those who ask would wait: it holds
// none for longer than a look at what is in memory.
Status TrainingJobs::on_keeper(std::function<Status()> task) {
  const auto packed = std::make_shared<std::packaged_task<Status()>>(std::move(task));
  std::future<Status> done = packed->get_future();
  keeper_.post([packed] { (*packed)(); });
  return done.get();
}

Status TrainingJobs::save_as_it_is(const Entry& entry) {
  const std::lock_guard order(order_);
  return save(copy_of(entry));
}

Result<LearnResult> TrainingJobs::train(Entry& entry) {
  if (team_ == nullptr) {
    team_ = std::make_unique<ThreadTeam>(options_.threads);
    make_way(*team_);
  }
  const auto save_it = [&] { return save_as_it_is(entry); };
  TRY(on_keeper(save_it));
  const TrainingJob job = copy_of(entry);
  LearnOptions learning = options_of(job);
  TRY_ASSIGN(learning.out, options_.adapter_folder(job.adapter));
  if (job.begun == 0 && !check_free(learning.out).ok()) {
    return make_error("there is an adapter \"{}\" by now, which is not overwritten", job.adapter);
  }
  std::vector<Lesson> lessons;
  const Status gathered = on_keeper([&]() -> Status {
    TRY_ASSIGN(learning.data, data_of(job, chats_path(job.id), lessons));
    return keep_ledger(lessons);
  });
  TRY(gathered);
  if (entry.stop) return make_error("stopped before it began");
  learning.resume = job.begun != 0 && file_exists(learning.out + "/run.json");
  if (job.begun == 0) {
    {
      const std::lock_guard lock(mutex_);
      entry.job.begun = std::time(nullptr);
    }
    TRY(on_keeper(save_it));
  }
  StudyAnswererMaker answerer;
  if (options_.answerer) answerer = [this] { return options_.answerer(*team_); };
  // What is learned may repeat what it is learned from.
  if (!file_exists(learning.out)) TRY(make_private_folder(learning.out));
  auto result = learn(*model_, tokenizer_, kernels_, *team_, learning, events_of(entry), answerer);
  // A run that came to nothing leaves no folder, as where it makes it itself: neither is removed unless it is empty.
  for (const std::string& folder : {learning.out + "/checkpoints", learning.out}) ::rmdir(folder.c_str());
  return result;
}

LearnEvents TrainingJobs::events_of(Entry& entry) {
  const auto hand_on = [this](const std::function<void()>& task) {
    [[maybe_unused]] const Status done = on_keeper([&] {
      task();
      return Status();
    });
  };
  LearnEvents events;
  events.say = [this, &entry, hand_on](std::string_view line) { hand_on([&] { on_line(entry, line); }); };
  events.working = [this, &entry](std::string_view what, int64_t done, int64_t total) {
    const std::lock_guard lock(mutex_);
    entry.job.activity = done < total ? std::string(what) : "";
  };
  events.studying = events.working;
  events.begin = [this, &entry, hand_on](int64_t steps, int64_t done) {
    hand_on([&] { on_begin(entry, steps, done); });
  };
  events.step = [this, &entry, hand_on](const LossRow& row) {
    if (note_step(entry, row)) hand_on([&] { on_step(entry, row); });
  };
  events.stop = &entry.stop;
  return events;
}

void TrainingJobs::on_line(Entry& entry, std::string_view line) {
  std::string text = without_paths(copy_of(entry).ask, std::string(line));
  const std::lock_guard lock(mutex_);
  if (entry.job.plan.size() < kPlanLinesMax && entry.began == 0) entry.job.plan.push_back(text);
  tell(entry, "info", std::move(text));
}

void TrainingJobs::on_begin(Entry& entry, int64_t steps, int64_t done) {
  const std::lock_guard order(order_);
  TrainingJob job = copy_of(entry);
  std::string run = run_of(job);
  {
    const std::lock_guard lock(mutex_);
    entry.job.steps = steps;
    entry.job.step = entry.done_before = done;
    entry.job.run_begun = std::move(run);
    entry.began = now_seconds();
    entry.events.forget_steps_after(done);
    job = entry.job;
  }
  // A disk that is full ends the run by itself.
  [[maybe_unused]] const Status saved = save(job);
}

// Which run its folder holds, so that no other one is ever removed in its place.
std::string TrainingJobs::run_of(const TrainingJob& job) const {
  const auto folder = options_.adapter_folder(job.adapter);
  return folder.ok() && job.begun != 0 ? run_begun_in(*folder) : job.run_begun;
}

// Whether an event is to tell of it.
bool TrainingJobs::note_step(Entry& entry, const LossRow& row) {
  const std::lock_guard lock(mutex_);
  TrainingJob& job = entry.job;
  const bool measured = std::isfinite(row.held_out_loss);
  job.step = row.step;
  job.tokens = row.tokens;
  job.loss = row.loss;
  if (measured) job.held_out_loss = row.held_out_loss;
  job.tokens_per_s = row.tokens_per_s;
  const double each =
      (now_seconds() - entry.began) / static_cast<double>(std::max<int64_t>(1, row.step - entry.done_before));
  job.seconds_left = each * static_cast<double>(job.steps - row.step);
  const int64_t stride = (job.steps + kStepsTold - 1) / kStepsTold;
  return measured || row.step % stride == 0 || row.step == job.steps;
}

void TrainingJobs::on_step(Entry& entry, const LossRow& row) {
  const std::lock_guard order(order_);
  const TrainingJob job = copy_of(entry);
  const bool measured = std::isfinite(row.held_out_loss);
  Json data = Json::object();
  data.set("step", row.step).set("total_steps", job.steps).set("train_loss", row.loss);
  if (measured) data.set("valid_loss", row.held_out_loss);
  data.set("tokens_per_second", row.tokens_per_s).set("seconds_left", job.seconds_left);
  {
    const std::lock_guard lock(mutex_);
    tell(entry, "info",
         format("Step {}/{}: training loss={:.4f}{}", row.step, job.steps, row.loss,
                measured ? format(", validation loss={:.4f}", row.held_out_loss) : ""),
         std::move(data));
  }
  // A disk that is full ends the run by itself.
  if (measured) [[maybe_unused]]
    const Status saved = save(job);
}

void TrainingJobs::note_result(TrainingJob& job, const LearnResult& result) {
  const RunRecord& record = result.record;
  job.before = record.before;
  job.after = record.after;
  job.verdict = record.verdict;
  job.reasons = record.reasons;
  job.rate = record.options.member("lr").number_or(0);
  job.batch = static_cast<int64_t>(record.options.member("batch").number_or(0) *
                                   record.options.member("grad_accum").number_or(1));
  job.seconds_left = kNotMeasured;
  job.samples = Json::array();
  for (const TokenRow& row : result.samples) {
    if (job.is_over()) break;  // it was cancelled, perhaps because its chats were removed
    const size_t cut = sample_prompt_size(row);
    const std::span<const int32_t> tokens(row.tokens);
    Json sample = Json::object(), ids = Json::array();
    for (const int32_t id : tokens.first(cut)) ids.push(int64_t{id});
    sample.set("prompt", tokenizer_.decode(tokens.first(cut))).set("prompt_tokens", std::move(ids));
    sample.set("expected", tokenizer_.decode(tokens.subspan(cut)));
    job.samples.push(std::move(sample));
  }
  double best = 0;
  for (const LossRow& row : result.rows) best = std::max(best, std::isfinite(row.tokens_per_s) ? row.tokens_per_s : 0);
  if (best > 0) [[maybe_unused]]
    const Status kept = store_.put_setting(speed_setting(options_.model_name), Json(best));
}

// What it is now is seen once it is saved.
void TrainingJobs::finish(Entry& entry, const Result<LearnResult>& result) {
  const std::lock_guard order(order_);
  TrainingJob job = copy_of(entry);
  std::string_view level = "info";
  std::string said;
  job.activity.clear();
  job.run_begun = run_of(job);
  if (entry.stop && (!result.ok() || result->stopped)) {
    // Where nobody has decided otherwise, the server ends, and the job stays one that runs.
    if (!closing_) said = format("stopped after step {}", job.step);
  } else if (!result.ok()) {
    level = "error";
    said = without_paths(job.ask, result.error().message);
    if (!job.is_over()) {
      job.state = kJobFailed;
      job.error = said;
    }
  } else {
    note_result(job, *result);
    if (!job.is_over()) job.state = kJobSucceeded;
    said = result_words(job);
  }
  if (job.is_over()) {
    if (job.finished == 0) job.finished = std::time(nullptr);
    remove_chats(job.id);
  }
  const Status saved = save(job);
  const std::lock_guard lock(mutex_);
  entry.job = std::move(job);
  entry.working = false;
  entry.began = 0;
  if (!said.empty()) tell(entry, level, std::move(said));
  if (!saved.ok()) tell(entry, "warn", saved.error().message);
  if (!entry.job.is_over()) return;
  leave_queue(entry);
  end_watch(entry);
  put_away(entry);
}

}  // namespace andiron
