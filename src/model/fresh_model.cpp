#include "model/fresh_model.h"

#include <cmath>
#include <cstring>
#include <utility>
#include <vector>

#include "base/atomic_file.h"
#include "base/content_hash.h"
#include "base/json.h"
#include "base/random.h"
#include "base/strings.h"
#include "format/hf_config.h"
#include "model/output_metadata.h"
#include "model/tokenizer_source.h"
#include "text/jinja.h"

namespace andiron {

namespace {

// The model's numbers in config.json's words, from which format/hf_config makes GGUF's keys.
Json hf_config(const FreshModel& model, const HfFamily& family) {
  const DenseShape& s = model.shape;
  Json out = Json::object();
  out.set("model_type", family.model_type);
  out.set("hidden_size", s.width).set("num_hidden_layers", s.layers).set("intermediate_size", s.feed_forward);
  out.set("num_attention_heads", s.heads).set("num_key_value_heads", s.kv_heads).set("head_dim", s.head_dim);
  out.set("max_position_embeddings", model.context).set("tie_word_embeddings", s.tied);
  out.set("rms_norm_eps", model.norm_epsilon).set("rope_theta", model.rope_base);
  if (family.is_gemma) out.set("query_pre_attn_scalar", s.head_dim);
  return out;
}

class FreshSource : public ModelSource {
 public:
  FreshSource(const FreshModel& model, const std::string& path) : ModelSource(path), model_(model) {}

  Status open() {
    TRY_ASSIGN(TokenizerSpec spec, read_tokenizer(model_.tokenizer));
    if (!model_.chat_template.empty()) {
      TRY_ASSIGN(spec.chat_template, read_text_file(model_.chat_template, jinja::kMaxTemplateBytes));
    }
    model_.shape.vocabulary = static_cast<int64_t>(spec.tokens.size());
    spec_values_ = metadata_from_spec(spec);
    std::vector<TensorInfo> tensors;
    TRY_ASSIGN(const auto wanted, dense_tensors(model_.shape));
    for (const DenseTensor& tensor : wanted) {
      TRY_ASSIGN(TensorInfo info, make_tensor_info(tensor.name, DType::kF32, tensor.shape, path()));
      tensors.push_back(std::move(info));
    }
    TRY_ASSIGN(std::vector<MetaEntry> metadata, make_metadata());
    return set_contents(std::move(metadata), std::move(tensors));
  }

  Result<std::span<const uint8_t>> rows(const TensorInfo& tensor, uint64_t first, uint64_t count,
                                        std::vector<uint8_t>& scratch) const override {
    TRY_ASSIGN(const size_t index, check_rows(tensor, first, count));
    const TensorInfo& own = tensors()[index];
    const uint64_t columns = own.columns();
    scratch.resize(count * columns * sizeof(float));
    const RandomStream random(model_.seed,
                              short_hash({reinterpret_cast<const uint8_t*>(own.name.data()), own.name.size()}));
    const double spread = deviation(own);
    for (uint64_t i = 0; i < count * columns; ++i) {
      float value = own.name.ends_with(".bias") ? 0.0F : 1.0F;
      if (spread > 0) value = static_cast<float>(spread * random.normal(first * columns + i));
      std::memcpy(scratch.data() + i * sizeof value, &value, sizeof value);
    }
    return std::span<const uint8_t>(scratch);
  }

  void drop(const TensorInfo&) const override {}
  Status check_intact() const override { return {}; }

 private:
  // 0 of what is not drawn.
  double deviation(const TensorInfo& tensor) const {
    if (tensor.shape.size() == 1) return 0;
    const bool adds = tensor.name.ends_with("attn_output.weight") || tensor.name.ends_with("ffn_down.weight");
    return adds ? 0.02 / std::sqrt(2.0 * static_cast<double>(model_.shape.layers)) : 0.02;
  }

  Result<std::vector<MetaEntry>> make_metadata() {
    const HfFamily& family = *find_hf_family(model_.shape.architecture);
    TRY_ASSIGN(HfConfig config, read_hf_config(hf_config(model_, family), path()));
    std::vector<MetaEntry> out = {MetaEntry::text("general.architecture", family.gguf),
                                  MetaEntry::text("general.type", "model"),
                                  MetaEntry::text("general.name", model_.name)};
    if (!model_.license.empty()) out.push_back(MetaEntry::text("general.license", model_.license));
    for (MetaEntry& entry : config.metadata) out.push_back(std::move(entry));
    out.push_back(MetaEntry::u32(format("{}.vocab_size", family.gguf), static_cast<uint32_t>(model_.shape.vocabulary)));
    for (const auto& [key, value] : spec_values_) out.push_back(meta_entry(key, value));
    return out;
  }

  FreshModel model_;
  std::vector<std::pair<std::string, MetadataValue>> spec_values_;  // what entries view
};

}  // namespace

Result<std::unique_ptr<ModelSource>> make_fresh_source(const FreshModel& model, const std::string& path) {
  auto source = std::make_unique<FreshSource>(model, path);
  TRY(source->open());
  return std::unique_ptr<ModelSource>(std::move(source));
}

}  // namespace andiron
