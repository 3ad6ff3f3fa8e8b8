// The keys: ggml's docs/gguf.md and llama.cpp's src/llama-arch.cpp; their defaults: llama_model_base::load_hparams in
// llama.cpp's src/llama-model.cpp.
#include "model/config.h"

#include <algorithm>
#include <cmath>

#include "base/strings.h"
#include "model/config_reader.h"
#include "model/family.h"

namespace andiron {

namespace {

// Far above any model there is, far below what could overflow a product of two.
constexpr int64_t kBlocksMax = 512;  // llama.cpp's LLAMA_MAX_LAYERS
constexpr int64_t kWidthMax = 1 << 20;
constexpr int64_t kHeadsMax = 1024;
constexpr int64_t kHeadDimMax = 512;  // of the attention kernels
constexpr int64_t kFeedForwardMax = 1 << 22;
constexpr int64_t kVocabularyMax = 1 << 24;
constexpr int64_t kContextMax = (int64_t{1} << 31) - 1;
constexpr int64_t kExpertsMax = 1024;

std::string describe(const MetaValue& value) {
  if (const auto* number = std::get_if<int64_t>(&value.value)) return format("{}", *number);
  if (const auto* number = std::get_if<double>(&value.value)) return format("{}", *number);
  if (const auto* text = std::get_if<std::string_view>(&value.value)) return format("\"{}\"", in_quotes(*text));
  return value.is_array() ? "a list" : "true or false";
}

}  // namespace

std::string ConfigReader::key(std::string_view name) const { return format("{}.{}", architecture_, name); }

Error ConfigReader::wrong(std::string_view name, std::string_view expected, std::string_view got) const {
  return make_error("{}: \"{}\" should be {}, but is {}", source_.path(), key(name), expected, got);
}

Result<int64_t> ConfigReader::count(std::string_view name, int64_t least, int64_t most,
                                    std::optional<int64_t> fallback) const {
  const MetaValue* found = source_.find_meta(key(name));
  if (found == nullptr) {
    if (fallback) return *fallback;
    return make_error("{}: \"{}\" is missing; the file is not a complete model", source_.path(), key(name));
  }
  int64_t value = 0;
  if (const auto* list = std::get_if<MetaValue::Ints>(&found->value)) {
    const bool same =
        !list->empty() && std::all_of(list->begin(), list->end(), [&](int64_t n) { return n == list->front(); });
    if (!same)
      return wrong(name, "the same number for every layer", "a list of different ones, which is not supported");
    value = list->front();
  } else if (const auto* number = std::get_if<int64_t>(&found->value)) {
    value = *number;
  } else {
    return wrong(name, "a whole number", describe(*found));
  }
  if (value < least || value > most) return wrong(name, format("from {} to {}", least, most), format("{}", value));
  return value;
}

Result<double> ConfigReader::number(std::string_view name, double least, double most,
                                    std::optional<double> fallback) const {
  if (!has(name) && fallback) return *fallback;
  TRY_ASSIGN(const double value, source_.meta_float(key(name)));
  if (!(value >= least && value <= most)) {
    return wrong(name, format("from {} to {}", least, most), format("{}", value));
  }
  return value;
}

// "attention.sliding_window_pattern" is a flag for each layer (true: windowed) or the period after which a layer sees
// everything (llama.cpp, load_swa_pattern and llama_hparams::set_swa_pattern).
Status ConfigReader::windows(int64_t period, int64_t fallback, ModelConfig& config) const {
  constexpr std::string_view kPattern = "attention.sliding_window_pattern";
  TRY_ASSIGN(const int64_t window, count("attention.sliding_window", 0, kContextMax, fallback));
  config.windows.assign(static_cast<size_t>(config.blocks), 0);
  if (window == 0) return {};
  const MetaValue* pattern = source_.find_meta(key(kPattern));
  if (pattern != nullptr && pattern->is_array()) {
    const auto* flags = std::get_if<MetaValue::Bools>(&pattern->value);
    const auto* numbers = std::get_if<MetaValue::Ints>(&pattern->value);
    const size_t size = flags != nullptr ? flags->size() : numbers != nullptr ? numbers->size() : 0;
    if (size != config.windows.size()) {
      return wrong(kPattern, format("a list of {} flags", config.blocks), format("a list of {}", size));
    }
    for (size_t i = 0; i < size; ++i) {
      if (flags != nullptr ? bool{(*flags)[i]} : (*numbers)[i] != 0) config.windows[i] = window;
    }
    return {};
  }
  TRY_ASSIGN(period, count(kPattern, 0, kBlocksMax, period));
  for (int64_t i = 0; i < config.blocks; ++i) {
    if (period == 0 || (i + 1) % period != 0) config.windows[static_cast<size_t>(i)] = window;
  }
  return {};
}

namespace {

Status read_sizes(const ConfigReader& in, ModelConfig& out) {
  TRY_ASSIGN(out.blocks, in.count("block_count", 1, kBlocksMax));
  TRY_ASSIGN(out.width, in.count("embedding_length", 1, kWidthMax));
  TRY_ASSIGN(out.context, in.count("context_length", 1, kContextMax));
  TRY_ASSIGN(out.heads, in.count("attention.head_count", 1, kHeadsMax));
  TRY_ASSIGN(out.kv_heads, in.count("attention.head_count_kv", 1, kHeadsMax, out.heads));
  if (out.heads % out.kv_heads != 0) {
    return make_error("{}: {} query heads cannot share {} key heads evenly", in.source().path(), out.heads,
                      out.kv_heads);
  }
  const int64_t even_share = out.width / out.heads;
  TRY_ASSIGN(out.head_dim, in.count("attention.key_length", 1, kWidthMax, even_share));
  TRY_ASSIGN(const int64_t value_length, in.count("attention.value_length", 1, kWidthMax, even_share));
  if (value_length != out.head_dim) {
    return make_error("{}: keys of {} numbers with values of {} are not supported", in.source().path(), out.head_dim,
                      value_length);
  }
  if (out.head_dim < 2 || out.head_dim > kHeadDimMax) {
    return make_error("{}: heads of {} numbers are not supported; 2 to {} are", in.source().path(), out.head_dim,
                      kHeadDimMax);
  }
  TRY_ASSIGN(const double epsilon, in.number("attention.layer_norm_rms_epsilon", 1e-30, 1));
  out.norm_epsilon = static_cast<float>(epsilon);
  return {};
}

Status read_experts(const ConfigReader& in, ModelConfig& out) {
  TRY_ASSIGN(out.experts.count, in.count("expert_count", 0, kExpertsMax, 0));
  if (out.experts.count == 0) {
    TRY_ASSIGN(out.feed_forward, in.count("feed_forward_length", 1, kFeedForwardMax));
    return {};
  }
  TRY_ASSIGN(out.experts.used, in.count("expert_used_count", 1, out.experts.count));
  // Without a width of their own experts share the layer's (llama.cpp, llama_model_qwen3moe::load_arch_tensors).
  TRY_ASSIGN(const int64_t whole, in.count("feed_forward_length", 1, kFeedForwardMax, 1));
  TRY_ASSIGN(out.experts.width, in.count("expert_feed_forward_length", 1, kFeedForwardMax,
                                         std::max<int64_t>(1, whole / out.experts.used)));
  TRY_ASSIGN(out.experts.normalise, in.source().meta_bool(in.key("expert_weights_norm"), true));
  return {};
}

// YaRN's keys: llama.cpp's src/llama-arch.cpp; what they do: rope.cpp.
Status read_rope_scaling(const ConfigReader& in, const ModelConfig& config, RopeScaling& out) {
  TRY_ASSIGN(const std::string_view type, in.source().meta_text(in.key("rope.scaling.type"), "linear"));
  // "rope.scale_linear" is the factor's old name.
  const std::string_view factor_name = in.has("rope.scaling.factor") ? "rope.scaling.factor" : "rope.scale_linear";
  TRY_ASSIGN(double factor, in.number(factor_name, 0, 1e6, 1));
  if (factor == 0) factor = 1;  // says "none" in some files
  TRY_ASSIGN(const double original,
             in.number("rope.scaling.original_context_length", 1, kContextMax, static_cast<double>(config.context)));
  TRY_ASSIGN(const double attention, in.number("rope.scaling.attn_factor", 1e-6, 1e6, 1));
  out.original_context = original;
  out.magnitude = attention;
  if (type == "linear") {
    out.kind = factor == 1 ? RopeScaling::Kind::kNone : RopeScaling::Kind::kLinear;
    out.factor = factor;
  } else if (type == "yarn") {
    out.kind = RopeScaling::Kind::kYarn;
    out.factor = factor;
    TRY_ASSIGN(out.extrapolation, in.number("rope.scaling.yarn_ext_factor", 0, 1e6, 1));
    TRY_ASSIGN(out.beta_fast, in.number("rope.scaling.yarn_beta_fast", 1e-6, 1e6, 32));
    TRY_ASSIGN(out.beta_slow, in.number("rope.scaling.yarn_beta_slow", 1e-6, 1e6, 1));
    const double usual = factor > 1 ? 0.1 * std::log(factor) + 1 : 1;
    TRY_ASSIGN(const double magnitude, in.number("rope.scaling.yarn_attn_factor", 1e-6, 1e6, usual));
    out.magnitude = magnitude * attention;
  } else if (type != "none" && type != "longrope") {  // longrope's factors are tensors, see rope.cpp
    return make_error("{}: rotary scaling of type \"{}\" is not supported; none, linear, yarn and longrope are",
                      in.source().path(), in_quotes(type));
  }
  return {};
}

Status read_rope(const ConfigReader& in, ModelConfig& out) {
  TRY_ASSIGN(out.rope.dimensions, in.count("rope.dimension_count", 2, out.head_dim, out.head_dim));
  if (out.rope.dimensions % 2 != 0) {
    return make_error("{}: {} rotary dimensions cannot be rotated in pairs", in.source().path(), out.rope.dimensions);
  }
  TRY_ASSIGN(out.rope.base, in.number("rope.freq_base", 1.5, 1e15, 1e4));
  return read_rope_scaling(in, out, out.rope.scaling);
}

Status read_embedding(const ModelSource& source, ModelConfig& out) {
  const TensorInfo* embedding = source.find_tensor("token_embd.weight");
  if (embedding == nullptr) {
    return make_error("{}: the tensor \"token_embd.weight\" is missing; is this a vocabulary without a model?",
                      source.path());
  }
  if (embedding->shape.size() != 2 || embedding->columns() != static_cast<uint64_t>(out.width)) {
    return make_error("{}: \"token_embd.weight\" has rows of {} numbers, but \"embedding_length\" is {}", source.path(),
                      embedding->columns(), out.width);
  }
  if (embedding->rows() > kVocabularyMax) {
    return make_error("{}: a vocabulary of {} tokens; at most {} are supported", source.path(), embedding->rows(),
                      kVocabularyMax);
  }
  out.vocabulary = static_cast<int64_t>(embedding->rows());
  return {};
}

}  // namespace

Result<ModelConfig> read_model_config(const ModelSource& source, const Family& family) {
  ModelConfig out;
  out.architecture = family.name;
  TRY_ASSIGN(const std::string_view name, source.meta_text("general.name", ""));
  out.name = name;
  const ConfigReader in(source, family.name);
  TRY(read_sizes(in, out));
  TRY(read_experts(in, out));
  TRY(read_rope(in, out));
  TRY(in.windows(0, 0, out));
  TRY_ASSIGN(const double scale,
             in.number("attention.scale", 0, 1e6, 1 / std::sqrt(static_cast<double>(out.head_dim))));
  out.attention_scale = static_cast<float>(scale);
  TRY(read_embedding(source, out));
  TRY(family.read_config(in, out));
  return out;
}

}  // namespace andiron
