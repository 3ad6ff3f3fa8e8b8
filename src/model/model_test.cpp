// What Model::load refuses, and what it says; tokenizers and synthetic models.
#include "model/model.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "base/atomic_file.h"
#include "base/test_folder.h"
#include "kernels/dispatch.h"
#include "model/forward.h"
#include "model/synth.h"
#include "model/tiny_model.h"
#include "model/tokenizer_source.h"
#include "text/tokenizer.h"

namespace andiron {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

// Writes `tiny` after its metadata and tensors were bent, and loads it.
class LoadTest : public testing::Test {
 protected:
  struct Parts {
    std::vector<MetaEntry> metadata;
    TinyModel tiny;

    void set(const MetaEntry& entry) {
      remove(entry.key);
      metadata.push_back(entry);
    }
    void remove(std::string_view key) {
      std::erase_if(metadata, [&](const MetaEntry& entry) { return entry.key == key; });
    }
  };

  Result<std::shared_ptr<const Model>> load(TinyModel tiny, const std::function<void(Parts&)>& bend) {
    tiny.build();
    Parts parts{tiny.metadata(), tiny};
    bend(parts);
    const std::string path = folder_.file("model.gguf");
    TRY_ASSIGN(GgufWriter writer, GgufWriter::create(path, parts.metadata, parts.tiny.infos));
    for (const TensorInfo& info : parts.tiny.infos) TRY(writer.append(parts.tiny.tensors.at(info.name).bytes));
    TRY(writer.finish());
    LoadOptions options;
    options.cache.enabled = false;
    return Model::load(path, options);
  }

  TestFolder folder_;
};

TEST_F(LoadTest, NumbersOutOfRangeAreRefused) {
  const auto u32 = [](const char* key, uint32_t value) { return MetaEntry::u32(key, value); };
  const auto f32 = [](const char* key, double value) { return MetaEntry::f32(key, value); };
  const MetaEntry wrong[] = {
      u32("llama.block_count", 0),
      u32("llama.block_count", 513),
      u32("llama.block_count", 0xffffffff),
      u32("llama.block_count", 3),  // one more than there are tensors for
      u32("llama.embedding_length", 0),
      u32("llama.embedding_length", 65),
      u32("llama.embedding_length", 0x7fffffff),
      u32("llama.feed_forward_length", 0),
      u32("llama.feed_forward_length", 97),
      u32("llama.context_length", 0),
      u32("llama.attention.head_count", 0),
      u32("llama.attention.head_count", 3),  // with 2 kv heads
      u32("llama.attention.head_count", 100000),
      u32("llama.attention.head_count_kv", 0),
      u32("llama.attention.head_count_kv", 8),
      u32("llama.attention.key_length", 0),
      u32("llama.attention.key_length", 1024),
      u32("llama.attention.value_length", 32),
      f32("llama.attention.layer_norm_rms_epsilon", 0),
      f32("llama.attention.layer_norm_rms_epsilon", -1e-5),
      f32("llama.attention.layer_norm_rms_epsilon", kNan),
      f32("llama.attention.layer_norm_rms_epsilon", kInfinity),
      f32("llama.rope.freq_base", 0),
      f32("llama.rope.freq_base", kInfinity),
      f32("llama.attention.scale", kNan),
      u32("llama.rope.dimension_count", 0),
      u32("llama.rope.dimension_count", 15),
      u32("llama.rope.dimension_count", 18),
      f32("llama.rope.scaling.factor", -1),
      f32("llama.rope.scaling.factor", kNan),
      MetaEntry::text("llama.rope.scaling.type", "dynamic"),
      u32("llama.expert_count", 8),
      u32("llama.expert_count", 5000),
      MetaEntry::text("llama.block_count", "2"),
      MetaEntry::i32s("llama.attention.head_count_kv", {2, 1}),  // layers of different shapes
      MetaEntry::i32s("llama.attention.head_count_kv", {}),
      MetaEntry::i32s("llama.block_count", {-2}),
  };
  for (const MetaEntry& entry : wrong) {
    const auto model = load({}, [&](Parts& parts) { parts.set(entry); });
    ASSERT_FALSE(model.ok()) << entry.key;
    EXPECT_NE(model.error().message.find("model.gguf"), std::string::npos) << model.error().message;
  }
  const auto same_for_all = load({}, [&](Parts& parts) {
    parts.set(MetaEntry::i32s("llama.attention.head_count_kv", {2, 2}));
  });
  EXPECT_TRUE(same_for_all.ok());
}

TEST_F(LoadTest, MissingKeysAreNamedOrHaveDefaults) {
  for (const char* key :
       {"general.architecture", "llama.block_count", "llama.embedding_length", "llama.attention.head_count",
        "llama.attention.layer_norm_rms_epsilon", "llama.feed_forward_length", "llama.context_length"}) {
    const auto model = load({}, [&](Parts& parts) { parts.remove(key); });
    ASSERT_FALSE(model.ok()) << key;
    EXPECT_NE(model.error().message.find(key), std::string::npos) << model.error().message;
  }
  TinyModel even;  // 64 wide, 4 heads of 16
  even.kv_heads = 4;
  const auto model = load(even, [&](Parts& parts) {
    for (const char* key : {"llama.attention.head_count_kv", "llama.attention.key_length",
                            "llama.attention.value_length", "llama.rope.dimension_count", "llama.rope.freq_base"}) {
      parts.remove(key);
    }
  });
  ASSERT_TRUE(model.ok()) << model.error().message;
  const ModelConfig& config = (*model)->config();
  EXPECT_EQ(config.kv_heads, 4);
  EXPECT_EQ(config.head_dim, 16);
  EXPECT_EQ(config.rope.dimensions, 16);
  EXPECT_EQ(config.rope.base, 10000);
  EXPECT_EQ(config.attention_scale, 0.25f);
}

TEST_F(LoadTest, AnUnknownArchitectureNamesTheSupported) {
  const auto model = load({}, [](Parts& parts) { parts.set(MetaEntry::text("general.architecture", "mamba\x1b")); });
  ASSERT_FALSE(model.ok());
  EXPECT_NE(model.error().message.find("\"mamba\\x1b\" is not supported; supported are llama, qwen2, qwen3"),
            std::string::npos)
      << model.error().message;
}

TEST_F(LoadTest, MissingAndMisshapenTensorsAreNamed) {
  const auto without = [&](const std::string& name) {
    return load({}, [&](Parts& parts) {
      std::erase_if(parts.tiny.infos, [&](const TensorInfo& info) { return info.name == name; });
    });
  };
  for (const char* name : {"token_embd.weight", "blk.0.attn_norm.weight", "blk.1.attn_q.weight",
                           "blk.1.ffn_down.weight", "output_norm.weight"}) {
    const auto model = without(name);
    ASSERT_FALSE(model.ok()) << name;
    EXPECT_NE(model.error().message.find(std::string("\"") + name + "\" is missing"), std::string::npos)
        << model.error().message;
  }
  EXPECT_TRUE(without("output.weight").ok()) << "the embedding serves as the output";

  const auto turned = load({}, [](Parts& parts) {
    for (TensorInfo& info : parts.tiny.infos) {
      if (info.name == "blk.1.attn_k.weight") std::swap(info.shape[0], info.shape[1]);
    }
  });
  ASSERT_FALSE(turned.ok());
  EXPECT_NE(
      turned.error().message.find("\"blk.1.attn_k.weight\" has the shape 64 x 32, but the model's numbers ask for "
                                  "32 x 64"),
      std::string::npos)
      << turned.error().message;
}

// A tensor that the family does not know would mean that the model computes something else.
TEST_F(LoadTest, TensorsWithoutAPlaceAreNamed) {
  const auto with = [&](const std::string& name) {
    return load({}, [&](Parts& parts) {
      TinyTensor extra = parts.tiny.tensors.at("output_norm.weight");
      parts.tiny.infos.push_back(make_tensor_info(name, DType::kF32, extra.shape, "test").value());
      parts.tiny.tensors[name] = extra;
    });
  };
  for (const char* name : {"blk.0.attn_sinks.weight", "blk.1.attn_output.scale", "blk.2.attn_norm.weight"}) {
    const auto model = with(name);
    ASSERT_FALSE(model.ok()) << name;
    EXPECT_NE(model.error().message.find(std::string("\"") + name + "\" has no place in a llama of 2 layers"),
              std::string::npos)
        << model.error().message;
  }
  EXPECT_TRUE(with("blk.0.attn_rot_embd.weight").ok()) << "old converters stored it";
  EXPECT_TRUE(with("v.blk.0.norm.weight").ok()) << "other parts of a model that sees";
}

TEST_F(LoadTest, ExpertsMustFitTheirTensors) {
  TinyModel moe;
  moe.architecture = "qwen3moe", moe.experts = 4, moe.experts_used = 2;
  EXPECT_TRUE(load(moe, [](Parts&) {}).ok());
  const std::pair<const char*, uint32_t> wrong[] = {
      {"qwen3moe.expert_count", 0},      {"qwen3moe.expert_count", 3},
      {"qwen3moe.expert_count", 1000},   {"qwen3moe.expert_used_count", 0},
      {"qwen3moe.expert_used_count", 5}, {"qwen3moe.expert_feed_forward_length", 95}};
  for (const auto& [key, value] : wrong) {
    EXPECT_FALSE(load(moe, [k = key, v = value](Parts& parts) { parts.set(MetaEntry::u32(k, v)); }).ok())
        << key << value;
  }
}

// Thousands of matrices of one row are padded to 16 each: the file asks for far more memory than it has bytes.
TEST_F(LoadTest, FilesThatSwellAreRefused) {
  TinyModel moe;
  moe.architecture = "qwen3moe", moe.experts = 1000, moe.experts_used = 1, moe.inner = 1, moe.width = 2000;
  moe.heads = 1, moe.kv_heads = 1, moe.blocks = 1, moe.vocabulary = 4;
  const auto model = load(moe, [](Parts&) {});
  ASSERT_FALSE(model.ok());
  EXPECT_NE(model.error().message.find("so few rows"), std::string::npos) << model.error().message;
}

TEST_F(LoadTest, RotaryDivisorsAreChecked) {
  TinyModel tiny;
  tiny.divisors = {1, 1, 1, 1, 1, 1, 1, 1};
  EXPECT_TRUE(load(tiny, [](Parts&) {}).ok());
  for (const double bad : {0.0, -1.0, kNan, kInfinity}) {
    tiny.divisors[3] = bad;
    EXPECT_FALSE(load(tiny, [](Parts&) {}).ok()) << bad;
  }
  tiny.divisors = {1, 1, 1};
  EXPECT_FALSE(load(tiny, [](Parts&) {}).ok()) << "three for eight pairs";
  TinyModel phi;
  phi.architecture = "phi3", phi.fused = true, phi.divisors_long = {1, 1, 1, 1, 1, 1, 1, 1};
  EXPECT_FALSE(load(phi, [](Parts&) {}).ok()) << "long without short";
}

TEST_F(LoadTest, WindowsFollowTheFileOrTheFamily) {
  TinyModel tiny;
  tiny.architecture = "gemma3", tiny.tied = true, tiny.blocks = 7, tiny.window = 5, tiny.rope_base_local = 1e4;
  const auto windows = [&](const std::function<void(Parts&)>& bend) {
    const auto model = load(tiny, bend);
    EXPECT_TRUE(model.ok()) << (model.ok() ? "" : model.error().message);
    return model.ok() ? (*model)->config().windows : std::vector<int64_t>();
  };
  const std::string key = "gemma3.attention.sliding_window_pattern";
  using Windows = std::vector<int64_t>;
  EXPECT_EQ(windows([](Parts&) {}), Windows({5, 5, 5, 5, 5, 0, 5}));
  EXPECT_EQ(windows([&](Parts& parts) { parts.set(MetaEntry::u32(key, 2)); }), Windows({5, 0, 5, 0, 5, 0, 5}));
  EXPECT_EQ(windows([&](Parts& parts) {
              parts.set(MetaEntry::booleans(key, {true, false, false, true, true, false, false}));
            }),
            Windows({5, 0, 0, 5, 5, 0, 0}));
  EXPECT_FALSE(load(tiny, [&](Parts& parts) { parts.set(MetaEntry::booleans(key, {true})); }).ok());
}

TEST_F(LoadTest, ReportsItsSize) {
  const auto model = load({}, [](Parts&) {}).value();
  uint64_t elements = 0;
  for (const TensorInfo& tensor : model->source().tensors()) elements += tensor.elements;
  EXPECT_EQ(model->parameters(), elements);
  // 2 layers, 2 kv heads, keys and values of 16 numbers of 2 bytes.
  EXPECT_EQ(model->kv_bytes_per_position(kKvF16), 2u * 2 * 2 * 16 * 2);
  EXPECT_GE(model->weight_bytes(), (elements - 83 * 64) * sizeof(float));
}

TEST(SyntheticModel, LoadsAndRunsInEveryShape) {
  const TestFolder folder;
  for (const std::string shape : {"tiny", "tiny-odd"}) {
    for (const std::string mix : {"f32", "bf16", "q8_0", "q4_0", "q4_k_m", "q3_k", "iq4_xs"}) {
      const std::string path = folder.file(shape + mix + ".gguf");
      const Status written = write_synthetic_model({shape, mix, 7}, path);
      ASSERT_TRUE(written.ok()) << written.error().message;
      LoadOptions options;
      options.cache.enabled = false;
      const auto model = Model::load(path, options);
      ASSERT_TRUE(model.ok()) << model.error().message;
      ThreadTeam team(1);
      auto cache = KvCache::create(**model, 16).value();
      const auto forward = Forward::create(**model, *select_kernels().value(), team).value();
      const std::vector<int32_t> tokens = {1, 300, 301};
      const Sequence sequence = {&cache, tokens, LogitRows::kLast};
      ASSERT_TRUE(forward->run({&sequence, 1}).ok());
      const Rows logits = forward->logits();
      const bool finite = std::all_of(logits.data, logits.data + logits.cols, [](float x) { return std::isfinite(x); });
      EXPECT_TRUE(finite) << shape << " " << mix;
    }
  }
}

TEST(SyntheticModel, IsTheSameEachTime) {
  const TestFolder folder;
  const auto write = [&](const SyntheticOptions& options) {
    EXPECT_TRUE(write_synthetic_model(options, folder.file("m.gguf")).ok());
    return read_bytes(folder.file("m.gguf"));
  };
  EXPECT_EQ(write({"tiny", "q4_k_m", 1}), write({"tiny", "q4_k_m", 1}));
  EXPECT_NE(write({"tiny", "q4_k_m", 1}), write({"tiny", "q4_k_m", 2}));
}

TEST(SyntheticModel, HasATokenizerThatGivesTextBack) {
  const TestFolder folder;
  ASSERT_TRUE(write_synthetic_model({"tiny", "q4_0", 1}, folder.file("m.gguf")).ok());
  const auto source = open_model_source(folder.file("m.gguf")).value();
  const auto tokenizer = Tokenizer::create(tokenizer_spec(*source).value()).value();
  EXPECT_EQ(tokenizer.vocab_size(), 512);
  for (const std::string text : {"ba co dudu.", "Grüße, 世界!", "bacodu"}) {
    const auto ids = tokenizer.encode(text);
    EXPECT_EQ(ids.front(), tokenizer.bos());
    EXPECT_EQ(tokenizer.decode(ids), text);
  }
  EXPECT_LT(tokenizer.encode("baba").size(), 5u) << "syllables are tokens";
}

TEST(SyntheticModel, RecitesWhateverCameBefore) {
  const TestFolder folder;
  ASSERT_TRUE(write_synthetic_model({"tiny", "q4_0", 1, true}, folder.file("m.gguf")).ok());
  EXPECT_FALSE(write_synthetic_model({"tiny-odd", "q4_0", 1, true}, folder.file("n.gguf")).ok()) << "no head";
  LoadOptions options;
  options.cache.enabled = false;
  const auto model = Model::load(folder.file("m.gguf"), options).value();
  const auto tokenizer = Tokenizer::create(tokenizer_spec(model->source()).value()).value();
  ThreadTeam team(1);
  auto cache = KvCache::create(*model, 64).value();
  const auto forward = Forward::create(*model, *select_kernels().value(), team).value();
  const auto next = [&](int32_t token) {
    const Sequence sequence = {&cache, {&token, 1}, LogitRows::kLast};
    EXPECT_TRUE(forward->run({&sequence, 1}).ok());
    const Rows logits = forward->logits();
    return static_cast<int32_t>(std::max_element(logits.data, logits.data + logits.cols) - logits.data);
  };
  const int32_t first = tokenizer.encode("baba").back();
  std::vector<int32_t> round = {first};
  for (int i = 0; i < 24 && (i == 0 || round.back() != first); ++i) round.push_back(next(round.back()));
  EXPECT_EQ(round.back(), first) << "the ten words of two syllables form a round";
  EXPECT_EQ(std::set<int32_t>(round.begin(), round.end()).size(), round.size() - 1);
  EXPECT_GT(round.size(), 4u);
}

TEST(SyntheticModel, WrongOptionsNameTheRightOnes) {
  const auto shape = write_synthetic_model({"gpt-5", "q4_0", 1}, "/nowhere/m.gguf");
  ASSERT_FALSE(shape.ok());
  EXPECT_NE(shape.error().message.find("llama-2-7b"), std::string::npos);
  EXPECT_FALSE(write_synthetic_model({"tiny", "q9", 1}, "/nowhere/m.gguf").ok());
  EXPECT_FALSE(write_synthetic_model({"tiny", "q4_0", 1}, "/nowhere/m.gguf").ok());
}

// A Hugging Face folder: 656,000 parameters, tied embeddings stored as lm_head.
TEST(TinyStories, TellsItsStory) {
  const std::string folder = ANDIRON_SOURCE_DIR "/../shared/data/models/tinystories-656k";
  if (!file_exists(folder)) GTEST_SKIP() << folder << " is not there";
  const auto loaded = Model::load(folder, {});
  ASSERT_TRUE(loaded.ok()) << loaded.error().message;
  const auto& model = *loaded;
  const auto spec = tokenizer_spec(model->source());
  ASSERT_TRUE(spec.ok()) << spec.error().message;
  const auto tokenizer = Tokenizer::create(*spec).value();
  auto tokens = tokenizer.encode("Once upon a time");
  ThreadTeam team(2);
  auto cache = KvCache::create(*model, 256).value();
  const auto forward = Forward::create(*model, *select_kernels().value(), team).value();
  std::vector<int32_t> story = tokens;
  for (int i = 0; i < 60; ++i) {
    const Sequence sequence = {&cache, tokens, LogitRows::kLast};
    ASSERT_TRUE(forward->run({&sequence, 1}).ok());
    const float* logits = forward->logits().data;
    tokens = {static_cast<int32_t>(std::max_element(logits, logits + model->config().vocabulary) - logits)};
    story.push_back(tokens[0]);
  }
  // The same tokens as a double-precision run over the folder's own tensors, written in Python for the purpose.
  EXPECT_EQ(
      tokenizer.decode(story),
      "Once upon a time, a little girl named Lily lived in a small house with her mom, dad, and her dog, Spot, Spot, "
      "loved to play all day. One day, Lily saw a small bird on the ground. She picked it up and tried to reach the "
      "bird and see what it was.\nLily had an idea. She asked her mom if she could help the bird. Her mom said, "
      "\"Okay, let's go inside and see if you want");
}

}  // namespace
}  // namespace andiron
