// What adapters add to products, against float64: several in a batch and on one row, of odd ranks, on any number of
// rows; with the same bits on every table, for any threads, and for a row alone.
#include "ops/lora.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <iterator>
#include <span>
#include <string>
#include <vector>

#include "base/test_sanitizers.h"
#include "kernels/kernels_fixture.h"
#include "ops/ops.h"
#include "tensor/half.h"

namespace andiron {
namespace {

// Two products that share their input, [53, 64] and [21, 64].
constexpr int64_t kInputs = 64;
constexpr std::array<int64_t, 2> kOutputs = {53, 21};
constexpr int64_t kColumns = kOutputs[0] + kOutputs[1];

struct DeltaKind {
  bool dora = false;
  bool half = false;    // packed as F16
  bool coarse = false;  // numbers that F16 has, but for a power of two
};

// Normal ones of a size, or small whole numbers of `grain`.
std::vector<float> numbers_of(uint64_t seed, int64_t count, double size, bool coarse, float grain) {
  auto out = normals(seed, static_cast<size_t>(count), coarse ? 8 : size);
  for (float& x : out) x = coarse ? std::round(x) * grain : x;
  return out;
}

// A change to one of the two matrices.
struct TestDelta {
  TestDelta(int64_t n, int64_t rank, uint64_t seed, const DeltaKind& kind)
      : scale(0.25F * static_cast<float>(seed % 7) - 0.85F),
        a(numbers_of(seed, rank * kInputs, 0.2, kind.coarse, 0x1p-28F)),  // F16 would take them for zeros,
        b(numbers_of(seed + 100, n * rank, 0.3, kind.coarse, 0x1p20F)),   // and these for infinities
        packed_a(packed_bytes(kPackedF32, rank, kInputs)),
        packed_b(packed_bytes(kPackedF32, n, rank)) {
    const PackedFormat format = kind.half ? kPackedF16 : kPackedF32;
    worn.a = {format, rank, kInputs, packed_a.data()};
    worn.b = {format, n, rank, packed_b.data()};
    worn.scale = scale;
    if (kind.half) {
      worn.scale *= pack_matrix_f16(a.data(), rank, kInputs, packed_a.data()) *
                    pack_matrix_f16(b.data(), n, rank, packed_b.data());
    } else {
      pack_matrix(a.data(), rank, kInputs, packed_a.data());
      pack_matrix(b.data(), n, rank, packed_b.data());
    }
    if (!kind.dora) return;
    gain = normals(seed + 200, static_cast<size_t>(n), 0.2);
    for (float& g : gain) g += 1;
    worn.gain = gain.data();
    worn.strength = 0.75F;
  }
  // What it adds to the results `base` of one row x, to the sums of magnitudes in them, and to those of them that are
  // products of A and B.
  void add_to(const float* x, const float* base, std::vector<double>& y, std::vector<double>& magnitudes,
              std::vector<double>& products) const {
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
        high += double{scale} * b[j * rank + i] * low[i];
        magnitude += std::fabs(double{scale} * b[j * rank + i]) * low_magnitude[i];
      }
      if (worn.gain != nullptr) {
        const double g = gain[j], s = worn.strength;
        high = s * ((g - 1) * base[j] + g * high);
        magnitude *= std::fabs(s * g);
        magnitudes[j] += std::fabs(s) * (std::fabs(g) + 1) * std::fabs(base[j]);
      }
      y[j] += high;
      magnitudes[j] += magnitude;
      products[j] += magnitude;
    }
  }

  float scale;
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

// Ranks below a group of sixteen, above one and above two; one matrix without a change; two on one matrix. Of the kind
// `dora` are some of them.
std::vector<TestAdapter> some_adapters(const DeltaKind& kind) {
  DeltaKind plain = kind;
  plain.dora = false;
  std::vector<TestAdapter> out(3);
  out[0].deltas[0].emplace_back(kOutputs[0], 1, 1, plain);
  out[0].deltas[1].emplace_back(kOutputs[1], 17, 2, plain);
  out[1].deltas[0].emplace_back(kOutputs[0], 3, 3, kind);
  out[1].deltas[0].emplace_back(kOutputs[0], 17, 4, plain);
  out[2].deltas[0].emplace_back(kOutputs[0], 40, 5, plain);
  out[2].deltas[1].emplace_back(kOutputs[1], 3, 6, kind);
  return out;
}

std::vector<DeltaTable> tables_of(const std::vector<TestAdapter>& adapters) {
  std::vector<DeltaTable> tables;
  for (const TestAdapter& adapter : adapters) tables.push_back(adapter.table());
  return tables;
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
      {12, {{0, 5, 0}, {5, 7, 2}}},  // with magnitudes, if any, on the narrower matrix alone
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
// In F16 A and B are off by 2^-11 of each of their numbers, so a product of two by 2^-10 + 2^-22; what is below 2^-28
// of the largest is off by more, but no more than by roundings that are counted.
void expect_row(const BatchCase& batch, const std::vector<TestAdapter>& adapters, bool half, int64_t t, const float* x,
                const float* base, const float* got) {
  for (size_t id = 0; id < 2; ++id) {
    const auto n = static_cast<size_t>(kOutputs[id]);
    std::vector<double> y(base, base + n), magnitudes(n), products(n);
    for (size_t j = 0; j < n; ++j) magnitudes[j] = std::fabs(base[j]);
    int64_t roundings = kInputs + 8;
    for (const Run& run : batch.runs) {
      if (t < run.first || t >= run.first + run.rows) continue;
      for (const TestDelta& delta : adapters[run.adapter].deltas[id]) {
        delta.add_to(x, base, y, magnitudes, products);
        roundings += delta.worn.a.n;
      }
    }
    for (size_t j = 0; j < n; ++j) {
      const double rounded = half ? (0x1p-10 + 0x1p-22) * products[j] : 0;
      ASSERT_NEAR(got[j], y[j], 0x1p-24 * static_cast<double>(roundings) * magnitudes[j] + rounded)
          << "row " << t << ", matrix " << id << ", output " << j;
    }
    base += n;
    got += n;
  }
}

void expect_products(const BatchCase& batch, DType dtype, const DeltaKind& kind) {
  const TestProducts products(dtype);
  const auto adapters = some_adapters(kind);
  const auto tables = tables_of(adapters);
  const auto x = normals(7, static_cast<size_t>(batch.tokens * kInputs));
  const auto worn = worn_by(batch, tables);
  const KernelTable& scalar = kernels_of(Isa::kScalar);
  const auto base = products.run(scalar, 1, x, {}), first = products.run(scalar, 1, x, worn);
  for (int64_t t = 0; t < batch.tokens; ++t) {
    expect_row(batch, adapters, kind.half, t, x.data() + t * kInputs, base.data() + t * kColumns,
               first.data() + t * kColumns);
  }
  for (const Isa isa : available_isas()) {
    for (const int threads : thread_counts()) {
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
      for (const bool half : {false, true}) {
        SCOPED_TRACE(std::to_string(batch.tokens) + " rows of " + std::string(dtype_info(dtype).name) +
                     (half ? ", deltas in F16" : ""));
        expect_products(batch, dtype, {.half = half});
      }
    }
  }
}

TEST(LoraDeltas, MatchFloat64BesideMagnitudes) {
  for (const BatchCase& batch : batch_cases()) {
    for (const bool half : {false, true}) {
      SCOPED_TRACE(std::to_string(batch.tokens) + " rows" + (half ? ", deltas in F16" : ""));
      expect_products(batch, DType::kQ4_0, {.dora = true, .half = half});
    }
  }
}

// A power of two changes no rounding.
TEST(LoraDeltas, NumbersThatF16HasGiveTheBitsOfF32) {
  const TestProducts products(DType::kQ4_0);
  for (const bool dora : {false, true}) {
    const auto exact = some_adapters({.dora = dora, .coarse = true});
    const auto half = some_adapters({.dora = dora, .half = true, .coarse = true});
    const auto exact_tables = tables_of(exact), half_tables = tables_of(half);
    for (const BatchCase& batch : batch_cases()) {
      const auto x = normals(7, static_cast<size_t>(batch.tokens * kInputs));
      const KernelTable& best = kernels_of(available_isas().back());
      const auto wanted = products.run(best, 2, x, worn_by(batch, exact_tables));
      const auto got = products.run(best, 2, x, worn_by(batch, half_tables));
      EXPECT_EQ(0, std::memcmp(got.data(), wanted.data(), 4 * got.size())) << batch.tokens << " rows";
    }
  }
}

// What comes back is near what went in: of any size, of sizes far apart, of all zeros; in the lane of its row.
TEST(LoraDeltas, PackedAsF16LoseAPartOfThemselves) {
  const int64_t n = 19, k = 5;
  for (const double size : {0.0, 1e-30, 1e-9, 3e-4, 1.0, 7e5}) {
    auto numbers = normals(3, static_cast<size_t>(n * k), size);
    for (size_t i = 0; i < numbers.size(); i += 7) numbers[i] *= 1e-7F;
    float largest = 0;
    for (const float x : numbers) largest = std::max(largest, std::fabs(x));
    Buffer<uint8_t> packed(packed_bytes(kPackedF16, n, k));
    const double unit = pack_matrix_f16(numbers.data(), n, k, packed.data());
    // Below 2^-26 the largest is not brought above 2^14: no shift is more than 40.
    const double least = std::max(0x1p-39 * largest, 0x1p-65);
    for (int64_t row = 0; row < n; ++row) {
      for (int64_t i = 0; i < k; ++i) {
        uint16_t half = 0;
        const auto group = static_cast<uint64_t>(row / 16) * packed_group_bytes(kPackedF16, k);
        std::memcpy(&half, packed.data() + group + static_cast<uint64_t>(2 * (16 * i + row % 16)), 2);
        const double number = numbers[row * k + i];
        ASSERT_NEAR(unit * f16_to_f32(half), number, std::max(0x1p-11 * std::fabs(number), least))
            << "size " << size << ", row " << row << ", column " << i;
      }
    }
  }
}

}  // namespace
}  // namespace andiron
