// OpClock: where the time of a pass goes. Ops and those who call them say what they are at; all time between start()
// and now counts as something. One thread: the one that calls the ops.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace andiron {

enum class OpKind : uint8_t {
  kProducts,          // x W, with the quantising of x
  kProductsBackward,  // dy W; of trained weights dy^T x too
  kLora,              // low-rank deltas, both ways
  kAttention,
  kAttentionBackward,
  kElementwise,  // norms, rotations, gates, sums, both ways
  kHead,         // logits, loss, and their backward: the ops in it count as this
  kOptimizer,
  kOther,
};
constexpr size_t kOpKinds = 9;

class OpClock {
 public:
  // Zeros; from now all counts as kOther.
  void start() {
    seconds_ = {};
    now_ = OpKind::kOther;
    since_ = Clock::now();
  }
  // From now all counts as `kind`; returns what it counted as before.
  OpKind enter(OpKind kind) {
    const auto time = Clock::now();
    seconds_[static_cast<size_t>(now_)] += std::chrono::duration<double>(time - since_).count();
    since_ = time;
    const OpKind before = now_;
    now_ = kind;
    return before;
  }
  OpKind now() const { return now_; }
  // By kind, up to the last change.
  const std::array<double, kOpKinds>& seconds() const { return seconds_; }

 private:
  using Clock = std::chrono::steady_clock;
  std::array<double, kOpKinds> seconds_{};
  OpKind now_ = OpKind::kOther;
  Clock::time_point since_;
};

// While it lives, time counts as `kind`; then as before. Without a clock nothing happens.
class OpScope {
 public:
  OpScope(OpClock* clock, OpKind kind) : clock_(clock) {
    if (clock_ != nullptr) before_ = clock_->enter(clock_->now() == OpKind::kHead ? OpKind::kHead : kind);
  }
  ~OpScope() {
    if (clock_ != nullptr) clock_->enter(before_);
  }
  OpScope(const OpScope&) = delete;
  OpScope& operator=(const OpScope&) = delete;

 private:
  OpClock* clock_;
  OpKind before_ = OpKind::kOther;
};

}  // namespace andiron
