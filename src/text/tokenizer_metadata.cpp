#include "text/tokenizer_metadata.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>

#include "base/strings.h"
#include "text/pre_names.h"
#include "text/vocabulary.h"

namespace andiron {

namespace {

constexpr std::string_view kBehaviorNames[] = {"isolated", "removed", "merged-with-previous", "merged-with-next",
                                               "contiguous"};
constexpr std::string_view kNormalizationNames[] = {"nfc", "nfd", "lowercase", "strip-accents"};
constexpr std::string_view kPrefixNames[] = {"none", "first", "each"};
constexpr std::string_view kDigitTriples = "digit-triples";
constexpr std::string_view kDigitTriplesBeforeEnd = "digit-triples-before-end";

// What a pre-tokenizer without a name is called in a file: other programs refuse it instead of splitting wrongly.
constexpr std::string_view kNamelessPre = "andiron";

constexpr std::string_view kStagesKey = "andiron.tokenizer.stages";
constexpr std::string_view kNormalizationKey = "andiron.tokenizer.normalization";
constexpr std::string_view kSpacePrefixKey = "andiron.tokenizer.space_prefix";
constexpr std::string_view kPrefixIfMissingKey = "andiron.tokenizer.space_prefix_if_missing";
constexpr std::string_view kIgnoreMergesKey = "andiron.tokenizer.ignore_merges";
constexpr std::string_view kByteLevelKey = "andiron.tokenizer.byte_level";
constexpr std::string_view kFuseUnknownKey = "andiron.tokenizer.fuse_unknown";
constexpr std::string_view kRulesKey = "andiron.tokenizer.rules";  // id, flags, id, flags ...
constexpr std::string_view kRankedKey =
    "andiron.tokenizer.ranked";  // SentencePiece: the merges say more than the scores
constexpr std::string_view kSplitChineseKey = "andiron.tokenizer.split_chinese";
constexpr std::string_view kWordCharsMaxKey = "andiron.tokenizer.word_chars_max";
constexpr int64_t kStripLeft = 1, kStripRight = 2, kSingleWord = 4;

struct IdKey {
  std::string_view key;
  int32_t TokenizerSpec::*id;
};
// GGUF's specification spells "seperator" so. Of two keys for one id the later wins.
constexpr IdKey kIdKeys[] = {
    {"tokenizer.ggml.bos_token_id", &TokenizerSpec::bos},
    {"tokenizer.ggml.eos_token_id", &TokenizerSpec::eos},
    {"tokenizer.ggml.eot_token_id", &TokenizerSpec::eot},
    {"tokenizer.ggml.eom_token_id", &TokenizerSpec::eom},
    {"tokenizer.ggml.unknown_token_id", &TokenizerSpec::unk},
    {"tokenizer.ggml.seperator_token_id", &TokenizerSpec::sep},
    {"tokenizer.ggml.padding_token_id", &TokenizerSpec::pad},
    {"tokenizer.ggml.cls_token_id", &TokenizerSpec::cls},
    {"tokenizer.ggml.mask_token_id", &TokenizerSpec::mask},
};

template <typename T, size_t N>
std::optional<T> by_name(const std::string_view (&names)[N], std::string_view name) {
  const auto found = std::find(std::begin(names), std::end(names), name);
  if (found == std::end(names)) return std::nullopt;
  return static_cast<T>(found - std::begin(names));
}

template <typename T, size_t N>
std::string_view name_of(const std::string_view (&names)[N], T value) {
  return names[static_cast<size_t>(value)];
}

// Everything that model and pre-tokenizer name imply; what llama.cpp assumes where keys are absent.
Result<TokenizerSpec> implied(std::string_view model, std::string_view pre, std::string_view source) {
  TokenizerSpec spec;
  spec.source = source;
  spec.byte_level = false;
  if (model == "llama") {
    spec.model = TokenizerModel::kSentencePiece;
    spec.bos = 1;
    spec.eos = 2;
    spec.unk = 0;
    spec.add_bos = true;
    spec.space_prefix = SpacePrefix::kEach;
    return spec;
  }
  if (model == "bert") {
    spec.model = TokenizerModel::kWordPiece;
    spec.bos = 101;
    spec.unk = 100;
    spec.sep = 102;
    spec.pad = 0;
    spec.mask = 103;
    spec.add_bos = true;
    spec.add_sep = true;
    return spec;
  }
  if (model != "gpt2" && model != "gemma4") {
    return make_error("{}: tokenizer.ggml.model is \"{}\", but only llama, gpt2, gemma4 and bert are supported", source,
                      in_quotes(model));
  }
  spec.model = TokenizerModel::kBpe;
  spec.pre = model == "gemma4" ? "gemma4" : std::string(pre);
  const PreFacts* facts = find_pre_tokenizer(spec.pre);
  if (facts == nullptr) {
    return make_error("{}: the pre-tokenizer \"{}\" (tokenizer.ggml.pre) is not known here", source, in_quotes(pre));
  }
  spec.stages = facts->stages;
  spec.ignore_merges = facts->ignore_merges;
  spec.add_bos = facts->add_bos;
  spec.byte_level = !facts->code_points;
  return spec;
}

Result<PreStage> parse_stage(std::string_view text, std::string_view source) {
  PreStage stage;
  if (text == kDigitTriples || text == kDigitTriplesBeforeEnd) {
    stage.kind = text == kDigitTriples ? PreStage::Kind::kDigitTriples : PreStage::Kind::kDigitTriplesBeforeEnd;
    return stage;
  }
  const size_t colon = std::min(text.find(':'), text.size());
  std::string_view name = text.substr(0, colon);
  if (name.substr(0, 1) == "!") {
    stage.invert = true;
    name.remove_prefix(1);
  }
  const auto behavior = by_name<PreStage::Behavior>(kBehaviorNames, name);
  if (!behavior || colon == text.size()) {
    return make_error("{}: {} holds \"{}\", which is no pre-tokenizer step", source, kStagesKey, in_quotes(text));
  }
  stage.behavior = *behavior;
  stage.pattern = text.substr(colon + 1);
  return stage;
}

std::string stage_text(const PreStage& stage) {
  if (stage.kind == PreStage::Kind::kDigitTriples) return std::string(kDigitTriples);
  if (stage.kind == PreStage::Kind::kDigitTriplesBeforeEnd) return std::string(kDigitTriplesBeforeEnd);
  return format("{}{}:{}", stage.invert ? "!" : "", name_of(kBehaviorNames, stage.behavior), stage.pattern);
}

Status read_tokens(const MetadataReader& metadata, TokenizerSpec& spec) {
  const auto* tokens = metadata.texts("tokenizer.ggml.tokens");
  if (tokens == nullptr) return make_error("{}: there is no vocabulary (tokenizer.ggml.tokens)", spec.source);
  size_t bytes = 0;
  for (const std::string_view token : *tokens) bytes += token.size();
  if (bytes > TextList::kBytesMax) return make_error("{}: the tokens are larger than 4 GiB", spec.source);
  spec.tokens.reserve(tokens->size(), bytes);
  for (const std::string_view token : *tokens) spec.tokens.push_back(token);
  if (const auto* scores = metadata.floats("tokenizer.ggml.scores"); scores != nullptr) {
    spec.scores.reserve(scores->size());
    for (const double score : *scores) spec.scores.push_back(static_cast<float>(score));
  }
  if (const auto* types = metadata.integers("tokenizer.ggml.token_type"); types != nullptr) {
    spec.types.reserve(types->size());
    for (const int64_t type : *types) {
      spec.types.push_back(type >= 1 && type <= 6 ? static_cast<TokenType>(type) : TokenType::kUndefined);
    }
  }
  return {};
}

// "left right": split at the first space that does not begin the line.
Status read_merges(const MetadataReader& metadata, TokenizerSpec& spec) {
  if (spec.model == TokenizerModel::kWordPiece) return {};
  // Where other programs put merges beside the scores of a SentencePiece model, nobody has read them yet.
  if (spec.model == TokenizerModel::kSentencePiece && !metadata.boolean(kRankedKey).value_or(false)) return {};
  const auto* merges = metadata.texts("tokenizer.ggml.merges");
  if (merges == nullptr) {
    return make_error("{}: there are no merges (tokenizer.ggml.merges), which this tokenizer needs", spec.source);
  }
  size_t bytes = 0;
  for (const std::string_view merge : *merges) bytes += merge.size();
  if (bytes > TextList::kBytesMax) return make_error("{}: the merges are larger than 4 GiB", spec.source);
  spec.merge_left.reserve(merges->size(), bytes / 2);
  spec.merge_right.reserve(merges->size(), bytes / 2);
  for (const std::string_view merge : *merges) {
    const size_t space = merge.find(' ', 1);
    if (space == std::string_view::npos || space + 1 == merge.size()) {
      return make_error("{}: the merge \"{}\" (tokenizer.ggml.merges, index {}) is not two parts with a space between",
                        spec.source, in_quotes(merge), spec.merge_left.size());
    }
    spec.merge_left.push_back(merge.substr(0, space));
    spec.merge_right.push_back(merge.substr(space + 1));
  }
  return {};
}

Status read_ids(const MetadataReader& metadata, TokenizerSpec& spec) {
  for (const IdKey& entry : kIdKeys) {
    const auto id = metadata.integer(entry.key);
    if (!id) {
      // What the model name implies may be beyond a small vocabulary.
      if (spec.*entry.id >= static_cast<int64_t>(spec.tokens.size())) spec.*entry.id = kNoToken;
      continue;
    }
    if (*id < 0 || *id >= static_cast<int64_t>(spec.tokens.size())) {
      return make_error("{}: {} is {}, but ids run from 0 to {}", spec.source, entry.key, *id,
                        static_cast<int64_t>(spec.tokens.size()) - 1);
    }
    spec.*entry.id = static_cast<int32_t>(*id);
  }
  if (spec.model == TokenizerModel::kWordPiece && spec.cls != kNoToken) spec.bos = spec.cls;
  spec.add_bos = metadata.boolean("tokenizer.ggml.add_bos_token").value_or(spec.add_bos);
  spec.add_eos = metadata.boolean("tokenizer.ggml.add_eos_token").value_or(spec.add_eos);
  // llama.cpp acts on it for WordPiece only.
  if (spec.model == TokenizerModel::kWordPiece) {
    spec.add_sep = metadata.boolean("tokenizer.ggml.add_sep_token").value_or(spec.add_sep);
  }
  if (spec.pre == "gemma4") spec.add_bos = true;  // some files say false, wrongly (llama.cpp, pull request 21500)
  if (spec.bos == kNoToken && !metadata.boolean("tokenizer.ggml.add_bos_token")) spec.add_bos = false;
  return {};
}

Status read_own_keys(const MetadataReader& metadata, TokenizerSpec& spec) {
  if (const auto* stages = metadata.texts(kStagesKey); stages != nullptr) {
    spec.stages.clear();
    for (const std::string_view text : *stages) {
      TRY_ASSIGN(PreStage stage, parse_stage(text, spec.source));
      spec.stages.push_back(std::move(stage));
    }
  }
  if (const auto* steps = metadata.texts(kNormalizationKey); steps != nullptr) {
    for (const std::string_view name : *steps) {
      const auto step = by_name<Normalization>(kNormalizationNames, name);
      if (!step)
        return make_error("{}: {} holds \"{}\", which is not known here", spec.source, kNormalizationKey,
                          in_quotes(name));
      spec.normalizations.push_back(*step);
    }
  }
  if (const auto name = metadata.text(kSpacePrefixKey)) {
    const auto prefix = by_name<SpacePrefix>(kPrefixNames, *name);
    if (!prefix)
      return make_error("{}: {} is \"{}\", not none, first or each", spec.source, kSpacePrefixKey, in_quotes(*name));
    spec.space_prefix = *prefix;
  }
  spec.space_prefix_if_missing = metadata.boolean(kPrefixIfMissingKey).value_or(spec.space_prefix_if_missing);
  spec.ignore_merges = metadata.boolean(kIgnoreMergesKey).value_or(spec.ignore_merges);
  spec.byte_level = metadata.boolean(kByteLevelKey).value_or(spec.byte_level);
  spec.fuse_unknown = metadata.boolean(kFuseUnknownKey).value_or(spec.fuse_unknown);
  spec.split_chinese = metadata.boolean(kSplitChineseKey).value_or(spec.split_chinese);
  const int64_t chars_max = metadata.integer(kWordCharsMaxKey).value_or(spec.word_chars_max);
  spec.word_chars_max = static_cast<int32_t>(std::clamp<int64_t>(chars_max, 0, TokenizerSpec::kWordCharsMax));
  return {};
}

// The white space rules of added tokens: our own key, or what llama.cpp knows of some models that GGUF cannot say.
void read_rules(const MetadataReader& metadata, TokenizerSpec& spec) {
  if (const auto* rules = metadata.integers(kRulesKey); rules != nullptr) {
    for (size_t i = 0; i + 1 < rules->size(); i += 2) {
      const int64_t id = std::clamp<int64_t>((*rules)[i], -1, std::numeric_limits<int32_t>::max());
      const int64_t flags = (*rules)[i + 1];
      spec.rules.push_back({static_cast<int32_t>(id), (flags & kStripLeft) != 0, (flags & kStripRight) != 0,
                            (flags & kSingleWord) != 0});
    }
    return;
  }
  std::string name(metadata.text("general.name").value_or(""));
  for (char& c : name) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  const bool phi3 = name.find("phi-3") != std::string::npos || name.find("phi3") != std::string::npos;
  const bool mask_strips_left = spec.pre.substr(0, 8) == "jina-v2-" || spec.pre == "modern-bert";
  if (!phi3 && !mask_strips_left) return;
  for (size_t i = 0; i < spec.tokens.size(); ++i) {
    const std::string_view token = spec.tokens[i];
    const TokenType type = i < spec.types.size() ? spec.types[i] : TokenType::kNormal;
    const bool whole = type == TokenType::kControl || type == TokenType::kUserDefined;
    const bool strips_right = phi3 && whole && token != "<unk>" && token != "<s>" && token != "<|endoftext|>";
    const bool strips_left = mask_strips_left && (token == "<mask>" || token == "[MASK]");
    if (strips_left || strips_right) spec.rules.push_back({static_cast<int32_t>(i), strips_left, strips_right, false});
  }
}

using Entries = std::vector<std::pair<std::string, MetadataValue>>;

void write_tokens(const TokenizerSpec& spec, Entries& out) {
  const auto copy = [](const TextList& list) {
    std::vector<std::string> texts;
    texts.reserve(list.size());
    for (size_t i = 0; i < list.size(); ++i) texts.emplace_back(list[i]);
    return texts;
  };
  out.emplace_back("tokenizer.ggml.tokens", copy(spec.tokens));
  if (!spec.scores.empty()) out.emplace_back("tokenizer.ggml.scores", spec.scores);
  if (!spec.types.empty()) {
    std::vector<int32_t> types;
    for (const TokenType type : spec.types) types.push_back(static_cast<int32_t>(type));
    out.emplace_back("tokenizer.ggml.token_type", std::move(types));
  }
  if (spec.merge_left.empty() && spec.model != TokenizerModel::kBpe) return;
  std::vector<std::string> merges;
  merges.reserve(spec.merge_left.size());
  for (size_t i = 0; i < spec.merge_left.size(); ++i) {
    merges.push_back(std::string(spec.merge_left[i]).append(" ").append(spec.merge_right[i]));
  }
  out.emplace_back("tokenizer.ggml.merges", std::move(merges));
}

// Where the spec says something else than its model and pre-tokenizer name imply.
void write_own_keys(const TokenizerSpec& spec, const TokenizerSpec& base, Entries& out) {
  const auto put = [&](std::string_view key, MetadataValue value) { out.emplace_back(key, std::move(value)); };
  if (spec.stages != base.stages) {
    std::vector<std::string> stages;
    for (const PreStage& stage : spec.stages) stages.push_back(stage_text(stage));
    put(kStagesKey, std::move(stages));
  }
  if (!spec.normalizations.empty()) {
    std::vector<std::string> names;
    for (const Normalization step : spec.normalizations) names.emplace_back(name_of(kNormalizationNames, step));
    put(kNormalizationKey, std::move(names));
  }
  const bool said_by_gguf = spec.model == TokenizerModel::kSentencePiece && spec.space_prefix != SpacePrefix::kFirst;
  if (spec.space_prefix != base.space_prefix && !said_by_gguf) {
    put(kSpacePrefixKey, std::string(name_of(kPrefixNames, spec.space_prefix)));
  }
  if (spec.space_prefix_if_missing) put(kPrefixIfMissingKey, true);
  if (spec.ignore_merges != base.ignore_merges) put(kIgnoreMergesKey, spec.ignore_merges);
  if (spec.byte_level != base.byte_level) put(kByteLevelKey, spec.byte_level);
  if (spec.model == TokenizerModel::kSentencePiece && !spec.merge_left.empty()) put(kRankedKey, true);
  if (!spec.fuse_unknown) put(kFuseUnknownKey, false);
  if (!spec.split_chinese) put(kSplitChineseKey, false);
  if (spec.word_chars_max != base.word_chars_max) put(kWordCharsMaxKey, int64_t{spec.word_chars_max});
  if (spec.rules.empty()) return;
  std::vector<int32_t> rules;
  for (const TokenRule& rule : spec.rules) {
    const int64_t flags = (rule.strip_left ? kStripLeft : 0) | (rule.strip_right ? kStripRight : 0) |
                          (rule.single_word ? kSingleWord : 0);
    rules.insert(rules.end(), {rule.id, static_cast<int32_t>(flags)});
  }
  put(kRulesKey, std::move(rules));
}

}  // namespace

Result<TokenizerSpec> spec_from_metadata(const MetadataReader& metadata, std::string_view source) {
  const auto model = metadata.text("tokenizer.ggml.model");
  if (!model) return make_error("{}: there is no tokenizer (tokenizer.ggml.model)", source);
  const std::string model_name(*model);
  // A file with our own stages needs no name for them.
  const bool own_stages = metadata.texts(kStagesKey) != nullptr;
  const std::string pre(own_stages ? "" : metadata.text("tokenizer.ggml.pre").value_or(""));
  TRY_ASSIGN(TokenizerSpec spec, implied(model_name, pre, source));
  if (own_stages) spec.pre.clear();
  TRY(read_tokens(metadata, spec));
  TRY(read_merges(metadata, spec));
  TRY(read_ids(metadata, spec));
  if (const auto prefix = metadata.boolean("tokenizer.ggml.add_space_prefix")) {
    spec.space_prefix =
        *prefix && spec.model == TokenizerModel::kSentencePiece ? SpacePrefix::kEach : SpacePrefix::kNone;
  }
  spec.lowercase = metadata.boolean("tokenizer.ggml.normalizer.lowercase").value_or(spec.lowercase);
  spec.strip_accents = metadata.boolean("tokenizer.ggml.normalizer.strip_accents").value_or(spec.lowercase);
  spec.chat_template = metadata.text("tokenizer.chat_template").value_or("");
  TRY(read_own_keys(metadata, spec));
  read_rules(metadata, spec);
  return spec;
}

Entries metadata_from_spec(const TokenizerSpec& spec) {
  Entries out;
  const bool is_bpe = spec.model == TokenizerModel::kBpe;
  const std::string model = is_bpe ? "gpt2" : spec.model == TokenizerModel::kWordPiece ? "bert" : "llama";
  auto base = implied(model, is_bpe ? spec.pre : "", spec.source);
  std::string pre = !is_bpe || spec.pre.empty() ? "default" : spec.pre;
  if (is_bpe && (!base.ok() || base->stages != spec.stages)) {
    pre = kNamelessPre;
    base = implied(model, "", spec.source);
  }
  out.emplace_back("tokenizer.ggml.model", model);
  out.emplace_back("tokenizer.ggml.pre", pre);
  write_tokens(spec, out);
  for (const IdKey& entry : kIdKeys) {
    if (spec.*entry.id != kNoToken) out.emplace_back(entry.key, int64_t{spec.*entry.id});
  }
  out.emplace_back("tokenizer.ggml.add_bos_token", spec.add_bos);
  out.emplace_back("tokenizer.ggml.add_eos_token", spec.add_eos);
  if (spec.model == TokenizerModel::kWordPiece) {
    out.emplace_back("tokenizer.ggml.add_sep_token", spec.add_sep);
    out.emplace_back("tokenizer.ggml.normalizer.lowercase", spec.lowercase);
    out.emplace_back("tokenizer.ggml.normalizer.strip_accents", spec.strip_accents);
  }
  if (spec.model == TokenizerModel::kSentencePiece) {
    out.emplace_back("tokenizer.ggml.add_space_prefix", spec.space_prefix != SpacePrefix::kNone);
  }
  if (!spec.chat_template.empty()) out.emplace_back("tokenizer.chat_template", spec.chat_template);
  write_own_keys(spec, *base, out);
  return out;
}

}  // namespace andiron
