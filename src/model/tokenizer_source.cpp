#include "model/tokenizer_source.h"

#include "base/atomic_file.h"
#include "text/tokenizer_json.h"
#include "text/tokenizer_metadata.h"

namespace andiron {

namespace {

constexpr std::string_view kTokenizerFile = "tokenizer.json";

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

Result<std::string> read_if_there(const std::string& path) {
  return file_exists(path) ? read_text_file(path) : Result<std::string>(std::string());
}

Result<TokenizerSpec> read_tokenizer_json(const std::string& path) {
  TRY_ASSIGN(const std::string json, read_text_file(path));
  if (!path.ends_with(kTokenizerFile)) return spec_from_tokenizer_json(json, "", path);
  const std::string front = path.substr(0, path.size() - kTokenizerFile.size());
  TRY_ASSIGN(const std::string config, read_if_there(front + "tokenizer_config.json"));
  TRY_ASSIGN(const std::string special, read_if_there(front + "special_tokens_map.json"));
  TRY_ASSIGN(TokenizerSpec spec, spec_from_tokenizer_json(json, config, path, special));
  TRY_ASSIGN(std::string chat_template, read_if_there(front + "chat_template.jinja"));
  if (!chat_template.empty()) spec.chat_template = std::move(chat_template);
  return spec;
}

}  // namespace

Result<TokenizerSpec> read_tokenizer(const std::string& path) {
  if (path.ends_with(".json")) return read_tokenizer_json(path);
  const std::string inside = path + "/" + std::string(kTokenizerFile);
  if (!file_exists(path + "/config.json") && file_exists(inside)) return read_tokenizer_json(inside);
  TRY_ASSIGN(const auto source, open_model_source(path));
  return tokenizer_spec(*source);
}

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
