#include "engine/scheduler.h"

#include <algorithm>
#include <cmath>
#include <new>
#include <utility>

#include "base/check.h"
#include "base/content_hash.h"
#include "base/strings.h"
#include "engine/scheduler_core.h"
#include "engine/session.h"
#include "model/rope.h"

namespace andiron {

namespace {

Status check_numbers(const SchedulerOptions& options) {
  if (options.context < 0 || options.sequences < 1 || options.chunk < 1 || options.queue < 1) {
    return make_error(
        "a scheduler needs a context of at least 0 and at least 1 sequence, chunk and place in the queue; got {}, {}, "
        "{} and {}",
        options.context, options.sequences, options.chunk, options.queue);
  }
  if (!options.prefix_folder.empty() && (options.prefix_bytes == 0 || options.base_hash.empty())) {
    return make_error(
        "{}: a prefix cache on disk needs one in memory and a hash that names the model; without them it cannot be "
        "used",
        options.prefix_folder);
  }
  return {};
}

// What keys and values depend on besides tokens and adapters.
std::string space_of_model(const Model& model, const KernelTable& kernels, const SchedulerOptions& options) {
  const RopePlan& rope = model.ropes().full(options.context);
  const std::span<const double> turns = rope.inv_freq;
  ContentHash rotary;
  rotary.add({reinterpret_cast<const uint8_t*>(turns.data()), turns.size_bytes()});
  rotary.add({reinterpret_cast<const uint8_t*>(&rope.magnitude), sizeof rope.magnitude});
  // AMX rounds what meets bf16 weights (kernel_table.h); all other tables compute the same bits.
  const bool is_amx = std::string_view(kernels.name) == "amx";
  return format("base {}\nformat {}\nbytes {}\nrotary {}\nkernels {}\n", options.base_hash,
                options.kv_format == kKvF16 ? "f16" : "q8_0", model.kv_bytes_per_position(options.kv_format),
                rotary.digits(), is_amx ? "amx" : "exact");
}

}  // namespace

Result<std::unique_ptr<Scheduler>> Scheduler::create(std::shared_ptr<const Model> model, const Tokenizer& tokenizer,
                                                     const KernelTable& kernels, ThreadTeam& team,
                                                     const SchedulerOptions& wanted) {
  TRY(check_numbers(wanted));
  SchedulerOptions options = wanted;
  if (options.context == 0) options.context = default_context(model->config(), options.kv_format);
  // Each sequence gets a token at least.
  options.chunk = std::max(options.chunk, options.sequences);
  // As a request will make it, so that a format or context that the model cannot have is an error now.
  TRY_ASSIGN(const auto cache, KvCache::create(*model, options.context, options.kv_format));
  const ForwardLimits limits = {
      .rows = options.chunk + options.sequences, .logit_rows = options.sequences, .sequences = options.sequences};
  TRY_ASSIGN(auto forward, Forward::create(*model, kernels, team, limits));
  std::unique_ptr<PrefixCache> prefix;
  if (options.prefix_bytes > 0) {
    TRY_ASSIGN(prefix, PrefixCache::create({.bytes = options.prefix_bytes,
                                            .folder = options.prefix_folder,
                                            .disk_bytes = options.prefix_disk_bytes}));
  }
  auto core = std::make_unique<Core>(std::move(model), tokenizer, kernels, team, options, std::move(forward),
                                     std::move(prefix));
  return std::unique_ptr<Scheduler>(new Scheduler(std::move(core)));
}

Scheduler::Scheduler(std::unique_ptr<Core> core) : core_(std::move(core)) {}
Scheduler::~Scheduler() = default;

Submitted Scheduler::submit(GenerationRequest request, std::shared_ptr<GenerationListener> listener) {
  ANDIRON_CHECK(listener != nullptr && request.options.draft == nullptr && request.options.cancel == nullptr);
  return core_->submit(std::make_unique<SchedulerJob>(std::move(request), std::move(listener)));
}

Submitted Scheduler::embed(std::vector<int32_t> tokens, std::shared_ptr<const AdapterStack> adapters, uint64_t client,
                           std::function<void(Result<std::vector<float>>)> done) {
  ANDIRON_CHECK(done != nullptr);
  GenerationRequest request;
  request.prompt = std::move(tokens);
  request.adapters = std::move(adapters);
  request.client = client;
  auto job = std::make_unique<SchedulerJob>(std::move(request), nullptr);
  job->embedded = std::move(done);
  return core_->submit(std::move(job));
}

void Scheduler::cancel(Ticket ticket) { core_->cancel(ticket); }
bool Scheduler::forget_prefixes() { return core_->forget_prefixes(); }
Scheduler::Stats Scheduler::stats() const { return core_->stats(); }
int64_t Scheduler::context() const { return core_->context(); }

Scheduler::Core::Core(std::shared_ptr<const Model> model, const Tokenizer& tokenizer, const KernelTable& kernels,
                      ThreadTeam& team, const SchedulerOptions& options, std::unique_ptr<Forward> forward,
                      std::unique_ptr<PrefixCache> prefix)
    : model_(std::move(model)),
      tokenizer_(tokenizer),
      team_(team),
      options_(options),
      space_(space_of_model(*model_, kernels, options)),
      forward_(std::move(forward)),
      prefix_(std::move(prefix)),
      queues_(options.queue) {
  const auto sequences = static_cast<size_t>(options.sequences);
  running_.reserve(sequences);
  ended_.reserve(2 * sequences + static_cast<size_t>(options.queue));  // all at once: who runs, rests and waits
  answering_.reserve(sequences);
  batch_.reserve(sequences);
  members_.reserve(sequences);
  choosing_.reserve(sequences);
  readers_.reserve(sequences);
  being_read_.reserve(sequences);
  stats_.context = options.context;
  thread_ = std::thread([this] { run(); });
}

Scheduler::Core::~Core() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  work_.notify_all();
  thread_.join();
}

Status Scheduler::Core::check(const SchedulerJob& job) const {
  const GenerationRequest& request = job.request;
  TRY(check_prompt(request.prompt.size(), options_.context, job.is_embedding() ? 0 : 1, model_->config()));
  for (const int32_t token : request.prompt) {
    if (token >= 0 && token < model_->config().vocabulary) continue;
    return make_error("the prompt has the token {}, which is not one of the {} that the model has", token,
                      model_->config().vocabulary);
  }
  return job.is_embedding() ? Status() : check_options(request.options, *model_, tokenizer_);
}

Submitted Scheduler::Core::submit(std::unique_ptr<SchedulerJob> job) {
  if (const Status status = check(*job); !status.ok()) return status.error();
  const std::lock_guard lock(mutex_);
  if (stopping_) return make_error("the program is ending and answers nothing any more");
  if (!queues_.has_room(job->request.client)) {
    ++stats_.refused;
    return Overloaded{retry_after_s()};
  }
  const Ticket ticket = job->ticket = ++last_ticket_;
  job->epoch = forgets_asked_;
  queues_.push(std::move(job));
  stats_.waiting = queues_.size();
  if (options_.gate != nullptr && !in_gate_) {
    options_.gate->enter();
    in_gate_ = true;
  }
  work_.notify_one();
  return ticket;
}

void Scheduler::Core::cancel(Ticket ticket) {
  const std::lock_guard lock(mutex_);
  if (ticket == 0 || ticket > last_ticket_) return;
  cancels_.push_back(ticket);
  work_.notify_one();
}

bool Scheduler::Core::forget_prefixes() {
  std::unique_lock lock(mutex_);
  const uint64_t mine = ++forgets_asked_;
  work_.notify_one();
  forgotten_.wait(lock, [&] { return forgets_done_ >= mine; });
  return all_forgotten_;
}

Scheduler::Stats Scheduler::Core::stats() const {
  const std::lock_guard lock(mutex_);
  return stats_;
}

// Until a quarter of the queue should have got its turn: were it only the first place, all who were refused would come
// again together and find it taken. With mutex_ held.
int64_t Scheduler::Core::retry_after_s() const {
  constexpr double kSecondsMax = 600;
  const double requests = std::max(1.0, static_cast<double>(options_.queue) / 4);
  const double seconds = request_s_ * requests / static_cast<double>(options_.sequences);
  return static_cast<int64_t>(std::clamp(std::ceil(seconds), 1.0, kSecondsMax));
}

void Scheduler::Core::run() {
  while (gather_if_there_is_memory()) {
    deliver();
    try {
      step();
    } catch (const std::bad_alloc&) {  // whose it was is not known
      for (auto& job : running_) job->error = Error{std::string(kNoMemory)};
    }
    sweep();
    deliver();
  }
  std::unique_lock lock(mutex_);
  for (auto& job : running_) ended_.push_back(std::move(job));
  running_.clear();
  const auto nobody = [](uint64_t) { return int64_t{0}; };
  while (const auto client = queues_.next(nobody)) ended_.push_back(queues_.take(*client));
  for (auto& job : ended_) job->cancelled = true;
  lock.unlock();
  deliver();
  lock.lock();
  leave_gate();
}

// Without memory to give a place away, or to forget, whoever has a place goes on, and the rest is tried again.
bool Scheduler::Core::gather_if_there_is_memory() {
  try {
    return gather();
  } catch (const std::bad_alloc&) {
    return true;
  }
}

// Waits for work and gives places to whoever is to run in the next step. False: the scheduler ends.
bool Scheduler::Core::gather() {
  std::unique_lock lock(mutex_);
  if (running_.empty() && queues_.empty()) leave_gate();
  work_.wait(lock, [&] {
    return stopping_ || forgets_asked_ > forgets_done_ || !cancels_.empty() || !running_.empty() || !queues_.empty();
  });
  if (forgets_asked_ > forgets_done_) {
    epoch_ = forgets_asked_;
    lock.unlock();  // removing files takes time, and others must not wait for it
    const bool all_gone = prefix_ == nullptr || prefix_->clear();
    lock.lock();
    all_forgotten_ = all_gone;
    forgets_done_ = epoch_;
    stats_.prefix_bytes = 0;
    forgotten_.notify_all();
  }
  if (stopping_) return false;
  take_cancels();
  admit();
  stats_.running = static_cast<int64_t>(running_.size());
  stats_.waiting = queues_.size();
  return true;
}

void Scheduler::Core::leave_gate() {
  if (in_gate_) options_.gate->leave();
  in_gate_ = false;
}

void Scheduler::Core::take_cancels() {
  for (const Ticket ticket : cancels_) {
    const auto at =
        std::find_if(running_.begin(), running_.end(), [&](const auto& job) { return job->ticket == ticket; });
    std::unique_ptr<Job> job;
    if (at != running_.end()) {
      job = std::move(*at);
      running_.erase(at);
    } else {
      job = queues_.remove(ticket);
    }
    if (job == nullptr) continue;  // it has ended
    job->cancelled = true;
    ended_.push_back(std::move(job));
  }
  cancels_.clear();
}

int64_t Scheduler::Core::places(uint64_t client) const {
  return std::count_if(running_.begin(), running_.end(),
                       [&](const auto& job) { return job->request.client == client; });
}

// Where all places are taken, whoever waits gets one from a client that has two more at least: both have as many after
// that as they would have had, had they come together.
void Scheduler::Core::admit() {
  while (const auto client = queues_.next([&](uint64_t id) { return places(id); })) {
    if (static_cast<int64_t>(running_.size()) == options_.sequences) {
      Job* victim = last_of_busiest(*client);
      if (victim == nullptr || queues_.resting() >= options_.sequences) return;
      rest(victim);
    }
    running_.push_back(queues_.take(*client));
  }
}

// The last answer of the client with the most places, if they are two more than this one's at least; else null.
SchedulerJob* Scheduler::Core::last_of_busiest(uint64_t besides) const {
  Job* last = nullptr;
  int64_t most = places(besides) + 1;
  for (const auto& job : running_) {
    const int64_t has = places(job->request.client);
    if (has > most || (last != nullptr && has == most && job->request.client == last->request.client)) {
      most = has;
      last = job.get();
    }
  }
  return last;
}

void Scheduler::Core::rest(Job* job) {
  const auto at = std::find_if(running_.begin(), running_.end(), [&](const auto& other) { return other.get() == job; });
  queues_.push(std::move(*at));
  running_.erase(at);
}

// Takes their places from those that have ended.
void Scheduler::Core::sweep() {
  for (auto& job : running_) {
    if (job->has_ended()) ended_.push_back(std::move(job));
  }
  std::erase(running_, nullptr);
}

// Tells whoever has ended so; by then nothing of it is left here.
void Scheduler::Core::deliver() {
  for (auto& job : ended_) job->cache.reset();
  {
    const std::lock_guard lock(mutex_);
    stats_.running = static_cast<int64_t>(running_.size());
    stats_.waiting = queues_.size();
    stats_.steps = steps_;
    stats_.prompt_tokens = prompt_tokens_;
    stats_.prompt_reused = reused_;
    stats_.tokens = tokens_;
    stats_.prefix_bytes = prefix_ != nullptr ? prefix_->bytes() : 0;
    stats_.kv_bytes = kv_bytes();
    for (const auto& job : ended_) {
      stats_.cancelled += job->cancelled ? 1 : 0;
      if (job->cancelled || !job->begun) continue;
      // A mean of about the last ten.
      const double seconds = ms_between(job->begun_at, SchedulerClock::now()) / 1000;
      request_s_ = request_s_ == 0 ? seconds : 0.9 * request_s_ + 0.1 * seconds;
    }
  }
  for (auto& job : ended_) {
    // Where there is no memory to tell it, whoever waits learns of it as the listener is destroyed.
    try {
      tell_end(*job);
    } catch (const std::bad_alloc&) {
      continue;
    }
  }
  ended_.clear();
}

// With mutex_ held, for those that rest.
uint64_t Scheduler::Core::kv_bytes() const {
  int64_t pages = queues_.resting_pages();
  for (const auto& job : running_) pages += job->pages();
  return static_cast<uint64_t>(pages * kAttentionTile) * model_->kv_bytes_per_position(options_.kv_format);
}

void Scheduler::Core::tell_end(Job& job) {
  if (job.is_embedding()) {
    if (job.cancelled && !job.error) job.error = Error{"the embedding was cancelled"};
    if (job.error) return job.embedded(*job.error);
    return job.embedded(std::vector<float>(job.hidden_sum.begin(), job.hidden_sum.end()));
  }
  if (job.error) return job.listener->on_end(*job.error);
  GenerationReport report;
  report.reason = FinishReason::kCancelled;
  if (job.answer != nullptr) {
    if (job.answer->done()) report.reason = job.answer->reason();
    job.answer->flush(job.on_token);
    report.stop_string = job.answer->stop_string();
    report.tokens = job.answer->tokens();
  }
  const auto now = SchedulerClock::now();
  const auto begun_at = job.begun ? job.begun_at : now;
  const auto first_token_at = report.tokens > 0 ? job.first_token_at : now;
  report.prompt_tokens = job.prompt_tokens;
  report.prompt_reused = job.reused;
  report.queue_ms = ms_between(job.submitted, begun_at);
  report.prompt_ms = job.begun ? ms_between(begun_at, first_token_at) : 0;
  report.decode_ms = report.tokens > 1 ? ms_between(first_token_at, now) : 0;
  job.listener->on_end(std::move(report));
}

}  // namespace andiron
