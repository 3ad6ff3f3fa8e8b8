#include "model/dense_tensors.h"

#include <utility>

#include "base/strings.h"
#include "format/hf_config.h"
#include "model/family.h"

namespace andiron {

namespace {

const HfFamily* dense_family(std::string_view architecture) {
  const HfFamily* family = find_hf_family(architecture);
  return family != nullptr && !family->has_experts ? family : nullptr;
}

class Layer {
 public:
  Layer(const DenseShape& shape, const HfFamily& family, int64_t index, std::vector<DenseTensor>& out)
      : s_(shape), family_(family), index_(index), out_(out) {}

  void add() {
    const int64_t queries = s_.heads * s_.head_dim, kv = s_.kv_heads * s_.head_dim;
    weight("attn_norm", {s_.width});
    if (family_.is_fused) {
      weight("attn_qkv", {queries + 2 * kv, s_.width});
    } else {
      for (const auto& [name, rows] :
           {std::pair("attn_q", queries), std::pair("attn_k", kv), std::pair("attn_v", kv)}) {
        weight(name, {rows, s_.width});
        if (family_.gguf == "qwen2") tensor(name, ".bias", {rows});
      }
    }
    if (family_.has_qk_norm) {
      weight("attn_q_norm", {s_.head_dim});
      weight("attn_k_norm", {s_.head_dim});
    }
    weight("attn_output", {s_.width, queries});
    if (family_.is_gemma) weight("post_attention_norm", {s_.width});
    weight("ffn_norm", {s_.width});
    if (!family_.is_fused) weight("ffn_gate", {s_.feed_forward, s_.width});
    weight("ffn_up", {(family_.is_fused ? 2 : 1) * s_.feed_forward, s_.width});
    weight("ffn_down", {s_.width, s_.feed_forward});
    if (family_.is_gemma) weight("post_ffw_norm", {s_.width});
  }

 private:
  void weight(std::string_view name, const std::vector<int64_t>& shape) { tensor(name, ".weight", shape); }
  void tensor(std::string_view name, std::string_view suffix, const std::vector<int64_t>& shape) {
    out_.push_back({format("blk.{}.{}{}", index_, name, suffix), {shape.begin(), shape.end()}});
  }

  const DenseShape& s_;
  const HfFamily& family_;
  int64_t index_;
  std::vector<DenseTensor>& out_;
};

// "llama, qwen2, ..."
std::string dense_architectures() {
  std::string names;
  for (const Family* family : all_families()) {
    if (dense_family(family->name) != nullptr) names += format("{}{}", names.empty() ? "" : ", ", family->name);
  }
  return names;
}

}  // namespace

Result<std::vector<DenseTensor>> dense_tensors(const DenseShape& shape) {
  const HfFamily* family = dense_family(shape.architecture);
  if (family == nullptr) {
    return make_error("the architecture \"{}\" is not one of those without experts: {}", in_quotes(shape.architecture),
                      dense_architectures());
  }
  const auto width = static_cast<uint64_t>(shape.width), vocabulary = static_cast<uint64_t>(shape.vocabulary);
  std::vector<DenseTensor> out = {{"token_embd.weight", {vocabulary, width}}};
  for (int64_t i = 0; i < shape.layers; ++i) Layer(shape, *family, i, out).add();
  out.push_back({"output_norm.weight", {width}});
  if (!shape.tied) out.push_back({"output.weight", {vocabulary, width}});
  return out;
}

}  // namespace andiron
