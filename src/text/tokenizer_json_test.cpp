#include "text/tokenizer_json.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/strings.h"
#include "text/tokenizer.h"
#include "text/vocab_test_files.h"

namespace andiron {
namespace {

using Ids = std::vector<int32_t>;

constexpr EncodeOptions kTrusted{.add_special = false, .parse_special = true};

// A tokenizer.json of which tests replace parts. `more` holds further members of the top object.
struct File {
  std::string vocab = R"({"a": 0, "b": 1, "ab": 2, "Ġ": 3})";
  std::string merges = R"(["a b"])";
  std::string model_more;
  std::string more = R"("pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false})";
  std::string config;
  std::string map;

  std::string json() const {
    return format(R"({{"model": {{"type": "BPE", "vocab": {}, "merges": {} {}}}, {}}})", vocab, merges, model_more,
                  more);
  }
  Result<TokenizerSpec> spec() const { return spec_from_tokenizer_json(json(), config, "test", map); }
  Tokenizer tokenizer() const {
    auto read = spec();
    EXPECT_TRUE(read.ok()) << read.error().message;
    auto created = Tokenizer::create(std::move(*read));
    EXPECT_TRUE(created.ok()) << created.error().message;
    return std::move(*created);
  }
};

constexpr const char* kPieces =
    R"({"<unk>": 0, "<s>": 1, "▁": 2, "a": 3, "b": 4, "▁a": 5, "ab": 6, "<0xC3>": 7, "<0xA9>": 8})";

TEST(TokenizerJson, ByteLevelBpe) {
  File file;
  EXPECT_EQ(file.tokenizer().encode("ab a", kTrusted), (Ids{2, 3, 0}));
  file.merges = R"([["a", "b"]])";
  EXPECT_EQ(file.tokenizer().encode("ab", kTrusted), Ids{2});
  EXPECT_EQ(file.spec()->pre, "gpt-2");
  file.more = R"("pre_tokenizer": {"type": "ByteLevel"})";  // a prefix space unless told otherwise
  EXPECT_EQ(file.tokenizer().encode("ab", kTrusted), (Ids{3, 2}));
  EXPECT_EQ(file.tokenizer().encode(" ab", kTrusted), (Ids{3, 2}));
}

TEST(TokenizerJson, AddedTokensAndTheirKinds) {
  File file;
  file.more += R"(, "added_tokens": [{"id": 6, "content": "<e>", "special": true, "rstrip": true},
                                     {"id": 5, "content": "<u>", "special": false}])";
  const auto spec = file.spec();
  ASSERT_TRUE(spec.ok()) << spec.error().message;
  EXPECT_EQ(spec->types,
            (std::vector<TokenType>{TokenType::kNormal, TokenType::kNormal, TokenType::kNormal, TokenType::kNormal,
                                    TokenType::kUnused, TokenType::kUserDefined, TokenType::kControl}));
  EXPECT_EQ(spec->tokens[4], "[PAD4]");
  EXPECT_EQ(file.tokenizer().encode("a<e>  b<u>", kTrusted), (Ids{0, 6, 1, 5}));
}

TEST(TokenizerJson, SentencePieceWithPrependAndReplace) {
  File file;
  file.vocab = kPieces;
  file.merges = R"(["▁ a", "a b"])";
  file.model_more = R"(, "unk_token": "<unk>", "fuse_unk": true, "byte_fallback": true)";
  file.more = R"("normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"},
                 {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]}, "pre_tokenizer": null,
                 "added_tokens": [{"id": 1, "content": "<s>", "special": true}])";
  const Tokenizer tokenizer = file.tokenizer();
  EXPECT_EQ(tokenizer.model(), TokenizerModel::kSentencePiece);
  EXPECT_EQ(tokenizer.encode("ab<s>b é x", kTrusted), (Ids{5, 4, 1, 2, 4, 2, 7, 8, 2, 0}));
  EXPECT_EQ(tokenizer.decode(tokenizer.encode("ab é", kTrusted)), "ab é");
  EXPECT_EQ(file.spec()->scores[5], -1.0f);
  EXPECT_EQ(file.spec()->scores[6], -2.0f);
  EXPECT_EQ(file.spec()->types[7], TokenType::kByte);
}

TEST(TokenizerJson, MetaspaceSchemes) {
  File file;
  file.vocab = kPieces;
  file.merges = R"(["▁ a", "a b"])";
  file.more = R"("pre_tokenizer": {"type": "Metaspace", "replacement": "▁", SCHEME},
                 "added_tokens": [{"id": 1, "content": "<s>", "special": true}])";
  const std::string base = file.more;
  const auto encode = [&](std::string_view scheme, std::string_view text) {
    file.more = base;
    file.more.replace(file.more.find("SCHEME"), 6, scheme);
    return file.tokenizer().encode(text, kTrusted);
  };
  EXPECT_EQ(encode(R"("prepend_scheme": "always")", "a<s> ab"), (Ids{5, 1, 5, 4}));
  EXPECT_EQ(encode(R"("prepend_scheme": "first")", "a<s>ab"), (Ids{5, 1, 6}));
  EXPECT_EQ(encode(R"("prepend_scheme": "never")", "ab"), Ids{6});
  EXPECT_EQ(encode(R"("add_prefix_space": true)", "a"), Ids{5});
  EXPECT_EQ(encode(R"("add_prefix_space": false)", "a"), Ids{3});
}

// A file cannot make one long word take time by the square of its length.
TEST(TokenizerJson, WordPieceWordsAreOfBoundedLength) {
  const std::string json = R"({"model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
      "max_input_chars_per_word": 1000000, "vocab": {"[UNK]": 0, "a": 1, "##a": 2}},
      "pre_tokenizer": {"type": "BertPreTokenizer"}, "normalizer": {"type": "BertNormalizer"}})";
  auto spec = spec_from_tokenizer_json(json, "", "test");
  ASSERT_TRUE(spec.ok()) << spec.error().message;
  EXPECT_EQ(spec->word_chars_max, TokenizerSpec::kWordCharsMax);
  const auto tokenizer = Tokenizer::create(std::move(*spec));
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.error().message;
  constexpr size_t kMax = TokenizerSpec::kWordCharsMax;
  EXPECT_EQ(tokenizer->encode(std::string(kMax, 'a'), kTrusted).size(), kMax);
  EXPECT_EQ(tokenizer->encode(std::string(kMax + 1, 'a'), kTrusted), Ids{0});
}

// Parsed values are many times larger than their text: a file of nothing but values is no tokenizer.
TEST(TokenizerJson, TooManyValuesForItsSizeAreRefused) {
  File file;
  file.more = R"("junk": [0)";
  for (int i = 0; i < 200'000; ++i) file.more += ",0";
  file.more += "]";
  const auto spec = file.spec();
  ASSERT_FALSE(spec.ok());
  EXPECT_NE(spec.error().message.find("values"), std::string::npos) << spec.error().message;
}

TEST(TokenizerJson, WordPieceInGgufsForm) {
  const std::string json = R"({"model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
      "max_input_chars_per_word": 5, "vocab": {"[UNK]": 0, "[CLS]": 1, "[SEP]": 2, "un": 3, "##do": 4, "[unused1]": 5}},
      "normalizer": {"type": "BertNormalizer", "lowercase": true, "strip_accents": null, "handle_chinese_chars": true},
      "pre_tokenizer": {"type": "BertPreTokenizer"},
      "added_tokens": [{"id": 0, "content": "[UNK]", "special": true}, {"id": 1, "content": "[CLS]", "special": true},
                       {"id": 2, "content": "[SEP]", "special": true}],
      "post_processor": {"type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "[CLS]"}}, {"Sequence": {"id": "A"}}, {"SpecialToken": {"id": "[SEP]"}}]}})";
  const auto spec = spec_from_tokenizer_json(json, "", "test");
  ASSERT_TRUE(spec.ok()) << spec.error().message;
  EXPECT_EQ(spec->tokens[3], "\u2581un");
  EXPECT_EQ(spec->tokens[4], "do");
  EXPECT_EQ(spec->tokens[5], "[unused1]");
  EXPECT_TRUE(spec->strip_accents);
  const auto tokenizer = Tokenizer::create(*spec);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.error().message;
  EXPECT_EQ(tokenizer->encode("Undo undoing"), (Ids{1, 3, 4, 0, 2}));
  EXPECT_EQ(tokenizer->sep(), 2);
}

TEST(TokenizerJson, SpecialTokensFromConfigAndMap) {
  File file;
  file.more += R"(, "added_tokens": [{"id": 4, "content": "<s>", "special": true},
                                     {"id": 5, "content": "</s>", "special": true}])";
  file.config = R"({"bos_token": {"content": "<s>"}, "eos_token": null, "add_bos_token": true,
                    "chat_template": [{"name": "tool_use", "template": "T"}, {"name": "default", "template": "D"}]})";
  file.map = R"({"eos_token": "</s>", "pad_token": "no such token"})";
  const Tokenizer tokenizer = file.tokenizer();
  EXPECT_EQ(tokenizer.bos(), 4);
  EXPECT_EQ(tokenizer.eos(), 5);
  EXPECT_EQ(tokenizer.pad(), kNoToken);
  EXPECT_EQ(tokenizer.chat_template(), "D");
  EXPECT_EQ(tokenizer.encode("a"), (Ids{4, 0}));
  file.config = R"({"chat_template": "plain"})";
  EXPECT_EQ(file.tokenizer().chat_template(), "plain");
}

TEST(TokenizerJson, PostProcessorsSayWhatSurroundsTheText) {
  File file;
  const std::string base = file.more + R"(, "added_tokens": [{"id": 4, "content": "<s>", "special": true},
                                          {"id": 5, "content": "</s>", "special": true}], "post_processor": )";
  const auto encode = [&](std::string_view processor) {
    file.more = base + std::string(processor);
    return file.tokenizer().encode("a");
  };
  EXPECT_EQ(encode("null"), Ids{0});
  EXPECT_EQ(encode(R"({"type": "ByteLevel"})"), Ids{0});
  EXPECT_EQ(encode(R"({"type": "RobertaProcessing", "sep": ["</s>", 5], "cls": ["<s>", 4]})"), (Ids{4, 0, 5}));
  EXPECT_EQ(encode(R"({"type": "Sequence", "processors": [{"type": "ByteLevel"}, {"type": "TemplateProcessing",
                       "single": [{"SpecialToken": {"id": "<s>"}}, {"Sequence": {"id": "A"}}]}]})"),
            (Ids{4, 0}));
  file.config = R"({"bos_token": "<s>", "add_bos_token": false})";
  EXPECT_EQ(encode(R"({"type": "TemplateProcessing",
                       "single": [{"SpecialToken": {"id": "<s>"}}, {"Sequence": {"id": "A"}}]})"),
            Ids{0});
}

TEST(TokenizerJson, StagesOfThePreTokenizer) {
  struct Case {
    const char* steps;
    std::vector<std::string> patterns;
    const char* pre;
  };
  const Case cases[] = {
      {R"({"type": "Digits", "individual_digits": true}, {"type": "ByteLevel", "add_prefix_space": false})",
       {R"(\p{N})", R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)"},
       "smollm"},
      {R"({"type": "Split", "pattern": {"String": "a.b"}, "behavior": "Removed"},
          {"type": "ByteLevel", "use_regex": false, "add_prefix_space": false})",
       {R"(a\.b)"},
       ""},
      {R"({"type": "Sequence", "pretokenizers": [{"type": "Digits"}, {"type": "Punctuation"}]}, {"type": "Whitespace"},
          {"type": "WhitespaceSplit"}, {"type": "ByteLevel", "use_regex": false, "add_prefix_space": false})",
       {R"(\p{N}+)", R"([!-/:-@\[-`{-~\p{P}])", R"(\w+|[^\w\s]+)", R"(\s)"},
       ""},
      {R"json({"type": "Split", "pattern": {"Regex": "\\d{1,3}(?=(?:\\d{3})*\\b)"}, "behavior": "Isolated"},
          {"type": "ByteLevel", "use_regex": false, "add_prefix_space": false})json",
       {""},
       ""},
  };
  for (const Case& c : cases) {
    File file;
    file.more = format(R"("pre_tokenizer": {{"type": "Sequence", "pretokenizers": [{}]}})", c.steps);
    const auto spec = file.spec();
    ASSERT_TRUE(spec.ok()) << spec.error().message;
    std::vector<std::string> patterns;
    for (const PreStage& stage : spec->stages) patterns.push_back(stage.pattern);
    EXPECT_EQ(patterns, c.patterns);
    EXPECT_EQ(spec->pre, c.pre);
    EXPECT_TRUE(Tokenizer::create(*spec).ok());
  }
}

TEST(TokenizerJson, NormalizersRunInOrder) {
  File file;
  file.more += R"(, "normalizer": {"type": "Sequence", "normalizers": [{"type": "NFD"}, {"type": "StripAccents"},
                    {"type": "Lowercase"}, {"type": "NFC"}]})";
  EXPECT_EQ(file.spec()->normalizations, (std::vector<Normalization>{Normalization::kNfd, Normalization::kStripAccents,
                                                                     Normalization::kLowercase, Normalization::kNfc}));
  EXPECT_EQ(file.tokenizer().encode("Á", kTrusted), Ids{0});
}

TEST(TokenizerJson, RefusesWhatItCannotDoExactly) {
  struct Case {
    const char* says;
    void (*damage)(File&);
  };
  const std::string byte_level = R"("pre_tokenizer": {"type": "ByteLevel"})";
  const Case cases[] = {
      {"not valid JSON", [](File& f) { f.vocab = "{"; }},
      {"no model.vocab", [](File& f) { f.vocab = "[]"; }},
      {"the vocabulary is empty", [](File& f) { f.vocab = "{}"; }},
      {"no whole number", [](File& f) { f.vocab = R"({"a": 0.5})"; }},
      {"has id -1", [](File& f) { f.vocab = R"({"a": -1})"; }},
      {"has id 16777216", [](File& f) { f.vocab = R"({"a": 16777216})"; }},
      {"has gaps", [](File& f) { f.vocab = R"({"a": 9000000})"; }},
      {"both have id 0", [](File& f) { f.vocab = R"({"a": 0, "b": 0})"; }},
      {"no model.merges", [](File& f) { f.merges = "1"; }},
      {"model.merges, index 1", [](File& f) { f.merges = R"(["a b", "ab"])"; }},
      {"model.merges, index 0", [](File& f) { f.merges = R"([["a", "b", "c"]])"; }},
      {"\"##\"", [](File& f) { f.model_more = R"(, "continuing_subword_prefix": "##")"; }},
      {"dropout", [](File& f) { f.model_more = R"(, "dropout": 0.1)"; }},
      {"neither the ByteLevel", [](File& f) { f.more = R"("pre_tokenizer": null)"; }},
      {"normalizer", [](File& f) { f.more += R"(, "normalizer": {"type": "NFKC"})"; }},
      {"normalizer",
       [](File& f) { f.more += R"(, "normalizer": {"type": "Replace", "pattern": {"Regex": " +"}, "content": " "})"; }},
      {"UnicodeScripts", [](File& f) { f.more = R"("pre_tokenizer": {"type": "UnicodeScripts"})"; }},
      {"without a pattern", [](File& f) { f.more = R"("pre_tokenizer": {"type": "Split"})"; }},
      {"patterns of the pre-tokenizer",
       [](File& f) {
         const std::string split = R"({"type": "Split", "pattern": {"String": ")" + std::string(6000, 'x') + R"("}})";
         f.more = R"("pre_tokenizer": {"type": "Sequence", "pretokenizers": [)" + split + "," + split + "," + split +
                  R"(, {"type": "ByteLevel"}]})";
       }},
      {"behavior \"Odd\"",
       [](File& f) {
         f.more = R"("pre_tokenizer": {"type": "Split", "pattern": {"String": "x"}, "behavior": "Odd"})";
       }},
      {"replacement \"_\"", [](File& f) { f.more = R"("pre_tokenizer": {"type": "Metaspace", "replacement": "_"})"; }},
      {"no id or no content", [](File& f) { f.more += R"(, "added_tokens": [{"id": 7}])"; }},
      {"added_tokens is no array", [](File& f) { f.more += R"(, "added_tokens": {})"; }},
      {"both have id 2", [](File& f) { f.more += R"(, "added_tokens": [{"id": 2, "content": "x"}])"; }},
      {"post-processor \"\"", [](File& f) { f.more += R"(, "post_processor": 5)"; }},
      {"no token",
       [](File& f) {
         f.more += R"(, "post_processor": {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<x>"}}]})";
       }},
      {"more than one token",
       [](File& f) {
         f.more += R"(, "post_processor": {"type": "TemplateProcessing",
                   "single": [{"SpecialToken": {"id": "a"}}, {"SpecialToken": {"id": "b"}}]})";
       }},
      {"tokenizer_config.json", [](File& f) { f.config = "{"; }},
      {"special_tokens_map.json", [](File& f) { f.map = "{"; }},
  };
  for (const Case& c : cases) {
    File file;
    c.damage(file);
    const auto spec = file.spec();
    ASSERT_FALSE(spec.ok()) << c.says;
    EXPECT_NE(spec.error().message.find(c.says), std::string::npos) << c.says << ": " << spec.error().message;
    EXPECT_EQ(spec.error().message.substr(0, 4), "test");
  }
  EXPECT_FALSE(spec_from_tokenizer_json("{}", "", "test").ok());
  EXPECT_FALSE(spec_from_tokenizer_json(R"({"model": {"type": "Unigram", "vocab": []}})", "", "test").ok());
}

TEST(TokenizerJson, APatternThatCannotBeUsedIsPrinted) {
  File file;
  file.more = R"("pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "Split", "pattern":
                 {"Regex": "(?<=x)y"}, "behavior": "Isolated"}, {"type": "ByteLevel", "use_regex": false}]})";
  auto spec = file.spec();
  ASSERT_TRUE(spec.ok()) << spec.error().message;
  const auto tokenizer = Tokenizer::create(std::move(*spec));
  ASSERT_FALSE(tokenizer.ok());
  EXPECT_NE(tokenizer.error().message.find("(?<=x)y"), std::string::npos) << tokenizer.error().message;
}

TEST(TokenizerJson, PadsTheVocabulary) {
  auto spec = *File().spec();
  pad_vocabulary(spec, 6);
  pad_vocabulary(spec, 2);
  EXPECT_EQ(spec.tokens.size(), 6u);
  EXPECT_EQ(spec.tokens[5], "[PAD5]");
  EXPECT_EQ(spec.types[5], TokenType::kUnused);
  const auto tokenizer = Tokenizer::create(spec);
  ASSERT_TRUE(tokenizer.ok());
  EXPECT_EQ(tokenizer->vocab_size(), 6);
}

TEST(TokenizerJson, SmolLm) {
  const std::string path = shared_data("tokenizers/smollm.tokenizer.json");
  if (!std::filesystem::exists(path)) GTEST_SKIP() << path << " is absent";
  const auto spec = spec_from_tokenizer_json(read_whole(path), "", path);
  ASSERT_TRUE(spec.ok()) << spec.error().message;
  EXPECT_EQ(spec->tokens.size(), 49152u);
  EXPECT_EQ(spec->pre, "smollm");
}

}  // namespace
}  // namespace andiron
