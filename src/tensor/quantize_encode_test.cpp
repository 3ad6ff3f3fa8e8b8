// encode_row, judged by what decode_row makes of its blocks.

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "base/random.h"
#include "tensor/codec_samples.h"
#include "tensor/half.h"
#include "tensor/quant_blocks.h"
#include "tensor/quantize.h"

namespace andiron {
namespace {

std::vector<uint8_t> encode(DType dtype, const std::vector<float>& in, const std::vector<float>& importance = {}) {
  std::vector<uint8_t> blocks(row_bytes(dtype, in.size()));
  encode_row(dtype, in.data(), blocks.data(), in.size(), importance.empty() ? nullptr : importance.data());
  return blocks;
}

std::vector<float> decode(DType dtype, const std::vector<uint8_t>& blocks) {
  const DTypeInfo& info = dtype_info(dtype);
  std::vector<float> out(blocks.size() / info.block_bytes * info.block_elements);
  decode_row(dtype, blocks.data(), out.data(), out.size());
  return out;
}

std::vector<float> round_trip(DType dtype, const std::vector<float>& in, const std::vector<float>& importance = {}) {
  return decode(dtype, encode(dtype, in, importance));
}

// Row by row, the importance of a row's columns being the same in every row.
std::vector<float> round_trip_rows(DType dtype, const std::vector<float>& in, const std::vector<float>& importance) {
  std::vector<float> out;
  for (uint64_t row = 0; row < in.size() / kSampleRow; ++row) {
    const auto begin = in.begin() + static_cast<std::ptrdiff_t>(row * kSampleRow);
    const auto decoded = round_trip(dtype, {begin, begin + kSampleRow}, importance);
    out.insert(out.end(), decoded.begin(), decoded.end());
  }
  return out;
}

std::vector<DType> block_formats() {
  std::vector<DType> formats;
  for (const DTypeInfo& info : all_dtypes()) {
    if (!info.is_float) formats.push_back(info.dtype);
  }
  return formats;
}

// Uniform in [-0.5, 0.5), made of exact operations only: the same on every machine.
std::vector<float> exact_uniform(size_t count, uint64_t stream) {
  const RandomStream random(11, stream);
  std::vector<float> values(count);
  for (size_t i = 0; i < count; ++i) values[i] = static_cast<float>(random.uniform(i) - 0.5);
  return values;
}

// testdata/ggml_encode_rmse.txt holds what llama.cpp's encoders leave on the same numbers, in the same measure
// (bench/peers/codec_compare --golden writes it).
TEST(Encode, ErrsNoMoreThanLlamaCpp) {
  std::ifstream file(ANDIRON_SOURCE_DIR "/src/tensor/testdata/ggml_encode_rmse.txt");
  ASSERT_TRUE(file.good());
  std::map<std::string_view, std::vector<float>> samples;
  for (const CodecSample& sample : kCodecSamples) samples[sample.name] = sample_numbers(sample, 16);
  std::string format, sample, kind;
  double theirs = 0.0;
  int lines_count = 0;
  while (file >> format >> sample >> kind >> theirs) {
    const auto dtype = dtype_from_name(format);
    ASSERT_TRUE(dtype.has_value() && samples.contains(sample)) << format << " " << sample;
    const auto importance = kind == "weighted" ? sample_importance() : std::vector<float>{};
    const auto& in = samples[sample];
    const double ours = codec_rmse(in, round_trip_rows(*dtype, in, importance), importance);
    // The file has ten digits.
    EXPECT_LE(ours, theirs * (1 + 1e-8)) << format << " " << sample << " " << kind;
    ++lines_count;
  }
  EXPECT_EQ(lines_count, static_cast<int>(block_formats().size() * std::size(kCodecSamples) * 2));
}

// An ideal quantiser with evenly spaced levels over the range of uniform numbers has steps of 1 / (levels - 1), and an
// error of step / sqrt(12).
TEST(Encode, ErrsNoMoreThanEvenStepsOverTheRange) {
  const std::map<DType, int> levels_count = {
      {DType::kQ4_0, 16},  {DType::kQ4_1, 16}, {DType::kQ5_0, 32},   {DType::kQ5_1, 32},
      {DType::kQ8_0, 255}, {DType::kQ2_K, 4},  {DType::kQ3_K, 8},    {DType::kQ4_K, 16},
      {DType::kQ5_K, 32},  {DType::kQ6_K, 64}, {DType::kIQ4_NL, 16}, {DType::kIQ4_XS, 16},
  };
  const auto in = exact_uniform(1 << 14, 1);
  for (const DType dtype : block_formats()) {
    const double step = 1.0 / (levels_count.at(dtype) - 1);
    EXPECT_LE(codec_rmse(in, round_trip(dtype, in), {}), step / std::sqrt(12.0)) << dtype_info(dtype).name;
  }
}

// Numbers that a block can hold exactly, every level among them, come back exactly.
TEST(Encode, FindsBlocksThatHoldTheNumbersExactly) {
  struct {
    DType dtype;
    int low, high;
    float offset;
  } const cases[] = {
      {DType::kQ4_0, -8, 7, 0.0f},    {DType::kQ4_1, 0, 15, -3.5f},    {DType::kQ5_0, -16, 15, 0.0f},
      {DType::kQ5_1, 0, 31, 1000.0f}, {DType::kQ8_0, -127, 127, 0.0f},
  };
  for (const auto& c : cases) {
    for (float d : {1.0f, -0.37109375f, 0x1p-20f, 100.0f}) {
      if (c.low == 0) d = std::fabs(d);  // a block with an offset is written the right way round
      std::vector<float> in(32);
      for (int i = 0; i < 32; ++i) {
        in[static_cast<size_t>(i)] = static_cast<float>(c.low + i * (c.high - c.low) / 31) * d + c.offset;
      }
      EXPECT_EQ(round_trip(c.dtype, in), in) << dtype_info(c.dtype).name << " " << d;
    }
  }
  std::vector<float> in(32);
  for (size_t i = 0; i < 32; ++i) in[i] = 0.25f * kIq4Values[i / 2];
  EXPECT_EQ(round_trip(DType::kIQ4_NL, in), in);
}

// To the nearest level: half a step of the largest / 127, itself off by an 11th bit; what is not finite as zero; what
// is beyond the format as its end.
TEST(RoundQ8, IsNearWithoutASearch) {
  auto in = exact_uniform(32 * 40, 3);
  std::fill_n(in.begin() + 32, 32, 0.0f);
  in[70] = std::numeric_limits<float>::infinity();
  in[71] = std::numeric_limits<float>::quiet_NaN();
  in[100] = -1e9f;
  std::vector<uint8_t> blocks(row_bytes(DType::kQ8_0, in.size()));
  round_row_q8_0(in.data(), blocks.data(), in.size());
  const auto out = decode(DType::kQ8_0, blocks);
  EXPECT_EQ(out[70], 0);
  EXPECT_EQ(out[71], 0);
  EXPECT_EQ(out[100], -65504.0f * 127);
  in[70] = in[71] = 0;
  in[100] = out[100];
  for (size_t block = 0; block < in.size(); block += 32) {
    float top = 0;
    for (size_t i = block; i < block + 32; ++i) top = std::max(top, std::fabs(in[i]));
    for (size_t i = block; i < block + 32; ++i) {
      // Half a step; at the ends of the range, the rounding of the scale 127 times.
      ASSERT_NEAR(out[i], in[i], top / 127 * (0.5f + 127 * 0x1p-11f)) << i;
    }
  }
}

TEST(Encode, KeepsZerosAndCannotBeFooledByTinyNumbers) {
  for (const DType dtype : block_formats()) {
    std::vector<float> in(512, 0.0f);
    EXPECT_EQ(round_trip(dtype, in), in) << dtype_info(dtype).name;
    // Nothing a block can say is nearer to these than zero.
    for (size_t i = 0; i < in.size(); ++i) in[i] = (i % 2 == 0 ? 1.0f : -1.0f) * 0x1p-26f / static_cast<float>(i + 1);
    EXPECT_EQ(round_trip(dtype, in), std::vector<float>(512, 0.0f)) << dtype_info(dtype).name;
  }
}

TEST(Encode, TakesAnyFloatAndGivesFiniteBlocks) {
  const float infinity = std::numeric_limits<float>::infinity();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float largest = std::numeric_limits<float>::max();
  const std::vector<std::vector<float>> palettes = {
      {nan},
      {infinity, -infinity},
      {nan, 1.0f, infinity, -2.0f, 0.5f},
      {largest},
      {-largest},
      {largest, -largest},
      {largest, 1e-45f, -1e-45f, 0.0f},
      {1e-45f},
      {-0.0f},
      {6e4f, -7e4f},
      {1e9f, 1e-9f},
      {1.0f, 0x1.000002p0f},
  };
  const std::vector<std::vector<float>> weights = {
      {}, {0.0f}, {nan}, {-1.0f, 1.0f}, {infinity, 1.0f}, {largest, 1e-45f}, {0.0f, 0.0f, 0.0f, 1.0f},
  };
  const RandomStream random(12);
  uint64_t counter = 0;
  for (const DType dtype : block_formats()) {
    for (const auto& palette : palettes) {
      for (const auto& weight : weights) {
        std::vector<float> in(256), importance(weight.empty() ? 0 : 256);
        for (float& x : in) x = palette[random.bits(counter++) % palette.size()];
        for (float& w : importance) w = weight[random.bits(counter++) % weight.size()];
        for (const float x : round_trip(dtype, in, importance)) ASSERT_TRUE(std::isfinite(x)) << dtype_info(dtype).name;
      }
    }
  }
}

TEST(Encode, SaturatesAtTheEndsOfTheFormat) {
  const std::vector<float> in(32, 1e30f);
  EXPECT_EQ(round_trip(DType::kQ8_0, in)[0], 65504.0f * 127);
  const std::vector<float> negative(32, -1e30f);
  EXPECT_EQ(round_trip(DType::kQ4_0, negative)[0], -65504.0f * 8);
}

TEST(Encode, TreatsWhatIsNotFiniteAsZero) {
  auto clean = exact_uniform(256, 5);
  clean[3] = clean[100] = clean[255] = 0.0f;
  auto dirty = clean;
  dirty[3] = std::numeric_limits<float>::quiet_NaN();
  dirty[100] = std::numeric_limits<float>::infinity();
  dirty[255] = -std::numeric_limits<float>::infinity();
  for (const DType dtype : block_formats()) EXPECT_EQ(encode(dtype, dirty), encode(dtype, clean));
}

TEST(Encode, ServesImportantElementsFirst) {
  const auto in = sample_numbers(kCodecSamples[2], 4);
  const auto importance = sample_importance();
  for (const DType dtype : block_formats()) {
    const double told = codec_rmse(in, round_trip_rows(dtype, in, importance), importance);
    const double untold = codec_rmse(in, round_trip_rows(dtype, in, {}), importance);
    EXPECT_LT(told, untold) << dtype_info(dtype).name;
  }
}

TEST(Encode, OnlyRatiosOfImportanceMatter) {
  const auto in = exact_uniform(512, 6);
  auto importance = exact_uniform(512, 7);
  for (float& w : importance) w = std::fabs(w);
  auto scaled = importance;
  for (float& w : scaled) w *= 0x1p30f;
  const std::vector<float> zeros(512, 0.0f);
  for (const DType dtype : block_formats()) {
    EXPECT_EQ(encode(dtype, in, importance), encode(dtype, in, scaled)) << dtype_info(dtype).name;
    EXPECT_EQ(encode(dtype, in, zeros), encode(dtype, in)) << dtype_info(dtype).name;
  }
}

TEST(Encode, TreatsEachBlockAlone) {
  const auto in = exact_uniform(512, 8);
  for (const DType dtype : block_formats()) {
    const auto whole = encode(dtype, in);
    auto parts = encode(dtype, {in.begin(), in.begin() + 256});
    const auto second = encode(dtype, {in.begin() + 256, in.end()});
    parts.insert(parts.end(), second.begin(), second.end());
    EXPECT_EQ(whole, parts) << dtype_info(dtype).name;
    std::vector<uint8_t> at_odd(whole.size() + 1);
    encode_row(dtype, in.data(), at_odd.data() + 1, in.size(), nullptr);
    EXPECT_TRUE(std::equal(whole.begin(), whole.end(), at_odd.begin() + 1)) << dtype_info(dtype).name;
  }
}

TEST(Encode, RoundsTheFloatFormatsAndKeepsWhatIsNotFinite) {
  const float infinity = std::numeric_limits<float>::infinity();
  const std::vector<float> in = {1.0f, 0.1f, -infinity, 1e6f};
  EXPECT_EQ(round_trip(DType::kF32, in), in);
  EXPECT_EQ(round_trip(DType::kF16, in), (std::vector<float>{1.0f, 0.0999755859375f, -infinity, infinity}));
  EXPECT_EQ(round_trip(DType::kBF16, in), (std::vector<float>{1.0f, 0.10009765625f, -infinity, 999424.0f}));
  EXPECT_TRUE(std::isnan(round_trip(DType::kF16, {std::numeric_limits<float>::quiet_NaN()})[0]));
}

// FNV-1a of the bytes that each encoder makes of fixed numbers. They are the same for every compiler, optimisation and
// machine; a change here means that files made from now on differ, which a commit should say.
TEST(Encode, GivesTheSameBytesEverywhere) {
  const std::map<DType, uint64_t> want = {
      {DType::kQ4_0, 0x026fd21754ca3098u}, {DType::kQ4_1, 0xb26309af0ee4b46fu},   {DType::kQ5_0, 0x328c0b0567e6a572u},
      {DType::kQ5_1, 0xfaeb93071193b24bu}, {DType::kQ8_0, 0x3c5b92b9b7879f59u},   {DType::kQ2_K, 0xead7654eacdb552bu},
      {DType::kQ3_K, 0x95b819a027d3e134u}, {DType::kQ4_K, 0x7238514ad9055e6cu},   {DType::kQ5_K, 0xd0049ce12ab8e035u},
      {DType::kQ6_K, 0x02e9d98959150b6fu}, {DType::kIQ4_NL, 0xf9e1ab1c0875250fu}, {DType::kIQ4_XS, 0x29ea1e449d5dfd2au},
  };
  for (const auto& [dtype, hash] : want) {
    uint64_t got = 0xcbf29ce484222325u;
    for (const bool weighted : {false, true}) {
      auto importance = weighted ? exact_uniform(4096, 10) : std::vector<float>{};
      for (float& w : importance) w *= w;
      for (const uint8_t byte : encode(dtype, exact_uniform(4096, 9), importance)) {
        got = (got ^ byte) * 0x100000001b3u;
      }
    }
    EXPECT_EQ(got, hash) << dtype_info(dtype).name << std::hex << " " << got;
  }
}

TEST(CheckFinite, NamesTheFirstElementThatIsNot) {
  std::vector<float> values(100, 1.0f);
  EXPECT_TRUE(check_finite(values.data(), values.size(), "blk.0.attn_q.weight").ok());
  EXPECT_TRUE(check_finite(nullptr, 0, "empty").ok());
  values[70] = std::numeric_limits<float>::quiet_NaN();
  values[90] = std::numeric_limits<float>::infinity();
  const Status status = check_finite(values.data(), values.size(), "blk.0.attn_q.weight");
  ASSERT_FALSE(status.ok());
  EXPECT_NE(status.error().message.find("blk.0.attn_q.weight: element 70 is NaN"), std::string::npos)
      << status.error().message;
}

}  // namespace
}  // namespace andiron
