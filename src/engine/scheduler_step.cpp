#include <algorithm>
#include <cmath>
#include <functional>
#include <new>
#include <utility>

#include "base/strings.h"
#include "engine/scheduler_core.h"

namespace andiron {

namespace {
// What one step reads for prompts that are found in the prefix cache, a block at least: from disk its file, in memory
// the tokens that it is compared with. Some hundredths of a second.
constexpr uint64_t kRestoreBytes = uint64_t{32} << 20;

// What one job needs memory for and does not get ends that job; the others go on.
template <typename F>
void for_one(SchedulerJob& job, F f) {
  try {
    f();
  } catch (const std::bad_alloc&) {
    job.error = Error{std::string(kNoMemory)};
  }
}
}  // namespace

void Scheduler::Core::step() {
  for (const auto& job : running_) {
    if (!job->begun) for_one(*job, [&] { begin(*job); });
  }
  restore();
  compose();
  if (batch_.empty()) return;
  const Status ran = forward_->run(batch_);
  ++steps_;
  if (!ran.ok()) {
    for (Job* job : members_) job->error = ran.error();
    return;
  }
  choosing_.clear();
  for (size_t i = 0; i < members_.size(); ++i) {
    for_one(*members_[i], [&] { collect(i); });
  }
  choose_tokens();
}

void Scheduler::Core::begin(Job& job) {
  job.begun = true;
  job.begun_at = SchedulerClock::now();
  prompt_tokens_ += static_cast<uint64_t>(job.prompt_tokens);
  auto cache = KvCache::create(*model_, options_.context, options_.kv_format);
  if (!cache.ok()) {
    job.error = std::move(cache).error();
    return;
  }
  job.cache = std::move(cache).value();
  job.tokens = std::move(job.request.prompt);
  if (job.is_embedding()) return;
  const int64_t room = options_.context - job.prompt_tokens, wanted = job.request.options.tokens_max;
  job.tokens.reserve(static_cast<size_t>(job.prompt_tokens + (wanted < 0 ? room : std::min(room, wanted))));
  job.on_token = [listener = job.listener.get()](const TokenEvent& event) {
    listener->on_token(event);
    return true;
  };
  // Adapters without a name cannot be told from others next time.
  job.uses_prefix = prefix_ != nullptr && (job.request.adapters == nullptr || !job.request.adapters_key.empty());
  if (!job.uses_prefix) return;
  job.chain = PrefixChain(space_of(job));
  job.chain.extend(job.tokens);
}

std::string Scheduler::Core::space_of(const Job& job) const {
  return format("{}adapters {}\n", space_, job.request.adapters != nullptr ? job.request.adapters_key : "");
}

void Scheduler::Core::restore() {
  uint64_t budget = kRestoreBytes;
  for (const auto& job : running_) {
    job->held = false;
    if (job->uses_prefix && job->is_reading() && !job->has_ended()) restore(*job, budget);
  }
}

// Takes what the prefix cache has of the prompt from here on, but for the last token: its logits are wanted.
void Scheduler::Core::restore(Job& job, uint64_t& budget) {
  KvCache& cache = *job.cache;
  while (cache.length() % kPrefixPositions == 0 && cache.length() + kPrefixPositions < job.prompt_tokens) {
    const int64_t block = cache.length() / kPrefixPositions;
    const uint64_t compared = static_cast<uint64_t>((block + 1) * kPrefixPositions) * sizeof(int32_t);
    const uint64_t bytes = compared + (prefix_->is_in_memory(job.chain, block) ? 0 : cache.page_bytes());
    if (budget < bytes && budget < kRestoreBytes) {
      job.held = prefix_->may_hold(job.chain, block);  // goes on in the next step
      return;
    }
    if (!restore_block(job, block)) return;
    budget -= std::min(budget, bytes);
    job.stored = block + 1;
    job.reused += kPrefixPositions;
    reused_ += static_cast<uint64_t>(kPrefixPositions);
  }
}

// False where the prefix cache does not have it, or there is no memory for it: then it is computed, and that tells
// whether there is memory for the pages.
bool Scheduler::Core::restore_block(Job& job, int64_t block) {
  KvCache& cache = *job.cache;
  try {
    const auto found =
        prefix_->find(job.chain, block, job.tokens, [&](std::span<const uint8_t> data) { return cache.page_of(data); });
    if (found == nullptr) return false;
    cache.append_page(found->page);
  } catch (const std::bad_alloc&) {
    return false;
  }
  return true;
}

// A token of every answer, and a piece of the prompts. Answers that wear the same adapters lie side by side, so that
// those are read once for all of them. In which order is no matter: a token has the same bits wherever it lies.
void Scheduler::Core::compose() {
  batch_.clear();
  members_.clear();
  answering_.clear();
  for (const auto& job : running_) {
    if (job->answer != nullptr) answering_.push_back(job.get());
  }
  std::sort(answering_.begin(), answering_.end(), [](const Job* a, const Job* b) {
    const AdapterStack* of_a = a->request.adapters.get();
    const AdapterStack* of_b = b->request.adapters.get();
    return of_a != of_b ? std::less<>()(of_a, of_b) : a->ticket < b->ticket;
  });
  for (Job* job : answering_) add_member(*job, 1);
  share_chunk();
}

// Evenly between clients, but for what the prompts of some leave to others; within a client first come, first served.
void Scheduler::Core::share_chunk() {
  readers_.clear();
  for (const auto& job : running_) {
    if (!job->takes_of_chunk()) continue;
    const uint64_t client = job->request.client;
    auto at = std::find_if(readers_.begin(), readers_.end(), [&](const Reader& r) { return r.client == client; });
    if (at == readers_.end()) at = readers_.insert(readers_.end(), Reader{client, 0});
    at->wants += job->prompt_tokens - job->read();
  }
  std::stable_sort(readers_.begin(), readers_.end(),
                   [](const Reader& a, const Reader& b) { return a.wants < b.wants; });
  being_read_.clear();
  int64_t left = options_.chunk;
  auto sharing = static_cast<int64_t>(readers_.size());
  for (const Reader& reader : readers_) left -= give_tokens(reader.client, left / sharing--);
}

// What somebody else is reading in this step is waited for and then shared: of many who come together with one prompt,
// or with one beginning, one reads it.
int64_t Scheduler::Core::give_tokens(uint64_t client, int64_t budget) {
  const int64_t all = budget;
  for (const auto& job : running_) {
    if (budget == 0) break;
    if (job->request.client != client || !job->takes_of_chunk()) continue;
    const int64_t block = job->read() / kPrefixPositions;
    std::string_view key;  // none: nobody else can use it
    if (job->uses_prefix && block < job->chain.size()) key = job->chain.key(block);
    const bool is_read = std::find(being_read_.begin(), being_read_.end(), key) != being_read_.end();
    const bool may_share = job->read() % kPrefixPositions == 0 && job->read() + kPrefixPositions < job->prompt_tokens;
    if (is_read && may_share) continue;
    const int64_t tokens = std::min(budget, job->prompt_tokens - job->read());
    if (!add_member(*job, tokens)) continue;
    budget -= tokens;
    if (!key.empty()) being_read_.push_back(key);
  }
  return all - budget;
}

// False without memory for its tokens: the job ends here, and the others go on.
bool Scheduler::Core::add_member(Job& job, int64_t tokens) {
  for_one(job, [&] {
    if (Status reserved = job.cache->reserve(tokens); !reserved.ok()) job.error = std::move(reserved).error();
  });
  if (job.error) return false;
  const auto next =
      std::span<const int32_t>(job.tokens).subspan(static_cast<size_t>(job.read()), static_cast<size_t>(tokens));
  const bool is_last = job.read() + tokens == std::ssize(job.tokens);
  const AdapterStack* adapters = job.request.adapters.get();
  batch_.push_back({.cache = &*job.cache,
                    .tokens = next,
                    .logits = job.is_embedding() ? LogitRows::kHidden
                              : is_last          ? LogitRows::kLast
                                                 : LogitRows::kNone,
                    .deltas = adapters != nullptr ? &adapters->deltas() : nullptr});
  members_.push_back(&job);
  return true;
}

// What a run has brought to one sequence.
void Scheduler::Core::collect(size_t index) {
  Job& job = *members_[index];
  if (job.is_embedding()) {
    add_hidden(job, forward_->hidden(index));
    return;
  }
  store_blocks(job);
  if (job.is_reading()) return;
  if (job.answer == nullptr) {
    auto answer = AnswerState::begin(*model_, tokenizer_, job.request.options, job.tokens);
    if (!answer.ok()) {
      job.error = std::move(answer).error();
      return;
    }
    job.answer = std::move(answer).value();
    if (job.answer->done()) return;
  }
  choosing_.push_back(index);
}

void Scheduler::Core::add_hidden(Job& job, Rows hidden) {
  std::vector<double>& sum = job.hidden_sum;
  sum.resize(static_cast<size_t>(hidden.cols));
  for (int64_t i = 0; i < hidden.rows; ++i) {
    const float* row = hidden.row(i);
    for (int64_t d = 0; d < hidden.cols; ++d) sum[static_cast<size_t>(d)] += static_cast<double>(row[d]);
  }
  if (job.read() < job.prompt_tokens) return;
  // The mean and the sum have the same direction.
  double square = 0;
  for (const double x : sum) square += x * x;
  const double length = std::sqrt(square);
  if (!(length > 0) || !std::isfinite(length)) {
    job.error = make_error("{}: these tokens have no embedding: the mean of their hidden states is {} long",
                           model_->source().path(), length);
    return;
  }
  for (double& x : sum) x /= length;
}

void Scheduler::Core::store_blocks(Job& job) {
  const int64_t whole = job.read() / kPrefixPositions;
  if (job.epoch != epoch_) job.uses_prefix = false;  // it would bring back what has been forgotten
  if (!job.uses_prefix || job.stored >= whole) return;
  job.chain.extend(job.tokens);
  for (; job.stored < whole; ++job.stored) {
    prefix_->insert(job.chain, job.stored, job.tokens, job.cache->page(job.stored));
  }
}

// Sampling takes as long as a small model's layers where the vocabulary is large, so the team shares it.
void Scheduler::Core::choose_tokens() {
  const auto logits = [&](size_t index) {
    return std::span<const float>(forward_->logits(index).row(0), static_cast<size_t>(model_->config().vocabulary));
  };
  const auto count = static_cast<int64_t>(choosing_.size());
  team_.parallel_for(count, count * model_->config().vocabulary, [&](int64_t i, int) {
    const size_t index = choosing_[static_cast<size_t>(i)];
    Job& job = *members_[index];
    try {
      job.choice = job.answer->choose(logits(index));
    } catch (const std::bad_alloc&) {
      job.choice = Error{std::string(kNoMemory)};
    }
  });
  for (const size_t index : choosing_) take_token(*members_[index], logits(index));
}

void Scheduler::Core::take_token(Job& job, std::span<const float> logits) {
  if (!job.choice.ok()) {
    job.error = job.choice.error();
    return;
  }
  ++tokens_;
  job.tokens.push_back(*job.choice);
  if (job.answer->tokens() == 1) job.first_token_at = SchedulerClock::now();
  for_one(job,
          [&] { job.answer->emit(*job.choice, logits, std::ssize(job.tokens) == options_.context, job.on_token); });
}

}  // namespace andiron
