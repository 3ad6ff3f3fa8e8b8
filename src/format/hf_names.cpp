// GGUF's names: llama.cpp's gguf-py/gguf/constants.py; which is which: its gguf-py/gguf/tensor_mapping.py.
#include "format/hf_names.h"

#include <charconv>
#include <optional>

#include "base/strings.h"

namespace andiron {

namespace {

struct Pair {
  std::string_view hf;
  std::string_view gguf;
  HfRole role = HfRole::kPlain;
};

constexpr Pair kSplitLayer[] = {
    {"self_attn.q_proj", "attn_q", HfRole::kQuery},
    {"self_attn.k_proj", "attn_k", HfRole::kKey},
    {"self_attn.v_proj", "attn_v"},
    {"mlp.gate_proj", "ffn_gate"},
    {"mlp.up_proj", "ffn_up"},
};
constexpr Pair kFusedLayer[] = {
    {"self_attn.qkv_proj", "attn_qkv"},
    {"mlp.gate_up_proj", "ffn_up"},
};
constexpr Pair kAnyLayer[] = {
    {"self_attn.o_proj", "attn_output"},
    {"mlp.down_proj", "ffn_down"},
    {"input_layernorm", "attn_norm", HfRole::kNorm},
};
constexpr Pair kTwoNorms[] = {
    {"post_attention_layernorm", "ffn_norm", HfRole::kNorm},
};
constexpr Pair kFourNorms[] = {
    {"post_attention_layernorm", "post_attention_norm", HfRole::kNorm},
    {"pre_feedforward_layernorm", "ffn_norm", HfRole::kNorm},
    {"post_feedforward_layernorm", "post_ffw_norm", HfRole::kNorm},
};
constexpr Pair kHeadNorms[] = {
    {"self_attn.q_norm", "attn_q_norm", HfRole::kNorm},
    {"self_attn.k_norm", "attn_k_norm", HfRole::kNorm},
};
constexpr Pair kRouter[] = {{"mlp.gate", "ffn_gate_inp"}};
constexpr Pair kExpertParts[] = {
    {"gate_proj", "ffn_gate_exps", HfRole::kExpert},
    {"up_proj", "ffn_up_exps", HfRole::kExpert},
    {"down_proj", "ffn_down_exps", HfRole::kExpert},
};
constexpr Pair kTop[] = {
    {"model.embed_tokens", "token_embd"},
    {"model.norm", "output_norm", HfRole::kNorm},
    {"lm_head", "output"},
};

// Finds by the one name or the other.
const Pair* find_in(std::span<const Pair> pairs, std::string_view name, std::string_view Pair::*side = &Pair::hf) {
  for (const Pair& pair : pairs) {
    if (pair.*side == name) return &pair;
  }
  return nullptr;
}

const Pair* find_layer_pair(const HfFamily& family, std::string_view name, std::string_view Pair::*side = &Pair::hf) {
  const Pair* found = find_in(kAnyLayer, name, side);
  const auto look = [&](std::span<const Pair> pairs, bool applies) {
    if (found == nullptr && applies) found = find_in(pairs, name, side);
  };
  look(kSplitLayer, !family.is_fused);
  look(kFusedLayer, family.is_fused);
  look(kTwoNorms, !family.is_gemma);
  look(kFourNorms, family.is_gemma);
  look(kHeadNorms, family.has_qk_norm);
  look(kRouter, family.has_experts);
  return found;
}

// Takes "12." off the front; nothing unless it is a number below `end`, written in the one usual way.
std::optional<uint32_t> take_number(std::string_view& text, uint32_t end) {
  uint32_t number = 0;
  const auto [stop, code] = std::from_chars(text.data(), text.data() + text.size(), number);
  const auto digits = static_cast<size_t>(stop - text.data());
  if (code != std::errc() || number >= end || digits == text.size() || *stop != '.') return std::nullopt;
  if (digits > 1 && text.front() == '0') return std::nullopt;
  text.remove_prefix(digits + 1);
  return number;
}

// Takes ".weight" or ".bias" off the end and returns it; nothing when it is neither.
std::string_view take_suffix(std::string_view& name) {
  for (const std::string_view suffix : {".weight", ".bias"}) {
    if (!name.ends_with(suffix)) continue;
    name.remove_suffix(suffix.size());
    return suffix;
  }
  return "";
}

// What the text half of a model that also sees is called, newer and older.
std::string_view without_text_prefix(std::string_view name, std::string& storage) {
  for (const std::string_view prefix : {"model.language_model.", "language_model.model."}) {
    if (!name.starts_with(prefix)) continue;
    storage = "model." + std::string(name.substr(prefix.size()));
    return storage;
  }
  if (name.starts_with("language_model.lm_head.")) name.remove_prefix(std::string_view("language_model.").size());
  return name;
}

bool is_ignored(std::string_view name) {
  // Constants that old exporters stored, and the parts of a model that see.
  constexpr std::string_view kSeeing[] = {"vision_tower.", "multi_modal_projector.", "model.vision_tower.",
                                          "model.multi_modal_projector."};
  for (const auto prefix : kSeeing) {
    if (name.starts_with(prefix)) return true;
  }
  return name.ends_with(".rotary_emb.inv_freq");
}

}  // namespace

Result<HfName> translate_hf_name(const HfConfig& config, std::string_view full_name, std::string_view source) {
  if (is_ignored(full_name)) return HfName{{}, HfRole::kIgnored};
  const auto unknown = [&] {
    return make_error("{}: the tensor \"{}\" is not one that {} with {} layers has", source, in_quotes(full_name),
                      config.family->gguf, config.blocks);
  };
  std::string storage;
  std::string_view name = without_text_prefix(full_name, storage);
  const std::string_view suffix = take_suffix(name);
  if (suffix.empty()) return unknown();
  if (const Pair* top = find_in(kTop, name)) return HfName{format("{}{}", top->gguf, suffix), top->role};

  constexpr std::string_view kLayers = "model.layers.";
  if (!name.starts_with(kLayers)) return unknown();
  name.remove_prefix(kLayers.size());
  const auto layer = take_number(name, config.blocks);
  if (!layer) return unknown();
  constexpr std::string_view kExperts = "mlp.experts.";
  if (config.family->has_experts && name.starts_with(kExperts)) {
    name.remove_prefix(kExperts.size());
    const auto expert = take_number(name, config.experts);
    const Pair* part = expert ? find_in(kExpertParts, name) : nullptr;
    if (part == nullptr) return unknown();
    return HfName{format("blk.{}.{}{}", *layer, part->gguf, suffix), part->role, *expert};
  }
  const Pair* pair = find_layer_pair(*config.family, name);
  if (pair == nullptr) return unknown();
  return HfName{format("blk.{}.{}{}", *layer, pair->gguf, suffix), pair->role};
}

Result<GgufName> translate_gguf_name(const HfFamily& family, std::string_view full_name, std::string_view source) {
  std::string_view name = full_name;
  const std::string_view suffix = take_suffix(name);
  if (const Pair* top = find_in(kTop, name, &Pair::gguf); top != nullptr && !suffix.empty()) {
    return GgufName{format("{}{}", top->hf, suffix), top->role};
  }
  constexpr std::string_view kBlock = "blk.";
  std::optional<uint32_t> layer;
  if (!suffix.empty() && name.starts_with(kBlock)) {
    name.remove_prefix(kBlock.size());
    layer = take_number(name, kHfBlocksMax);
  }
  const Pair* pair = layer ? find_layer_pair(family, name, &Pair::gguf) : nullptr;
  if (pair == nullptr) {
    return make_error("{}: \"{}\" has no counterpart in a Hugging Face model of the family {}", source,
                      in_quotes(full_name), family.gguf);
  }
  return GgufName{format("model.layers.{}.{}{}", *layer, pair->hf, suffix), pair->role};
}

}  // namespace andiron
