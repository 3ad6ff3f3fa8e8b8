// PEFT folders. The names are those of PEFT's own documentation (docs/source/developer_guides/checkpoint.md) and of
// Hugging Face transformers' modules, written out.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>

#include "adapter/adapter_fixture.h"
#include "adapter/peft_config.h"
#include "base/atomic_file.h"
#include "base/atomic_folder.h"
#include "base/strings.h"
#include "base/test_folder.h"
#include "format/safetensors.h"
#include "tensor/half.h"

namespace andiron {
namespace {

// A PEFT folder put together by hand.
class Folder {
 public:
  Folder& tensor(std::string name, std::vector<uint64_t> shape, const std::vector<float>& values,
                 DType dtype = DType::kF32) {
    std::vector<uint8_t>& bytes = data_.emplace_back(values.size() * dtype_info(dtype).block_bytes);
    for (size_t i = 0; i < values.size(); ++i) {
      const uint16_t half = dtype == DType::kF16 ? f32_to_f16(values[i]) : f32_to_bf16(values[i]);
      if (dtype == DType::kF32) std::memcpy(&bytes[4 * i], &values[i], 4);
      if (dtype != DType::kF32) std::memcpy(&bytes[2 * i], &half, 2);
    }
    tensors_.push_back({std::move(name), dtype, std::move(shape), {}});
    return *this;
  }
  // lora_A [r, k] and lora_B [n, r] that count up.
  Folder& pair(const std::string& module, uint64_t n, uint64_t k, uint64_t r) {
    std::vector<float> a(r * k), b(n * r);
    for (size_t i = 0; i < a.size(); ++i) a[i] = static_cast<float>(i);
    for (size_t i = 0; i < b.size(); ++i) b[i] = static_cast<float>(i);
    const std::string key = "base_model.model." + module;
    return tensor(key + ".lora_A.weight", {r, k}, a).tensor(key + ".lora_B.weight", {n, r}, b);
  }
  Result<Adapter> read(const std::string& config, const AdapterBase* base) {
    folder.write("adapter_config.json", config);
    for (size_t i = 0; i < tensors_.size(); ++i) tensors_[i].data = data_[i];
    EXPECT_TRUE(write_safetensors(folder.file("adapter_model.safetensors"), tensors_).ok());
    return read_adapter(folder.path(), base);
  }
  TestFolder folder;

 private:
  std::vector<std::vector<uint8_t>> data_;
  std::vector<SafetensorsOut> tensors_;
};

AdapterBase llama_base() {
  return {.name = "toy",
          .hash = "abc",
          .architecture = "llama",
          .heads = 2,
          .heads_kv = 1,
          .layers = {{"blk.0.attn_q", 8, 6}, {"blk.0.attn_k", 4, 6}, {"blk.0.attn_v", 4, 6}, {"output", 10, 6}}};
}

std::string config_of(const std::string& more = "", int rank = 1) {
  return format(R"({{"peft_type": "LORA", "r": {}, "lora_alpha": 4, "target_modules": ["q_proj"]{}}})", rank, more);
}

const std::string kQ = "model.layers.0.self_attn.q_proj";

TEST(Peft, KeysAreThoseOfPeft) {
  const struct {
    std::string_view architecture;
    std::vector<std::string> keys;  // of block 0, with lora_A
  } kFamilies[] = {
      {"llama",
       {"base_model.model.model.layers.0.mlp.down_proj.lora_A.weight",
        "base_model.model.model.layers.0.self_attn.k_proj.lora_A.weight",
        "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"}},
      {"qwen3",
       {"base_model.model.model.layers.0.mlp.down_proj.lora_A.weight",
        "base_model.model.model.layers.0.self_attn.k_proj.lora_A.weight",
        "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"}},
      {"phi3",
       {"base_model.model.model.layers.0.mlp.gate_up_proj.lora_A.weight",
        "base_model.model.model.layers.0.self_attn.qkv_proj.lora_A.weight"}},
  };
  for (const auto& family : kFamilies) {
    const TestFolder folder;
    const Adapter adapter = tiny_adapter(1, family.architecture);
    const Status written = write_peft(adapter, folder.file("x"));
    ASSERT_TRUE(written.ok()) << written.error().message;
    const auto file = SafetensorsFile::open(folder.file("x/adapter_model.safetensors"));
    ASSERT_TRUE(file.ok()) << file.error().message;
    std::vector<std::string> keys;
    for (const SafeTensor& tensor : (*file)->tensors()) {
      if (tensor.name.find("layers.0.") != std::string::npos && tensor.name.find("lora_A") != std::string::npos) {
        keys.push_back(tensor.name);
      }
    }
    std::sort(keys.begin(), keys.end());
    EXPECT_EQ(keys, family.keys) << family.architecture;
    EXPECT_EQ((*file)->tensors().size(), adapter.matrices.size() * 2);
    EXPECT_EQ(*(*file)->metadata("format"), "pt") << "transformers refuses the file without it";
  }
}

TEST(Peft, WhatIsWrittenIsReadBackToTheLastBit) {
  for (const char* architecture : {"llama", "qwen2", "qwen3", "qwen3moe", "gemma2", "gemma3", "phi3"}) {
    for (const bool has_dora : {false, true}) {
      const TestFolder folder;
      Adapter adapter = tiny_adapter(2, architecture, has_dora);
      if (std::string_view(architecture) == "qwen3moe") {
        std::erase_if(adapter.matrices, [](const auto& m) { return m.layer.find("ffn") != std::string::npos; });
      }
      adapter.rslora = has_dora;
      adapter.extra.set("lora_dropout", 0.05).set("revision", "main");
      adapter.matrices[1] = random_matrix(adapter.matrices[1].layer, adapter.matrices[1].n, adapter.matrices[1].k, 5, 9,
                                          has_dora);  // a rank of its own
      adapter.matrices[0].alpha = 0.1f;
      ASSERT_TRUE(write_peft(adapter, folder.file("x")).ok());
      const AdapterBase base = base_of(adapter);
      const auto back = read_adapter(folder.file("x"));
      ASSERT_TRUE(back.ok()) << back.error().message;
      expect_same_matrices(*back, adapter);
      EXPECT_EQ(back->rslora, has_dora);
      EXPECT_EQ(back->dora, has_dora);
      EXPECT_EQ(back->rank, 3);
      EXPECT_EQ(back->alpha, 16);
      EXPECT_EQ(back->name, "tiny");
      EXPECT_EQ(back->base_name, adapter.base_name);
      EXPECT_EQ(back->base_hash, adapter.base_hash);
      EXPECT_EQ(back->extra.find("lora_dropout")->as_double(), 0.05);
      EXPECT_EQ(back->extra.find("revision")->as_string(), "main");
      const auto match = match_base(*back, base);
      ASSERT_TRUE(match.ok()) << match.error().message;
      EXPECT_EQ(*match, BaseMatch::kSame);
      ASSERT_TRUE(write_peft(*back, folder.file("y")).ok());
      EXPECT_EQ(read_bytes(folder.file("x/adapter_model.safetensors")),
                read_bytes(folder.file("y/adapter_model.safetensors")));
      EXPECT_EQ(read_bytes(folder.file("x/adapter_config.json")), read_bytes(folder.file("y/adapter_config.json")));
    }
  }
}

// llama.cpp, conversion/llama.py, permute: of a head of 8 rows, rotated as pairs (0, 4), (1, 5), ..., GGUF has the
// order 0 4 1 5 2 6 3 7.
TEST(Peft, RowsOfQAndKAreTurnedForLlama) {
  AdapterBase base = llama_base();
  base.layers = {{"blk.0.attn_q", 16, 6}, {"blk.0.attn_k", 8, 6}, {"blk.0.attn_v", 8, 6}};
  Folder folder;
  folder.pair(kQ, 16, 6, 1);
  folder.pair("model.layers.0.self_attn.v_proj", 8, 6, 1).pair("model.layers.0.self_attn.k_proj", 8, 6, 1);
  const auto adapter = folder.read(config_of(), &base);
  ASSERT_TRUE(adapter.ok()) << adapter.error().message;
  EXPECT_EQ(adapter->find("blk.0.attn_q")->b,
            (std::vector<float>{0, 4, 1, 5, 2, 6, 3, 7, 8, 12, 9, 13, 10, 14, 11, 15}));
  EXPECT_EQ(adapter->find("blk.0.attn_k")->b, (std::vector<float>{0, 4, 1, 5, 2, 6, 3, 7}));
  EXPECT_EQ(adapter->find("blk.0.attn_v")->b, (std::vector<float>{0, 1, 2, 3, 4, 5, 6, 7}));
  EXPECT_EQ(adapter->find("blk.0.attn_q")->a, (std::vector<float>{0, 1, 2, 3, 4, 5})) << "inputs keep their order";
  EXPECT_EQ(adapter->scaling(adapter->matrices[0]), 4);
  EXPECT_EQ(*match_base(*adapter, base), BaseMatch::kUnknown);

  const TestFolder out;
  ASSERT_TRUE(write_peft(*adapter, out.file("x")).ok());
  const auto file = SafetensorsFile::open(out.file("x/adapter_model.safetensors")).value();
  const auto b = file->floats(*file->find("base_model.model." + kQ + ".lora_B.weight"));
  for (int i = 0; i < 16; ++i) EXPECT_EQ((*b)[i], i) << "and back";
}

TEST(Peft, MagnitudesAreReadInBothSpellings) {
  const AdapterBase base = llama_base();
  for (const char* spelling : {".lora_magnitude_vector", ".lora_magnitude_vector.weight"}) {
    Folder folder;
    folder.pair(kQ, 8, 6, 1);
    folder.tensor("base_model.model." + kQ + spelling, {8}, {0, 1, 2, 3, 4, 5, 6, 7});
    const auto adapter = folder.read(config_of(R"(, "use_dora": true)"), &base);
    ASSERT_TRUE(adapter.ok()) << adapter.error().message;
    EXPECT_TRUE(adapter->dora);
    EXPECT_EQ(adapter->matrices[0].magnitude, (std::vector<float>{0, 2, 1, 3, 4, 6, 5, 7})) << "in the order of b";
  }
}

TEST(Peft, HalfPrecisionIsWidenedExactly) {
  const AdapterBase base = llama_base();
  const std::string key = "base_model.model." + kQ;
  for (const DType dtype : {DType::kF16, DType::kBF16}) {
    Folder folder;
    folder.tensor(key + ".lora_A.weight", {1, 6}, {0.5f, -1.5f, 2, 0, 3, 96}, dtype);
    folder.tensor(key + ".lora_B.weight", {8, 1}, {1, 2, 3, 4, 5, 6, 7, -8}, dtype);
    const auto adapter = folder.read(config_of(), &base);
    ASSERT_TRUE(adapter.ok()) << adapter.error().message;
    EXPECT_EQ(adapter->matrices[0].a, (std::vector<float>{0.5f, -1.5f, 2, 0, 3, 96}));
    EXPECT_EQ(adapter->matrices[0].b, (std::vector<float>{1, 3, 2, 4, 5, 7, 6, -8}));
  }
}

TEST(Peft, HalfPrecisionIsWrittenWhereItFits) {
  const TestFolder folder;
  Adapter adapter = tiny_adapter(3);
  ASSERT_TRUE(write_peft(adapter, folder.file("x"), DType::kF16).ok());
  const auto back = read_adapter(folder.file("x"));
  ASSERT_TRUE(back.ok()) << back.error().message;
  for (size_t i = 0; i < adapter.matrices[0].a.size(); ++i) {
    EXPECT_EQ(back->matrices[0].a[i], f16_to_f32(f32_to_f16(adapter.matrices[0].a[i])));
  }
  adapter.matrices[0].b[3] = 65520;  // rounds to infinity
  const Status refused = write_peft(adapter, folder.file("y"), DType::kF16);
  ASSERT_FALSE(refused.ok());
  expect_says(refused.error().message, {"q_proj.lora_B.weight", "65520", "write it as F32"});
  EXPECT_FALSE(write_peft(adapter, folder.file("y"), DType::kBF16).ok());
  EXPECT_EQ(list_folder(folder.path()).value(), std::vector<std::string>{"x"});
}

TEST(Peft, TargetModulesStayAsTheyCame) {
  const AdapterBase base = llama_base();
  const std::string regex = R"(.*\.(q_proj|k_proj)$)";
  Folder folder;
  folder.pair(kQ, 8, 6, 1);
  Json config = parse_json(R"({"peft_type": "LORA", "r": 1, "base_model_name_or_path": "org/model"})", "x").value();
  config.set("target_modules", regex);
  const auto adapter = folder.read(config.dump(), &base);
  ASSERT_TRUE(adapter.ok()) << adapter.error().message;
  EXPECT_EQ(adapter->alpha, 8) << "PEFT's default";
  const TestFolder out;
  ASSERT_TRUE(write_peft(*adapter, out.file("x")).ok());
  const Json written = parse_json(read_text_file(out.file("x/adapter_config.json")).value(), "x").value();
  EXPECT_EQ(written.find("target_modules")->as_string(), regex);
  EXPECT_EQ(written.find("base_model_name_or_path")->as_string(), "org/model");
  EXPECT_EQ(written.find("peft_type")->as_string(), "LORA");
}

TEST(Peft, AConfigHasWhatPeftNeeds) {
  Adapter adapter = tiny_adapter(4);
  adapter.matrices[2].alpha = 32;
  adapter.rslora = true;
  const TestFolder folder;
  ASSERT_TRUE(write_peft(adapter, folder.file("x")).ok());
  EXPECT_EQ(read_text_file(folder.file("x/adapter_config.json")).value(), R"({
  "alpha_pattern": {
    "model.layers.0.mlp.down_proj": 32
  },
  "base_model_name_or_path": "some/model",
  "bias": "none",
  "fan_in_fan_out": false,
  "inference_mode": true,
  "init_lora_weights": true,
  "lora_alpha": 16,
  "lora_dropout": 0.0,
  "modules_to_save": null,
  "peft_type": "LORA",
  "r": 3,
  "rank_pattern": {},
  "target_modules": [
    "down_proj",
    "k_proj",
    "q_proj"
  ],
  "task_type": "CAUSAL_LM",
  "use_dora": false,
  "use_rslora": true
}
)");
}

TEST(Peft, PatternsChooseAsInPeft) {
  const struct {
    std::string key;
    std::string module;
    bool matches;
  } kCases[] = {
      {"q_proj", "model.layers.0.self_attn.q_proj", true},
      {"q_proj", "model.layers.0.self_attn.xq_proj", false},
      {"q_proj", "q_proj", true},
      {"model.layers.1.self_attn.q_proj", "model.layers.1.self_attn.q_proj", true},
      {"model.layers.1.self_attn.q_proj", "model.layers.11.self_attn.q_proj", false},
      {"1.self_attn.q_proj", "model.layers.11.self_attn.q_proj", false},
      {"layers.0.self_attn.q_proj", "model.layers.0.self_attn.q_proj", true},
      {"^q_proj", "model.layers.0.self_attn.q_proj", false},
      {"^model.layers.0.self_attn.q_proj$", "model.layers.0.self_attn.q_proj", true},
      {R"(layers\.[0-3]\.self_attn\.(q|k)_proj)", "model.layers.2.self_attn.k_proj", true},
      {R"(layers\.[0-3]\.self_attn\.(q|k)_proj)", "model.layers.4.self_attn.k_proj", false},
      {R"(layers\.\d+\..*_proj)", "model.layers.31.mlp.up_proj", true},
      {R"(.*q_proj)", "model.layers.0.self_attn.q_proj", true},
      {R"(q_pro)", "model.layers.0.self_attn.q_proj", false},
  };
  for (const auto& c : kCases) {
    Json object = Json::object();
    object.set(c.key, 5);
    const auto pattern = ModulePattern::read(&object, "alpha_pattern");
    ASSERT_TRUE(pattern.ok()) << pattern.error().message;
    EXPECT_EQ(pattern->find(c.module).has_value(), c.matches) << c.key << " on " << c.module;
  }
  Json two = Json::object();
  two.set("q_proj", 1).set(".*", 2);
  EXPECT_EQ(ModulePattern::read(&two, "x")->find("a.q_proj"), 1) << "the first that matches counts";
  EXPECT_EQ(ModulePattern::read(&two, "x")->find("a.k_proj"), 2);
  Json bad = Json::object();
  bad.set("(?<=q)x", 1);
  EXPECT_FALSE(ModulePattern::read(&bad, "x").ok());
}

TEST(Peft, RefusesWhatItCannotHonourAndSaysWhat) {
  const AdapterBase base = llama_base();
  const struct {
    std::string more;
    std::vector<std::string> says;
  } kConfigs[] = {
      {R"(, "modules_to_save": ["embed_tokens", "lm_head"])", {"modules_to_save", "embed_tokens"}},
      {R"(, "bias": "all")", {"bias"}},
      {R"(, "fan_in_fan_out": true)", {"fan_in_fan_out"}},
      {R"(, "lora_bias": true)", {"lora_bias"}},
      {R"(, "layer_replication": [[0, 4]])", {"layer_replication"}},
      {R"(, "trainable_token_indices": [1])", {"trainable_token_indices"}},
      {R"(, "alora_invocation_tokens": [1])", {"alora_invocation_tokens"}},
      {R"(, "init_lora_weights": "pissa_niter_4")", {"init_lora_weights", "pissa", "base"}},
      {R"(, "use_dora": true)", {"lora_magnitude_vector", kQ}},
      {R"(, "use_dora": 1)", {"use_dora"}},
      {R"(, "rank_pattern": {"q_proj": 2})", {"lora_A is 1 x 6", "its rank is 2"}},
      {R"(, "rank_pattern": {"q_proj": "two"})", {"rank_pattern", "q_proj"}},
      {R"(, "rank_pattern": {"(q_proj": 2})", {"adapter_config.json: \"rank_pattern\": \"(q_proj\": "}},
      {R"(, "alpha_pattern": {"(?<=q)x": 2})", {"adapter_config.json: \"alpha_pattern\": \"(?<=q)x\": "}},
      {R"(, "r": 2)", {"\"r\""}},
  };
  for (const auto& c : kConfigs) {
    Folder folder;
    folder.pair(kQ, 8, 6, 1);
    expect_says(error_of(folder.read(config_of(c.more), &base)), c.says);
  }
  for (const char* config : {"", "[]", "{}", R"({"peft_type": "IA3"})", R"({"peft_type": "LORA", "r": 0})",
                             R"({"peft_type": "LORA", "r": 99999999})", R"({"peft_type": "LORA", "lora_alpha": 1e300})",
                             R"({"peft_type": "LORA", "r": 1, "target_modules": 3})"}) {
    Folder folder;
    folder.pair(kQ, 8, 6, 1);
    EXPECT_NE(error_of(folder.read(config, &base)), "") << config;
  }
  Folder harmless;
  harmless.pair(kQ, 8, 6, 1);
  EXPECT_EQ(error_of(harmless.read(config_of(R"(, "init_lora_weights": "gaussian", "eva_config": {"x": 1},
      "modules_to_save": null, "bias": "none", "something_new": [1])"),
                                   &base)),
            "");
}

TEST(Peft, RefusesTensorsThatDoNotBelongAndNamesThem) {
  const AdapterBase base = llama_base();
  const std::string key = "base_model.model." + kQ;
  const auto refused = [&](const std::function<void(Folder&)>& fill, const std::vector<std::string>& says) {
    Folder folder;
    fill(folder);
    const std::string error = error_of(folder.read(config_of(), &base));
    EXPECT_NE(error, "");
    expect_says(error, says);
  };
  refused([&](Folder& f) { f.tensor(key + ".lora_A.weight", {1, 6}, std::vector<float>(6)); }, {kQ, "no lora_B"});
  refused([&](Folder& f) { f.tensor(key + ".lora_B.weight", {8, 1}, std::vector<float>(8)); }, {kQ, "no lora_A"});
  refused([&](Folder& f) { f.pair(kQ, 8, 6, 1).tensor(key + ".lora_magnitude_vector", {8}, std::vector<float>(8)); },
          {kQ, "no use_dora"});
  refused([&](Folder& f) { f.pair("model.embed_tokens", 8, 6, 1); }, {"model.embed_tokens"});
  refused([&](Folder& f) { f.pair("model.layers.0.mlp.experts.1.up_proj", 8, 6, 1); }, {"experts.1.up_proj"});
  refused(
      [&](Folder& f) {
        f.tensor("base_model.model.model.embed_tokens.weight", {2, 2}, {1, 2, 3, 4});
      },
      {"embed_tokens.weight", "embeddings"});
  refused(
      [&](Folder& f) {
        f.tensor("base_model.model.lm_head.modules_to_save.weight", {2, 2}, {1, 2, 3, 4});
      },
      {"modules_to_save"});
  refused([&](Folder& f) { f.tensor(key + ".lora_embedding_A", {2, 2}, {1, 2, 3, 4}); }, {"lora_embedding_A"});
  refused([&](Folder& f) { f.tensor(key + ".lora_B.bias", {8}, std::vector<float>(8)); }, {"lora_B.bias"});
  refused([&](Folder& f) { f.pair("model.layers.0.self_attn.query", 8, 6, 1); }, {"self_attn.query"});
  refused([&](Folder& f) { f.pair("model.layers.7.self_attn.q_proj", 8, 6, 1); }, {"blk.7.attn_q", "toy"});
  refused([&](Folder& f) { f.pair(kQ, 8, 7, 1); }, {"8 x 7", "8 x 6", "blk.0.attn_q"});
  refused([&](Folder& f) { f.pair(kQ, 6, 6, 1); }, {"6 rows", "2 heads"});
  refused([&](Folder& f) { f.pair(kQ, 8, 6, 2); }, {"lora_A is 2 x 6", "its rank is 1"});
  refused(
      [&](Folder& f) {
        f.tensor(key + ".lora_A.weight", {1, 6}, std::vector<float>(6));
        f.tensor(key + ".lora_B.weight", {8, 2}, std::vector<float>(16));
      },
      {"1 x 6", "8 x 2"});
  refused(
      [&](Folder& f) {
        f.tensor(key + ".lora_A.weight", {1, 6}, {0, 0, NAN, 0, 0, 0});
        f.tensor(key + ".lora_B.weight", {8, 1}, std::vector<float>(8));
      },
      {"blk.0.attn_q", "A", "element 2", "NaN"});
  refused([](Folder&) {}, {"changes no layer"});
}

TEST(Peft, AForeignFolderNeedsTheModel) {
  Folder folder;
  folder.pair(kQ, 8, 6, 1);
  expect_says(error_of(folder.read(config_of(), nullptr)), {"what kind of model", "give the model"});
  AdapterBase other = llama_base();
  other.architecture = "gpt2";
  expect_says(error_of(folder.read(config_of(), &other)), {"gpt2", "not supported"});
}

TEST(Peft, AnAdapterOfAnotherModelIsRefusedWithBothNamed) {
  const TestFolder folder;
  const Adapter adapter = tiny_adapter(5);
  ASSERT_TRUE(write_peft(adapter, folder.file("x")).ok());
  AdapterBase base = base_of(adapter);
  base.hash = "ffff";
  ASSERT_TRUE(read_adapter(folder.file("x"), &base).ok()) << "another number format of the same model";
  EXPECT_EQ(*match_base(adapter, base), BaseMatch::kOther);
  base.layers[0].n = 32;
  expect_says(error_of(read_adapter(folder.file("x"), &base)),
              {"blk.0.attn_q", "16 x 12", "32 x 12", "some/model", adapter.base_hash, "a model", "ffff"});
  base = base_of(adapter);
  base.heads = 8;
  expect_says(error_of(read_adapter(folder.file("x"), &base)), {"2 heads", "8"});
  base = base_of(adapter);
  base.architecture = "qwen2";
  expect_says(error_of(read_adapter(folder.file("x"), &base)), {"llama", "qwen2"});
}

TEST(Peft, SaysWhatToGiveInsteadOfTheWrongFile) {
  const TestFolder folder;
  expect_says(error_of(read_adapter(folder.path())), {"is no adapter"});
  folder.write("adapter_model.bin", "pickle");
  expect_says(error_of(read_adapter(folder.path())), {"pickle"});
  ASSERT_TRUE(write_peft(tiny_adapter(1), folder.file("x")).ok());
  expect_says(error_of(read_adapter(folder.file("x/adapter_config.json"))), {"give the folder"});
  expect_says(error_of(read_adapter(folder.file("x/adapter_model.safetensors"))), {"give the folder"});
  std::filesystem::remove(folder.file("x/adapter_config.json"));
  expect_says(error_of(read_adapter(folder.file("x"))), {"adapter_config.json", "cannot open"});
}

// A limit on the size of files stands for a full disk, at every length that the weights could be cut to.
TEST(Peft, AFullDiskLeavesTheOldAdapter) {
  const TestFolder folder;
  const Adapter old = tiny_adapter(1), fresh = tiny_adapter(2);
  ASSERT_TRUE(write_peft(old, folder.file("x")).ok());
  const auto bytes = std::filesystem::file_size(folder.file("x/adapter_model.safetensors"));
  struct rlimit before {};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto handler = signal(SIGXFSZ, SIG_IGN);
  for (uint64_t limit = 0; limit < bytes; limit += 97) {
    struct rlimit small = before;
    small.rlim_cur = limit;
    ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
    const Status written = write_peft(fresh, folder.file("x"));
    ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
    ASSERT_FALSE(written.ok()) << limit;
    expect_says(written.error().message, {"cannot write"});
    const auto back = read_adapter(folder.file("x"));
    ASSERT_TRUE(back.ok()) << back.error().message;
    expect_same_matrices(*back, old);
    ASSERT_EQ(list_folder(folder.path()).value(), std::vector<std::string>{"x"});
  }
  signal(SIGXFSZ, handler);
  ASSERT_TRUE(write_peft(fresh, folder.file("x")).ok());
  expect_same_matrices(*read_adapter(folder.file("x")), fresh);
}

}  // namespace
}  // namespace andiron
