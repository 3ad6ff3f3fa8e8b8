// Tape: reverse-mode differentiation of the ops (Griewank and Walther 2008, "Evaluating Derivatives").
//
//   tape.track(buffer, count);            // once: this memory has gradients
//   ops.record(&tape);                    // from now on every op appends its backward
//   ... the forward ...
//   ops.record(nullptr);
//   add to tape.gradient(rows) ...        // of the result
//   tape.backward(ops);                   // gradients arrive in the memory that the forward read
//
// Gradients live beside memory, not beside values: each tracked buffer has one of the same size, and a view of numbers
// has the view of gradients at the same place. Ops overwrite their buffers freely: an op's backward takes the gradient
// of what it wrote, leaves zeros there (the numbers that were overwritten had no part in what came later), and adds to
// the gradients of what it read. So a forward that reuses memory needs no change to be differentiated, and after
// backward() the gradients of all intermediate buffers are zeros again.
//
// Values that a backward needs and the forward will overwrite are kept in the tape's own memory, which grows to what
// one recording needs and is used again by the next. One thread at a time.
#pragma once

#include <cstdint>
#include <new>
#include <span>
#include <type_traits>
#include <vector>

#include "base/buffer.h"
#include "ops/rows.h"

namespace andiron {

class Ops;

class Tape {
 public:
  Tape() = default;
  Tape(const Tape&) = delete;
  Tape& operator=(const Tape&) = delete;

  // Numbers [data, data + count) have gradients, in memory of the tape's own (zeros at first) or in `gradient` [count],
  // which must outlive the tape. Tracked ranges do not overlap.
  void track(const float* data, int64_t count);
  void track(const float* data, int64_t count, float* gradient);
  void forget(const float* data);  // no longer tracked

  // Where the gradient of tracked numbers is; null for others.
  float* gradient(const float* data) const;
  // The gradients of a view; data == nullptr where it is not tracked.
  Rows gradient(Rows x) const { return {gradient(x.data), x.rows, x.cols, x.stride}; }

  // What a backward will read: a copy of x, its rows end to end; the caller's numbers; or room for them.
  Rows keep(Rows x);
  template <typename T>
  T* keep(const T* data, int64_t count) {
    T* out = room<T>(count);
    for (int64_t i = 0; i < count; ++i) out[i] = data[i];
    return out;
  }
  template <typename T>
  T* room(int64_t count) {
    static_assert(std::is_trivially_copyable_v<T>);
    return static_cast<T*>(allocate(static_cast<size_t>(count) * sizeof(T)));
  }

  // Appends a step: f(ops) is called by backward(), the last recorded first. f holds views and pointers to kept memory.
  template <typename F>
  void record(const F& f) {
    static_assert(std::is_trivially_copyable_v<F> && std::is_trivially_destructible_v<F>);
    void* place = allocate(sizeof(F));
    steps_.push_back({[](void* step, Ops& ops) { (*static_cast<F*>(step))(ops); }, new (place) F(f)});
  }

  // Runs all steps in reverse and forgets them and what they kept.
  void backward(Ops& ops);
  // Forgets them without running.
  void clear();

  uint64_t bytes_kept() const { return kept_; }  // by the steps recorded so far
  uint64_t bytes() const;                        // held by the tape, gradients of its own included

 private:
  struct Range {
    const float* data;
    int64_t count;
    float* gradient;
  };
  struct Step {
    void (*run)(void* step, Ops& ops);
    void* step;
  };
  void* allocate(size_t bytes);
  void insert(Range range);

  std::vector<Range> ranges_;  // by address
  std::vector<std::pair<const float*, Buffer<float>>> own_;
  std::vector<Step> steps_;
  std::vector<Buffer<uint8_t>> blocks_;  // of kept memory
  size_t block_ = 0, used_ = 0;          // the block that is being filled, and how far
  uint64_t kept_ = 0;
};

}  // namespace andiron
