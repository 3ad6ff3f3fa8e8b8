// For tests only: an op's backward against the complex step over its formula (reference-inl.h).
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/test_sanitizers.h"
#include "kernels/kernels_fixture.h"
#include "ops/ops.h"
#include "ops/reference-inl.h"

namespace andiron {

using reference::Complex;
using Numbers = std::vector<Complex>;
using Arguments = std::vector<Numbers>;
using Views = std::vector<Rows>;
using Alive = std::vector<std::shared_ptr<void>>;

// What an op reads: rows with gaps between them, in memory that a tape tracks and that others overwrite afterwards; or
// a parameter, whose rows lie end to end and stay.
struct Argument {
  int64_t rows, cols;
  bool parameter = false;
  double size = 1;  // of its numbers
  double middle = 0;
};

struct OpCase {
  std::string name;
  std::vector<Argument> arguments;
  int64_t rows, cols;  // of the result
  // Runs the op and says where the result is: in y, or in place. What must outlive the tape goes to `alive`.
  std::function<Rows(Ops&, const Views&, Rows y, Alive& alive)> run;
  // The same by formula, row after row.
  std::function<Numbers(const Arguments&)> formula;
  int64_t roundings;                     // that a term of a gradient meets at most
  int64_t probe_every = 1;               // numbers whose derivative is compared
  bool rounds_inputs = false;            // to int8, so the result is another; the gradient is not
  bool amx_rounds = false;               // to bf16, two operands
  bool rounds_gradients = false;         // of the inputs, to whole numbers, as quantised weights do
  bool rounds_weight_gradients = false;  // likewise, dithered
};
inline void PrintTo(const OpCase& c, std::ostream* out) { *out << c.name; }

struct Outcome {
  std::vector<float> result;                  // end to end
  std::vector<std::vector<float>> gradients;  // of each argument, end to end
  std::vector<float> left;                    // where the gradient of the result was
  bool in_place = false;                      // the result was written over the first argument
};

inline std::vector<float> compact(Rows x) {
  std::vector<float> out;
  for (int64_t i = 0; i < x.rows; ++i) out.insert(out.end(), x.row(i), x.row(i) + x.cols);
  return out;
}
inline void spread(const std::vector<float>& from, Rows to) {
  for (int64_t i = 0; i < to.rows; ++i) std::copy_n(from.data() + i * to.cols, to.cols, to.row(i));
}

inline std::vector<float> numbers_of(const OpCase& c, size_t argument) {
  const Argument& a = c.arguments[argument];
  auto out = normals(argument + 1, static_cast<size_t>(a.rows * a.cols), a.size);
  for (float& v : out) v += static_cast<float>(a.middle);
  return out;
}
// What the gradient of an argument holds before; backwards add to it.
inline std::vector<float> gradient_before(const OpCase& c, size_t argument) {
  const Argument& a = c.arguments[argument];
  return normals(100 + argument, static_cast<size_t>(a.rows * a.cols), 0.5);
}
inline std::vector<float> gradient_of_result(size_t count) { return normals(1000, count); }

inline Outcome run_op(const OpCase& c, const KernelTable& table, int threads) {
  ThreadTeam team(threads);
  Ops ops(table, team, 200, 512);
  Tape tape;
  std::vector<Buffer<float>> memory;
  const auto make = [&](int64_t rows, int64_t cols, int64_t stride) {
    memory.emplace_back(static_cast<size_t>(rows * stride));
    tape.track(memory.back().data(), rows * stride);
    return Rows{memory.back().data(), rows, cols, stride};
  };
  Views views;
  for (size_t i = 0; i < c.arguments.size(); ++i) {
    const Argument& a = c.arguments[i];
    views.push_back(make(a.rows, a.cols, a.parameter ? a.cols : a.cols + 3));
    spread(numbers_of(c, i), views.back());
    spread(gradient_before(c, i), tape.gradient(views.back()));
  }
  Alive alive;
  ops.record(&tape);
  ops.drop_out(true);
  ops.seed_dropout(5);
  const Rows y = c.run(ops, views, make(c.rows, c.cols, padded_columns(c.cols) + 16), alive);
  ops.record(nullptr);
  Outcome out;
  out.result = compact(y);
  out.in_place = y.data == views[0].data;
  for (size_t i = 0; i < views.size(); ++i) {
    if (!c.arguments[i].parameter) std::fill_n(views[i].data, views[i].rows * views[i].stride, NAN);
  }
  const Rows dy = tape.gradient(y);
  spread(gradient_of_result(out.result.size()), dy);
  tape.backward(ops);
  for (const Rows& view : views) out.gradients.push_back(compact(tape.gradient(view)));
  if (!out.in_place) out.left = compact(dy);
  return out;
}

inline Arguments in_complex(const OpCase& c) {
  Arguments out;
  for (size_t i = 0; i < c.arguments.size(); ++i) {
    const auto numbers = numbers_of(c, i);
    out.emplace_back(numbers.begin(), numbers.end());
  }
  return out;
}

// The gradient of argument a's number i: the sum over results j of dy_j J_ji, and of their magnitudes.
struct Wanted {
  double gradient = 0, magnitude = 0;
};
inline Wanted wanted(const OpCase& c, Arguments& arguments, size_t a, size_t i, const std::vector<float>& dy) {
  arguments[a][i] += Complex(0, reference::kStep);
  const Numbers y = c.formula(arguments);
  arguments[a][i] = arguments[a][i].real();
  Wanted out;
  for (size_t j = 0; j < y.size(); ++j) {
    const double term = static_cast<double>(dy[j]) * reference::slope(y[j]);
    out.gradient += term;
    out.magnitude += std::fabs(term);
  }
  return out;
}

inline void expect_near(const OpCase& c, const Outcome& got, bool amx) {
  Arguments arguments = in_complex(c);
  const Numbers y = c.formula(arguments);
  ASSERT_EQ(got.result.size(), y.size());
  // Half steps of the largest of a block, which in small blocks of normal numbers is below four times the mean.
  const double steps = 4 * (0.5 / kGradientWeightMax + 0.5 / kGradientMax);
  double unit = 0x1p-24 * static_cast<double>(c.roundings) + (amx && c.amx_rounds  ? 2.0 / 256
                                                              : c.rounds_gradients ? steps
                                                                                   : 0);
  if (c.rounds_weight_gradients) unit += 4 * (0.5 / kGradientWeightMax + 1 / (kGradientMax - 1));  // up to a whole step
  double largest = 0;
  for (const Complex& v : y) largest = std::max(largest, std::fabs(v.real()));
  for (size_t j = 0; j < y.size() && !c.rounds_inputs; ++j) {
    ASSERT_NEAR(static_cast<double>(got.result[j]), y[j].real(), unit * largest) << "result " << j;
  }
  for (const float v : got.left) ASSERT_EQ(v, 0) << "a gradient that was passed on is still there";
  const auto dy = gradient_of_result(y.size());
  for (size_t a = 0; a < arguments.size(); ++a) {
    auto before = gradient_before(c, a);
    if (got.in_place && a == 0) before.assign(before.size(), 0);  // the result's gradient was there
    std::vector<std::pair<size_t, Wanted>> list;
    double magnitude = 0;
    for (size_t i = a; i < arguments[a].size(); i += static_cast<size_t>(c.probe_every)) {
      list.emplace_back(i, wanted(c, arguments, a, i, dy));
      magnitude = std::max(magnitude, list.back().second.magnitude);
    }
    EXPECT_GT(magnitude, 0) << "argument " << a << " has no part in the result";
    for (const auto& [i, want] : list) {
      const auto start = static_cast<double>(before[i]);
      ASSERT_NEAR(static_cast<double>(got.gradients[a][i]), start + want.gradient,
                  unit * (magnitude + std::fabs(start)))
          << "argument " << a << ", number " << i;
    }
  }
}

inline bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

// On every table and for any threads: near the formula, with the same bits.
inline void expect_gradients(const OpCase& c) {
  const Outcome first = run_op(c, kernels_of(Isa::kScalar), 1);
  expect_near(c, first, false);
  for (const Isa isa : available_isas()) {
    for (const int threads : thread_counts()) {
      const Outcome other = run_op(c, kernels_of(isa), threads);
      if (isa == Isa::kAmx && c.amx_rounds) {
        expect_near(c, other, true);
        continue;
      }
      EXPECT_TRUE(same_bits(other.result, first.result)) << isa_name(isa) << ", threads " << threads;
      for (size_t a = 0; a < first.gradients.size(); ++a) {
        EXPECT_TRUE(same_bits(other.gradients[a], first.gradients[a]))
            << isa_name(isa) << ", threads " << threads << ", argument " << a;
      }
    }
  }
}

// --- rows ---

inline std::span<const Complex> row_of(const Numbers& x, int64_t row, int64_t cols) {
  return std::span(x).subspan(static_cast<size_t>(row * cols), static_cast<size_t>(cols));
}

// f(row) for each row, end to end.
template <typename F>
Numbers by_row(const Numbers& x, int64_t cols, F f) {
  Numbers out;
  for (int64_t i = 0; i < static_cast<int64_t>(x.size()) / cols; ++i) {
    const auto row = row_of(x, i, cols);
    const Numbers y = f(Numbers(row.begin(), row.end()), i);
    out.insert(out.end(), y.begin(), y.end());
  }
  return out;
}

template <typename F>
Numbers each(const Numbers& a, const Numbers& b, F f) {
  Numbers out;
  for (size_t i = 0; i < a.size(); ++i) out.push_back(f(a[i], b[i]));
  return out;
}

}  // namespace andiron
