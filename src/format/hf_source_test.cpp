#include "format/hf_source.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>

#include "base/atomic_file.h"
#include "base/strings.h"
#include "base/test_folder.h"
#include "format/safetensors.h"
#include "tensor/half.h"

namespace andiron {
namespace {

const std::string kTinystories = ANDIRON_SOURCE_DIR "/../shared/data/models/tinystories-656k";

// A Hugging Face folder made by a test: each tensor's elements count up from `first` (and start again at 256, as far as
// bf16 is exact).
class HfFolder {
 public:
  HfFolder& tensor(std::string name, std::vector<uint64_t> shape, DType dtype = DType::kBF16, int first = 0) {
    uint64_t elements = 1;
    for (const uint64_t d : shape) elements *= d;
    std::vector<uint8_t>& bytes = data_.emplace_back(elements * dtype_info(dtype).block_bytes);
    for (uint64_t i = 0; i < elements; ++i) {
      const float value = static_cast<float>((first + i) % 256);
      const uint16_t half = dtype == DType::kF16 ? f32_to_f16(value) : f32_to_bf16(value);
      if (dtype == DType::kF32) std::memcpy(&bytes[4 * i], &value, 4);
      if (dtype != DType::kF32) std::memcpy(&bytes[2 * i], &half, 2);
    }
    tensors_.push_back({std::move(name), dtype, std::move(shape), {}});
    return *this;
  }
  std::unique_ptr<ModelSource> open(const std::string& config) {
    const auto source = write_and_open(config);
    if (!source.ok()) ADD_FAILURE() << source.error().message;
    return source.ok() ? open_hf_folder(folder.path()).value() : nullptr;
  }
  std::string error(const std::string& config) {
    const auto source = write_and_open(config);
    return source.ok() ? "" : source.error().message;
  }
  TestFolder folder;

 private:
  Result<std::unique_ptr<ModelSource>> write_and_open(const std::string& config) {
    folder.write("config.json", config);
    for (size_t i = 0; i < tensors_.size(); ++i) tensors_[i].data = data_[i];
    const Status written = write_safetensors(folder.file("model.safetensors"), tensors_);
    EXPECT_TRUE(written.ok());
    return open_hf_folder(folder.path());
  }
  std::vector<std::vector<uint8_t>> data_;
  std::vector<SafetensorsOut> tensors_;
};

// The members every family needs; `more` begins with a comma.
std::string config_json(const std::string& architecture, const std::string& more = "") {
  return format(R"({{"architectures": ["{}"], "hidden_size": 4, "num_hidden_layers": 1, "intermediate_size": 6,
      "num_attention_heads": 2, "num_key_value_heads": 1, "max_position_embeddings": 128, "rms_norm_eps": 1e-5{}}})",
                architecture, more);
}

std::vector<float> floats(const ModelSource& source, std::string_view name) {
  const TensorInfo* tensor = source.find_tensor(name);
  if (tensor == nullptr) {
    ADD_FAILURE() << "no tensor " << name;
    return {};
  }
  std::vector<uint8_t> scratch;
  const auto bytes = source.whole(*tensor, scratch);
  if (!bytes.ok()) {
    ADD_FAILURE() << bytes.error().message;
    return {};
  }
  std::vector<float> out(tensor->elements);
  for (size_t i = 0; i < out.size(); ++i) {
    uint16_t half = 0;
    if (tensor->dtype == DType::kF32) std::memcpy(&out[i], bytes->data() + 4 * i, 4);
    if (tensor->dtype != DType::kF32) std::memcpy(&half, bytes->data() + 2 * i, 2);
    if (tensor->dtype == DType::kF16) out[i] = f16_to_f32(half);
    if (tensor->dtype == DType::kBF16) out[i] = bf16_to_f32(half);
  }
  return out;
}

std::vector<std::string> names(const ModelSource& source) {
  std::vector<std::string> out;
  for (const TensorInfo& tensor : source.tensors()) out.push_back(tensor.name);
  return out;
}

TEST(HfSource, ATrainedModelOpens) {
  if (!std::filesystem::exists(kTinystories)) GTEST_SKIP() << kTinystories << " is absent";
  const auto opened = open_model_source(kTinystories);
  ASSERT_TRUE(opened.ok()) << opened.error().message;
  const ModelSource& model = **opened;
  EXPECT_EQ(*model.meta_text("general.architecture"), "llama");
  EXPECT_EQ(*model.meta_text("general.name"), "tinystories-656k");
  EXPECT_EQ(*model.meta_int("llama.block_count"), 2);
  EXPECT_EQ(*model.meta_int("llama.attention.head_count_kv"), 4);
  EXPECT_EQ(*model.meta_int("llama.rope.dimension_count"), 16);
  EXPECT_EQ(*model.meta_int("llama.vocab_size"), 2048);
  EXPECT_EQ(*model.meta_float("llama.rope.freq_base"), 10000);
  // The embedding is stored under the output's name, and is both.
  EXPECT_EQ(model.find_tensor("output.weight"), nullptr);
  ASSERT_NE(model.find_tensor("token_embd.weight"), nullptr);
  EXPECT_EQ(model.find_tensor("token_embd.weight")->shape, (std::vector<uint64_t>{2048, 128}));
  EXPECT_EQ(model.tensors().size(), 20u);
  const auto tokenizer = model.side_file("tokenizer.json");
  ASSERT_TRUE(tokenizer.ok());
  EXPECT_EQ(tokenizer->size(), 86434u);
  EXPECT_FALSE(model.side_file("../README.md").ok());
}

TEST(HfSource, RotaryPairsOfLlamaAreInterleaved) {
  HfFolder folder;
  folder.tensor("model.embed_tokens.weight", {8, 2});
  folder.tensor("model.layers.0.self_attn.q_proj.weight", {16, 2}).tensor("model.layers.0.self_attn.q_proj.bias", {16});
  folder.tensor("model.layers.0.self_attn.k_proj.weight", {8, 2})
      .tensor("model.layers.0.self_attn.v_proj.weight", {8, 2});
  const std::string config = config_json("LlamaForCausalLM", R"(, "head_dim": 8)");
  const auto llama = folder.open(config);
  ASSERT_NE(llama, nullptr);
  // In each head of 8, row i of the first half comes before row i of the second.
  EXPECT_EQ(floats(*llama, "blk.0.attn_q.bias"),
            (std::vector<float>{0, 4, 1, 5, 2, 6, 3, 7, 8, 12, 9, 13, 10, 14, 11, 15}));
  EXPECT_EQ(floats(*llama, "blk.0.attn_k.weight"),
            (std::vector<float>{0, 1, 8, 9, 2, 3, 10, 11, 4, 5, 12, 13, 6, 7, 14, 15}));
  EXPECT_EQ(floats(*llama, "blk.0.attn_v.weight")[2], 2) << "values are left alone";
  // Rows in parts are the rows of the whole.
  const TensorInfo& q = *llama->find_tensor("blk.0.attn_q.weight");
  std::vector<uint8_t> all_scratch, scratch;
  const auto all = llama->whole(q, all_scratch);
  for (uint64_t first = 0; first < 16; first += 3) {
    const uint64_t count = std::min<uint64_t>(3, 16 - first);
    const auto part = llama->rows(q, first, count, scratch);
    ASSERT_TRUE(all.ok() && part.ok());
    EXPECT_EQ(std::memcmp(part->data(), all->data() + first * 4, count * 4), 0);
  }

  const auto qwen = folder.open(config_json("Qwen2ForCausalLM", R"(, "head_dim": 8)"));
  ASSERT_NE(qwen, nullptr);
  EXPECT_EQ(floats(*qwen, "blk.0.attn_q.bias")[1], 1) << "the other families keep halves apart";
}

TEST(HfSource, OneDimensionalTensorsAreF32AndMatricesAreAsStored) {
  HfFolder folder;
  folder.tensor("model.embed_tokens.weight", {8, 4}, DType::kF16).tensor("model.norm.weight", {4});
  folder.tensor("lm_head.weight", {8, 4}, DType::kF32);
  const auto source = folder.open(config_json("Qwen3ForCausalLM", R"(, "tie_word_embeddings": false)"));
  ASSERT_NE(source, nullptr);
  EXPECT_EQ(source->find_tensor("token_embd.weight")->dtype, DType::kF16);
  EXPECT_EQ(source->find_tensor("output.weight")->dtype, DType::kF32);
  EXPECT_EQ(source->find_tensor("output_norm.weight")->dtype, DType::kF32);
  EXPECT_EQ(floats(*source, "output_norm.weight"), (std::vector<float>{0, 1, 2, 3}));
}

TEST(HfSource, GemmaNormsGetTheirOne) {
  HfFolder folder;
  folder.tensor("model.embed_tokens.weight", {8, 4}).tensor("lm_head.weight", {8, 4});
  for (const char* norm : {"input_layernorm", "post_attention_layernorm", "pre_feedforward_layernorm",
                           "post_feedforward_layernorm", "self_attn.q_norm"}) {
    folder.tensor(format("model.layers.0.{}.weight", norm), {4});
  }
  const auto source = folder.open(config_json("Gemma3ForCausalLM"));
  ASSERT_NE(source, nullptr);
  EXPECT_EQ(names(*source), (std::vector<std::string>{"token_embd.weight", "blk.0.attn_norm.weight",
                                                      "blk.0.post_attention_norm.weight", "blk.0.ffn_norm.weight",
                                                      "blk.0.post_ffw_norm.weight", "blk.0.attn_q_norm.weight"}));
  EXPECT_EQ(floats(*source, "blk.0.ffn_norm.weight"), (std::vector<float>{1, 2, 3, 4}));
  EXPECT_EQ(floats(*source, "token_embd.weight")[1], 1);
}

TEST(HfSource, TheTextHalfOfASeeingGemmaIsTaken) {
  HfFolder folder;
  folder.tensor("language_model.model.embed_tokens.weight", {8, 4}).tensor("language_model.model.norm.weight", {4});
  folder.tensor("vision_tower.vision_model.embeddings.patch_embedding.weight", {2, 3, 1, 1});
  folder.tensor("multi_modal_projector.mm_input_projection_weight", {2, 2});
  const auto source = folder.open(
      R"({"architectures": ["Gemma3ForConditionalGeneration"], "model_type": "gemma3",
          "text_config": {"hidden_size": 4, "intermediate_size": 6, "num_hidden_layers": 2, "sliding_window": 1024,
                          "rope_scaling": {"factor": 8.0, "rope_type": "linear"}}})");
  ASSERT_NE(source, nullptr);
  EXPECT_EQ(names(*source), (std::vector<std::string>{"token_embd.weight", "output_norm.weight"}));
  // What the file leaves out: transformers' Gemma3TextConfig.
  EXPECT_EQ(*source->meta_int("gemma3.attention.head_count"), 8);
  EXPECT_EQ(*source->meta_int("gemma3.attention.head_count_kv"), 4);
  EXPECT_EQ(*source->meta_int("gemma3.attention.key_length"), 256);
  EXPECT_EQ(*source->meta_int("gemma3.context_length"), 131072);
  EXPECT_EQ(*source->meta_int("gemma3.attention.sliding_window"), 1024);
  EXPECT_EQ(*source->meta_float("gemma3.rope.freq_base"), 1e6);
  EXPECT_EQ(*source->meta_float("gemma3.rope.freq_base_swa"), 1e4);
  EXPECT_EQ(*source->meta_text("gemma3.rope.scaling.type"), "linear");
  EXPECT_EQ(*source->meta_float("gemma3.rope.scaling.factor"), 8);
  EXPECT_EQ(*source->meta_float("gemma3.attention.scale"), 1.0 / 16);
}

TEST(HfSource, ExpertsAreStackedWhateverTheirOrder) {
  HfFolder folder;
  folder.tensor("model.embed_tokens.weight", {8, 4}).tensor("model.layers.0.mlp.gate.weight", {3, 4});
  for (const int e : {2, 0, 1}) {
    folder.tensor(format("model.layers.0.mlp.experts.{}.up_proj.weight", e), {2, 4}, DType::kBF16, 10 * e);
  }
  const std::string config = config_json(
      "Qwen3MoeForCausalLM",
      R"(, "num_experts": 3, "num_experts_per_tok": 2, "moe_intermediate_size": 2, "norm_topk_prob": true)");
  const auto source = folder.open(config);
  ASSERT_NE(source, nullptr);
  const TensorInfo* up = source->find_tensor("blk.0.ffn_up_exps.weight");
  ASSERT_NE(up, nullptr);
  EXPECT_EQ(up->shape, (std::vector<uint64_t>{3, 2, 4}));
  EXPECT_EQ(
      floats(*source, "blk.0.ffn_up_exps.weight"),
      (std::vector<float>{0, 1, 2, 3, 4, 5, 6, 7, 10, 11, 12, 13, 14, 15, 16, 17, 20, 21, 22, 23, 24, 25, 26, 27}));
  std::vector<uint8_t> scratch;
  ASSERT_EQ(source->rows(*up, 2, 2, scratch)->size(), 16u);
  EXPECT_TRUE(scratch.empty()) << "the rows of one expert are not copied";
  ASSERT_EQ(source->rows(*up, 1, 2, scratch)->size(), 16u);
  EXPECT_EQ(scratch.size(), 16u) << "rows of two are";
  EXPECT_EQ(*source->meta_int("qwen3moe.expert_count"), 3);
  EXPECT_EQ(*source->meta_int("qwen3moe.expert_used_count"), 2);
  EXPECT_TRUE(*source->meta_bool("qwen3moe.expert_weights_norm", false));

  folder.tensor("model.layers.0.mlp.experts.1.gate_proj.weight", {2, 4});
  EXPECT_NE(folder.error(config).find("expert 0 of 3 is missing"), std::string::npos);
}

TEST(HfSource, PhiKeepsItsMatricesFusedAndItsTwoListsOfFactors) {
  HfFolder folder;
  folder.tensor("model.embed_tokens.weight", {8, 4}).tensor("model.layers.0.self_attn.qkv_proj.weight", {16, 4});
  folder.tensor("model.layers.0.mlp.gate_up_proj.weight", {12, 4});
  const auto source = folder.open(
      config_json("Phi3ForCausalLM", R"(, "head_dim": 4, "original_max_position_embeddings": 32, "sliding_window": null,
                 "rope_scaling": {"type": "longrope", "long_factor": [1.5, 60], "short_factor": [1, 2]})"));
  ASSERT_NE(source, nullptr);
  EXPECT_EQ(names(*source),
            (std::vector<std::string>{"rope_factors_long.weight", "rope_factors_short.weight", "token_embd.weight",
                                      "blk.0.attn_qkv.weight", "blk.0.ffn_up.weight"}));
  EXPECT_EQ(floats(*source, "rope_factors_long.weight"), (std::vector<float>{1.5, 60}));
  EXPECT_EQ(floats(*source, "rope_factors_short.weight"), (std::vector<float>{1, 2}));
  EXPECT_NEAR(*source->meta_float("phi3.rope.scaling.attn_factor"), std::sqrt(1 + std::log(4.0) / std::log(32.0)),
              1e-12);
  EXPECT_EQ(*source->meta_int("phi3.rope.scaling.original_context_length"), 32);
  EXPECT_EQ(*source->meta_int("phi3.attention.sliding_window"), 0);
}

// The divisors of Llama 3.1 8B (base 500000, heads of 128, factor 8, original context 8192), as the GGUF files in
// circulation hold them: 1 up to pair 28, then rising, 8 from pair 36 on.
TEST(HfSource, Llama3ScalingBecomesATensorOfDivisors) {
  HfFolder folder;
  folder.tensor("model.embed_tokens.weight", {8, 4});
  const auto source = folder.open(config_json("LlamaForCausalLM", R"(, "head_dim": 128, "rope_theta": 500000.0,
          "rope_scaling": {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                           "original_max_position_embeddings": 8192, "rope_type": "llama3"})"));
  ASSERT_NE(source, nullptr);
  const auto divisors = floats(*source, "rope_freqs.weight");
  ASSERT_EQ(divisors.size(), 64u);
  for (size_t i = 0; i < 64; ++i) {
    const double wavelength = 2 * 3.141592653589793 * std::pow(500000.0, 2.0 * static_cast<double>(i) / 128);
    if (wavelength < 2048) {
      EXPECT_EQ(divisors[i], 1) << i;
    } else if (wavelength > 8192) {
      EXPECT_EQ(divisors[i], 8) << i;
    } else {
      EXPECT_GT(divisors[i], divisors[i - 1]) << "rising";
    }
  }
  EXPECT_EQ(divisors[28], 1);
  EXPECT_GT(divisors[29], 1);
  EXPECT_LT(divisors[34], 8);
  EXPECT_EQ(divisors[36], 8);
}

TEST(HfSource, RopeParametersOfNewerConfigsMeanTheSame) {
  HfFolder folder;
  folder.tensor("model.embed_tokens.weight", {8, 4});
  struct Case {
    const char* architecture;
    const char* older;
    const char* newer;
  };
  const Case cases[] = {
      {"Qwen2ForCausalLM", R"(, "rope_theta": 5e5)",
       R"(, "rope_parameters": {"rope_type": "default", "rope_theta": 5e5})"},
      {"Qwen3ForCausalLM",
       R"(, "rope_theta": 1e6, "rope_scaling": {"type": "yarn", "factor": 4, "original_max_position_embeddings": 64})",
       R"(, "rope_parameters": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64,
            "rope_theta": 1e6})"},
      {"Gemma3ForCausalLM", R"(, "rope_theta": 1e6, "rope_local_base_freq": 2e4)",
       R"(, "rope_parameters": {"full_attention": {"rope_type": "default", "rope_theta": 1e6},
            "sliding_attention": {"rope_type": "default", "rope_theta": 2e4}})"},
  };
  for (const Case& c : cases) {
    const auto older = folder.open(config_json(c.architecture, c.older));
    const auto newer = folder.open(config_json(c.architecture, c.newer));
    ASSERT_TRUE(older != nullptr && newer != nullptr);
    ASSERT_EQ(older->metadata().size(), newer->metadata().size());
    for (size_t i = 0; i < older->metadata().size(); ++i) {
      EXPECT_EQ(older->metadata()[i].key, newer->metadata()[i].key);
      EXPECT_TRUE(older->metadata()[i].value.value == newer->metadata()[i].value.value) << older->metadata()[i].key;
    }
  }
}

TEST(HfSource, ThePatternOfLocalLayersIsStatedOnlyWhereItIsUnusual) {
  HfFolder folder;
  folder.tensor("model.embed_tokens.weight", {8, 4});
  const std::string usual = R"(, "layer_types": ["sliding_attention"])";
  const std::string unusual = R"(, "layer_types": ["full_attention"])";
  const char* key = "gemma3.attention.sliding_window_pattern";
  EXPECT_EQ(folder.open(config_json("Gemma3ForCausalLM", usual))->find_meta(key), nullptr);
  const auto source = folder.open(config_json("Gemma3ForCausalLM", unusual));
  ASSERT_NE(source, nullptr);
  EXPECT_EQ(**source->meta_bools(key), (MetaValue::Bools{false}));
  // Qwen names a window and says that it is not in use.
  const auto qwen = folder.open(config_json(
      "Qwen2ForCausalLM", R"(, "sliding_window": 32768, "max_window_layers": 21, "use_sliding_window": false)"));
  EXPECT_EQ(qwen->find_meta("qwen2.attention.sliding_window"), nullptr);
  const auto mistral = folder.open(config_json("MistralForCausalLM", R"(, "sliding_window": 4096)"));
  EXPECT_EQ(*mistral->meta_int("llama.attention.sliding_window"), 4096);
}

TEST(HfSource, TemplatesNameAndLicenceAreFound) {
  HfFolder folder;
  folder.tensor("model.embed_tokens.weight", {8, 4});
  const std::string config = config_json("Qwen2ForCausalLM");
  folder.folder.write("README.md",
                      "---\nlicense: \"apache-2.0\"\ntags:\n- license: no\nmodel_name: Toy 1\n---\n# license: x\n");
  folder.folder.write(
      "tokenizer_config.json",
      R"({"chat_template": [{"name": "default", "template": "A"}, {"name": "tool_use", "template": "B"}]})");
  auto source = folder.open(config);
  ASSERT_NE(source, nullptr);
  EXPECT_EQ(*source->meta_text("general.license"), "apache-2.0");
  EXPECT_EQ(*source->meta_text("general.name"), "Toy 1");
  EXPECT_EQ(*source->meta_text("tokenizer.chat_template"), "A");
  EXPECT_EQ(*source->meta_text("tokenizer.chat_template.tool_use"), "B");

  folder.folder.write("tokenizer_config.json", R"({"chat_template": "C"})");
  EXPECT_EQ(*folder.open(config)->meta_text("tokenizer.chat_template"), "C");
  folder.folder.write("chat_template.json", R"({"chat_template": "D"})");
  EXPECT_EQ(*folder.open(config)->meta_text("tokenizer.chat_template"), "D");
  folder.folder.write("chat_template.jinja", "E\n");
  EXPECT_EQ(*folder.open(config)->meta_text("tokenizer.chat_template"), "E\n");
}

// Each row: what is wrong, and a piece of the message that says so.
TEST(HfSource, RefusesConfigsThatMakeNoSense) {
  HfFolder folder;
  folder.tensor("model.embed_tokens.weight", {8, 4});
  const auto llama = [](const std::string& more) { return config_json("LlamaForCausalLM", more); };
  const std::pair<std::string, const char*> cases[] = {
      {"[]", "a JSON object is expected"},
      {"{\"architectures\": [\"LlamaForCausalLM\"]", "not valid JSON"},
      {"{}", "architecture"},
      {config_json("GPT2LMHeadModel"), "GPT2LMHeadModel"},
      {config_json("ForCausalLM LlamaForCausalLM"), "architecture"},
      {R"({"architectures": ["LlamaForCausalLM"]})", "\"num_hidden_layers\" is missing"},
      {R"({"architectures": ["LlamaForCausalLM"], "num_hidden_layers": 0})", "from 1"},
      {R"({"architectures": ["LlamaForCausalLM"], "num_hidden_layers": 513, "hidden_size": 1})", "at most 512"},
      {R"({"architectures": ["LlamaForCausalLM"], "num_hidden_layers": 1.0})", "whole number"},
      {R"({"architectures": ["LlamaForCausalLM"], "num_hidden_layers": 4294967296})", "whole number"},
      {R"({"architectures": ["LlamaForCausalLM"], "num_hidden_layers": 1, "hidden_size": 4, "intermediate_size": 4,
           "max_position_embeddings": 8, "num_attention_heads": 0})",
       "num_attention_heads"},
      {R"({"architectures": ["LlamaForCausalLM"], "num_hidden_layers": 1, "hidden_size": 4, "intermediate_size": 4,
           "max_position_embeddings": 8, "num_attention_heads": 3, "num_key_value_heads": 2})",
       "share"},
      {R"({"architectures": ["LlamaForCausalLM"], "num_hidden_layers": 1, "hidden_size": 4, "intermediate_size": 4,
           "max_position_embeddings": 8, "num_attention_heads": 3})",
       "head_dim"},
      {llama(R"(, "head_dim": 0)"), "head_dim"},
      {llama(R"(, "head_dim": 3)"), "pairs"},
      {llama(R"(, "rope_theta": 0)"), "rope_theta"},
      {llama(R"(, "rope_theta": -1)"), "rope_theta"},
      {llama(R"(, "rope_theta": 1e300)"), "rope_theta"},
      {llama(R"(, "rope_theta": "10000")"), "rope_theta"},
      {llama(R"(, "rope_scaling": [])"), "an object"},
      {llama(R"(, "rope_scaling": {"type": "dynamic", "factor": 2})"), "dynamic"},
      {llama(R"(, "rope_scaling": {"type": "linear", "factor": 0})"), "factor"},
      {llama(R"(, "rope_scaling": {"rope_type": "llama3", "low_freq_factor": 4, "high_freq_factor": 4})"), "high_freq"},
      {llama(R"(, "partial_rotary_factor": 1.5)"), "rotated"},
      {llama(R"(, "hidden_act": "relu")"), "relu"},
      {llama(R"(, "vocab_size": 9)"), "vocabulary has 9"},
      {llama(R"(, "quantization_config": {"quant_method": "gptq"})"), "quantised"},
      {config_json("Gemma3ForCausalLM", R"(, "layer_types": [])"), "layer_types"},
      {config_json("Gemma3ForCausalLM", R"(, "layer_types": ["chunked_attention"])"), "chunked_attention"},
      {config_json("Phi3ForCausalLM", R"(, "rope_scaling": {"type": "longrope", "long_factor": [1]})"), "short_factor"},
      {config_json("Phi3ForCausalLM", R"(, "rope_scaling": {"type": "longrope", "long_factor": [0]})"), "long_factor"},
      {config_json("Qwen3MoeForCausalLM",
                   R"(, "num_experts": 2, "num_experts_per_tok": 3, "moe_intermediate_size": 4)"),
       "cannot be"},
  };
  for (const auto& [config, message] : cases) {
    const std::string error = folder.error(config);
    EXPECT_NE(error.find(message), std::string::npos) << config << "\n  gave: " << error;
  }
}

TEST(HfSource, RefusesTensorsThatDoNotBelong) {
  struct Case {
    const char* name;
    std::vector<uint64_t> shape;
    const char* message;
  };
  const Case cases[] = {
      {"model.layers.0.self_attn.rotary.weight", {4}, "is not one that llama"},
      {"model.layers.1.input_layernorm.weight", {4}, "is not one that llama with 1 layers"},
      {"model.layers.00.input_layernorm.weight", {4}, "is not one"},
      {"model.layers.-1.input_layernorm.weight", {4}, "is not one"},
      {"model.layers..input_layernorm.weight", {4}, "is not one"},
      {"model.layers.0", {4}, "is not one"},
      {"model.norm.weight.extra", {4}, "is not one"},
      {"model.layers.0.self_attn.q_proj.weight", {6, 4}, "heads of pairs"},
      {"model.layers.0.self_attn.q_proj.weight", {4, 2, 2}, "heads of pairs"},
      {"model.norm.weight", {0}, "a dimension is 0"},
      {"model.norm.weight", {}, "dimensions"},
      {"model.layers.0.mlp.up_proj.weight", {1, 1, 1, 2, 2}, "dimensions"},
      {"model.language_model.embed_tokens.weight", {8, 4}, "appears twice"},
  };
  for (const Case& c : cases) {
    HfFolder folder;
    folder.tensor("model.embed_tokens.weight", {8, 4}).tensor(c.name, c.shape);
    const std::string error = folder.error(config_json("LlamaForCausalLM"));
    EXPECT_NE(error.find(c.message), std::string::npos) << c.name << "\n  gave: " << error;
  }
  HfFolder empty;
  empty.tensor("model.norm.weight", {4});
  EXPECT_NE(empty.error(config_json("LlamaForCausalLM")).find("no embedding"), std::string::npos);
  HfFolder flat;
  flat.tensor("model.embed_tokens.weight", {8});
  EXPECT_NE(flat.error(config_json("LlamaForCausalLM")), "");
}

TEST(OpenModelSource, SaysWhatToGiveInsteadOfTheWrongFile) {
  const TestFolder folder;
  const auto message = [&](const std::string& path) { return open_model_source(path).error().message; };
  EXPECT_NE(message(folder.write("pytorch_model.bin", "x")).find("never opened"), std::string::npos);
  EXPECT_NE(message(folder.write("config.json", "{}")).find("the folder"), std::string::npos);
  EXPECT_NE(message(folder.file("absent.gguf")).find("cannot open"), std::string::npos);
  EXPECT_NE(message(folder.write("x.gguf", "PK\3\4")).find("not a GGUF file"), std::string::npos);
}

}  // namespace
}  // namespace andiron
