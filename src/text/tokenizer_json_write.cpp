// The forms are those of the files that Qwen2 and GPT-2 are published with, as the tokenizers library (0.21) reads
// them.
#include "text/tokenizer_json_write.h"

#include <string_view>
#include <utility>

#include "base/json.h"
#include "base/strings.h"

namespace andiron {

namespace {

using Members = Json::Object;

std::string_view behavior_name(PreStage::Behavior behavior) {
  switch (behavior) {
    case PreStage::Behavior::kIsolated: return "Isolated";
    case PreStage::Behavior::kRemoved: return "Removed";
    case PreStage::Behavior::kMergedWithPrevious: return "MergedWithPrevious";
    case PreStage::Behavior::kMergedWithNext: return "MergedWithNext";
    case PreStage::Behavior::kContiguous: return "Contiguous";
  }
  return "";
}

std::string_view regex_of(const PreStage& stage) {
  switch (stage.kind) {
    case PreStage::Kind::kPattern: return stage.pattern;
    case PreStage::Kind::kDigitTriples: return R"((?=(\d{3})+(?!\d)))";
    case PreStage::Kind::kDigitTriplesBeforeEnd: return R"(\d{1,3}(?=(?:\d{3})*\b))";
  }
  return "";
}

// Bytes to the characters of GPT-2's alphabet and back; what splits texts stands before it.
Json byte_level() {
  return Json(
      Members{{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", false}, {"use_regex", false}});
}

Json pre_tokenizer(const TokenizerSpec& spec) {
  Json steps = Json::array();
  for (const PreStage& stage : spec.stages) {
    steps.push(Json(Members{{"type", "Split"},
                            {"pattern", Json(Members{{"Regex", regex_of(stage)}})},
                            {"behavior", behavior_name(stage.behavior)},
                            {"invert", stage.invert}}));
  }
  steps.push(byte_level());
  return Json(Members{{"type", "Sequence"}, {"pretokenizers", std::move(steps)}});
}

bool is_special(const TokenizerSpec& spec, size_t id) {
  return !spec.types.empty() && spec.types[id] == TokenType::kControl;
}

Members added_token(std::string_view text) {
  return {{"content", text}, {"single_word", false}, {"lstrip", false},
          {"rstrip", false}, {"normalized", false},  {"special", true}};
}

Json template_item(std::string kind, std::string_view id, int64_t type_id) {
  return Json(Members{{std::move(kind), Json(Members{{"id", id}, {"type_id", type_id}})}});
}

// One token before each text and one behind it, as far as the tokenizer puts them there.
Json post_processor(const TokenizerSpec& spec) {
  if (!spec.add_bos && !spec.add_eos) return byte_level();
  Json single = Json::array();
  Json pair = Json::array();
  Json tokens = Json::object();
  const auto surround = [&](Json& out, std::string_view sequence, int64_t type_id) {
    const auto put = [&](int32_t id) {
      out.push(template_item("SpecialToken", spec.tokens[static_cast<size_t>(id)], type_id));
    };
    if (spec.add_bos) put(spec.bos);
    out.push(template_item("Sequence", sequence, type_id));
    if (spec.add_eos) put(spec.eos);
  };
  surround(single, "A", 0);
  surround(pair, "A", 0);
  surround(pair, "B", 1);
  const auto declare = [&](int32_t id) {
    const std::string text(spec.tokens[static_cast<size_t>(id)]);
    if (tokens.find(text) != nullptr) return;
    tokens.set(text, Json(Members{{"id", text}, {"ids", Json::Array{int64_t{id}}}, {"tokens", Json::Array{text}}}));
  };
  if (spec.add_bos) declare(spec.bos);
  if (spec.add_eos) declare(spec.eos);
  return Json(Members{{"type", "TemplateProcessing"},
                      {"single", std::move(single)},
                      {"pair", std::move(pair)},
                      {"special_tokens", std::move(tokens)}});
}

Json model(const TokenizerSpec& spec) {
  Json vocab = Json::object();
  for (size_t id = 0; id < spec.tokens.size(); ++id) vocab.set(std::string(spec.tokens[id]), static_cast<int64_t>(id));
  // As one text, which every version of every reader takes; no token of the byte alphabet has a space in it.
  Json merges = Json::array();
  for (size_t i = 0; i < spec.merge_left.size(); ++i) {
    merges.push(std::string(spec.merge_left[i]).append(" ").append(spec.merge_right[i]));
  }
  return Json(Members{{"type", "BPE"},
                      {"dropout", Json()},
                      {"unk_token", Json()},
                      {"continuing_subword_prefix", ""},
                      {"end_of_word_suffix", ""},
                      {"fuse_unk", spec.fuse_unknown},
                      {"byte_fallback", false},
                      {"ignore_merges", spec.ignore_merges},
                      {"vocab", std::move(vocab)},
                      {"merges", std::move(merges)}});
}

std::string tokenizer_json(const TokenizerSpec& spec) {
  Json added = Json::array();
  for (size_t id = 0; id < spec.tokens.size(); ++id) {
    if (!is_special(spec, id)) continue;
    Members token = added_token(spec.tokens[id]);
    token.emplace(token.begin(), "id", static_cast<int64_t>(id));
    added.push(Json(std::move(token)));
  }
  return Json(Members{{"version", "1.0"},
                      {"truncation", Json()},
                      {"padding", Json()},
                      {"added_tokens", std::move(added)},
                      {"normalizer", Json()},
                      {"pre_tokenizer", pre_tokenizer(spec)},
                      {"post_processor", post_processor(spec)},
                      {"decoder", byte_level()},
                      {"model", model(spec)}})
             .dump(2) +
         "\n";
}

std::string config_json(const TokenizerSpec& spec) {
  Json decoder = Json::object();
  for (size_t id = 0; id < spec.tokens.size(); ++id) {
    if (is_special(spec, id)) decoder.set(std::to_string(id), Json(added_token(spec.tokens[id])));
  }
  const auto text_of = [&](int32_t id) { return id == kNoToken ? Json() : Json(spec.tokens[static_cast<size_t>(id)]); };
  Json config = Json(Members{{"tokenizer_class", "PreTrainedTokenizerFast"},
                             {"add_bos_token", spec.add_bos},
                             {"add_eos_token", spec.add_eos},
                             {"add_prefix_space", false},
                             {"added_tokens_decoder", std::move(decoder)},
                             {"bos_token", text_of(spec.bos)},
                             {"eos_token", text_of(spec.eos)},
                             {"pad_token", text_of(spec.pad)},
                             {"unk_token", Json()},
                             {"clean_up_tokenization_spaces", false}});
  if (!spec.chat_template.empty()) config.set("chat_template", spec.chat_template);
  return config.dump(2) + "\n";
}

}  // namespace

Result<TokenizerFiles> tokenizer_files_from_spec(const TokenizerSpec& spec) {
  const bool plain = spec.model == TokenizerModel::kBpe && spec.byte_level && spec.normalizations.empty() &&
                     spec.rules.empty() && spec.space_prefix == SpacePrefix::kNone && spec.unk == kNoToken;
  if (!plain) {
    return make_error("{}: only byte-level BPE without normalization can be written as tokenizer.json", spec.source);
  }
  return TokenizerFiles{tokenizer_json(spec), config_json(spec)};
}

}  // namespace andiron
