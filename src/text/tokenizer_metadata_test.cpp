#include "text/tokenizer_metadata.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/strings.h"
#include "text/tokenizer.h"
#include "text/vocab_test_files.h"

namespace andiron {
namespace {

using Entries = std::vector<std::pair<std::string, MetadataValue>>;

Entries small_bpe() {
  return {{"tokenizer.ggml.model", std::string("gpt2")},
          {"tokenizer.ggml.pre", std::string("llama-bpe")},
          {"tokenizer.ggml.tokens", std::vector<std::string>{"a", "b", "ab", "<|end|>"}},
          {"tokenizer.ggml.token_type", std::vector<int32_t>{1, 1, 1, 3}},
          {"tokenizer.ggml.merges", std::vector<std::string>{"a b"}},
          {"tokenizer.ggml.bos_token_id", int64_t{3}},
          {"tokenizer.ggml.eos_token_id", int64_t{3}}};
}

TEST(TokenizerMetadata, ReadsWhatTheKeysSay) {
  const TestMetadata metadata(small_bpe());
  const auto spec = spec_from_metadata(metadata, "test");
  ASSERT_TRUE(spec.ok()) << spec.error().message;
  EXPECT_EQ(spec->model, TokenizerModel::kBpe);
  EXPECT_EQ(spec->tokens.size(), 4u);
  EXPECT_EQ(spec->types[3], TokenType::kControl);
  EXPECT_EQ(spec->merge_left[0], "a");
  EXPECT_EQ(spec->merge_right[0], "b");
  EXPECT_EQ(spec->bos, 3);
  EXPECT_TRUE(spec->add_bos);        // llama-bpe implies it
  EXPECT_TRUE(spec->ignore_merges);  // and this
  EXPECT_EQ(spec->stages.size(), 1u);
}

TEST(TokenizerMetadata, AbsentKeysTakeLlamaCppsValues) {
  TestMetadata sentence_piece({{"tokenizer.ggml.model", std::string("llama")},
                               {"tokenizer.ggml.tokens", std::vector<std::string>{"<unk>", "<s>", "</s>", "a"}}});
  auto spec = spec_from_metadata(sentence_piece, "test");
  ASSERT_TRUE(spec.ok()) << spec.error().message;
  EXPECT_EQ(spec->bos, 1);
  EXPECT_EQ(spec->eos, 2);
  EXPECT_EQ(spec->unk, 0);
  EXPECT_TRUE(spec->add_bos);
  EXPECT_FALSE(spec->add_eos);
  EXPECT_EQ(spec->space_prefix, SpacePrefix::kEach);
  sentence_piece.put("tokenizer.ggml.add_space_prefix", false);
  sentence_piece.put("tokenizer.ggml.add_bos_token", false);
  spec = spec_from_metadata(sentence_piece, "test");
  EXPECT_EQ(spec->space_prefix, SpacePrefix::kNone);
  EXPECT_FALSE(spec->add_bos);

  // A vocabulary too small for the ids that BERT implies.
  const TestMetadata bert({{"tokenizer.ggml.model", std::string("bert")},
                           {"tokenizer.ggml.cls_token_id", int64_t{1}},
                           {"tokenizer.ggml.seperator_token_id", int64_t{2}},
                           {"tokenizer.ggml.tokens", std::vector<std::string>{"[UNK]", "[CLS]", "[SEP]"}}});
  spec = spec_from_metadata(bert, "test");
  ASSERT_TRUE(spec.ok()) << spec.error().message;
  EXPECT_EQ(spec->bos, 1);
  EXPECT_EQ(spec->sep, 2);
  EXPECT_EQ(spec->unk, kNoToken);
}

TEST(TokenizerMetadata, RefusesWhatIsDamagedOrUnknown) {
  struct Case {
    const char* says;
    void (*damage)(TestMetadata&);
  };
  const Case cases[] = {
      {"tokenizer.ggml.model", [](TestMetadata& m) { m.erase("tokenizer.ggml.model"); }},
      {"is \"t5\"", [](TestMetadata& m) { m.put("tokenizer.ggml.model", std::string("t5")); }},
      {"pre-tokenizer \"odd\"", [](TestMetadata& m) { m.put("tokenizer.ggml.pre", std::string("odd")); }},
      {"tokenizer.ggml.tokens", [](TestMetadata& m) { m.erase("tokenizer.ggml.tokens"); }},
      {"tokenizer.ggml.merges", [](TestMetadata& m) { m.erase("tokenizer.ggml.merges"); }},
      {"index 1",
       [](TestMetadata& m) {
         m.put("tokenizer.ggml.merges", std::vector<std::string>{"a b", "ab"});
       }},
      {"index 0", [](TestMetadata& m) { m.put("tokenizer.ggml.merges", std::vector<std::string>{"a "}); }},
      {"index 0", [](TestMetadata& m) { m.put("tokenizer.ggml.merges", std::vector<std::string>{""}); }},
      {"bos_token_id is 4", [](TestMetadata& m) { m.put("tokenizer.ggml.bos_token_id", int64_t{4}); }},
      {"eos_token_id is -1", [](TestMetadata& m) { m.put("tokenizer.ggml.eos_token_id", int64_t{-1}); }},
      {"stages", [](TestMetadata& m) { m.put("andiron.tokenizer.stages", std::vector<std::string>{"sideways:x"}); }},
      {"normalization",
       [](TestMetadata& m) { m.put("andiron.tokenizer.normalization", std::vector<std::string>{"rot13"}); }},
      {"space_prefix", [](TestMetadata& m) { m.put("andiron.tokenizer.space_prefix", std::string("last")); }},
  };
  for (const Case& c : cases) {
    TestMetadata metadata(small_bpe());
    c.damage(metadata);
    const auto spec = spec_from_metadata(metadata, "test");
    ASSERT_FALSE(spec.ok()) << c.says;
    EXPECT_NE(spec.error().message.find(c.says), std::string::npos) << spec.error().message;
    EXPECT_EQ(spec.error().message.substr(0, 6), "test: ");
  }
}

// Everything a spec can say that GGUF has no key for.
TEST(TokenizerMetadata, EverySettingMakesTheRound) {
  TokenizerSpec spec;
  spec.source = "test";
  for (const char* text : {"a", "b", "ab", "<m>"}) spec.tokens.push_back(text);
  spec.scores = {0, -1, -2, 0};
  spec.types = {TokenType::kNormal, TokenType::kNormal, TokenType::kNormal, TokenType::kControl};
  spec.merge_left.push_back("a");
  spec.merge_right.push_back("b");
  spec.rules = {{.id = 3, .strip_left = true, .single_word = true}};
  spec.bos = 0;
  spec.eos = 1;
  spec.mask = 3;
  spec.add_eos = true;
  spec.normalizations = {Normalization::kNfc, Normalization::kStripAccents};
  spec.space_prefix = SpacePrefix::kFirst;
  spec.space_prefix_if_missing = true;
  spec.ignore_merges = true;
  spec.fuse_unknown = false;
  spec.chat_template = "{{ messages }}";
  for (const char* pattern : {R"(\p{L}+:x)", "y"}) spec.stages.emplace_back().pattern = pattern;
  spec.stages[0].behavior = PreStage::Behavior::kMergedWithNext;
  spec.stages[0].invert = true;
  spec.stages.emplace_back().kind = PreStage::Kind::kDigitTriples;
  spec.stages.emplace_back().kind = PreStage::Kind::kDigitTriplesBeforeEnd;
  for (const bool byte_level : {true, false}) {
    for (const TokenizerModel model : {TokenizerModel::kBpe, TokenizerModel::kSentencePiece}) {
      spec.byte_level = byte_level && model == TokenizerModel::kBpe;
      spec.model = model;
      const auto again = spec_from_metadata(TestMetadata(metadata_from_spec(spec)), "test");
      ASSERT_TRUE(again.ok()) << again.error().message;
      EXPECT_EQ(again->model, spec.model);
      EXPECT_EQ(again->tokens, spec.tokens);
      EXPECT_EQ(again->scores, spec.scores);
      EXPECT_EQ(again->types, spec.types);
      EXPECT_EQ(again->merge_left, spec.merge_left);
      EXPECT_EQ(again->merge_right, spec.merge_right);
      EXPECT_EQ(again->rules, spec.rules);
      EXPECT_EQ(again->bos, spec.bos);
      EXPECT_EQ(again->eos, spec.eos);
      EXPECT_EQ(again->mask, spec.mask);
      EXPECT_EQ(again->add_bos, spec.add_bos);
      EXPECT_EQ(again->add_eos, spec.add_eos);
      EXPECT_EQ(again->normalizations, spec.normalizations);
      EXPECT_EQ(again->space_prefix, spec.space_prefix);
      EXPECT_EQ(again->space_prefix_if_missing, spec.space_prefix_if_missing);
      EXPECT_EQ(again->ignore_merges, spec.ignore_merges);
      EXPECT_EQ(again->fuse_unknown, spec.fuse_unknown);
      EXPECT_EQ(again->byte_level, spec.byte_level);
      EXPECT_EQ(again->stages, spec.stages);
      EXPECT_EQ(again->chat_template, spec.chat_template);
    }
  }
  spec.stages.clear();
  spec.model = TokenizerModel::kWordPiece;
  spec.sep = 1;
  spec.add_sep = true;
  spec.lowercase = false;
  spec.split_chinese = false;
  spec.word_chars_max = 7;
  const auto again = spec_from_metadata(TestMetadata(metadata_from_spec(spec)), "test");
  ASSERT_TRUE(again.ok()) << again.error().message;
  EXPECT_EQ(again->model, TokenizerModel::kWordPiece);
  EXPECT_TRUE(again->add_sep);
  EXPECT_FALSE(again->lowercase);
  EXPECT_TRUE(again->strip_accents);
  EXPECT_FALSE(again->split_chinese);
  EXPECT_EQ(again->word_chars_max, 7);
}

// No name that other programs know may stand for stages it does not mean.
TEST(TokenizerMetadata, NamelessStagesHaveANameNobodyKnows) {
  TokenizerSpec spec = *spec_from_metadata(TestMetadata(small_bpe()), "test");
  const TestMetadata named(metadata_from_spec(spec));
  EXPECT_EQ(*named.text("tokenizer.ggml.pre"), "llama-bpe");
  spec.stages[0].pattern = "x";
  const TestMetadata written(metadata_from_spec(spec));
  EXPECT_EQ(*written.text("tokenizer.ggml.pre"), "andiron");
  const auto again = spec_from_metadata(written, "test");
  ASSERT_TRUE(again.ok()) << again.error().message;
  EXPECT_EQ(again->stages, spec.stages);
  EXPECT_EQ(again->ignore_merges, spec.ignore_merges);
}

// llama.cpp knows these rules by the model's name; GGUF has no key for them.
TEST(TokenizerMetadata, PhiThreesMarkersSwallowTheSpaceAfterThem) {
  TestMetadata metadata({{"tokenizer.ggml.model", std::string("llama")},
                         {"general.name", std::string("Phi-3-mini")},
                         {"tokenizer.ggml.tokens", std::vector<std::string>{"<unk>", "<s>", "</s>", "<|user|>", "a"}},
                         {"tokenizer.ggml.token_type", std::vector<int32_t>{2, 3, 3, 3, 1}}});
  const auto spec = spec_from_metadata(metadata, "test");
  ASSERT_TRUE(spec.ok()) << spec.error().message;
  ASSERT_EQ(spec->rules.size(), 2u);
  EXPECT_EQ(spec->rules[0].id, 2);
  EXPECT_EQ(spec->rules[1].id, 3);
  EXPECT_TRUE(spec->rules[1].strip_right);
}

}  // namespace
}  // namespace andiron
