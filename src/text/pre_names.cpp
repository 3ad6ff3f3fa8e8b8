// The patterns are those that the models' own tokenizer.json files publish; which name stands for which, and the flags
// that come with a name, are llama.cpp's (src/llama-vocab.cpp).
#include "text/pre_names.h"

#include <algorithm>
#include <initializer_list>
#include <map>

namespace andiron {

const std::string_view kGpt2Pattern = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

namespace {

constexpr std::string_view kDigit = R"(\p{N})";
constexpr std::string_view kDigitRun = R"(\p{N}+)";
constexpr std::string_view kDigitsByThree = R"(\p{N}{1,3})";
constexpr std::string_view kAsciiDigitTriple = "[0-9][0-9][0-9]";
constexpr std::string_view kLineBreak = R"([\r\n])";
constexpr std::string_view kLines = R"([^\n]+|[\n]+)";

constexpr std::string_view kLlama3 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kQwen2 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kQwen35 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kMiniCpm5 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}+| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kUfakzeka =
    R"([^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kSeedCoder =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kBailing =
    R"('(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+)";
constexpr std::string_view kExaoneMoe =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+)";
constexpr std::string_view kJais2 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s{512}(?!\S)|\s{256}(?!\S)|\s{128}(?!\S)|\s{64}(?!\S)|\s{32}(?!\S)|\s{16}(?!\S)|\s{8}(?!\S)|\s{4}(?!\S)|\s{1,2}(?!\S)|\s{1})";

constexpr std::string_view kO200k =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kTekken =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kYoutuAsian =
    R"([가-힣ㄱ-ㆎ]+|[！…“”‘’—：；，、-〿︰-﹏]+|[ㄅ-ㄯ]+|[一-龥぀-ゟ゠-ヿ]+)";
constexpr std::string_view kYoutu =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

constexpr std::string_view kCjkAndKana = "[一-龥\u3040-ゟ゠-ヿ]+";
constexpr std::string_view kDeepSeek3 =
    R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kSpark =
    R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+|[\r\n]|\s+(?!\S)|\s+)";
// The letters are written as code points: several are compatibility forms that an editor might quietly replace.
constexpr std::string_view kDeepSeekLetters =
    R"(\s?[A-Za-z\x{b5}\x{c0}-\x{d6}\x{d8}-\x{f6}\x{f8}-\x{1ba}\x{1bc}-\x{1bf}\x{1c4}-\x{293}\x{295}-\x{2af})"
    R"(\x{370}-\x{373}\x{376}\x{377}\x{37b}-\x{37d}\x{37f}\x{386}\x{388}-\x{38a}\x{38c}\x{38e}-\x{3a1}\x{3a3}-\x{3f5})"
    R"(\x{3f7}-\x{481}\x{48a}-\x{52f}\x{531}-\x{556}\x{10a0}-\x{10c5}\x{13a0}-\x{13f5}\x{13f8}-\x{13fd})"
    R"(\x{1c90}-\x{1cba}\x{1cbd}-\x{1cbf}\x{1d00}-\x{1d2b}\x{1d6b}-\x{1d77}\x{1d79}-\x{1d9a}\x{1e00}-\x{1f15})"
    R"(\x{1f18}-\x{1f1d}\x{1f20}-\x{1f45}\x{1f48}-\x{1f4d}\x{1f50}-\x{1f57}\x{1f59}\x{1f5b}\x{1f5d}\x{1f5f}-\x{1f7d})"
    R"(\x{1f80}-\x{1fb4}\x{1fb6}-\x{1fbc}\x{1fbe}\x{1fc2}-\x{1fc4}\x{1fc6}-\x{1fcc}\x{1fd0}-\x{1fd3}\x{1fd6}-\x{1fdb})"
    R"(\x{1fe0}-\x{1fec}\x{1ff2}-\x{1ff4}\x{1ff6}-\x{1ffc}\x{2102}\x{2107}\x{210a}-\x{2113}\x{2115}\x{2119}-\x{211d})"
    R"(\x{2124}\x{2126}\x{2128}\x{212a}-\x{212d}\x{212f}-\x{2134}\x{2139}\x{213c}-\x{213f}\x{2145}-\x{2149}\x{214e})"
    R"(\x{2183}\x{2184}\x{2c00}-\x{2c7b}\x{2c7e}-\x{2ce4}\x{2ceb}-\x{2cee}\x{2cf2}\x{2cf3}\x{a640}-\x{a66d})"
    R"(\x{a680}-\x{a69b}\x{a722}-\x{a76f}\x{a771}-\x{a787}\x{a78b}-\x{a78e}\x{ab70}-\x{abbf}\x{fb00}-\x{fb06})"
    R"(\x{fb13}-\x{fb17}\x{ff21}-\x{ff3a}\x{ff41}-\x{ff5a}\x{10400}-\x{1044f}\x{104b0}-\x{104d3}\x{104d8}-\x{104fb})"
    R"(\x{10c80}-\x{10cb2}\x{10cc0}-\x{10cf2}\x{118a0}-\x{118df}\x{1e900}-\x{1e943}]+)";
constexpr std::string_view kDeepSeekPunctuation =
    R"(\s?[!-/:-~\x{ff01}-\x{ff0f}\x{ff1a}-\x{ff5e}\x{2018}-\x{201f}\x{3000}-\x{3002}]+)";
constexpr std::string_view kDeepSeekAsian = R"([\x{4e00}-\x{9fa5}\x{800}-\x{4e00}\x{ac00}-\x{d7ff}]+)";
constexpr std::string_view kSpaceAtEnd = R"(\s+$)";

constexpr std::string_view kFalconPunctuation = R"([\p{P}\$\+<=>\^~\|`]+)";
constexpr std::string_view kDefaultPunctuation = R"([\p{P}\$\+<=>\^~\|]+)";
constexpr std::string_view kBloom = R"( ?[^(\s|.,!?…。，、।۔،)]+)";

using Names = std::initializer_list<std::string_view>;
using Patterns = std::initializer_list<std::string_view>;

class Table {
 public:
  Table() {
    add_gpt2_kind();
    add_llama3_kind();
    add_o200k_kind();
    add_deepseek_kind();
    add_others();
  }

  const PreFacts* find(std::string_view name) const {
    const auto found = index_.find(name);
    return found == index_.end() ? nullptr : &facts_[found->second];
  }
  std::string_view name_of(std::span<const PreStage> stages, bool ignore_merges) const {
    for (size_t i = 0; i < facts_.size(); ++i) {
      const PreFacts& facts = facts_[i];
      if (facts.code_points || facts.ignore_merges != ignore_merges) continue;
      if (std::equal(stages.begin(), stages.end(), facts.stages.begin(), facts.stages.end())) return first_name_[i];
    }
    return {};
  }

 private:
  PreFacts& add(Names names, Patterns patterns) {
    for (const std::string_view name : names) index_[name] = facts_.size();
    first_name_.push_back(*names.begin());
    PreFacts& facts = facts_.emplace_back();
    for (const std::string_view pattern : patterns) {
      PreStage& stage = facts.stages.emplace_back();
      stage.pattern = pattern;
    }
    return facts;
  }

  void add_gpt2_kind() {
    add({"gpt-2", "phi-2", "jina-es", "jina-de", "jina-v2-es", "jina-v2-de", "gigachat", "a.x-4.0", "mellum",
         "modern-bert", "exaone4", "mpt", "olmo", "jais", "trillion", "granite-docling", "roberta-bpe", "jina-v1-en",
         "jina-v2-code"},
        {kGpt2Pattern});
    add({"smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b", "mellum2"},
        {kDigit, kGpt2Pattern});
    add({"falcon"}, {kFalconPunctuation, kGpt2Pattern, kAsciiDigitTriple});
    add({"default", ""}, {kDefaultPunctuation, kGpt2Pattern, kDigitRun, kAsciiDigitTriple});
  }

  void add_llama3_kind() {
    PreFacts& llama3 =
        add({"llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2", "jina-v5-nano"},
            {kLlama3});
    llama3.ignore_merges = true;
    llama3.add_bos = true;
    add({"dbrx", "smaug-bpe", "chatglm-bpe", "glm4"}, {kLlama3});
    add({"qwen2", "deepseek-r1-qwen", "kormo", "f2llmv2", "megrez", "stablelm2", "hunyuan", "solar-open", "grok-2"},
        {kQwen2});
    add({"qwen35"}, {kQwen35});
    add({"minicpm5"}, {kDigitsByThree, kMiniCpm5}).ignore_merges = true;
    add({"ufakzeka"}, {kUfakzeka});
    add({"seed-coder"}, {kSeedCoder});
    add({"bailingmoe", "bailingmoe2", "llada-moe"}, {kBailing});
    add({"exaone-moe"}, {kExaoneMoe});
    add({"jais-2"}, {kJais2});
    add({"laguna"}, {kLines, kQwen2});
  }

  void add_o200k_kind() {
    add({"gpt-4o", "llama4", "kanana2", "talkie", "minimax-m2"}, {kO200k});
    add({"granite-embed-multi-97m"}, {kO200k}).ignore_merges = true;
    PreFacts& tekken = add({"tekken"}, {kTekken});
    tekken.ignore_merges = true;
    tekken.add_bos = true;
    PreFacts& aya = add({"tiny_aya", "cohere2moe"}, {"", kO200k});
    aya.stages[0].kind = PreStage::Kind::kDigitTriplesBeforeEnd;
    add({"youtu"}, {kYoutuAsian, kYoutu}).ignore_merges = true;
  }

  void add_deepseek_kind() {
    add({"deepseek-v3", "hunyuan-dense", "joyai-llm", "hy_v4"}, {kDigitsByThree, kCjkAndKana, kDeepSeek3});
    add({"deepseek-llm"}, {kLineBreak, kDeepSeekLetters, kDeepSeekPunctuation, kSpaceAtEnd, kDeepSeekAsian, kDigitRun});
    add({"deepseek-coder"}, {kLineBreak, R"(\s?\p{L}+)", R"(\s?\p{P}+)", kDeepSeekAsian, kDigit});
    add({"spark2_5"}, {kDigitsByThree, kCjkAndKana, kSpark, kDigit});
  }

  void add_others() {
    add({"bloom", "poro-chat", "gpt3-finnish"}, {kBloom});
    add({"viking"}, {kBloom, kDigit});
    PreFacts& superbpe = add({"superbpe"}, {kDigitRun, ""});
    superbpe.stages[1].kind = PreStage::Kind::kDigitTriples;
    add({"gemma4", "granite-embed-multi-311m", "sarvam-moe"}, {kLines}).code_points = true;
  }

  std::vector<PreFacts> facts_;
  std::vector<std::string_view> first_name_;
  std::map<std::string_view, size_t> index_;
};

const Table& table() {
  static const Table instance;
  return instance;
}

}  // namespace

const PreFacts* find_pre_tokenizer(std::string_view name) { return table().find(name); }

std::string_view name_pre_tokenizer(std::span<const PreStage> stages, bool ignore_merges) {
  return table().name_of(stages, ignore_merges);
}

}  // namespace andiron
