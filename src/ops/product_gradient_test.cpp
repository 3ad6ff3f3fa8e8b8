// The backward of products with weights of every format and of low-rank deltas, on every table, for any threads.
#include <gtest/gtest.h>

#include <array>
#include <memory>

#include "ops/gradient_fixture.h"

namespace andiron {
namespace {

class ProductGradients : public testing::TestWithParam<OpCase> {};
TEST_P(ProductGradients, MatchTheFormula) { expect_gradients(GetParam()); }

// --- products ---

// A matrix of floats in rows, packed, with the rows as its master.
struct Packed {
  Packed(Rows rows, const float* bias) : bytes(packed_bytes(kPackedF32, rows.rows, rows.cols)) {
    pack_matrix(rows.data, rows.rows, rows.cols, bytes.data());
    linear = {kPackedF32, rows.rows, rows.cols, bytes.data(), bias, 0, rows.data};
  }
  Buffer<uint8_t> bytes;
  Linear linear;
};
const Linear& packed(Alive& alive, Rows rows, const float* bias = nullptr) {
  const auto matrix = std::make_shared<Packed>(rows, bias);
  alive.push_back(matrix);
  return matrix->linear;
}

// Two matrices that share their input, of T rows; the first with a bias.
OpCase linear_case(const std::string& name, int64_t rows) {
  const auto run = [](Ops& ops, const Views& v, Rows y, Alive& alive) {
    const std::array<LinearJob, 2> jobs = {
        {{&packed(alive, v[1], v[2].data), y.columns(0, 16)}, {&packed(alive, v[3]), y.columns(16, 21)}}};
    ops.linear(v[0], jobs);
    return y;
  };
  const auto formula = [](const Arguments& a) {
    return by_row(a[0], 45, [&](const Numbers& x, int64_t) {
      Numbers y = reference::product<Complex>(a[1], x);
      reference::add(y, a[2]);
      const Numbers second = reference::product<Complex>(a[3], x);
      y.insert(y.end(), second.begin(), second.end());
      return y;
    });
  };
  OpCase c = {name, {{rows, 45}, {16, 45, true}, {1, 16, true}, {21, 45, true}}, rows, 37, run, formula, 64};
  c.amx_rounds = true;
  return c;
}

// A matrix in any format of files, with a bias that is trained.
OpCase quantised_case(DType dtype) {
  const auto weight = std::make_shared<Weight>(dtype, 21, 256, 7);
  const auto run = [=](Ops& ops, const Views& v, Rows y, Alive& alive) {
    const auto linear = std::make_shared<Linear>(
        Linear{packed_format(dtype), weight->n, weight->k, weight->packed.data(), v[1].data, 0, nullptr});
    alive.push_back(linear);
    ops.linear(v[0], *linear, y);
    return y;
  };
  const auto formula = [=](const Arguments& a) {
    return by_row(a[0], 256, [&](const Numbers& x, int64_t) {
      Numbers y = reference::product<float>(weight->decoded, x);
      reference::add(y, a[1]);
      return y;
    });
  };
  OpCase c = {dtype_info(dtype).name.data(), {{5, 256}, {1, 21, true}}, 5, 21, run, formula, 300, 17};
  c.rounds_inputs = c.rounds_gradients = !dtype_info(dtype).is_float;
  c.amx_rounds = true;
  return c;
}

// A matrix that is trained, multiplied in Q8_0: the gradients are those of the matrix as it is.
OpCase rounded_master_case(const std::string& name, int64_t rows) {
  const auto run = [](Ops& ops, const Views& v, Rows y, Alive& alive) {
    const auto weight = std::make_shared<Weight>(DType::kQ8_0, v[1].rows, v[1].cols, compact(v[1]));
    alive.push_back(weight);
    const auto linear = std::make_shared<Linear>(
        Linear{kPackedQ8_0, weight->n, weight->k, weight->packed.data(), nullptr, 0, v[1].data});
    alive.push_back(linear);
    ops.linear(v[0], *linear, y);
    return y;
  };
  const auto formula = [](const Arguments& a) {
    return by_row(a[0], 64, [&](const Numbers& x, int64_t) { return reference::product<Complex>(a[1], x); });
  };
  OpCase c = {name, {{rows, 64}, {150, 64, true}}, rows, 150, run, formula, 300, 97};
  c.rounds_inputs = c.rounds_gradients = c.rounds_weight_gradients = c.amx_rounds = true;
  return c;
}

std::vector<OpCase> product_cases() {
  std::vector<OpCase> list = {linear_case("few_rows", 5), linear_case("many_rows", 19),
                              rounded_master_case("rounded_few_rows", 5),
                              rounded_master_case("rounded_many_rows", 150)};
  for (const DType dtype :
       {DType::kF16, DType::kBF16, DType::kQ4_0, DType::kQ4_1, DType::kQ5_0, DType::kQ5_1, DType::kQ8_0, DType::kQ2_K,
        DType::kQ3_K, DType::kQ4_K, DType::kQ5_K, DType::kQ6_K, DType::kIQ4_NL, DType::kIQ4_XS}) {
    list.push_back(quantised_case(dtype));
  }
  return list;
}
INSTANTIATE_TEST_SUITE_P(Products, ProductGradients, testing::ValuesIn(product_cases()),
                         [](const auto& instance) { return instance.param.name; });

// --- low-rank deltas ---

constexpr int64_t kIn = 45, kOut = 21, kRank = 3;

LoraDelta delta_of(Alive& alive, Rows a, Rows b, float scale) {
  LoraDelta delta;
  delta.a = packed(alive, a);
  delta.b = packed(alive, b);
  delta.scale = scale;
  return delta;
}
reference::Delta<Complex> reference_delta(const Numbers& a, const Numbers& b, double scale) {
  return {a, b, scale, 1, {}, {}};
}

// W trained too; rows 0 and 1 wear nothing, row 2 the first delta, rows 3 and 4 both.
OpCase lora_case() {
  const auto run = [](Ops& ops, const Views& v, Rows y, Alive& alive) {
    const auto one = std::make_shared<DeltaTable>(1), both = std::make_shared<DeltaTable>(1);
    const LoraDelta first = delta_of(alive, v[2], v[3], 0.7F), second = delta_of(alive, v[4], v[5], -1.5F);
    (*one)[0] = {first};
    (*both)[0] = {first, second};
    alive.push_back(one);
    alive.push_back(both);
    const std::array<RowDeltas, 2> worn = {{{2, 1, one.get()}, {3, 2, both.get()}}};
    ops.adapt(worn);
    ops.linear(v[0], packed(alive, v[1]), y);
    ops.adapt({});
    return y;
  };
  const auto formula = [](const Arguments& a) {
    return by_row(a[0], kIn, [&](const Numbers& x, int64_t row) {
      const Numbers wx = reference::product<Complex>(a[1], x);
      Numbers y = wx;
      if (row >= 2) reference::add(y, reference::added_by(reference_delta(a[2], a[3], 0.7F), wx, x));
      if (row >= 3) reference::add(y, reference::added_by(reference_delta(a[4], a[5], -1.5F), wx, x));
      return y;
    });
  };
  const Argument a = {kRank, kIn, true}, b = {kOut, kRank, true};
  OpCase c = {"lora", {{5, kIn}, {kOut, kIn, true}, a, b, {7, kIn, true}, {kOut, 7, true}}, 5, kOut, run, formula, 80};
  c.amx_rounds = true;
  return c;
}

// What dropout multiplies rows [first, first + rows) of x by: seen through matrices that change nothing.
std::vector<float> dropout_factors(int64_t first, int64_t rows, float share, uint64_t seed) {
  ThreadTeam team(1);
  Ops ops(kernels_of(Isa::kScalar), team, 200, 512);
  std::vector<float> zero(static_cast<size_t>(kIn * kIn), 0), one = zero;
  for (int64_t i = 0; i < kIn; ++i) one[static_cast<size_t>(i * (kIn + 1))] = 1;
  Alive alive;
  const Rows unit = {one.data(), kIn, kIn, kIn};
  DeltaTable table(1);
  table[0] = {delta_of(alive, unit, unit, 1)};
  table[0][0].dropout = share;
  const RowDeltas worn = {first, rows, &table};
  ops.adapt({&worn, 1});
  ops.drop_out(true);
  ops.seed_dropout(seed);
  const int64_t stride = padded_columns(kIn);
  std::vector<float> x(static_cast<size_t>((first + rows) * kIn), 1), y(static_cast<size_t>((first + rows) * stride));
  const Rows out = {y.data(), first + rows, kIn, stride};
  ops.linear({x.data(), first + rows, kIn, kIn}, packed(alive, {zero.data(), kIn, kIn, kIn}), out);
  return compact(out.slice(first, rows));
}

OpCase dropout_case() {
  const auto run = [](Ops& ops, const Views& v, Rows y, Alive& alive) {
    const auto table = std::make_shared<DeltaTable>(1);
    (*table)[0] = {delta_of(alive, v[1], v[2], 0.7F)};
    (*table)[0][0].dropout = 0.3F;
    alive.push_back(table);
    const RowDeltas worn = {2, 3, table.get()};
    ops.adapt({&worn, 1});
    ops.linear(v[0], packed(alive, v[3]), y);
    ops.adapt({});
    return y;
  };
  const auto factors = dropout_factors(2, 3, 0.3F, 5);
  const auto formula = [=](const Arguments& a) {
    return by_row(a[0], kIn, [&](const Numbers& x, int64_t row) {
      Numbers y = reference::product<Complex>(a[3], x), dropped = x;
      if (row < 2) return y;
      for (int64_t i = 0; i < kIn; ++i) {
        dropped[static_cast<size_t>(i)] *= static_cast<double>(factors[static_cast<size_t>((row - 2) * kIn + i)]);
      }
      reference::add(y, reference::added_by(reference_delta(a[1], a[2], 0.7F), y, dropped));
      return y;
    });
  };
  OpCase c = {"dropout", {{5, kIn}, {kRank, kIn, true}, {kOut, kRank, true}, {kOut, kIn, true}}, 5, kOut, run, formula,
              80};
  c.amx_rounds = true;
  return c;
}

// DoRA and a plain delta on one matrix with a bias; W [21, 45] is constant, and so is the norm.
OpCase dora_case() {
  const auto weight = std::make_shared<std::vector<float>>(normals(55, kOut * kIn, 0.3));
  const auto bias = std::make_shared<std::vector<float>>(normals(56, kOut));
  const float strength = 0.75F, scale = 0.6F;
  const auto norm = std::make_shared<std::vector<double>>();
  const auto run = [=](Ops& ops, const Views& v, Rows y, Alive& alive) {
    const auto table = std::make_shared<DeltaTable>(1);
    const auto gain = std::make_shared<std::vector<float>>();
    for (int64_t i = 0; i < kOut; ++i) {
      const auto at = static_cast<size_t>(i);
      gain->push_back(static_cast<float>(static_cast<double>(v[3].data[i]) / (*norm)[at]));
    }
    LoraDelta delta = delta_of(alive, v[1], v[2], scale);
    delta.gain = gain->data();
    delta.magnitude = v[3].data;
    delta.strength = strength;
    (*table)[0] = {delta, delta_of(alive, v[4], v[5], 0.5F)};
    alive.insert(alive.end(), {table, gain});
    const RowDeltas worn = {0, 5, table.get()};
    ops.adapt({&worn, 1});
    const auto base = std::make_shared<Packed>(Rows{weight->data(), kOut, kIn, kIn}, bias->data());
    base->linear.master = nullptr;
    alive.push_back(base);
    ops.linear(v[0], base->linear, y);
    ops.adapt({});
    return y;
  };
  const auto formula = [=](const Arguments& a) {
    reference::Delta<Complex> dora = {a[1], a[2], scale, strength, a[3], {}};
    if (norm->empty()) *norm = reference::norm_of_rows<float>(*weight, dora, kOut);
    dora.norm = *norm;
    return by_row(a[0], kIn, [&](const Numbers& x, int64_t) {
      const Numbers wx = reference::product<float>(*weight, x);
      Numbers y = wx;
      reference::add(y, reference::added_by(dora, wx, x));
      reference::add(y, reference::added_by(reference_delta(a[4], a[5], 0.5), wx, x));
      for (size_t i = 0; i < y.size(); ++i) y[i] += static_cast<double>((*bias)[i]);
      return y;
    });
  };
  const Argument a = {kRank, kIn, true}, b = {kOut, kRank, true};
  OpCase c = {"dora", {{5, kIn}, a, b, {1, kOut, true, 0.3, 2}, a, b}, 5, kOut, run, formula, 100};
  c.amx_rounds = true;
  (void)c.formula(in_complex(c));  // the norm, which `run` reads
  return c;
}

INSTANTIATE_TEST_SUITE_P(Deltas, ProductGradients, testing::Values(lora_case(), dropout_case(), dora_case()),
                         [](const auto& instance) { return instance.param.name; });

// A share of 0.3 of 45 columns and 100 rows: 1350 numbers, with a deviation of 31; other rows and seeds drop others.
TEST(Dropout, ZeroesAShareAndScalesTheRest) {
  const auto factors = dropout_factors(0, 100, 0.3F, 5);
  int64_t zeros = 0;
  for (const float f : factors) {
    zeros += f == 0;
    EXPECT_TRUE(f == 0 || f == 1 / (1 - 0.3F)) << f;
  }
  EXPECT_NEAR(static_cast<double>(zeros), 1350, 5 * 31);
  EXPECT_NE(factors, dropout_factors(0, 100, 0.3F, 6));
  EXPECT_NE(std::vector<float>(factors.begin(), factors.begin() + kIn),
            std::vector<float>(factors.begin() + kIn, factors.begin() + 2 * kIn));
}

}  // namespace
}  // namespace andiron
