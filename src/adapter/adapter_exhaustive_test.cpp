// Every truncation and every flipped bit of small adapter files: an error, or an adapter that works.
#include <gtest/gtest.h>

#include <cmath>

#include "adapter/adapter_fixture.h"
#include "adapter/fold.h"
#include "base/atomic_file.h"
#include "base/test_folder.h"
#include "base/test_variants.h"

namespace andiron {
namespace {

// Whether it was taken; what is taken must hold everything that check_adapter says, and fold without a NaN.
bool is_working(const Result<Adapter>& adapter) {
  if (!adapter.ok()) {
    EXPECT_FALSE(adapter.error().message.empty());
    return false;
  }
  const Status checked = check_adapter(*adapter, "x");
  EXPECT_TRUE(checked.ok()) << checked.error().message;
  const WornAdapter worn[] = {{&*adapter, 1e-30f}};  // so that a flipped exponent does not overflow
  for (const AdapterMatrix& m : adapter->matrices) {
    std::vector<float> row(m.k, 1.0f);
    fold_rows(worn, m.layer, m.n - 1, 1, row);
    for (const float v : row) EXPECT_FALSE(std::isnan(v)) << m.layer;
  }
  return true;
}

struct Seeds {
  TestFolder folder;
  Adapter adapter = tiny_adapter(1, "llama", true);
  std::string config;
  std::vector<uint8_t> weights, gguf;

  Seeds() {
    adapter.matrices.resize(2);
    adapter.matrices[1].alpha = 3;
    EXPECT_TRUE(write_peft(adapter, folder.file("x")).ok());
    config = read_text_file(folder.file("x/adapter_config.json")).value();
    config.pop_back();  // the line's end, without which it is whole
    weights = read_bytes(folder.file("x/adapter_model.safetensors"));
    Adapter plain = adapter;
    plain.dora = false;
    for (AdapterMatrix& m : plain.matrices) m.magnitude.clear();
    EXPECT_TRUE(write_gguf_adapter(plain, folder.file("x.gguf")).ok());
    gguf = read_bytes(folder.file("x.gguf"));
  }
};

TEST(AdapterVariants, OfPeftWeights) {
  const Seeds seeds;
  for (const bool has_base : {false, true}) {
    const AdapterBase base = base_of(seeds.adapter);
    const VariantCounts counts = try_every_variant(seeds.weights, [&](const std::vector<uint8_t>& variant) {
      return is_working(read_peft(seeds.config, variant, has_base ? &base : nullptr, "x"));
    });
    EXPECT_EQ(counts.truncations_taken, 0);
    EXPECT_GT(counts.flips_taken, 1000) << "most of it are numbers, of which nearly all are legal";
    EXPECT_LT(counts.flips_taken, counts.flips);
  }
}

TEST(AdapterVariants, OfAPeftConfig) {
  const Seeds seeds;
  const std::vector<uint8_t> seed(seeds.config.begin(), seeds.config.end());
  const VariantCounts counts = try_every_variant(seed, [&](const std::vector<uint8_t>& variant) {
    const std::string text(variant.begin(), variant.end());
    return is_working(read_peft(text, seeds.weights, nullptr, "x"));
  });
  EXPECT_EQ(counts.truncations_taken, 0);
  EXPECT_LT(counts.flips_taken, counts.flips);
}

TEST(AdapterVariants, OfAGgufAdapter) {
  const Seeds seeds;
  const AdapterBase base = base_of(seeds.adapter);
  const VariantCounts counts = try_every_variant(seeds.gguf, [&](const std::vector<uint8_t>& variant) {
    const bool alone = is_working(read_gguf_adapter(variant, nullptr, "x"));
    const bool with_base = is_working(read_gguf_adapter(variant, &base, "x"));
    EXPECT_LE(with_base, alone) << "a base only makes the checks stricter";
    return alone;
  });
  // The last tensor may lack the padding after it, and nothing else.
  EXPECT_LT(counts.truncations_taken, 32);
  EXPECT_GT(counts.flips_taken, 1000);
  EXPECT_LT(counts.flips_taken, counts.flips);
}

}  // namespace
}  // namespace andiron
