#include "model/output_metadata.h"

#include "model/tokenizer_source.h"

namespace andiron {

namespace {

// ggml's GGML_QNT_VERSION, which readers compare with general.quantization_version.
constexpr uint32_t kQuantizationVersion = 2;

}  // namespace

Result<OutputMetadata> OutputMetadata::create(const ModelSource& source, std::optional<uint32_t> file_type) {
  OutputMetadata metadata;
  const bool translated = source.find_meta("tokenizer.ggml.tokens") == nullptr;
  for (const MetaEntry& entry : source.metadata()) {
    const bool replaced =
        file_type && (entry.key == "general.file_type" || entry.key == "general.quantization_version");
    if (!replaced && !(translated && entry.key.starts_with("tokenizer."))) metadata.entries_.push_back(entry);
  }
  if (file_type) {
    metadata.entries_.push_back(MetaEntry::u32("general.file_type", *file_type));
    metadata.entries_.push_back(MetaEntry::u32("general.quantization_version", kQuantizationVersion));
  }
  if (translated) {
    TRY_ASSIGN(const TokenizerSpec spec, tokenizer_spec(source));
    metadata.spec_values_ = metadata_from_spec(spec);
    for (const auto& [key, value] : metadata.spec_values_) metadata.entries_.push_back(meta_entry(key, value));
  }
  return metadata;
}

MetaEntry meta_entry(const std::string& key, const MetadataValue& value) {
  if (const auto* flag = std::get_if<bool>(&value)) return MetaEntry::boolean(key, *flag);
  if (const auto* number = std::get_if<int64_t>(&value)) return MetaEntry::u32(key, static_cast<uint32_t>(*number));
  if (const auto* text = std::get_if<std::string>(&value)) return MetaEntry::text(key, *text);
  if (const auto* texts = std::get_if<std::vector<std::string>>(&value)) {
    return MetaEntry::texts(key, {texts->begin(), texts->end()});
  }
  if (const auto* ints = std::get_if<std::vector<int32_t>>(&value)) {
    return MetaEntry::i32s(key, {ints->begin(), ints->end()});
  }
  const auto& floats = std::get<std::vector<float>>(value);
  return MetaEntry::f32s(key, {floats.begin(), floats.end()});
}

}  // namespace andiron
