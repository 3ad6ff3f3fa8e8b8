// Norms, activations, sums and rotary positions, each with its backward.
#include <algorithm>
#include <cmath>

#include "ops/each_row.h"
#include "ops/ops.h"

namespace andiron {

namespace {

// Records a backward over the gradients of y alone, which holds what the op changed in place.
template <typename F>
void record_in_place(Tape* tape, Rows y, F f) {
  if (tape == nullptr) return;
  tape->record([=](Ops& ops) {
    const OpScope scope(ops.clock(), OpKind::kElementwise);
    const Rows dy = tape->gradient(y);
    if (dy.data != nullptr) each_row(ops.team(), dy.rows, dy.cols, [&](int64_t i) { f(ops, dy.row(i), i); });
  });
}

}  // namespace

// Calls f(t, row) with each row of dy, which becomes zeros: what an op wrote had other numbers before.
template <typename F>
void Ops::take_rows(Rows dy, F f) {
  taken_.make_room(team_.size() * dy.cols);
  const int64_t step = std::max<int64_t>(1, dy.rows / (4 * team_.size()));
  team_.parallel_for((dy.rows + step - 1) / step, dy.rows * dy.cols / kElementsPerNs, [&](int64_t block, int worker) {
    float* row = taken_.data() + worker * dy.cols;
    for (int64_t t = block * step; t < std::min(dy.rows, (block + 1) * step); ++t) {
      std::copy_n(dy.row(t), dy.cols, row);
      std::fill_n(dy.row(t), dy.cols, 0.0f);
      f(t, row);
    }
  });
}

void Ops::rms_norm(Rows x, const float* w, float eps, Rows y) {
  const OpScope scope(clock_, OpKind::kElementwise);
  if (tape_ != nullptr) record_norm(x, x.cols, w, eps, y);
  each_row(team_, x.rows, x.cols, [&](int64_t i) { kernels_.rms_norm(x.row(i), w, eps, x.cols, y.row(i)); });
}

void Ops::head_norm(Rows x, int64_t head_dim, const float* w, float eps) {
  const OpScope scope(clock_, OpKind::kElementwise);
  if (tape_ != nullptr) record_norm(x, head_dim, w, eps, x);
  each_row(team_, x.rows, x.cols, [&](int64_t i) {
    for (float* head = x.row(i); head < x.row(i) + x.cols; head += head_dim) {
      kernels_.rms_norm(head, w, eps, head_dim, head);
    }
  });
}

// dx += the norm's Jacobian times dy, in runs of `width` columns; dw += the sum over rows. y may be x.
void Ops::record_norm(Rows x, int64_t width, const float* w, float eps, Rows y) {
  const Tape* tape = tape_;
  const Rows kept = keep(x);
  tape_->record([=](Ops& ops) {
    const OpScope scope(ops.clock_, OpKind::kElementwise);
    const Rows dy = tape->gradient(y), dx = tape->gradient(x);
    float* dw = tape->gradient(w);
    const int64_t runs = x.cols / width;
    if (dw != nullptr) ops.norm_weight_gradient(kept, width, eps, dy, dw);
    ops.take_rows(dy, [&](int64_t t, const float* taken) {
      if (dx.data == nullptr) return;
      for (int64_t run = 0; run < runs; ++run) {
        const int64_t at = run * width;
        ops.kernels_.rms_norm_backward(kept.row(t) + at, w, eps, width, taken + at, dx.row(t) + at, nullptr);
      }
    });
  });
}

// dw += the sum over rows and runs, in order, of x / rms(x) * dy.
void Ops::norm_weight_gradient(Rows x, int64_t width, float eps, Rows dy, float* dw) {
  constexpr int64_t kColumns = 64;
  Buffer<float> inverse(x.rows, x.cols / width);
  const int64_t runs = x.cols / width;
  each_row(team_, x.rows, x.cols, [&](int64_t t) {
    for (int64_t run = 0; run < runs; ++run) {
      const float* from = x.row(t) + run * width;
      const double mean = kernels_.dot(from, from, width) / static_cast<double>(width);
      inverse[static_cast<size_t>(t * runs + run)] = static_cast<float>(1 / std::sqrt(mean + static_cast<double>(eps)));
    }
  });
  team_.parallel_for((width + kColumns - 1) / kColumns, [&](int64_t piece, int) {
    const int64_t begin = piece * kColumns, end = std::min(width, begin + kColumns);
    for (int64_t t = 0; t < x.rows; ++t) {
      for (int64_t run = 0; run < runs; ++run) {
        const float s = inverse[static_cast<size_t>(t * runs + run)];
        const float* from = x.row(t) + run * width;
        const float* gradient = dy.row(t) + run * width;
        for (int64_t i = begin; i < end; ++i) dw[i] += from[i] * s * gradient[i];
      }
    }
  });
}

void Ops::add(Rows x, Rows into) {
  const OpScope scope(clock_, OpKind::kElementwise);
  if (tape_ != nullptr) record_scale_add(x, 1, into);
  each_row(team_, x.rows, x.cols, [&](int64_t i) { kernels_.add(into.row(i), x.row(i), x.cols, into.row(i)); });
}

void Ops::scale(Rows x, float s) {
  const OpScope scope(clock_, OpKind::kElementwise);
  record_in_place(tape_, x, [=](Ops& ops, float* dx, int64_t) { ops.kernels().scale(dx, s, x.cols, dx); });
  each_row(team_, x.rows, x.cols, [&](int64_t i) { kernels_.scale(x.row(i), s, x.cols, x.row(i)); });
}

void Ops::scale_add(Rows x, float s, Rows into) {
  const OpScope scope(clock_, OpKind::kElementwise);
  if (tape_ != nullptr) record_scale_add(x, s, into);
  each_row(team_, x.rows, x.cols, [&](int64_t i) { kernels_.scale_add(x.row(i), s, x.cols, into.row(i)); });
}

void Ops::record_scale_add(Rows x, float s, Rows into) {
  const Tape* tape = tape_;
  tape_->record([=](Ops& ops) {
    const OpScope scope(ops.clock_, OpKind::kElementwise);
    const Rows dx = tape->gradient(x), dinto = tape->gradient(into);
    if (dx.data == nullptr || dinto.data == nullptr) return;
    each_row(ops.team_, dx.rows, dx.cols,
             [&](int64_t i) { ops.kernels_.scale_add(dinto.row(i), s, dx.cols, dx.row(i)); });
  });
}

void Ops::silu_mul(Rows gate, Rows up, Rows y) {
  const OpScope scope(clock_, OpKind::kElementwise);
  if (tape_ != nullptr) record_gate(kernels_.silu_mul_backward, gate, up, y);
  each_row(team_, y.rows, y.cols, [&](int64_t i) { kernels_.silu_mul(gate.row(i), up.row(i), y.cols, y.row(i)); });
}

void Ops::gelu_mul(Rows gate, Rows up, Rows y) {
  const OpScope scope(clock_, OpKind::kElementwise);
  if (tape_ != nullptr) record_gate(kernels_.gelu_mul_backward, gate, up, y);
  each_row(team_, y.rows, y.cols, [&](int64_t i) { kernels_.gelu_mul(gate.row(i), up.row(i), y.cols, y.row(i)); });
}

// y may be gate or up.
void Ops::record_gate(GateBackward backward, Rows gate, Rows up, Rows y) {
  const Tape* tape = tape_;
  const Rows kept_gate = keep(gate), kept_up = keep(up);
  tape_->record([=](Ops& ops) {
    const OpScope scope(ops.clock_, OpKind::kElementwise);
    const Rows dy = tape->gradient(y), dgate = tape->gradient(gate), dup = tape->gradient(up);
    ops.take_rows(dy, [&](int64_t t, const float* taken) {
      backward(kept_gate.row(t), kept_up.row(t), dy.cols, taken, dgate.row(t), dup.row(t));
    });
  });
}

void Ops::softcap(Rows x, float cap) {
  const OpScope scope(clock_, OpKind::kElementwise);
  each_row(team_, x.rows, x.cols, [&](int64_t i) { kernels_.softcap(x.row(i), cap, x.cols, x.row(i)); });
  if (tape_ == nullptr) return;
  const Rows y = keep(x);  // d tanh = 1 - tanh^2: the result is all that is needed
  record_in_place(tape_, x, [=](Ops&, float* dx, int64_t t) {
    for (int64_t i = 0; i < y.cols; ++i) {
      const float s = y.row(t)[i] / cap;
      dx[i] *= 1 - s * s;
    }
  });
}

void Ops::softmax(Rows x) {
  const OpScope scope(clock_, OpKind::kElementwise);
  each_row(team_, x.rows, x.cols, [&](int64_t i) { kernels_.softmax(x.row(i), x.cols); });
  if (tape_ == nullptr) return;
  const Rows y = keep(x);
  record_in_place(tape_, x, [=](Ops&, float* dx, int64_t t) {
    const float* p = y.row(t);
    float mean = 0;
    for (int64_t i = 0; i < y.cols; ++i) mean += p[i] * dx[i];
    for (int64_t i = 0; i < y.cols; ++i) dx[i] = p[i] * (dx[i] - mean);
  });
}

void Ops::rope(std::span<const Rows> all, int64_t head_dim, const float* cos_sin, int64_t half, bool pairs) {
  const OpScope scope(clock_, OpKind::kElementwise);
  const int64_t rows = all.front().rows;
  int64_t cols = 0;
  for (const Rows& x : all) cols += x.cols;
  each_row(team_, rows, cols, [&](int64_t i) {
    for (const Rows& x : all) {
      for (float* head = x.row(i); head < x.row(i) + x.cols; head += head_dim) {
        kernels_.rope(head, cos_sin + 2 * half * i, half, pairs ? 1 : 0);
      }
    }
  });
  if (tape_ == nullptr) return;
  // A rotation's transpose turns the other way: the same with the sines negated.
  const Rows back = {tape_->room<float>(rows * 2 * half), rows, 2 * half, 2 * half};
  for (int64_t i = 0; i < rows * half; ++i) {
    back.data[2 * i] = cos_sin[2 * i];
    back.data[2 * i + 1] = -cos_sin[2 * i + 1];
  }
  for (const Rows& x : all) {
    record_in_place(tape_, x, [=](Ops& ops, float* dx, int64_t t) {
      for (float* head = dx; head < dx + x.cols; head += head_dim) {
        ops.kernels().rope(head, back.row(t), half, pairs ? 1 : 0);
      }
    });
  }
}

void rope_table(std::span<const double> inv_freq, int64_t position, int64_t rows, double magnitude, float* out) {
  for (int64_t i = 0; i < rows; ++i) {
    for (const double frequency : inv_freq) {
      const double angle = static_cast<double>(position + i) * frequency;
      *out++ = static_cast<float>(std::cos(angle) * magnitude);
      *out++ = static_cast<float>(std::sin(angle) * magnitude);
    }
  }
}

}  // namespace andiron
