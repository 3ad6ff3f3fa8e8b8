#include "text/tokenizer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "base/random.h"
#include "base/strings.h"
#include "text/byte_level.h"
#include "text/vocab_test_files.h"

namespace andiron {
namespace {

using Ids = std::vector<int32_t>;

constexpr EncodeOptions kPlain{.add_special = false, .parse_special = false};
constexpr EncodeOptions kTrusted{.add_special = false, .parse_special = true};

// A byte-level vocabulary: the 256 bytes at ids 0 to 255, then the merges' results, then what is added.
struct ByteLevelBuilder {
  TokenizerSpec spec;

  ByteLevelBuilder() {
    spec.source = "test";
    for (int byte = 0; byte < 256; ++byte) {
      const char c = static_cast<char>(byte);
      std::string text;
      append_byte_level(text, std::string_view(&c, 1));
      add(text, TokenType::kNormal);
    }
  }
  int32_t add(std::string_view text, TokenType type) {
    spec.tokens.push_back(text);
    spec.types.push_back(type);
    return static_cast<int32_t>(spec.tokens.size()) - 1;
  }
  // A merge whose result is added as a token.
  int32_t merge(std::string_view left, std::string_view right) {
    rule(left, right);
    return add(std::string(left).append(right), TokenType::kNormal);
  }
  void rule(std::string_view left, std::string_view right) {
    spec.merge_left.push_back(left);
    spec.merge_right.push_back(right);
  }
  Tokenizer build() {
    auto tokenizer = Tokenizer::create(spec);
    EXPECT_TRUE(tokenizer.ok()) << tokenizer.error().message;
    return std::move(*tokenizer);
  }
};

// A SentencePiece vocabulary with byte fallback: <unk>, <s>, </s>, 256 bytes, then the pieces.
TokenizerSpec sentence_piece(const std::vector<std::pair<std::string, float>>& pieces) {
  TokenizerSpec spec;
  spec.source = "test";
  spec.model = TokenizerModel::kSentencePiece;
  spec.space_prefix = SpacePrefix::kEach;
  spec.unk = 0;
  spec.bos = 1;
  spec.eos = 2;
  spec.add_bos = true;
  const auto add = [&](std::string_view text, TokenType type, float score) {
    spec.tokens.push_back(text);
    spec.types.push_back(type);
    spec.scores.push_back(score);
  };
  add("<unk>", TokenType::kUnknown, 0);
  add("<s>", TokenType::kControl, 0);
  add("</s>", TokenType::kControl, 0);
  for (int byte = 0; byte < 256; ++byte) add(format("<0x{:02X}>", byte), TokenType::kByte, 0);
  for (const auto& [text, score] : pieces) add(text, TokenType::kNormal, score);
  return spec;
}

TEST(Tokenizer, MergesByRank) {
  ByteLevelBuilder builder;
  const int32_t bc = builder.merge("b", "c");
  const int32_t ab = builder.merge("a", "b");
  const int32_t abc = builder.merge("ab", "c");
  const Tokenizer tokenizer = builder.build();
  EXPECT_EQ(tokenizer.encode("abc", kPlain), (Ids{'a', bc}));  // bc goes first, and then a has no partner
  EXPECT_EQ(tokenizer.encode("abab", kPlain), (Ids{ab, ab}));
  EXPECT_EQ(tokenizer.encode("", kPlain), Ids{});
  EXPECT_EQ(tokenizer.id("abc"), abc);
  EXPECT_EQ(tokenizer.piece(abc), "abc");
  EXPECT_EQ(tokenizer.piece(-1), "");
  EXPECT_EQ(tokenizer.piece(100000), "");
}

TEST(Tokenizer, IgnoringMergesTakesWholePieces) {
  ByteLevelBuilder builder;
  builder.merge("b", "c");
  const int32_t abc = builder.add("abc", TokenType::kNormal);
  EXPECT_EQ(builder.build().encode("abc", kPlain).size(), 2u);
  builder.spec.ignore_merges = true;
  EXPECT_EQ(builder.build().encode("abc", kPlain), Ids{abc});
}

// llama.cpp merges texts, whether or not the results are tokens.
TEST(Tokenizer, MergesMayGoThroughTextsThatAreNoTokens) {
  ByteLevelBuilder builder;
  builder.rule("a", "b");  // "ab" is no token
  builder.rule("ab", "c");
  const int32_t abc = builder.add("abc", TokenType::kNormal);
  builder.rule("no such", "parts");
  const Tokenizer tokenizer = builder.build();
  EXPECT_EQ(tokenizer.encode("abc", kPlain), Ids{abc});
  EXPECT_EQ(tokenizer.encode("abx", kPlain), (Ids{'a', 'b', 'x'}));
}

TEST(Tokenizer, KeepsEveryByte) {
  std::string all;
  for (int byte = 0; byte < 256; ++byte) all += static_cast<char>(byte);
  const Tokenizer tokenizer = ByteLevelBuilder().build();
  EXPECT_EQ(tokenizer.encode(all, kPlain).size(), 256u);
  EXPECT_EQ(tokenizer.decode(tokenizer.encode(all, kPlain)), all);
  auto spec = sentence_piece({{"\u2581", -1.0f}});
  spec.space_prefix = SpacePrefix::kNone;
  const auto pieces = Tokenizer::create(std::move(spec));
  ASSERT_TRUE(pieces.ok());
  EXPECT_EQ(pieces->decode(pieces->encode(all, kPlain)), all);
}

TEST(Tokenizer, MergesByScoreLeftmostFirst) {
  const auto tokenizer = Tokenizer::create(sentence_piece(
      {{"\u2581", -9}, {"a", -9}, {"b", -9}, {"c", -9}, {"ab", -2}, {"bc", -1}, {"aa", -3}, {"\u2581a", -4}}));
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.error().message;
  const auto id = [&](std::string_view text) { return tokenizer->id(text); };
  EXPECT_EQ(tokenizer->encode("abc"), (Ids{1, id("\u2581a"), id("bc")}));
  EXPECT_EQ(tokenizer->encode("aaa"), (Ids{1, id("\u2581"), id("aa"), id("a")}));
  EXPECT_EQ(tokenizer->encode("b\u00e9", kPlain), (Ids{id("\u2581"), id("b"), 3 + 0xc3, 3 + 0xa9}));
  EXPECT_EQ(tokenizer->encode("<s>", kPlain), (Ids{id("\u2581"), 3 + '<', 3 + 's', 3 + '>'}));
  EXPECT_EQ(tokenizer->encode("b</s>b", kTrusted), (Ids{id("\u2581"), id("b"), 2, id("\u2581"), id("b")}));
}

// Text is cut between characters that no merge joins; all others stay together, whatever alphabet and length.
TEST(Tokenizer, MergesAreFoundAcrossAnyTwoCharacters) {
  const auto tokenizer = Tokenizer::create(sentence_piece({{"\u2581", -9},
                                                           {".", -9},
                                                           {"\u00e9", -9},
                                                           {"\u4e2d", -9},
                                                           {".\u2581", -3},
                                                           {"\u00e9\u4e2d", -4},
                                                           {"\u4e2d.\u2581\u00e9", -5},
                                                           {"\u00e9\u4e2d.\u2581", -6}}));
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.error().message;
  const auto id = [&](std::string_view text) { return tokenizer->id(text); };
  Ids expected = {id("\u2581")};
  std::string text;
  for (int i = 0; i < 50; ++i) {
    text += "\u00e9\u4e2d. ";
    expected.push_back(id("\u00e9\u4e2d.\u2581"));
  }
  EXPECT_EQ(tokenizer->encode(text, kPlain), expected);

  ByteLevelBuilder builder;
  const int32_t zero_pair = builder.merge("\u0100", "\u0100");  // the byte 0 twice
  const int32_t high_pair = builder.merge("\u0143", "\u00ff");  // the bytes ad ff
  EXPECT_EQ(builder.build().encode(std::string_view("\0\0\xad\xff\0", 5), kPlain), (Ids{zero_pair, high_pair, 0}));
}

TEST(Tokenizer, ControlTokensNeverComeOutOfMerging) {
  auto spec = sentence_piece({{"<", -9}, {"s", -9}, {">", -9}, {"s>", -1}, {"0A>", -2}, {"<0x", -3}});
  spec.space_prefix = SpacePrefix::kNone;
  const auto tokenizer = Tokenizer::create(std::move(spec));
  ASSERT_TRUE(tokenizer.ok());
  EXPECT_EQ(tokenizer->encode("<s>", kPlain), (Ids{tokenizer->id("<"), tokenizer->id("s>")}));
  for (const int32_t id : tokenizer->encode("<0x0A>", kPlain)) EXPECT_NE(id, 3 + 0x0a);
}

TEST(Tokenizer, WithoutByteTokensCharactersAreUnknown) {
  TokenizerSpec spec;
  spec.source = "test";
  spec.model = TokenizerModel::kSentencePiece;
  for (const char* text : {"<unk>", "a", "b"}) spec.tokens.push_back(text);
  spec.types = {TokenType::kUnknown, TokenType::kNormal, TokenType::kNormal};
  spec.unk = 0;
  EXPECT_EQ(Tokenizer::create(spec)->encode("axyb", kPlain), (Ids{1, 0, 2}));
  spec.fuse_unknown = false;
  EXPECT_EQ(Tokenizer::create(spec)->encode("axyb", kPlain), (Ids{1, 0, 0, 2}));
  spec.unk = kNoToken;
  EXPECT_EQ(Tokenizer::create(spec)->encode("axyb", kPlain), (Ids{1, 2}));
  // An unknown token that is the end token as well would let text end a reply.
  spec.unk = spec.eos = 0;
  EXPECT_EQ(Tokenizer::create(spec)->encode("axyb", kPlain), (Ids{1, 2}));
}

TEST(Tokenizer, SpacePrefixes) {
  auto spec = sentence_piece({{"\u2581", -9}, {"a", -9}});
  const auto tokens = [&](std::string_view text) {
    const auto tokenizer = Tokenizer::create(spec);
    std::string out;
    for (const int32_t id : tokenizer->encode(text, kTrusted)) {
      out += tokenizer->is_control(id) ? "|" : tokenizer->piece(id);
    }
    return out;
  };
  EXPECT_EQ(tokens("a</s>a"), " a| a");
  EXPECT_EQ(tokens(" a"), "  a");
  spec.space_prefix_if_missing = true;
  EXPECT_EQ(tokens(" a</s>a"), " a| a");
  spec.space_prefix = SpacePrefix::kFirst;
  EXPECT_EQ(tokens("a</s>a"), " a|a");
  EXPECT_EQ(tokens("</s>a"), "|a");
  spec.space_prefix = SpacePrefix::kNone;
  EXPECT_EQ(tokens("a</s>a"), "a|a");
}

TEST(Tokenizer, WordPieceCleansSplitsAndMatchesLongest) {
  TokenizerSpec spec;
  spec.source = "test";
  spec.model = TokenizerModel::kWordPiece;
  for (const char* text :
       {"[UNK]", "[CLS]", "[SEP]", "\u2581un", "\u2581unaff", "aff", "able", "\u2581!", "\u2581\u4e2d", "\u2581e"}) {
    spec.tokens.push_back(text);
  }
  spec.types.assign(10, TokenType::kNormal);
  std::fill_n(spec.types.begin(), 3, TokenType::kControl);
  spec.unk = 0;
  spec.bos = 1;
  spec.sep = 2;
  spec.add_bos = spec.add_sep = true;
  auto created = Tokenizer::create(spec);
  ASSERT_TRUE(created.ok()) << created.error().message;
  const Tokenizer& tokenizer = *created;
  EXPECT_EQ(tokenizer.encode("UNaff\u00e0ble"), (Ids{1, 4, 6, 2}));  // without case and accents, "unaffable"
  EXPECT_EQ(tokenizer.encode("unaffable un!", kPlain), (Ids{4, 6, 3, 7}));
  EXPECT_EQ(tokenizer.encode("\u4e2d\u4e2d", kPlain), (Ids{8, 8}));
  EXPECT_EQ(tokenizer.encode("\u00c9 \u200d\x01 e\u0301", kPlain), (Ids{9, 9}));
  EXPECT_EQ(tokenizer.encode("\xff\xfe", kPlain), Ids{});
  EXPECT_EQ(tokenizer.encode("[CLS]", kPlain), (Ids{0, 0, 0}));  // "[", "cls", "]"
  EXPECT_EQ(tokenizer.encode("unaff\u2581un", kPlain), Ids{0});
  EXPECT_EQ(tokenizer.encode("un[SEP]un", kTrusted), (Ids{3, 2, 3}));
  EXPECT_EQ(tokenizer.encode(std::string(101, 'e'), kPlain), (Ids{0}));
  EXPECT_EQ(tokenizer.decode(Ids{1, 4, 6, 3, 2}), "unaffable un");
}

TEST(Tokenizer, UserDefinedTokensAreFoundAnywhereAndLongestFirst) {
  ByteLevelBuilder builder;
  const int32_t two = builder.add("  ", TokenType::kUserDefined);
  const int32_t four = builder.add("    ", TokenType::kUserDefined);
  const int32_t think = builder.add("<think>", TokenType::kUserDefined);
  const int32_t end = builder.add("<|end|>", TokenType::kControl);
  const Tokenizer tokenizer = builder.build();
  EXPECT_EQ(tokenizer.encode("       x", kPlain), (Ids{four, two, ' ', 'x'}));
  EXPECT_EQ(tokenizer.encode("a<think>", kPlain), (Ids{'a', think}));
  EXPECT_EQ(tokenizer.encode("<|end|>", kPlain).size(), 7u);
  EXPECT_EQ(tokenizer.encode("<|end|><|end|", kTrusted), (Ids{end, '<', '|', 'e', 'n', 'd', '|'}));
  EXPECT_EQ(tokenizer.piece(four), "    ");
}

// A marker that the chat template uses is structure: it steers the model as a control token does.
TEST(Tokenizer, MarkersOfTheChatTemplateNeedTrust) {
  ByteLevelBuilder builder;
  const int32_t think = builder.add("<think>", TokenType::kUserDefined);
  const int32_t bold = builder.add("<b>", TokenType::kUserDefined);
  builder.spec.chat_template = "{{ '<think>\n' }}";
  const Tokenizer tokenizer = builder.build();
  EXPECT_TRUE(tokenizer.is_structural(think));
  EXPECT_FALSE(tokenizer.is_structural(bold));
  EXPECT_EQ(tokenizer.encode("<think><b>", kPlain), (Ids{'<', 't', 'h', 'i', 'n', 'k', '>', bold}));
  EXPECT_EQ(tokenizer.encode("<think><b>", kTrusted), (Ids{think, bold}));
}

TEST(Tokenizer, RulesOfAddedTokens) {
  ByteLevelBuilder builder;
  const int32_t mask = builder.add("<mask>", TokenType::kControl);
  builder.spec.rules = {{.id = mask, .strip_left = true}};
  EXPECT_EQ(builder.build().encode("a \t\u3000<mask> b", kTrusted), (Ids{'a', mask, ' ', 'b'}));
  builder.spec.rules = {{.id = mask, .strip_right = true}};
  EXPECT_EQ(builder.build().encode("a <mask> \n b", kTrusted), (Ids{'a', ' ', mask, 'b'}));
  EXPECT_EQ(builder.build().encode("<mask> \n", kTrusted), Ids{mask});
  builder.spec.rules = {{.id = mask, .single_word = true}};
  EXPECT_EQ(builder.build().encode("(<mask>)", kTrusted), (Ids{'(', mask, ')'}));
  EXPECT_EQ(builder.build().encode("a<mask>", kTrusted).size(), 7u);
  EXPECT_EQ(builder.build().encode("<mask>\u00e9", kTrusted).size(), 8u);
}

TEST(Tokenizer, SegmentsAreOneTextAndTrustKeepsItsPlace) {
  ByteLevelBuilder builder;
  const int32_t ab = builder.merge("a", "b");
  const int32_t end = builder.add("<e>", TokenType::kControl);
  const Tokenizer tokenizer = builder.build();
  const auto encode = [&](std::vector<Segment> segments) { return tokenizer.encode(segments, false); };
  EXPECT_EQ(encode({{"a", true}, {"b", false}}), Ids{ab});  // the border leaves no mark
  EXPECT_EQ(encode({{"<e>", true}, {"<e>", false}, {"<e>", true}}), (Ids{end, '<', 'e', '>', end}));
  EXPECT_EQ(encode({{"<", true}, {"e", false}, {">", true}}), (Ids{'<', 'e', '>'}));
  EXPECT_EQ(encode({{"<", true}, {"", false}, {"e>", true}}), Ids{end});
  EXPECT_EQ(encode({{"<e", false}, {">", true}}), (Ids{'<', 'e', '>'}));
  EXPECT_EQ(encode({}), Ids{});
}

TEST(Tokenizer, NormalizesEachStretch) {
  ByteLevelBuilder builder;
  builder.spec.normalizations = {Normalization::kNfc};
  EXPECT_EQ(builder.build().encode("e\u0301", kPlain), (Ids{0xc3, 0xa9}));
  builder.spec.normalizations = {Normalization::kNfd, Normalization::kStripAccents, Normalization::kLowercase};
  EXPECT_EQ(builder.build().encode("\u00c9", kPlain), (Ids{'e'}));
  EXPECT_EQ(builder.build().encode("\u0301", kPlain), Ids{});
}

TEST(Tokenizer, DecoderHoldsBackWhatIsIncomplete) {
  const Tokenizer tokenizer = ByteLevelBuilder().build();
  Decoder decoder(tokenizer);
  EXPECT_EQ(decoder.push('a'), "a");
  EXPECT_EQ(decoder.push(0xf0), "");
  EXPECT_EQ(decoder.push(0x9f), "");
  EXPECT_EQ(decoder.push(0x98), "");
  EXPECT_EQ(decoder.push(0x80), "\U0001f600");
  EXPECT_EQ(decoder.push(-5), "");
  EXPECT_EQ(decoder.push(0xe4), "");
  EXPECT_EQ(decoder.finish(), "\xe4");
  EXPECT_EQ(decoder.finish(), "");
}

TEST(Tokenizer, DecoderTakesTheFirstSpaceAway) {
  const auto tokenizer = Tokenizer::create(sentence_piece({{"\u2581a", -1}, {"\u2581", -2}}));
  ASSERT_TRUE(tokenizer.ok());
  const int32_t a = tokenizer->id("\u2581a");
  EXPECT_EQ(tokenizer->decode(Ids{1, a, a, 2}), "a a");
  EXPECT_EQ(tokenizer->decode(Ids{1, a, 2}, true), "<s>a</s>");
  Decoder going_on(*tokenizer, {.strip_first_space = false});
  EXPECT_EQ(going_on.push(a), " a");
}

TEST(Tokenizer, OfAnAnswerTheFirstSpaceGoesWithEveryTokenizer) {
  ByteLevelBuilder builder;
  const Tokenizer tokenizer = builder.build();
  const auto shown = [&](Decoder decoder) {
    std::string out;
    for (const int32_t id : tokenizer.encode(" a a", kPlain)) out += decoder.push(id);
    return out;
  };
  EXPECT_EQ(shown(Decoder(tokenizer, {.is_answer = true})), "a a");
  EXPECT_EQ(shown(Decoder(tokenizer)), " a a");
  EXPECT_EQ(shown(Decoder(tokenizer, {.strip_first_space = false, .is_answer = true})), " a a");
}

TEST(Tokenizer, KnowsWhatEndsAReply) {
  ByteLevelBuilder builder;
  const int32_t end = builder.add("<|end|>", TokenType::kControl);
  const int32_t im_end = builder.add("<|im_end|>", TokenType::kControl);
  const int32_t eom = builder.add("<|eom_id|>", TokenType::kControl);
  builder.spec.eos = 'Z';
  const Tokenizer tokenizer = builder.build();
  EXPECT_EQ(tokenizer.eot(), im_end);
  EXPECT_EQ(tokenizer.eom(), eom);
  for (const int32_t id : {end, im_end, eom, int32_t{'Z'}}) EXPECT_TRUE(tokenizer.is_end_of_generation(id)) << id;
  EXPECT_FALSE(tokenizer.is_end_of_generation('a'));
  EXPECT_FALSE(tokenizer.is_end_of_generation(kNoToken));
  // Between <|return|> and <|call|>, <|end|> closes one message of a reply.
  builder.add("<|return|>", TokenType::kControl);
  builder.add("<|call|>", TokenType::kControl);
  EXPECT_FALSE(builder.build().is_end_of_generation(end));
}

// "</s>" closes a strike-through in HTML; as an ordinary token it ends nothing, as an added one it does. What is
// spelled like nothing else is markup whatever its type.
TEST(Tokenizer, EndTokensByTypeAndSpelling) {
  ByteLevelBuilder builder;
  const int32_t html = builder.add("</s>", TokenType::kNormal);
  const int32_t im_end = builder.add("<|im_end|>", TokenType::kNormal);
  const int32_t bos = builder.add("<s>", TokenType::kNormal);
  builder.spec.bos = bos;
  Tokenizer tokenizer = builder.build();
  EXPECT_FALSE(tokenizer.is_end_of_generation(html));
  EXPECT_EQ(tokenizer.type(html), TokenType::kNormal);
  EXPECT_TRUE(tokenizer.is_end_of_generation(im_end));
  EXPECT_TRUE(tokenizer.is_control(im_end));
  EXPECT_TRUE(tokenizer.is_control(bos));
  EXPECT_EQ(tokenizer.encode("<|im_end|>", kTrusted), Ids{im_end});
  builder.spec.types[static_cast<size_t>(html)] = TokenType::kUserDefined;
  tokenizer = builder.build();
  EXPECT_TRUE(tokenizer.is_end_of_generation(html));
  EXPECT_EQ(tokenizer.encode("</s>", kPlain).size(), 4u);
  EXPECT_EQ(tokenizer.encode("</s>", kTrusted), Ids{html});
}

TEST(Tokenizer, OddVocabulariesHaveDefinedMeanings) {
  ByteLevelBuilder builder;
  builder.add("", TokenType::kNormal);
  builder.add("", TokenType::kControl);
  const int32_t first = builder.add("twin", TokenType::kControl);
  const int32_t second = builder.add("twin", TokenType::kControl);
  const int32_t odd_byte = builder.add("<0xZZ>", TokenType::kByte);
  const int32_t not_mapped = builder.add("\u4e2d", TokenType::kNormal);
  builder.add(std::string(5000, 'x'), TokenType::kControl);
  builder.rule("", "a");
  builder.rule("a", "a");
  builder.rule("a", "a");
  const Tokenizer tokenizer = builder.build();
  EXPECT_EQ(tokenizer.id("twin"), first);
  EXPECT_EQ(tokenizer.encode("twin", kTrusted), Ids{first});
  EXPECT_EQ(tokenizer.piece(second), "twin");
  EXPECT_EQ(tokenizer.piece(odd_byte), "<0xZZ>");
  EXPECT_EQ(tokenizer.piece(not_mapped), "\u4e2d");
  EXPECT_EQ(tokenizer.encode("aaa", kPlain), (Ids{'a', 'a', 'a'}));
}

TEST(Tokenizer, RefusesSpecsThatAreNone) {
  struct Case {
    const char* says;
    void (*damage)(TokenizerSpec&);
  };
  const Case cases[] = {
      {"no tokens", [](TokenizerSpec& spec) { spec.tokens = {}; }},
      {"3 token scores for 256 tokens", [](TokenizerSpec& spec) { spec.scores.resize(3); }},
      {"2 token types for 256 tokens", [](TokenizerSpec& spec) { spec.types.resize(2); }},
      {"the bos token has id 256", [](TokenizerSpec& spec) { spec.bos = 256; }},
      {"the mask token has id -2", [](TokenizerSpec& spec) { spec.mask = -2; }},
      {"beside a eos token", [](TokenizerSpec& spec) { spec.add_eos = true; }},
      {"an added token has id 999", [](TokenizerSpec& spec) { spec.rules.push_back({.id = 999}); }},
      {"1 left and 0 right parts", [](TokenizerSpec& spec) { spec.merge_left.push_back("a"); }},
      {"(?<=a)b", [](TokenizerSpec& spec) { spec.stages.emplace_back().pattern = "(?<=a)b"; }},
  };
  for (const Case& c : cases) {
    ByteLevelBuilder builder;
    c.damage(builder.spec);
    const auto tokenizer = Tokenizer::create(builder.spec);
    ASSERT_FALSE(tokenizer.ok()) << c.says;
    EXPECT_NE(tokenizer.error().message.find(c.says), std::string::npos) << tokenizer.error().message;
    EXPECT_EQ(tokenizer.error().message.substr(0, 6), "test: ");
  }
}

TEST(Tokenizer, MovesWithAllItsParts) {
  ByteLevelBuilder builder;
  const int32_t ab = builder.merge("a", "b");
  Tokenizer first = builder.build();
  Tokenizer second = std::move(first);
  EXPECT_EQ(second.encode("ab", kPlain), Ids{ab});
}

// ---- the shared vocabularies ----

class SharedTokenizer : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    const std::string path = shared_data(format("tokenizers/vocab/ggml-vocab-{}.gguf", GetParam()));
    if (!std::filesystem::exists(path)) GTEST_SKIP() << path << " is absent";
    auto spec = spec_of_file(path);
    ASSERT_TRUE(spec.ok()) << spec.error().message;
    auto created = Tokenizer::create(std::move(*spec));
    ASSERT_TRUE(created.ok()) << created.error().message;
    tokenizer_ = std::make_unique<Tokenizer>(std::move(*created));
  }

  // Some vocabularies were built from text and lack tokens for rare control characters: those are left out.
  bool has_token_for(char c) const { return !tokenizer_->encode(std::string_view(&c, 1), kPlain).empty(); }

  std::unique_ptr<Tokenizer> tokenizer_;
};

TEST_P(SharedTokenizer, NoTypedTextBecomesAControlToken) {
  const Tokenizer& tokenizer = *tokenizer_;
  int checked = 0;
  for (int32_t id = 0; id < tokenizer.vocab_size(); ++id) {
    if (!tokenizer.is_structural(id) && tokenizer.type(id) != TokenType::kUnknown) continue;
    ++checked;
    const std::string text(tokenizer.piece(id));
    for (const std::string& typed : {text, "a" + text + "b", " " + text, text + text, "\n" + text + " "}) {
      for (const int32_t out : tokenizer.encode(typed, kPlain)) {
        if (out == tokenizer.unk() && tokenizer.model() == TokenizerModel::kWordPiece) continue;  // an honest unknown
        ASSERT_FALSE(tokenizer.is_structural(out)) << in_quotes(typed) << " gave " << out;
      }
    }
    // Trusted, it is found: alone and twice in a row.
    const Ids twice = tokenizer.encode(text + text, kTrusted);
    EXPECT_EQ(std::count(twice.begin(), twice.end(), id), 2) << in_quotes(text);
    // Between trusted segments it stays text.
    const std::vector<Segment> segments = {{text, true}, {text, false}, {text, true}};
    const Ids mixed = tokenizer.encode(segments, false);
    if (tokenizer.model() != TokenizerModel::kWordPiece || id != tokenizer.unk()) {
      EXPECT_EQ(std::count(mixed.begin(), mixed.end(), id), 2) << in_quotes(text);
    }
  }
  EXPECT_GT(checked, 0);
}

// Those that keep the text: all but WordPiece.
class LosslessTokenizer : public SharedTokenizer {};

TEST_P(LosslessTokenizer, DecodingGivesTheTextBack) {
  const Tokenizer& tokenizer = *tokenizer_;
  const RandomStream random(3);
  constexpr uint32_t kFirst[] = {0x20,  0x20,  0x61,   0x9,    0xc0,   0x400,  0x600,
                                 0x900, 0xe00, 0x3040, 0x4e00, 0xac00, 0x1f600};
  for (uint64_t round = 0; round < 200; ++round) {
    std::string text;
    for (uint64_t i = 0; i < 60; ++i) {
      const uint64_t bits = random.bits(round << 8 | i);
      const uint32_t c = kFirst[bits % std::size(kFirst)] + static_cast<uint32_t>(bits >> 32 & 31);
      if (c >= 0x80 || has_token_for(static_cast<char>(c))) append_utf8(text, c);
    }
    const Ids ids = tokenizer.encode(text, kPlain);
    EXPECT_EQ(tokenizer.decode(ids), text);
    Decoder decoder(tokenizer);
    std::string streamed;
    for (const int32_t id : ids) {
      const std::string part = decoder.push(id);
      EXPECT_TRUE(is_valid_utf8(part));
      streamed += part;
    }
    EXPECT_EQ(streamed + decoder.finish(), text);
  }
}

TEST_P(SharedTokenizer, HostileTextIsOnlyText) {
  const Tokenizer& tokenizer = *tokenizer_;
  const RandomStream random(5);
  std::string noise;
  for (uint64_t i = 0; i < 50'000; ++i) noise += static_cast<char>(random.bits(i));
  std::string ususus;
  for (int i = 0; i < 50'000; ++i) ususus += "us";
  const std::string texts[] = {std::string(100'000, ' '),
                               std::string(100'000, '\n'),
                               std::string(100'000, 'a'),
                               std::string(100'000, '0'),
                               std::string(100'000, '\0'),
                               ususus,
                               noise};
  for (const std::string& text : texts) {
    const Ids ids = tokenizer.encode(text, kPlain);
    for (const int32_t id : ids) {
      ASSERT_TRUE(tokenizer.holds(id));
      ASSERT_FALSE(tokenizer.is_end_of_generation(id));
      ASSERT_TRUE(!tokenizer.is_control(id) || id == tokenizer.unk());
    }
    if (is_valid_utf8(text) && has_token_for(text[0]) && tokenizer.model() != TokenizerModel::kWordPiece) {
      EXPECT_EQ(tokenizer.decode(ids), text);
    }
  }
}

TEST_P(LosslessTokenizer, EveryTokenEncodesToSomethingThatDecodesToIt) {
  const Tokenizer& tokenizer = *tokenizer_;
  for (int32_t id = 0; id < tokenizer.vocab_size(); ++id) {
    const std::string text(tokenizer.piece(id));
    if (!is_valid_utf8(text) || tokenizer.is_control(id)) continue;
    ASSERT_EQ(tokenizer.decode(tokenizer.encode(text, kPlain)), text) << id;
  }
}

constexpr const char* kWordPiece = "bert-bge";
constexpr const char* kLossless[] = {"deepseek-llm", "falcon", "gpt-2", "llama-bpe", "llama-spm",
                                     "mpt",          "phi-3",  "qwen2", "qwen35",    "refact"};
INSTANTIATE_TEST_SUITE_P(WordPiece, SharedTokenizer, testing::Values(kWordPiece));
INSTANTIATE_TEST_SUITE_P(All, SharedTokenizer, testing::ValuesIn(kLossless));
INSTANTIATE_TEST_SUITE_P(All, LosslessTokenizer, testing::ValuesIn(kLossless));

}  // namespace
}  // namespace andiron
