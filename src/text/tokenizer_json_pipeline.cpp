#include "text/tokenizer_json_pipeline.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "base/strings.h"
#include "text/pre_names.h"

namespace andiron {

namespace {

constexpr int kDepthMax = 8;
constexpr size_t kStepsMax = 64;
// Of all patterns together; published tokenizers have below 1 KiB. A pattern of 8 KiB may take half a second to
// compile.
constexpr size_t kPatternBytesMax = 16384;
constexpr std::string_view kSpace = "\u2581";
constexpr std::string_view kPunctuation = R"([!-/:-@\[-`{-~\p{P}])";

// The steps of a normalizer or pre-tokenizer with sequences laid flat; false when they nest too deep or are too many.
bool flatten(const Json* step, std::string_view list_key, int depth, std::vector<const Json*>& out) {
  if (step == nullptr || step->is_null()) return true;
  if (depth > kDepthMax || out.size() > kStepsMax) return false;
  const Json& list = step->member(list_key);
  if (step->member("type").text_or("") != "Sequence" || !list.is_array()) {
    out.push_back(step);
    return true;
  }
  return std::all_of(list.items().begin(), list.items().end(),
                     [&](const Json& item) { return flatten(&item, list_key, depth + 1, out); });
}

bool is_space_replacement(const Json& step) {
  return step.member("type").text_or("") == "Replace" && step.member("pattern").member("String").text_or("") == " " &&
         step.member("content").text_or("") == kSpace;
}

// A literal text as a pattern.
std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                       static_cast<uint8_t>(c) >= 0x80 || static_cast<uint8_t>(c) < 0x20 || c == ' ';
    if (!plain) out += '\\';
    out += c;
  }
  return out;
}

class PipelineReader {
 public:
  PipelineReader(std::string_view source, TokenizerSpec& spec) : source_(source), spec_(spec) {}

  Status read(const Json& root) {
    std::vector<const Json*> steps;
    if (!flatten(root.find("normalizer"), "normalizers", 0, steps)) return fail_long();
    for (const Json* step : steps) TRY(read_normalizer(*step));
    steps.clear();
    if (!flatten(root.find("pre_tokenizer"), "pretokenizers", 0, steps)) return fail_long();
    for (const Json* step : steps) TRY(read_pre_tokenizer(*step));
    size_t bytes = 0;
    for (const PreStage& stage : spec_.stages) bytes += stage.pattern.size();
    if (bytes <= kPatternBytesMax) return {};
    return make_error("{}: the patterns of the pre-tokenizer have {} together, at most {} are supported", source_,
                      human_bytes(bytes), human_bytes(kPatternBytesMax));
  }

 private:
  Error fail_long() const { return make_error("{}: the normalizer or pre-tokenizer has too many steps", source_); }

  Status read_normalizer(const Json& step) {
    const std::string_view type = step.member("type").text_or("");
    const bool word_piece = spec_.model == TokenizerModel::kWordPiece;
    if (type == "BertNormalizer" && word_piece) {
      spec_.lowercase = step.member("lowercase").bool_or(true);
      spec_.strip_accents = step.member("strip_accents").bool_or(spec_.lowercase);
      spec_.split_chinese = step.member("handle_chinese_chars").bool_or(true);
      return {};
    }
    if (type == "NFC") return add(Normalization::kNfc);
    if (type == "NFD") return add(Normalization::kNfd);
    if (type == "Lowercase") return add(Normalization::kLowercase);
    if (type == "StripAccents") return add(Normalization::kStripAccents);
    if (type == "Prepend" && step.member("prepend").text_or("") == kSpace) {
      spec_.space_prefix = SpacePrefix::kEach;
      return {};
    }
    if (is_space_replacement(step)) return {};
    return make_error("{}: the normalizer {} is not supported", source_, in_quotes(step.dump(), 300));
  }

  Status add(Normalization step) {
    spec_.normalizations.push_back(step);
    return {};
  }

  void add_stage(std::string_view pattern, PreStage::Behavior behavior = PreStage::Behavior::kIsolated,
                 bool invert = false) {
    PreStage& stage = spec_.stages.emplace_back();
    stage.pattern = pattern;
    stage.behavior = behavior;
    stage.invert = invert;
  }

  Status read_pre_tokenizer(const Json& step) {
    using Behavior = PreStage::Behavior;
    const std::string_view type = step.member("type").text_or("");
    if (spec_.model == TokenizerModel::kWordPiece) {
      if (type == "BertPreTokenizer") return {};
      return make_error("{}: the pre-tokenizer \"{}\" is not supported with WordPiece", source_, in_quotes(type));
    }
    if (type == "Split") return read_split(step);
    if (type == "ByteLevel") {
      spec_.byte_level = true;
      if (step.member("add_prefix_space").bool_or(true)) prefix(SpacePrefix::kEach, true);
      if (step.member("use_regex").bool_or(true)) add_stage(kGpt2Pattern);
      return {};
    }
    if (type == "Metaspace") return read_metaspace(step);
    if (type == "Digits") {
      add_stage(step.member("individual_digits").bool_or(false) ? R"(\p{N})" : R"(\p{N}+)");
      return {};
    }
    if (type == "Punctuation") {
      TRY_ASSIGN(const Behavior behavior, read_behavior(step));
      add_stage(kPunctuation, behavior);
      return {};
    }
    if (type == "Whitespace") {
      add_stage(R"(\w+|[^\w\s]+)", Behavior::kRemoved, true);
      return {};
    }
    if (type == "WhitespaceSplit") {
      add_stage(R"(\s)", Behavior::kRemoved);
      return {};
    }
    return make_error("{}: the pre-tokenizer {} is not supported", source_, in_quotes(step.dump(), 300));
  }

  void prefix(SpacePrefix prefix, bool if_missing) {
    spec_.space_prefix = prefix;
    spec_.space_prefix_if_missing = if_missing;
  }

  Status read_metaspace(const Json& step) {
    const std::string_view replacement = step.member("replacement").text_or("");
    if (!replacement.empty() && replacement != kSpace) {
      return make_error("{}: Metaspace with the replacement \"{}\" is not supported", source_, in_quotes(replacement));
    }
    // Before "prepend_scheme" there was only a flag.
    const std::string_view scheme = step.member("prepend_scheme").text_or("");
    const bool flag = step.member("add_prefix_space").bool_or(true);
    if (scheme == "first") {
      prefix(SpacePrefix::kFirst, true);
    } else if (scheme == "always" || (scheme.empty() && flag)) {
      prefix(SpacePrefix::kEach, true);
    } else if (scheme != "never" && !scheme.empty()) {
      return make_error("{}: Metaspace with prepend_scheme \"{}\" is not supported", source_, in_quotes(scheme));
    }
    if (step.member("split").bool_or(true)) add_stage(kSpace, PreStage::Behavior::kMergedWithNext);
    return {};
  }

  Status read_split(const Json& step) {
    const Json& pattern = step.member("pattern");
    TRY_ASSIGN(const PreStage::Behavior behavior, read_behavior(step));
    const bool invert = step.member("invert").bool_or(false);
    if (const Json& text = pattern.member("String"); text.is_string()) {
      add_stage(escaped(text.as_string()), behavior, invert);
      return {};
    }
    const std::string_view regex = pattern.member("Regex").text_or("");
    if (regex.empty()) return make_error("{}: a Split pre-tokenizer without a pattern", source_);
    if (regex == R"(\d{1,3}(?=(?:\d{3})*\b))" && behavior == PreStage::Behavior::kIsolated && !invert) {
      spec_.stages.emplace_back().kind = PreStage::Kind::kDigitTriplesBeforeEnd;
    } else if (regex == R"((?=(\d{3})+(?!\d)))" && behavior == PreStage::Behavior::kIsolated && !invert) {
      spec_.stages.emplace_back().kind = PreStage::Kind::kDigitTriples;
    } else {
      add_stage(regex, behavior, invert);
    }
    return {};
  }

  Result<PreStage::Behavior> read_behavior(const Json& step) const {
    using Behavior = PreStage::Behavior;
    const std::string_view name = step.member("behavior").text_or("");
    if (name == "Isolated" || name.empty()) return Behavior::kIsolated;
    if (name == "Removed") return Behavior::kRemoved;
    if (name == "MergedWithPrevious") return Behavior::kMergedWithPrevious;
    if (name == "MergedWithNext") return Behavior::kMergedWithNext;
    if (name == "Contiguous") return Behavior::kContiguous;
    return make_error("{}: a pre-tokenizer with the behavior \"{}\" is not supported", source_, in_quotes(name));
  }

  std::string_view source_;
  TokenizerSpec& spec_;
};

}  // namespace

Status read_pipeline(const Json& root, std::string_view source, TokenizerSpec& spec) {
  TRY(PipelineReader(source, spec).read(root));
  // Where every space has become U+2581, a split at spaces splits nothing.
  if (!spec.byte_level && replaces_spaces(root)) {
    std::erase_if(spec.stages, [](const PreStage& stage) { return stage.pattern == " "; });
  }
  return {};
}

bool replaces_spaces(const Json& root) {
  std::vector<const Json*> steps;
  flatten(root.find("normalizer"), "normalizers", 0, steps);
  flatten(root.find("pre_tokenizer"), "pretokenizers", 0, steps);
  return std::any_of(steps.begin(), steps.end(), [](const Json* step) {
    return is_space_replacement(*step) || step->member("type").text_or("") == "Metaspace";
  });
}

}  // namespace andiron
