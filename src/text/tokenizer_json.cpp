#include "text/tokenizer_json.h"

#include <algorithm>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/keyed_hash.h"
#include "base/strings.h"
#include "text/pre_names.h"
#include "text/tokenizer_json_pipeline.h"

namespace andiron {

namespace {

constexpr int64_t kIdMax = (1 << 24) - 1;
// Ids may leave gaps, but not so many that a small file makes a large vocabulary.
constexpr int64_t kGapsMax = 4096;
constexpr std::string_view kSpace = "\u2581";

class Reader {
 public:
  Reader(const Json& root, const Json& config, const Json& map, std::string_view source)
      : root_(root), model_(root.member("model")), config_(config), map_(map), source_(source) {}

  Result<TokenizerSpec> read() {
    spec_.source = source_;
    spec_.byte_level = false;
    TRY(read_model_kind());
    TRY(collect_vocabulary());
    TRY(collect_added_tokens());
    TRY(read_pipeline(root_, source_, spec_));
    TRY(decide_algorithm());
    TRY(fill_tokens());
    TRY(read_merges());
    TRY(read_special_tokens());
    TRY(read_post_processor(root_.member("post_processor")));
    TRY(apply_config_flags());
    read_chat_template();
    if (spec_.model == TokenizerModel::kSentencePiece) score_by_merges();
    if (spec_.byte_level) {
      spec_.pre = name_pre_tokenizer(spec_.stages, spec_.ignore_merges);
      if (spec_.pre.empty()) spec_.pre = name_pre_tokenizer(spec_.stages, !spec_.ignore_merges);
    }
    return std::move(spec_);
  }

 private:
  template <typename... Args>
  Error fail(fmt::format_string<Args...> pattern, Args&&... args) const {
    return make_error("{}: {}", source_, andiron::format(pattern, std::forward<Args>(args)...));
  }

  Status read_model_kind() {
    if (!model_.is_object())
      return fail("there is no \"model\" in tokenizer.json, which holds the vocabulary; download the file again");
    // Old files leave the type out.
    const std::string_view type =
        model_.member("type").text_or(model_.member("merges").is_array() ? "BPE" : "WordPiece");
    if (type == "WordPiece") {
      spec_.model = TokenizerModel::kWordPiece;
      const Json& chars = model_.member("max_input_chars_per_word");
      if (chars.is_int())
        spec_.word_chars_max =
            static_cast<int32_t>(std::clamp<int64_t>(chars.as_int(), 0, TokenizerSpec::kWordCharsMax));
      return {};
    }
    if (type != "BPE")
      return fail("the tokenizer model is \"{}\", but only BPE and WordPiece are supported", in_quotes(type));
    spec_.ignore_merges = model_.member("ignore_merges").bool_or(false);
    spec_.fuse_unknown = model_.member("fuse_unk").bool_or(false);
    for (const std::string_view key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
      if (const auto text = model_.member(key).text_or(""); !text.empty()) {
        return fail("model.{} is \"{}\", but only an empty one is supported", key, in_quotes(text));
      }
    }
    const Json& dropout = model_.member("dropout");
    if (dropout.is_number() && dropout.as_double() != 0) return fail("model.dropout is not supported");
    return {};
  }

  // Records that `id` has this text; refuses a second text.
  Status claim(int64_t id, std::string_view text) {
    if (id < 0 || id > kIdMax)
      return fail("the token \"{}\" has id {}, but ids run from 0 to {}", in_quotes(text), id, kIdMax);
    const auto index = static_cast<size_t>(id);
    // Beyond this the check for gaps below is bound to fail.
    if (id > static_cast<int64_t>(claimed_) + kGapsMax + vocabulary_size_) return fail_sparse(id);
    if (index >= texts_.size()) texts_.resize(index + 1);
    if (texts_[index].data() != nullptr && texts_[index] != text) {
      return fail("the tokens \"{}\" and \"{}\" both have id {}", in_quotes(texts_[index]), in_quotes(text), id);
    }
    if (texts_[index].data() == nullptr) ++claimed_;
    texts_[index] = text;
    return {};
  }
  Error fail_sparse(int64_t id) const {
    return fail("there is a token with id {}, but far fewer tokens; the vocabulary has gaps", id);
  }

  Status collect_vocabulary() {
    const Json& vocab = model_.member("vocab");
    if (!vocab.is_object()) return fail("there is no model.vocab, or it is no object");
    vocabulary_size_ = static_cast<int64_t>(vocab.members().size());
    for (const auto& [text, id] : vocab.members()) {
      if (!id.is_int()) return fail("the token \"{}\" has an id that is no whole number", in_quotes(text));
      TRY(claim(id.as_int(), text));
    }
    return {};
  }

  Status collect_added_tokens() {
    const Json& added = root_.member("added_tokens");
    if (added.is_null()) return {};
    if (!added.is_array()) return fail("added_tokens is no array");
    for (const Json& token : added.items()) {
      const Json& id = token.member("id");
      const Json& content = token.member("content");
      if (!id.is_int() || !content.is_string()) return fail("an entry of added_tokens has no id or no content");
      TRY(claim(id.as_int(), content.as_string()));
      const auto index = static_cast<size_t>(id.as_int());
      types_.resize(std::max(types_.size(), index + 1), TokenType::kNormal);
      types_[index] = token.member("special").bool_or(false) ? TokenType::kControl : TokenType::kUserDefined;
      const TokenRule rule{static_cast<int32_t>(index), token.member("lstrip").bool_or(false),
                           token.member("rstrip").bool_or(false), token.member("single_word").bool_or(false)};
      if (rule.strip_left || rule.strip_right || rule.single_word) spec_.rules.push_back(rule);
    }
    return {};
  }

  // BPE without ByteLevel must at least write spaces as SentencePiece does.
  Status decide_algorithm() {
    if (spec_.model == TokenizerModel::kWordPiece || spec_.byte_level) return {};
    const bool byte_fallback = model_.member("byte_fallback").bool_or(false);
    if (!byte_fallback && !replaces_spaces(root_)) {
      return fail("BPE with neither the ByteLevel pre-tokenizer nor U+2581 for spaces is not supported");
    }
    spec_.model = TokenizerModel::kSentencePiece;
    return {};
  }

  Status fill_tokens() {
    const size_t count = texts_.size();
    if (count == 0) return fail("the vocabulary is empty");
    if (count > claimed_ + static_cast<size_t>(kGapsMax)) return fail_sparse(static_cast<int64_t>(count) - 1);
    types_.resize(count, TokenType::kNormal);
    size_t bytes = 0;
    for (const std::string_view text : texts_) bytes += text.size() + kSpace.size();
    if (bytes > TextList::kBytesMax) return fail("the vocabulary is larger than 4 GiB");
    spec_.tokens.reserve(count, bytes);
    const std::string_view subword = model_.member("continuing_subword_prefix").text_or("##");
    for (size_t id = 0; id < count; ++id) {
      const std::string_view text = texts_[id];
      if (text.data() == nullptr) {
        types_[id] = TokenType::kUnused;
        spec_.tokens.push_back(format("[PAD{}]", id));
      } else if (spec_.model == TokenizerModel::kWordPiece) {
        spec_.tokens.push_back(word_piece_text(text, subword, types_[id]));
      } else {
        if (spec_.model == TokenizerModel::kSentencePiece && types_[id] == TokenType::kNormal && is_byte_name(text)) {
          types_[id] = TokenType::kByte;
        }
        spec_.tokens.push_back(text);
      }
    }
    spec_.types = types_;
    return {};
  }

  // GGUF's form: U+2581 where a word begins, nothing where one goes on. "[...]" stays (llama.cpp, conversion of BERT).
  static std::string word_piece_text(std::string_view text, std::string_view subword, TokenType type) {
    const bool bracketed = text.size() > 1 && text.front() == '[' && text.back() == ']';
    if (type != TokenType::kNormal || bracketed) return std::string(text);
    if (!subword.empty() && text.substr(0, subword.size()) == subword) return std::string(text.substr(subword.size()));
    return std::string(kSpace).append(text);
  }

  static bool is_byte_name(std::string_view text) {
    return text.size() == 6 && text.substr(0, 3) == "<0x" && text.back() == '>';
  }

  Status read_merges() {
    if (spec_.model == TokenizerModel::kWordPiece) return {};
    const Json& merges = model_.member("merges");
    if (!merges.is_array()) return fail("there are no model.merges");
    size_t bytes = 0;
    const auto add = [&](std::string_view left, std::string_view right) {
      bytes += left.size() + right.size();
      spec_.merge_left.push_back(left);
      spec_.merge_right.push_back(right);
    };
    spec_.merge_left.reserve(merges.items().size(), 0);
    spec_.merge_right.reserve(merges.items().size(), 0);
    for (const Json& merge : merges.items()) {
      if (merge.is_array() && merge.items().size() == 2 && merge.items()[0].is_string() &&
          merge.items()[1].is_string()) {
        add(merge.items()[0].as_string(), merge.items()[1].as_string());
        continue;
      }
      const std::string_view text = merge.text_or("");
      const size_t space = text.find(' ');
      if (space == std::string_view::npos) {
        return fail("model.merges, index {}: neither a pair nor two parts with a space between",
                    spec_.merge_left.size());
      }
      add(text.substr(0, space), text.substr(space + 1));
    }
    if (bytes > TextList::kBytesMax) return fail("the merges are larger than 4 GiB");
    return {};
  }

  // The id of a token by its text in the file, or kNoToken. Asked for a handful of tokens: a scan beats an index.
  int32_t find(std::string_view text) const {
    const auto found = text.empty() ? texts_.end() : std::find(texts_.begin(), texts_.end(), text);
    return found == texts_.end() ? kNoToken : static_cast<int32_t>(found - texts_.begin());
  }

  // A token named in the config or the map: a text, or an object with its content.
  int32_t named(std::string_view key) const {
    for (const Json* file : {&config_, &map_}) {
      const Json& value = file->member(key);
      const std::string_view text = (value.is_object() ? value.member("content") : value).text_or("");
      if (const int32_t id = find(text); id != kNoToken) return id;
    }
    return kNoToken;
  }

  Status read_special_tokens() {
    spec_.bos = named("bos_token");
    spec_.eos = named("eos_token");
    spec_.pad = named("pad_token");
    spec_.sep = named("sep_token");
    spec_.cls = named("cls_token");
    spec_.mask = named("mask_token");
    spec_.unk = find(model_.member("unk_token").text_or(""));
    // Byte-level BPE knows nothing of the config's unknown token: a missing byte is left out.
    if (spec_.unk == kNoToken && !spec_.byte_level) spec_.unk = named("unk_token");
    if (spec_.unk != kNoToken && spec_.types[static_cast<size_t>(spec_.unk)] == TokenType::kControl) {
      spec_.types[static_cast<size_t>(spec_.unk)] = TokenType::kUnknown;
    }
    return {};
  }

  Status read_post_processor(const Json& processor, int depth = 0) {
    const std::string_view type = processor.member("type").text_or("");
    if (processor.is_null() || type == "ByteLevel") return {};
    if (type == "Sequence" && processor.member("processors").is_array() && depth < 4) {
      for (const Json& item : processor.member("processors").items()) TRY(read_post_processor(item, depth + 1));
      return {};
    }
    if (type == "BertProcessing" || type == "RobertaProcessing") {
      return surround(pair_id(processor.member("cls")), pair_id(processor.member("sep")));
    }
    if (type != "TemplateProcessing") return fail("the post-processor \"{}\" is not supported", in_quotes(type));
    return read_template(processor);
  }

  int32_t pair_id(const Json& pair) const {
    return pair.is_array() && !pair.items().empty() ? find(pair.items()[0].text_or("")) : kNoToken;
  }

  Status read_template(const Json& processor) {
    const Json& single = processor.member("single");
    if (!single.is_array()) return fail("the post-processor has no template for single texts");
    int32_t before = kNoToken;
    int32_t after = kNoToken;
    bool seen_text = false;
    for (const Json& item : single.items()) {
      if (item.find("Sequence") != nullptr) {
        if (seen_text) return fail("the post-processor's template holds the text twice");
        seen_text = true;
        continue;
      }
      const std::string_view name = item.member("SpecialToken").member("id").text_or("");
      int32_t& place = seen_text ? after : before;
      if (place != kNoToken) return fail("the post-processor puts more than one token on one side of the text");
      place = find(name);
      if (place == kNoToken) return fail("the post-processor names \"{}\", which is no token", in_quotes(name));
    }
    return surround(before, after);
  }

  Status surround(int32_t before, int32_t after) {
    if (before != kNoToken) spec_.bos = before;
    spec_.add_bos = before != kNoToken;
    if (spec_.model == TokenizerModel::kWordPiece) {
      if (after != kNoToken) spec_.sep = after;
      spec_.add_sep = after != kNoToken;
    } else {
      // A model may end texts with a token that is not its eos; the one it is told to put there is the one meant.
      if (after != kNoToken) spec_.eos = after;
      spec_.add_eos = after != kNoToken;
    }
    return {};
  }

  // Explicit flags in the config win over the post-processor, as in the classes that have such flags.
  Status apply_config_flags() {
    const Json& bos = config_.member("add_bos_token");
    const Json& eos = config_.member("add_eos_token");
    if (bos.is_bool() && spec_.bos != kNoToken) spec_.add_bos = bos.as_bool();
    if (eos.is_bool() && spec_.eos != kNoToken) spec_.add_eos = eos.as_bool();
    return {};
  }

  void read_chat_template() {
    const Json& value = config_.member("chat_template");
    spec_.chat_template = value.text_or("");
    if (!value.is_array()) return;
    for (const Json& item : value.items()) {
      if (item.member("name").text_or("") == "default") spec_.chat_template = item.member("template").text_or("");
    }
  }

  void score_by_merges() {
    std::unordered_map<std::string_view, size_t, KeyedHash> ids;
    for (size_t id = 0; id < texts_.size(); ++id) ids.emplace(texts_[id], id);
    std::string joined;
    spec_.scores.assign(spec_.tokens.size(), 0.0f);
    for (size_t rank = spec_.merge_left.size(); rank-- > 0;) {
      joined.assign(spec_.merge_left[rank]).append(spec_.merge_right[rank]);
      if (const auto found = ids.find(joined); found != ids.end()) {
        spec_.scores[found->second] = -static_cast<float>(rank + 1);
      }
    }
  }

  const Json& root_;
  const Json& model_;
  const Json& config_;
  const Json& map_;
  std::string_view source_;
  std::vector<std::string_view> texts_;  // by id; data() is nullptr where there is none
  std::vector<TokenType> types_;
  size_t claimed_ = 0;
  int64_t vocabulary_size_ = 0;
  TokenizerSpec spec_;
};

// A parsed value takes ten times the two bytes that suffice for it in a file. Real files have 5 bytes a value (merges
// as pairs without white space) and more.
Result<Json> parse_bounded(std::string_view text, std::string_view source) {
  return parse_json(text, source, {.values = text.size() / 4 + 65536});
}

Result<Json> parse_optional(std::string_view text, std::string_view source) {
  if (text.empty()) return Json();
  return parse_bounded(text, source);
}

}  // namespace

Result<TokenizerSpec> spec_from_tokenizer_json(std::string_view tokenizer_json, std::string_view config_json,
                                               std::string_view source, std::string_view special_tokens_map_json) {
  TRY_ASSIGN(const Json root, parse_bounded(tokenizer_json, format("{} (tokenizer.json)", source)));
  TRY_ASSIGN(const Json config, parse_optional(config_json, format("{} (tokenizer_config.json)", source)));
  TRY_ASSIGN(const Json map, parse_optional(special_tokens_map_json, format("{} (special_tokens_map.json)", source)));
  return Reader(root, config, map, source).read();
}

void pad_vocabulary(TokenizerSpec& spec, size_t count) {
  const size_t before = spec.tokens.size();
  if (before >= count) return;
  spec.types.resize(before, TokenType::kNormal);
  spec.types.resize(count, TokenType::kUnused);
  if (!spec.scores.empty()) spec.scores.resize(count, 0.0f);
  for (size_t id = before; id < count; ++id) spec.tokens.push_back(format("[PAD{}]", id));
}

}  // namespace andiron
