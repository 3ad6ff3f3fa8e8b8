#include "model/tokenizer_source.h"

#include "text/tokenizer_json.h"
#include "text/tokenizer_metadata.h"

namespace andiron {

namespace {

class SourceMetadata : public MetadataReader {
 public:
  explicit SourceMetadata(const ModelSource& source) : source_(source) {}

  std::optional<std::string_view> text(std::string_view key) const override { return get<std::string_view>(key); }
  std::optional<int64_t> integer(std::string_view key) const override { return get<int64_t>(key); }
  std::optional<bool> boolean(std::string_view key) const override { return get<bool>(key); }
  const MetaValue::Texts* texts(std::string_view key) const override { return list<MetaValue::Texts>(key); }
  const MetaValue::Ints* integers(std::string_view key) const override { return list<MetaValue::Ints>(key); }
  const MetaValue::Floats* floats(std::string_view key) const override { return list<MetaValue::Floats>(key); }

 private:
  template <typename T>
  const T* list(std::string_view key) const {
    const MetaValue* found = source_.find_meta(key);
    return found == nullptr ? nullptr : std::get_if<T>(&found->value);
  }
  template <typename T>
  std::optional<T> get(std::string_view key) const {
    const T* found = list<T>(key);
    return found == nullptr ? std::nullopt : std::optional<T>(*found);
  }

  const ModelSource& source_;
};

// A file beside the weights, or "" where there is none.
std::string optional_side_file(const ModelSource& source, std::string_view name) {
  auto text = source.side_file(name);
  return text.ok() ? std::move(text).value() : "";
}

}  // namespace

Result<TokenizerSpec> tokenizer_spec(const ModelSource& source) {
  const SourceMetadata metadata(source);
  TokenizerSpec spec;
  if (metadata.texts("tokenizer.ggml.tokens") != nullptr) {
    TRY_ASSIGN(spec, spec_from_metadata(metadata, source.path()));
  } else {
    TRY_ASSIGN(const std::string json, source.side_file("tokenizer.json"));
    TRY_ASSIGN(spec, spec_from_tokenizer_json(json, optional_side_file(source, "tokenizer_config.json"), source.path(),
                                              optional_side_file(source, "special_tokens_map.json")));
    // The source has looked in chat_template.jinja too.
    if (const auto found = metadata.text("tokenizer.chat_template")) spec.chat_template = *found;
  }
  if (const TensorInfo* embedding = source.find_tensor("token_embd.weight")) {
    pad_vocabulary(spec, embedding->rows());
  }
  return spec;
}

}  // namespace andiron
