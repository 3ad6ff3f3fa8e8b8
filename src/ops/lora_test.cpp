// What adapters add to products, against float64: several in a batch and on one row, of odd ranks, on any number of
// rows; with the same bits on every table, for any threads, and for a row alone.
#include "ops/lora.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstring>
#include <iterator>
#include <span>
#include <string>
#include <vector>

#include "kernels/kernels_fixture.h"
#include "ops/ops.h"

namespace andiron {
namespace {

// Two products that share their input, [53, 64] and [21, 64].
constexpr int64_t kInputs = 64;
constexpr std::array<int64_t, 2> kOutputs = {53, 21};
constexpr int64_t kColumns = kOutputs[0] + kOutputs[1];

// A change to one of the two matrices.
struct TestDelta {
  TestDelta(int64_t n, int64_t rank, uint64_t seed, bool dora = false)
      : a(normals(seed, static_cast<size_t>(rank * kInputs), 0.2)),
        b(normals(seed + 100, static_cast<size_t>(n * rank), 0.3)),
        packed_a(packed_bytes(kPackedF32, rank, kInputs)),
        packed_b(packed_bytes(kPackedF32, n, rank)) {
    pack_matrix(a.data(), rank, kInputs, packed_a.data());
    pack_matrix(b.data(), n, rank, packed_b.data());
    worn.a = {kPackedF32, rank, kInputs, packed_a.data()};
    worn.b = {kPackedF32, n, rank, packed_b.data()};
    worn.scale = 0.25F * static_cast<float>(seed % 7) - 0.85F;
    if (!dora) return;
    gain = normals(seed + 200, static_cast<size_t>(n), 0.2);
    for (float& g : gain) g += 1;
    worn.gain = gain.data();
    worn.strength = 0.75F;
  }
  // What it adds to the results `base` of one row x, and to the sums of magnitudes in them.
  void add_to(const float* x, const float* base, std::vector<double>& y, std::vector<double>& magnitudes) const {
    const int64_t rank = worn.a.n;
    std::vector<double> low(static_cast<size_t>(rank)), low_magnitude(low.size());
    for (int64_t i = 0; i < rank; ++i) {
      for (int64_t l = 0; l < kInputs; ++l) {
        const double term = double{a[i * kInputs + l]} * x[l];
        low[i] += term;
        low_magnitude[i] += std::fabs(term);
      }
    }
    for (int64_t j = 0; j < worn.b.n; ++j) {
      double high = 0, magnitude = 0;
      for (int64_t i = 0; i < rank; ++i) {
        high += double{worn.scale} * b[j * rank + i] * low[i];
        magnitude += std::fabs(double{worn.scale} * b[j * rank + i]) * low_magnitude[i];
      }
      if (worn.gain != nullptr) {
        const double g = gain[j], s = worn.strength;
        high = s * ((g - 1) * base[j] + g * high);
        magnitude = std::fabs(s) * ((std::fabs(g) + 1) * std::fabs(base[j]) + std::fabs(g) * magnitude);
      }
      y[j] += high;
      magnitudes[j] += magnitude;
    }
  }

  std::vector<float> a, b, gain;  // [r, kInputs], [n, r], [n] or empty
  Buffer<uint8_t> packed_a, packed_b;
  LoraDelta worn;
};

struct TestAdapter {
  DeltaTable table() const {
    DeltaTable out(2);
    for (size_t id = 0; id < 2; ++id) {
      for (const TestDelta& delta : deltas[id]) out[id].push_back(delta.worn);
    }
    return out;
  }
  std::array<std::vector<TestDelta>, 2> deltas;  // of each matrix, in the order in which they are added
};

// Ranks below a group of sixteen, above one and above two; one matrix without a change; two on one matrix.
std::vector<TestAdapter> some_adapters(bool dora) {
  std::vector<TestAdapter> out(3);
  out[0].deltas[0].emplace_back(kOutputs[0], 1, 1);
  out[0].deltas[1].emplace_back(kOutputs[1], 17, 2);
  out[1].deltas[0].emplace_back(kOutputs[0], 3, 3, dora);
  out[1].deltas[0].emplace_back(kOutputs[0], 17, 4);
  out[2].deltas[0].emplace_back(kOutputs[0], 40, 5);
  out[2].deltas[1].emplace_back(kOutputs[1], 3, 6, dora);
  return out;
}

// Rows [first, first + rows) wear an adapter.
struct Run {
  int64_t first, rows;
  size_t adapter;
};
struct BatchCase {
  int64_t tokens;
  std::vector<Run> runs;
};
// Few rows, which stream the weights, and more, which do not; rows without adapters; more rows than a piece has.
const std::vector<BatchCase>& batch_cases() {
  static const std::vector<BatchCase> list = {
      {1, {{0, 1, 1}}},
      {8, {{0, 3, 0}, {3, 4, 1}}},
      {9, {{0, 1, 0}, {1, 1, 0}, {2, 5, 1}}},
      {21, {{1, 4, 2}, {5, 4, 0}, {9, 4, 1}, {13, 1, 0}, {17, 3, 2}}},
      {150, {{0, 70, 1}, {70, 9, 0}, {90, 60, 2}}},
  };
  return list;
}

struct TestProducts {
  explicit TestProducts(DType dtype) : weights{{{dtype, kOutputs[0], kInputs, 31}, {dtype, kOutputs[1], kInputs, 32}}} {
    for (size_t id = 0; id < 2; ++id) {
      layers[id] = {packed_format(dtype), kOutputs[id], kInputs, weights[id].packed.data(), nullptr};
      layers[id].id = static_cast<int32_t>(id);
    }
  }
  // [T, kColumns] of x [T, kInputs], whose rows are given with gaps between them.
  std::vector<float> run(const KernelTable& table, int threads, std::span<const float> x,
                         std::span<const RowDeltas> worn) const {
    const int64_t tokens = std::ssize(x) / kInputs, stride = kInputs + 3;
    const int64_t second = padded_columns(kOutputs[0]), y_stride = second + padded_columns(kOutputs[1]) + 16;
    std::vector<float> spread(static_cast<size_t>(tokens * stride), NAN), y(static_cast<size_t>(tokens * y_stride));
    for (int64_t t = 0; t < tokens; ++t) std::copy_n(x.data() + t * kInputs, kInputs, spread.data() + t * stride);
    ThreadTeam team(threads);
    Ops ops(table, team, tokens, kInputs);
    ops.adapt(worn);
    const Rows whole = {y.data(), tokens, kColumns, y_stride};
    const std::array<LinearJob, 2> jobs = {
        {{&layers[0], whole.columns(0, kOutputs[0])}, {&layers[1], whole.columns(second, kOutputs[1])}}};
    ops.linear({spread.data(), tokens, kInputs, stride}, jobs);
    std::vector<float> out;
    for (int64_t t = 0; t < tokens; ++t) {
      for (const LinearJob& job : jobs) out.insert(out.end(), job.y.row(t), job.y.row(t) + job.y.cols);
    }
    return out;
  }

  std::array<Weight, 2> weights;
  std::array<Linear, 2> layers;
};

std::vector<RowDeltas> worn_by(const BatchCase& batch, const std::vector<DeltaTable>& tables) {
  std::vector<RowDeltas> out;
  for (const Run& run : batch.runs) out.push_back({run.first, run.rows, &tables[run.adapter]});
  return out;
}

// Of what the row t of `batch` wears, with `base` as it is without: each delta has K + 1 roundings in A x and one for
// each of its ranks in what it adds; a magnitude brings six more. Each is 2^-24 of a sum whose magnitudes are counted.
void expect_row(const BatchCase& batch, const std::vector<TestAdapter>& adapters, int64_t t, const float* x,
                const float* base, const float* got) {
  for (size_t id = 0; id < 2; ++id) {
    const auto n = static_cast<size_t>(kOutputs[id]);
    std::vector<double> y(base, base + n), magnitudes(n);
    for (size_t j = 0; j < n; ++j) magnitudes[j] = std::fabs(base[j]);
    int64_t roundings = kInputs + 8;
    for (const Run& run : batch.runs) {
      if (t < run.first || t >= run.first + run.rows) continue;
      for (const TestDelta& delta : adapters[run.adapter].deltas[id]) {
        delta.add_to(x, base, y, magnitudes);
        roundings += delta.worn.a.n;
      }
    }
    for (size_t j = 0; j < n; ++j) {
      ASSERT_NEAR(got[j], y[j], 0x1p-24 * static_cast<double>(roundings) * magnitudes[j])
          << "row " << t << ", matrix " << id << ", output " << j;
    }
    base += n;
    got += n;
  }
}

void expect_products(const BatchCase& batch, DType dtype, bool dora) {
  const TestProducts products(dtype);
  const auto adapters = some_adapters(dora);
  std::vector<DeltaTable> tables;
  for (const TestAdapter& adapter : adapters) tables.push_back(adapter.table());
  const auto x = normals(7, static_cast<size_t>(batch.tokens * kInputs));
  const auto worn = worn_by(batch, tables);
  const KernelTable& scalar = kernels_of(Isa::kScalar);
  const auto base = products.run(scalar, 1, x, {}), first = products.run(scalar, 1, x, worn);
  for (int64_t t = 0; t < batch.tokens; ++t) {
    expect_row(batch, adapters, t, x.data() + t * kInputs, base.data() + t * kColumns, first.data() + t * kColumns);
  }
  for (const Isa isa : available_isas()) {
    for (const int threads : {1, 2, 3}) {
      const auto same = products.run(kernels_of(isa), threads, x, worn);
      EXPECT_EQ(0, std::memcmp(same.data(), first.data(), 4 * same.size())) << isa_name(isa) << ", threads " << threads;
    }
  }
  const KernelTable& best = kernels_of(available_isas().back());
  for (const Run& run : batch.runs) {
    const int64_t t = run.first + run.rows / 2;
    const RowDeltas alone = {0, 1, &tables[run.adapter]};
    const auto y = products.run(best, 2, std::span(x).subspan(static_cast<size_t>(t * kInputs), kInputs), {&alone, 1});
    EXPECT_EQ(0, std::memcmp(y.data(), first.data() + t * kColumns, 4 * y.size())) << "row " << t << " alone";
  }
}

TEST(LoraDeltas, MatchFloat64) {
  for (const BatchCase& batch : batch_cases()) {
    for (const DType dtype : {DType::kF32, DType::kQ4_0}) {
      SCOPED_TRACE(std::to_string(batch.tokens) + " rows of " + std::string(dtype_info(dtype).name));
      expect_products(batch, dtype, false);
    }
  }
}

TEST(LoraDeltas, MatchFloat64BesideMagnitudes) {
  for (const BatchCase& batch : batch_cases()) {
    SCOPED_TRACE(std::to_string(batch.tokens) + " rows");
    expect_products(batch, DType::kQ4_0, true);
  }
}

}  // namespace
}  // namespace andiron
