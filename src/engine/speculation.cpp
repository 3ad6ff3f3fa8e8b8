#include "engine/speculation.h"

#include <algorithm>
#include <cmath>

#include "base/strings.h"

namespace andiron {

PromptLookup::PromptLookup(int64_t match_min, int64_t match_max) : match_min_(match_min), match_max_(match_max) {}

Result<std::span<const int32_t>> PromptLookup::propose(std::span<const int32_t> tokens, int64_t count) {
  const auto size = static_cast<int64_t>(tokens.size());
  int64_t best_length = match_min_ - 1, best_end = 0;
  // A scan: a few microseconds for a long text, a thousandth of what a token costs.
  for (int64_t end = size - 1; end > 0; --end) {  // a match would end just before `end`
    if (tokens[end - 1] != tokens[size - 1]) continue;
    int64_t length = 1;
    while (length < std::min(end, match_max_) && tokens[end - 1 - length] == tokens[size - 1 - length]) ++length;
    if (length <= best_length) continue;
    best_length = length;
    best_end = end;
    if (length == match_max_) break;
  }
  if (best_length < match_min_) best_end = aligned(tokens);
  if (best_end == 0) return std::span<const int32_t>();
  offset_ = size - best_end;
  return tokens.subspan(best_end, std::min(count, size - best_end));
}

int64_t PromptLookup::aligned(std::span<const int32_t> tokens) const {
  constexpr int64_t kLooks = 8, kAgree = 4;
  const auto size = static_cast<int64_t>(tokens.size());
  const int64_t end = size - offset_;
  if (offset_ <= 0 || end < kLooks) return 0;
  int64_t agree = 0;
  for (int64_t i = 1; i <= kLooks; ++i) agree += tokens[end - i] == tokens[size - i];
  return agree >= kAgree ? end : 0;
}

namespace {

constexpr int64_t kDraftChunk = 128;
// A guess less likely than this in the draft model's own eyes is wrong too often to be worth a row.
constexpr double kConfidenceMin = 0.4;

// The most likely token and its probability.
std::pair<int32_t, double> most_likely(std::span<const float> logits) {
  const auto best = std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit) - static_cast<double>(*best));
  return {static_cast<int32_t>(best - logits.begin()), 1 / sum};
}

}  // namespace

DraftModel::DraftModel(std::shared_ptr<const Model> model, std::unique_ptr<Forward> forward, KvCache cache)
    : model_(std::move(model)), forward_(std::move(forward)), cache_(std::move(cache)) {
  cached_.reserve(static_cast<size_t>(cache_.capacity()));
  guesses_.reserve(kDraftTokensMax);
}

Result<std::unique_ptr<DraftModel>> DraftModel::create(std::shared_ptr<const Model> draft, const KernelTable& kernels,
                                                       ThreadTeam& team, int64_t context) {
  TRY_ASSIGN(auto cache, KvCache::create(*draft, context));
  const ForwardLimits limits = {.rows = kDraftChunk, .logit_rows = 1, .sequences = 1};
  TRY_ASSIGN(auto forward, Forward::create(*draft, kernels, team, limits));
  return std::unique_ptr<DraftModel>(new DraftModel(std::move(draft), std::move(forward), std::move(cache)));
}

// Brings the cache to hold `tokens`; the logits of the last one are then the forward's. False when the model lacks one
// of them.
Result<bool> DraftModel::catch_up(std::span<const int32_t> tokens) {
  size_t same = 0;
  while (same < cached_.size() && same < tokens.size() - 1 && cached_[same] == tokens[same]) ++same;
  const int64_t vocabulary = model_->config().vocabulary;
  const auto lacks = [&](int32_t token) { return token < 0 || token >= vocabulary; };
  const auto fresh = tokens.subspan(same);
  if (std::any_of(fresh.begin(), fresh.end(), lacks)) return false;
  cache_.truncate(static_cast<int64_t>(same));
  cached_.resize(same);
  while (cached_.size() < tokens.size()) {
    const auto next = tokens.subspan(cached_.size(), std::min<size_t>(kDraftChunk, tokens.size() - cached_.size()));
    const bool last = cached_.size() + next.size() == tokens.size();
    const Sequence sequence = {&cache_, next, last ? LogitRows::kLast : LogitRows::kNone};
    TRY(forward_->run({&sequence, 1}));
    cached_.insert(cached_.end(), next.begin(), next.end());
  }
  return true;
}

Result<std::span<const int32_t>> DraftModel::propose(std::span<const int32_t> tokens, int64_t count) {
  guesses_.clear();
  const auto size = static_cast<int64_t>(tokens.size());
  count = std::min({count, kDraftTokensMax, cache_.capacity() - size});
  if (count <= 0) return std::span<const int32_t>();
  TRY_ASSIGN(const bool caught_up, catch_up(tokens));
  if (!caught_up) return std::span<const int32_t>();
  while (true) {
    const auto [token, probability] =
        most_likely({forward_->logits().row(0), static_cast<size_t>(model_->config().vocabulary)});
    if (probability < kConfidenceMin) break;
    guesses_.push_back(token);
    if (static_cast<int64_t>(guesses_.size()) == count) break;
    const Sequence sequence = {&cache_, {&guesses_.back(), 1}, LogitRows::kLast};
    TRY(forward_->run({&sequence, 1}));
    cached_.push_back(token);
  }
  return std::span<const int32_t>(guesses_);
}

void DraftLength::record(int64_t proposed, int64_t accepted) {
  if (proposed == 0) return;
  faultless_ = accepted == proposed ? faultless_ + 1 : 0;
  if (faultless_ >= kFaultlessMin) {
    length_ = kDraftTokensMax;
  } else {
    length_ = 2 * accepted < proposed ? kShort : kUsual;
  }
}

}  // namespace andiron
