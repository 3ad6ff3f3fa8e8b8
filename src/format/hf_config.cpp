// The keys: llama.cpp's gguf-py/gguf/constants.py. Which of config.json's members each is: llama.cpp's conversion/ and
// the configuration classes of Hugging Face transformers, whose defaults are repeated here where files leave them out.
#include "format/hf_config.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numbers>
#include <optional>

#include "base/strings.h"

namespace andiron {

namespace {

constexpr std::array<HfFamily, 7> kFamilies = {{
    {.gguf = "llama", .model_type = "llama", .classes = " LlamaForCausalLM MistralForCausalLM ", .permutes_qk = true},
    {.gguf = "qwen2", .model_type = "qwen2", .classes = " Qwen2ForCausalLM "},
    {.gguf = "qwen3", .model_type = "qwen3", .classes = " Qwen3ForCausalLM ", .has_qk_norm = true},
    {.gguf = "qwen3moe",
     .model_type = "qwen3_moe",
     .classes = " Qwen3MoeForCausalLM ",
     .has_qk_norm = true,
     .has_experts = true},
    {.gguf = "gemma2",
     .model_type = "gemma2",
     .classes = " Gemma2ForCausalLM ",
     .shifts_norms = true,
     .is_gemma = true},
    {.gguf = "gemma3",
     .model_type = "gemma3_text",
     .classes = " Gemma3ForCausalLM Gemma3ForConditionalGeneration ",
     .shifts_norms = true,
     .is_gemma = true,
     .has_qk_norm = true},
    {.gguf = "phi3", .model_type = "phi3", .classes = " Phi3ForCausalLM ", .is_fused = true},
}};

constexpr int64_t kNumberMax = std::numeric_limits<int32_t>::max();

// config.json's members; those of "text_config" hide the outer ones (models that also see keep them there).
class Members {
 public:
  Members(const Json& config, std::string_view source) : outer_(config), source_(source) {
    if (const Json* text = config.find("text_config"); text != nullptr && text->is_object()) inner_ = text;
  }

  // A member that is null counts as absent.
  const Json* find(std::string_view key) const {
    const Json* found = inner_ == nullptr ? nullptr : inner_->find(key);
    if (found == nullptr) found = outer_.find(key);
    return found == nullptr || found->is_null() ? nullptr : found;
  }
  Error wrong(std::string_view key, std::string_view expected) const {
    return make_error("{}: \"{}\" should be {}", source_, key, expected);
  }
  // A whole number from 1 to 2^31 - 1; absent: `fallback`, or an Error without one.
  Result<uint32_t> count(std::string_view key, std::optional<uint32_t> fallback = {}) const {
    const Json* found = find(key);
    if (found == nullptr && fallback) return *fallback;
    if (found == nullptr) return make_error("{}: \"{}\" is missing", source_, key);
    if (!found->is_int() || found->as_int() < 1 || found->as_int() > kNumberMax) {
      return wrong(key, "a whole number from 1 to 2147483647");
    }
    return static_cast<uint32_t>(found->as_int());
  }
  // A number above 0.
  static Result<double> positive(const Json* found, std::string_view key, double fallback, std::string_view source) {
    if (found == nullptr || found->is_null()) return fallback;
    if (!found->is_number() || !(found->as_double() > 0) || found->as_double() > 1e30) {
      return make_error("{}: \"{}\" should be a number above 0", source, key);
    }
    return found->as_double();
  }
  Result<double> positive(std::string_view key, double fallback) const {
    return positive(find(key), key, fallback, source_);
  }
  Result<bool> flag(std::string_view key, bool fallback) const {
    const Json* found = find(key);
    if (found == nullptr) return fallback;
    if (!found->is_bool()) return wrong(key, "true or false");
    return found->as_bool();
  }
  std::string_view source() const { return source_; }

 private:
  const Json& outer_;
  const Json* inner_ = nullptr;
  std::string_view source_;
};

Result<const HfFamily*> find_family(const Members& members) {
  const Json* classes = members.find("architectures");
  const Json* type = members.find("model_type");
  std::string said = "nothing";
  if (classes != nullptr && classes->is_array() && classes->items().size() == 1 && classes->items()[0].is_string()) {
    said = classes->items()[0].as_string();
    for (const HfFamily& family : kFamilies) {
      if (said.find(' ') == std::string::npos && family.classes.find(" " + said + " ") != std::string_view::npos) {
        return &family;
      }
    }
  } else if (classes == nullptr && type != nullptr && type->is_string()) {
    said = type->as_string();
    for (const HfFamily& family : kFamilies) {
      if (said == family.model_type || (said == "mistral" && family.gguf == "llama")) return &family;
    }
  }
  std::string supported;
  for (const HfFamily& family : kFamilies) supported += family.classes.substr(1);
  supported.pop_back();
  return make_error("{}: the architecture is \"{}\"; supported are {}", members.source(), in_quotes(said), supported);
}

class ConfigReader {
 public:
  ConfigReader(const Json& config, std::string_view source) : in_(config, source) {}

  Result<HfConfig> read() {
    TRY_ASSIGN(out_.family, find_family(in_));
    if (in_.find("quantization_config") != nullptr) {
      return make_error("{}: the weights are already quantised by another tool; use the unquantised model, or its GGUF",
                        in_.source());
    }
    TRY(check_activation());
    TRY(read_sizes());
    TRY(read_attention());
    TRY(read_rope());
    if (out_.family->has_experts) TRY(read_experts());
    return std::move(out_);
  }

 private:
  bool gemma() const { return out_.family->is_gemma; }
  bool gemma3() const { return out_.family->gguf == "gemma3"; }
  std::string key(std::string_view name) const { return format("{}.{}", out_.family->gguf, name); }
  void add(std::string_view name, uint32_t value) { out_.metadata.push_back(MetaEntry::u32(key(name), value)); }
  void add_float(std::string_view name, double value) { out_.metadata.push_back(MetaEntry::f32(key(name), value)); }

  // GGUF has no key for it: each architecture has one. (Gemma's early configs say "gelu" and mean the tanh form.)
  Status check_activation() const {
    const Json* act = in_.find("hidden_activation");
    if (act == nullptr) act = in_.find("hidden_act");
    if (act == nullptr) return {};
    const std::string name = act->is_string() ? act->as_string() : "";
    const bool known = gemma() ? name == "gelu_pytorch_tanh" || name == "gelu" : name == "silu" || name == "swish";
    if (known) return {};
    return make_error("{}: the activation \"{}\" is not the one of {}", in_.source(), in_quotes(name),
                      out_.family->gguf);
  }

  Status read_sizes() {
    TRY_ASSIGN(out_.blocks, in_.count("num_hidden_layers"));
    if (out_.blocks > kHfBlocksMax) {
      return make_error("{}: {} layers; at most {} are allowed", in_.source(), out_.blocks, kHfBlocksMax);
    }
    TRY_ASSIGN(const uint32_t width, in_.count("hidden_size"));
    TRY_ASSIGN(const uint32_t inner, in_.count("intermediate_size"));
    TRY_ASSIGN(context_, in_.count("max_position_embeddings", default_context()));
    if (in_.find("vocab_size") != nullptr) {
      TRY_ASSIGN(out_.vocabulary, in_.count("vocab_size"));
    }
    TRY_ASSIGN(out_.tied, in_.flag("tie_word_embeddings", gemma()));
    width_ = width;
    add("block_count", out_.blocks);
    add("context_length", context_);
    add("embedding_length", width);
    add("feed_forward_length", inner);
    return {};
  }

  std::optional<uint32_t> default_context() const {
    if (gemma3()) return 131072;
    return gemma() ? std::optional<uint32_t>(8192) : std::nullopt;
  }

  Status read_attention() {
    const auto heads_default = gemma() ? std::optional<uint32_t>(8) : std::nullopt;
    TRY_ASSIGN(out_.heads, in_.count("num_attention_heads", heads_default));
    TRY_ASSIGN(out_.heads_kv, in_.count("num_key_value_heads", gemma() ? 4 : out_.heads));
    if (out_.heads % out_.heads_kv != 0) {
      return make_error("{}: {} query heads cannot share {} key heads evenly", in_.source(), out_.heads, out_.heads_kv);
    }
    TRY_ASSIGN(head_width_, in_.count("head_dim", gemma() ? 256 : std::max(1u, width_ / out_.heads)));
    if (in_.find("head_dim") == nullptr && !gemma() && width_ % out_.heads != 0) {
      return make_error("{}: a width of {} cannot be split over {} heads, and \"head_dim\" is missing", in_.source(),
                        width_, out_.heads);
    }
    TRY_ASSIGN(const double epsilon, in_.positive("rms_norm_eps", out_.family->is_fused ? 1e-5 : 1e-6));
    add("attention.head_count", out_.heads);
    add("attention.head_count_kv", out_.heads_kv);
    add("attention.key_length", head_width_);
    add("attention.value_length", head_width_);
    add_float("attention.layer_norm_rms_epsilon", epsilon);
    TRY(read_softcaps());
    return read_window();
  }

  Status read_softcaps() {
    if (!gemma()) return {};
    const bool second = !gemma3();
    for (const auto& [name, fallback] :
         {std::pair("attn_logit_softcapping", 50.0), {"final_logit_softcapping", 30.0}}) {
      if (in_.find(name) == nullptr && !second) continue;  // Gemma 3 has none unless it says so
      TRY_ASSIGN(const double value, in_.positive(name, fallback));
      add_float(name, value);
    }
    TRY_ASSIGN(const double scalar, in_.positive("query_pre_attn_scalar", 256));
    add_float("attention.scale", 1 / std::sqrt(scalar));
    return {};
  }

  // The span of local attention, and which layers have it where that is not the architecture's own pattern (GGUF
  // then has none: gemma2 every second layer beginning with the first, gemma3 all but every sixth).
  Status read_window() {
    TRY_ASSIGN(const bool in_use, in_.flag("use_sliding_window", !out_.family->gguf.starts_with("qwen")));
    const Json* window = in_use ? in_.find("sliding_window") : nullptr;
    if (window == nullptr && !gemma()) {
      if (out_.family->is_fused) add("attention.sliding_window", 0);  // phi3: 0 says "none"
      return {};
    }
    TRY_ASSIGN(const uint32_t span, in_.count("sliding_window", 4096));
    add("attention.sliding_window", span);
    TRY_ASSIGN(const MetaValue::Bools stated, stated_pattern());
    if (stated.empty() || stated == usual_pattern()) return {};
    out_.metadata.push_back(MetaEntry::booleans(key("attention.sliding_window_pattern"), stated));
    return {};
  }

  MetaValue::Bools usual_pattern() const {
    MetaValue::Bools is_local(out_.blocks, true);
    const uint32_t period = gemma3() ? 6 : gemma() ? 2 : 0;
    for (uint32_t i = 0; period != 0 && i < out_.blocks; ++i) is_local[i] = (i + 1) % period != 0;
    return is_local;
  }

  // From "layer_types", "sliding_window_pattern" or "max_window_layers"; empty when none is there.
  Result<MetaValue::Bools> stated_pattern() const {
    MetaValue::Bools is_local;
    if (const Json* types = in_.find("layer_types")) {
      if (!types->is_array() || types->items().size() != out_.blocks) {
        return in_.wrong("layer_types", format("a list of {} names", out_.blocks));
      }
      for (const Json& type : types->items()) {
        const std::string name = type.is_string() ? type.as_string() : "";
        if (name != "sliding_attention" && name != "full_attention") {
          return make_error("{}: a layer has the type \"{}\"; sliding_attention and full_attention are supported",
                            in_.source(), in_quotes(name));
        }
        is_local.push_back(name == "sliding_attention");
      }
    } else if (gemma() && in_.find("sliding_window_pattern") != nullptr) {
      TRY_ASSIGN(const uint32_t period, in_.count("sliding_window_pattern"));
      for (uint32_t i = 0; i < out_.blocks; ++i) is_local.push_back((i + 1) % period != 0);
    } else if (in_.find("max_window_layers") != nullptr) {  // qwen: the layers from that one on are local
      const Json& first = *in_.find("max_window_layers");
      if (!first.is_int() || first.as_int() < 0) return in_.wrong("max_window_layers", "a whole number");
      for (uint32_t i = 0; i < out_.blocks; ++i) is_local.push_back(i >= first.as_int());
    }
    return is_local;
  }

  // "rope_parameters" (newer) or "rope_scaling", whose members may be kept apart by kind of layer.
  Status read_rope() {
    const Json* all = in_.find("rope_parameters");
    if (all == nullptr) all = in_.find("rope_scaling");
    if (all != nullptr && !all->is_object()) return in_.wrong("rope_scaling", "an object");
    const Json* global = all;
    const Json* local = nullptr;
    if (all != nullptr && all->find("full_attention") != nullptr) {
      global = all->find("full_attention");
      local = all->find("sliding_attention");
    }
    const Json* theta = global == nullptr ? nullptr : global->find("rope_theta");
    if (theta == nullptr) theta = in_.find("rope_theta");
    TRY_ASSIGN(base_, Members::positive(theta, "rope_theta", gemma3() ? 1e6 : 1e4, in_.source()));
    add_float("rope.freq_base", base_);
    if (gemma3()) {
      const Json* local_theta = local == nullptr ? nullptr : local->find("rope_theta");
      if (local_theta == nullptr) local_theta = in_.find("rope_local_base_freq");
      TRY_ASSIGN(const double value, Members::positive(local_theta, "rope_local_base_freq", 1e4, in_.source()));
      add_float("rope.freq_base_swa", value);
    }
    TRY_ASSIGN(const double part, rope_number(global, "partial_rotary_factor", 1));
    const auto dimensions = static_cast<int64_t>(part * head_width_);
    if (part > 1 || dimensions < 2 || dimensions % 2 != 0) {
      return make_error("{}: {} of {} elements of a head cannot be rotated in pairs", in_.source(), dimensions,
                        head_width_);
    }
    rope_dimensions_ = static_cast<uint32_t>(dimensions);
    add("rope.dimension_count", rope_dimensions_);
    return read_scaling(global);
  }

  // A member of the rope parameters, or of the config itself.
  Result<double> rope_number(const Json* rope, std::string_view name, double fallback) const {
    const Json* found = rope == nullptr ? nullptr : rope->find(name);
    return Members::positive(found == nullptr ? in_.find(name) : found, name, fallback, in_.source());
  }

  Status read_scaling(const Json* rope) {
    const Json* type = rope == nullptr ? nullptr : rope->find("rope_type");
    if (type == nullptr && rope != nullptr) type = rope->find("type");
    const std::string name = type == nullptr ? "default" : type->is_string() ? type->as_string() : "";
    if (out_.family->is_fused) return read_long_rope(rope, name);
    if (name == "default") return {};
    if (name == "linear") {
      TRY_ASSIGN(const double factor, rope_number(rope, "factor", 1));
      out_.metadata.push_back(MetaEntry::text(key("rope.scaling.type"), "linear"));
      add_float("rope.scaling.factor", factor);
      return {};
    }
    if (name == "yarn") return read_yarn(*rope);
    if (name == "llama3") return read_llama3(*rope);
    return make_error("{}: the rope type \"{}\" is not supported for {}; default, linear, yarn and llama3 are",
                      in_.source(), in_quotes(name), out_.family->gguf);
  }

  Status read_yarn(const Json& rope) {
    TRY_ASSIGN(const double factor, rope_number(&rope, "factor", 1));
    TRY_ASSIGN(const double original, rope_number(&rope, "original_max_position_embeddings", context_));
    if (original > kNumberMax) return in_.wrong("original_max_position_embeddings", "below 2^31");
    out_.metadata.push_back(MetaEntry::text(key("rope.scaling.type"), "yarn"));
    add_float("rope.scaling.factor", factor);
    add("rope.scaling.original_context_length", static_cast<uint32_t>(original));
    constexpr std::pair<std::string_view, std::string_view> kOptional[] = {
        {"attention_factor", "rope.scaling.yarn_attn_factor"},
        {"extrapolation_factor", "rope.scaling.yarn_ext_factor"},
        {"beta_fast", "rope.scaling.yarn_beta_fast"},
        {"beta_slow", "rope.scaling.yarn_beta_slow"},
    };
    for (const auto& [member, gguf] : kOptional) {
      const Json* found = rope.find(member);
      if (found == nullptr || found->is_null()) continue;
      TRY_ASSIGN(const double value, Members::positive(found, member, 1, in_.source()));
      add_float(gguf, value);
    }
    return {};
  }

  // Llama 3.1's scaling, which GGUF keeps as a divisor for each rotary frequency ("rope_freqs.weight"): wavelengths
  // beyond the original context are stretched by `factor`, short ones kept, those between blended (transformers,
  // modeling_rope_utils.py, _compute_llama3_parameters).
  Status read_llama3(const Json& rope) {
    TRY_ASSIGN(const double factor, rope_number(&rope, "factor", 8));
    TRY_ASSIGN(const double low, rope_number(&rope, "low_freq_factor", 1));
    TRY_ASSIGN(const double high, rope_number(&rope, "high_freq_factor", 4));
    TRY_ASSIGN(const double original, rope_number(&rope, "original_max_position_embeddings", 8192));
    if (high <= low) return in_.wrong("high_freq_factor", "above low_freq_factor");
    HfComputedTensor divisors{"rope_freqs.weight", {}};
    for (uint32_t i = 0; i < rope_dimensions_ / 2; ++i) {
      const double wavelength = 2 * std::numbers::pi * std::pow(base_, 2.0 * i / rope_dimensions_);
      double divisor = 1;
      if (wavelength > original / low) {
        divisor = factor;
      } else if (wavelength >= original / high) {
        const double kept = (original / wavelength - low) / (high - low);
        divisor = 1 / ((1 - kept) / factor + kept);
      }
      divisors.values.push_back(static_cast<float>(divisor));
    }
    out_.computed.push_back(std::move(divisors));
    return {};
  }

  // Phi-3's two lists of divisors, for contexts up to the original length and beyond, and the factor on attention
  // (transformers, modeling_rope_utils.py, _compute_longrope_parameters).
  Status read_long_rope(const Json* rope, const std::string& name) {
    TRY_ASSIGN(const double original, rope_number(rope, "original_max_position_embeddings", context_));
    if (original < 2 || original > kNumberMax) {
      return in_.wrong("original_max_position_embeddings", "a whole number from 2 to 2147483647");
    }
    add("rope.scaling.original_context_length", static_cast<uint32_t>(original));
    if (name == "default") return {};
    if (name != "longrope" && name != "su" && name != "yarn") {
      return make_error("{}: the rope type \"{}\" is not supported for phi3; default and longrope are", in_.source(),
                        in_quotes(name));
    }
    const double scale = context_ / original;
    double attention = 1;
    if (scale > 1) {
      attention = name == "yarn" ? 0.1 * std::log(scale) + 1 : std::sqrt(1 + std::log(scale) / std::log(original));
    }
    add_float("rope.scaling.attn_factor", attention);
    TRY(read_factors(*rope, "long_factor", "rope_factors_long.weight"));
    return read_factors(*rope, "short_factor", "rope_factors_short.weight");
  }

  Status read_factors(const Json& rope, std::string_view member, std::string_view tensor) {
    const Json* list = rope.find(member);
    if (list == nullptr || !list->is_array() || list->items().size() != rope_dimensions_ / 2) {
      return in_.wrong(member, format("a list of {} numbers", rope_dimensions_ / 2));
    }
    HfComputedTensor out{std::string(tensor), {}};
    for (const Json& item : list->items()) {
      TRY_ASSIGN(const double value, Members::positive(&item, member, 1, in_.source()));
      out.values.push_back(static_cast<float>(value));
    }
    out_.computed.push_back(std::move(out));
    return {};
  }

  Status read_experts() {
    const char* name = in_.find("num_experts") != nullptr ? "num_experts" : "num_local_experts";
    TRY_ASSIGN(out_.experts, in_.count(name));
    TRY_ASSIGN(const uint32_t used, in_.count("num_experts_per_tok"));
    TRY_ASSIGN(const uint32_t inner, in_.count("moe_intermediate_size"));
    TRY_ASSIGN(const bool normalised, in_.flag("norm_topk_prob", false));
    TRY_ASSIGN(const uint32_t step, in_.count("decoder_sparse_step", 1));
    const Json* dense = in_.find("mlp_only_layers");
    if (used > out_.experts || out_.experts > kHfExpertsMax) {
      return make_error("{}: {} experts, {} used for each token, cannot be", in_.source(), out_.experts, used);
    }
    if (step != 1 || (dense != nullptr && !(dense->is_array() && dense->items().empty()))) {
      return make_error("{}: some layers are without experts, which is not supported for {}", in_.source(),
                        out_.family->gguf);
    }
    add("expert_count", out_.experts);
    add("expert_used_count", used);
    add("expert_feed_forward_length", inner);
    out_.metadata.push_back(MetaEntry::boolean(key("expert_weights_norm"), normalised));
    return {};
  }

  Members in_;
  HfConfig out_;
  uint32_t width_ = 0;
  uint32_t context_ = 0;
  uint32_t head_width_ = 0;
  uint32_t rope_dimensions_ = 0;
  double base_ = 0;
};

}  // namespace

const HfFamily* find_hf_family(std::string_view gguf) {
  const auto found = std::find_if(kFamilies.begin(), kFamilies.end(), [&](const auto& f) { return f.gguf == gguf; });
  return found == kFamilies.end() ? nullptr : &*found;
}

Result<HfConfig> read_hf_config(const Json& config, std::string_view source) {
  if (!config.is_object()) return make_error("{}: a JSON object is expected", source);
  return ConfigReader(config, source).read();
}

}  // namespace andiron
