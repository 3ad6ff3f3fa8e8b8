// For tests only: small random models of every family, as GGUF files and as the numbers in them.
#pragma once

#include <cmath>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "format/gguf.h"
#include "tensor/quantize.h"

namespace andiron {

// A matrix or vector as the file holds it, decoded.
struct TinyTensor {
  std::vector<uint64_t> shape;
  std::vector<float> values;
  std::vector<uint8_t> bytes;
  DType dtype = DType::kF32;
};

struct TinyModel {
  std::string architecture = "llama";
  int64_t blocks = 2, width = 64, heads = 4, kv_heads = 2, head_dim = 16, inner = 96, vocabulary = 83;
  int64_t context = 256;
  bool tied = false, fused = false, biases = false;
  DType dtype = DType::kF32;
  double epsilon = 1e-5;
  int64_t rope_dimensions = 0;  // 0: head_dim
  double rope_base = 10000, rope_base_local = 0;
  std::string scaling;  // "linear", "yarn", or "" for none
  double factor = 1, original_context = 0, beta_fast = 32, beta_slow = 1, attention_factor = 1;
  std::vector<double> divisors, divisors_short, divisors_long;
  int64_t window = 0;
  std::vector<bool> windowed;  // [blocks] the layers that have the window, as the architecture's pattern says
  double score_cap = 0, logit_cap = 0, score_scale = 0;
  int64_t experts = 0, experts_used = 0;
  std::vector<MetaEntry> more;  // further metadata
  uint64_t seed = 1;

  bool is_gemma() const { return architecture.starts_with("gemma"); }
  bool has_head_norms() const { return architecture.starts_with("qwen3") || architecture == "gemma3"; }

  // Filled by build().
  std::map<std::string, TinyTensor> tensors;
  std::vector<TensorInfo> infos;

  // Draws the weights. Call once, before write() or the reference.
  void build() {
    const int64_t queries = heads * head_dim, kv = kv_heads * head_dim;
    matrix("token_embd.weight", {vocabulary, width});
    for (int64_t i = 0; i < blocks; ++i) {
      const std::string p = "blk." + std::to_string(i) + ".";
      vector(p + "attn_norm.weight", width, 1);
      if (fused) {
        matrix(p + "attn_qkv.weight", {queries + 2 * kv, width});
      } else {
        matrix(p + "attn_q.weight", {queries, width});
        matrix(p + "attn_k.weight", {kv, width});
        matrix(p + "attn_v.weight", {kv, width});
      }
      if (biases) {
        vector(p + "attn_q.bias", queries, 0);
        vector(p + "attn_k.bias", kv, 0);
        vector(p + "attn_v.bias", kv, 0);
      }
      if (has_head_norms()) {
        vector(p + "attn_q_norm.weight", head_dim, 1);
        vector(p + "attn_k_norm.weight", head_dim, 1);
      }
      matrix(p + "attn_output.weight", {width, queries});
      vector(p + "ffn_norm.weight", width, 1);
      if (is_gemma()) {
        vector(p + "post_attention_norm.weight", width, 1);
        vector(p + "post_ffw_norm.weight", width, 1);
      }
      build_feed_forward(p);
    }
    vector("output_norm.weight", width, 1);
    if (!tied) matrix("output.weight", {vocabulary, width});
    for (const auto& [name, list] : {std::pair("rope_freqs.weight", &divisors),
                                     {"rope_factors_short.weight", &divisors_short},
                                     {"rope_factors_long.weight", &divisors_long}}) {
      if (!list->empty()) add(name, {list->size()}, std::vector<float>(list->begin(), list->end()), DType::kF32);
    }
  }

  std::vector<MetaEntry> metadata() const {
    std::vector<MetaEntry> out = {MetaEntry::text("general.architecture", architecture),
                                  MetaEntry::text("tokenizer.ggml.model", "no_vocab")};
    const auto count = [&](std::string_view name, int64_t value) {
      out.push_back(MetaEntry::u32(architecture + "." + std::string(name), static_cast<uint32_t>(value)));
    };
    const auto number = [&](std::string_view name, double value) {
      out.push_back(MetaEntry::f32(architecture + "." + std::string(name), value));
    };
    count("vocab_size", vocabulary);
    count("block_count", blocks);
    count("context_length", context);
    count("embedding_length", width);
    count("feed_forward_length", inner);
    count("attention.head_count", heads);
    count("attention.head_count_kv", kv_heads);
    count("attention.key_length", head_dim);
    count("attention.value_length", head_dim);
    number("attention.layer_norm_rms_epsilon", epsilon);
    count("rope.dimension_count", rotary());
    number("rope.freq_base", rope_base);
    if (rope_base_local > 0) number("rope.freq_base_swa", rope_base_local);
    if (window > 0) count("attention.sliding_window", window);
    if (score_cap > 0) number("attn_logit_softcapping", score_cap);
    if (logit_cap > 0) number("final_logit_softcapping", logit_cap);
    if (original_context > 0) count("rope.scaling.original_context_length", static_cast<int64_t>(original_context));
    if (attention_factor != 1) number("rope.scaling.attn_factor", attention_factor);
    if (!scaling.empty()) {
      out.push_back(MetaEntry::text(architecture + ".rope.scaling.type", scaling));
      number("rope.scaling.factor", factor);
    }
    if (experts > 0) {
      count("expert_count", experts);
      count("expert_used_count", experts_used);
      count("expert_feed_forward_length", inner);
    }
    out.insert(out.end(), more.begin(), more.end());
    return out;
  }

  Status write(const std::string& path) const {
    TRY_ASSIGN(GgufWriter writer, GgufWriter::create(path, metadata(), infos));
    for (const TensorInfo& info : infos) TRY(writer.append(tensors.at(info.name).bytes));
    return writer.finish();
  }

  int64_t rotary() const { return rope_dimensions > 0 ? rope_dimensions : head_dim; }

 private:
  void build_feed_forward(const std::string& p) {
    if (experts > 0) {
      matrix(p + "ffn_gate_inp.weight", {experts, width}, DType::kF32, 3);  // decided choices, few ties
      matrix(p + "ffn_gate_exps.weight", {experts, inner, width});
      matrix(p + "ffn_up_exps.weight", {experts, inner, width});
      matrix(p + "ffn_down_exps.weight", {experts, width, inner});
      return;
    }
    if (fused) {
      matrix(p + "ffn_up.weight", {2 * inner, width});
    } else {
      matrix(p + "ffn_gate.weight", {inner, width});
      matrix(p + "ffn_up.weight", {inner, width});
    }
    matrix(p + "ffn_down.weight", {width, inner});
  }
  void matrix(const std::string& name, std::vector<int64_t> shape) { matrix(name, std::move(shape), dtype, 1); }
  void matrix(const std::string& name, std::vector<int64_t> shape, DType type, double size) {
    const double spread = size / std::sqrt(static_cast<double>(shape.back()));
    const std::vector<uint64_t> dimensions(shape.begin(), shape.end());
    uint64_t elements = 1;
    for (const uint64_t d : dimensions) elements *= d;
    add(name, dimensions, draw(elements, spread, 0), type);
  }
  void vector(const std::string& name, int64_t size, double middle) {
    add(name, {static_cast<uint64_t>(size)}, draw(static_cast<uint64_t>(size), 0.2, middle), DType::kF32);
  }
  std::vector<float> draw(uint64_t elements, double spread, double middle) const {
    const RandomStream random(seed, infos.size());
    std::vector<float> values(elements);
    for (uint64_t i = 0; i < elements; ++i) values[i] = static_cast<float>(middle + spread * random.normal(i));
    return values;
  }
  void add(const std::string& name, std::vector<uint64_t> shape, std::vector<float> values, DType type) {
    TinyTensor tensor{shape, std::move(values), {}, type};
    const auto info = make_tensor_info(name, type, std::move(shape), "test").value();
    tensor.bytes.resize(info.bytes);
    encode_row(type, tensor.values.data(), tensor.bytes.data(), info.elements, nullptr);
    decode_row(type, tensor.bytes.data(), tensor.values.data(), info.elements);
    tensors[name] = std::move(tensor);
    infos.push_back(info);
  }
};

}  // namespace andiron
