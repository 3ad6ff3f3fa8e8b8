#include "text/bpe_trainer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "text/byte_level.h"
#include "text/tokenizer.h"

namespace andiron {
namespace {

using Ids = std::vector<int32_t>;
using WordCounts = std::map<std::string, int64_t>;

PreTokenCounts counts_of(const WordCounts& words) {
  PreTokenCounts out;
  for (const auto& [text, count] : words) {
    out.texts.push_back(text);
    out.counts.push_back(count);
  }
  return out;
}

BpeTrainer train(const WordCounts& words, BpeTrainOptions options) {
  const Status valid = validate(options);
  EXPECT_TRUE(valid.ok()) << (valid.ok() ? "" : valid.error().message);
  auto trainer = BpeTrainer::create(counts_of(words), std::move(options)).value();
  while (trainer.merge_next()) {
  }
  return trainer;
}

// "left right" for each merge, in GPT-2's alphabet.
std::vector<std::string> merges_of(const TokenizerSpec& spec) {
  std::vector<std::string> out;
  for (size_t i = 0; i < spec.merge_left.size(); ++i) {
    out.push_back(std::string(spec.merge_left[i]) + " " + std::string(spec.merge_right[i]));
  }
  return out;
}

// The algorithm as the paper prints it: count all pairs, merge the best, begin again.
class Reference {
 public:
  Reference(const WordCounts& words, const BpeTrainOptions& options) {
    for (const std::string& token : options.special_tokens) tokens_.push_back(token);
    std::vector<std::pair<uint32_t, uint8_t>> alphabet;
    alphabet.reserve(256);
    for (int byte = 0; byte < 256; ++byte) {
      alphabet.emplace_back(byte_level_character(static_cast<uint8_t>(byte)), static_cast<uint8_t>(byte));
    }
    std::sort(alphabet.begin(), alphabet.end());
    std::map<uint8_t, int32_t> ids;
    for (const auto& [character, byte] : alphabet) {
      ids[byte] = static_cast<int32_t>(tokens_.size());
      std::string name;
      append_byte_level(name, std::string(1, static_cast<char>(byte)));
      tokens_.push_back(name);
    }
    for (const auto& [text, count] : words) {
      Ids word;
      for (const char c : text) word.push_back(ids[static_cast<uint8_t>(c)]);
      words_.emplace_back(word, count);
    }
    while (static_cast<int64_t>(tokens_.size()) < options.vocab_size && merge_best(options)) {
    }
  }

  const std::vector<std::string>& tokens() const { return tokens_; }
  const std::vector<std::string>& merges() const { return merges_; }
  const Ids& word(size_t i) const { return words_[i].first; }

 private:
  bool merge_best(const BpeTrainOptions& options) {
    std::map<std::pair<int32_t, int32_t>, int64_t> counts;
    for (const auto& [word, count] : words_) {
      for (size_t i = 0; i + 1 < word.size(); ++i) counts[{word[i], word[i + 1]}] += count;
    }
    std::pair<int32_t, int32_t> best;
    int64_t most = 0;
    for (const auto& [pair, count] : counts) {  // in the order of ids: the first of equals stays
      const std::string joined = text(pair.first) + text(pair.second);
      const bool special = std::count(options.special_tokens.begin(), options.special_tokens.end(), joined) > 0;
      if (count > most && !special) {
        best = pair;
        most = count;
      }
    }
    if (most < options.count_min) return false;
    const auto id = static_cast<int32_t>(tokens_.size());
    merges_.push_back(text(best.first) + " " + text(best.second));
    tokens_.push_back(text(best.first) + text(best.second));
    for (auto& [word, count] : words_) {
      Ids joined;
      for (size_t i = 0; i < word.size(); ++i) {
        const bool here = i + 1 < word.size() && word[i] == best.first && word[i + 1] == best.second;
        joined.push_back(here ? id : word[i]);
        if (here) ++i;
      }
      word = joined;
    }
    return true;
  }
  const std::string& text(int32_t id) const { return tokens_[static_cast<size_t>(id)]; }

  std::vector<std::string> tokens_, merges_;
  std::vector<std::pair<Ids, int64_t>> words_;
};

void expect_as_reference(const WordCounts& words, const BpeTrainOptions& options) {
  const BpeTrainer trainer = train(words, options);
  const Reference reference(words, options);
  const TokenizerSpec spec = trainer.spec();
  ASSERT_EQ(merges_of(spec), reference.merges());
  std::vector<std::string> tokens;
  for (size_t i = 0; i < spec.tokens.size(); ++i) tokens.emplace_back(spec.tokens[i]);
  EXPECT_EQ(tokens, reference.tokens());
  EXPECT_EQ(std::set<std::string>(tokens.begin(), tokens.end()).size(), tokens.size());  // no text twice
  int64_t count = 0;
  size_t i = 0;
  for (const auto& [text, times] : words) {
    EXPECT_EQ(trainer.segmentation(i), reference.word(i)) << text;
    count += times * static_cast<int64_t>(reference.word(i++).size());
  }
  EXPECT_EQ(trainer.tokens(), count);
}

TEST(BpeTrainer, ThePapersExample) {
  // Section 3.2's dictionary, without its end-of-word symbol. Of the pairs that occur 9 times (e,s) goes before (s,t);
  // then (es,t) 9; of 7 times (l,o) before (o,w); (lo,w) 7; of 6 times (e,w) before (n,e), w being the later letter.
  const WordCounts words = {{"low", 5}, {"lower", 2}, {"newest", 6}, {"widest", 3}};
  const BpeTrainer trainer = train(words, {.vocab_size = 256 + 7});
  EXPECT_EQ(merges_of(trainer.spec()),
            (std::vector<std::string>{"e s", "es t", "l o", "lo w", "e w", "n ew", "new est"}));
  EXPECT_EQ(trainer.last_count(), 6);
  EXPECT_EQ(trainer.tokens(), 5 * 1 + 2 * 3 + 6 * 1 + 3 * 4);
}

TEST(BpeTrainer, RunsMergeFromTheLeft) {
  // "aaaaa": 4 pairs, "a a" gives aa aa a; then (aa,aa) and (aa,a) once each: the smaller right id goes first.
  const WordCounts words = {{"aaaaa", 1}};
  const BpeTrainer trainer = train(words, {.vocab_size = 300, .count_min = 1});
  EXPECT_EQ(merges_of(trainer.spec()), (std::vector<std::string>{"a a", "aa a", "aa aaa"}));
  EXPECT_EQ(trainer.segmentation(0).size(), 1U);
}

TEST(BpeTrainer, EqualsTheReferenceOnRandomWords) {
  // Few letters make runs, overlaps and ties; many words of few letters make every pair's count change often.
  for (uint64_t seed = 0; seed < 60; ++seed) {
    const RandomStream random(seed);
    uint64_t draw = 0;
    const auto below = [&](uint64_t n) { return random.bits(draw++) % n; };
    const uint64_t letters = 1 + below(6);
    WordCounts words;
    for (uint64_t i = 0, count = 1 + below(60); i < count; ++i) {
      std::string word;
      for (uint64_t k = 0, size = 1 + below(seed % 3 == 0 ? 40 : 9); k < size; ++k) {
        word += static_cast<char>(seed % 5 == 4 ? below(256) : 'a' + below(letters));
      }
      words[word] += static_cast<int64_t>(1 + below(9));
    }
    BpeTrainOptions options{.vocab_size = static_cast<int64_t>(256 + 2 + below(150)),
                            .special_tokens = {"<|a|>", "abab"}};
    options.count_min = static_cast<int64_t>(1 + below(3));
    SCOPED_TRACE(seed);
    expect_as_reference(words, options);
  }
}

TEST(BpeTrainer, EndsWhereNoPairIsFrequentEnough) {
  const BpeTrainer trainer = train({{"abab", 1}, {"xyz", 1}}, {.vocab_size = 1000});
  EXPECT_EQ(merges_of(trainer.spec()), std::vector<std::string>{"a b"});
  EXPECT_EQ(trainer.vocab_size(), 257);
  EXPECT_EQ(trainer.merges(), 1);
  const BpeTrainer none = train({}, {.vocab_size = 1000});
  EXPECT_EQ(none.vocab_size(), 256);
  EXPECT_EQ(none.tokens(), 0);
  EXPECT_EQ(none.last_count(), 0);
}

TEST(BpeTrainer, NoMergeSpellsASpecialToken) {
  // "\u0120the" is how the vocabulary spells " the".
  const WordCounts words = {{"the", 50}, {" the", 50}, {" they", 10}};
  const BpeTrainer trainer = train(words, {.vocab_size = 300, .special_tokens = {"the", "\u0120the"}});
  const TokenizerSpec spec = trainer.spec();
  std::set<std::string_view> seen;
  for (size_t i = 0; i < spec.tokens.size(); ++i) EXPECT_TRUE(seen.insert(spec.tokens[i]).second) << spec.tokens[i];
  EXPECT_EQ(spec.types[1], TokenType::kControl);
  EXPECT_EQ(spec.types[2], TokenType::kNormal);
  EXPECT_GT(trainer.merges(), 0);
}

TEST(BpeTrainer, TokensHaveALargestSize) {
  const WordCounts words = {{std::string(1 << 14, '-'), 2}};
  const BpeTrainer trainer = train(words, {.vocab_size = 2000});
  size_t longest = 0;
  const TokenizerSpec spec = trainer.spec();
  for (size_t i = 0; i < spec.tokens.size(); ++i) longest = std::max(longest, spec.tokens[i].size());
  EXPECT_EQ(longest, BpeTrainer::kTokenBytesMax);
  EXPECT_EQ(trainer.merges(), 10);
}

TEST(BpeTrainer, EncodingFindsTheTrainersSegmentation) {
  const RandomStream random(7);
  WordCounts words;
  for (uint64_t i = 0; i < 400; ++i) {
    std::string word(1 + random.bits(3 * i) % 12, ' ');
    for (size_t k = 0; k < word.size(); ++k) word[k] = static_cast<char>('a' + random.bits(1000 * (i + 2) + k) % 4);
    words[word] += 1 + static_cast<int64_t>(random.bits(3 * i + 1) % 5);
  }
  // llama-bpe takes a pre-token that is a token whole, whatever the merges say.
  for (const char* pre : {"qwen2", "llama-bpe"}) {
    const BpeTrainer trainer = train(words, {.vocab_size = 600, .pre = pre});
    const auto tokenizer = Tokenizer::create(trainer.spec());
    ASSERT_TRUE(tokenizer.ok()) << tokenizer.error().message;
    size_t i = 0;
    for (const auto& [text, count] : words) EXPECT_EQ(tokenizer->encode(text), trainer.segmentation(i++)) << text;
  }
}

std::string complaint(const BpeTrainOptions& options) {
  const Status status = validate(options);
  return status.ok() ? "" : status.error().message;
}

TEST(BpeTrainer, WordsHaveALargestSum) {
  constexpr size_t kMost = UINT32_MAX;
  EXPECT_TRUE(check_words(kMost - 1, 0).ok());
  EXPECT_TRUE(check_words(kMost - 11, 10).ok());
  for (const auto& [bytes, count] : {std::pair(kMost, size_t{0}), {kMost - 10, size_t{10}}, {kMost + 1, size_t{0}}}) {
    EXPECT_NE(check_words(bytes, count).error().message.find("4.00 GiB of distinct words; at most 4 GiB"),
              std::string::npos);
  }
}

TEST(BpeTrainOptions, WhatCannotBeIsSaid) {
  EXPECT_EQ(complaint({}), "");
  EXPECT_EQ(complaint({.vocab_size = 258, .special_tokens = {"<a>", "<b>"}}), "");
  EXPECT_EQ(complaint({.vocab_size = 257, .special_tokens = {"<a>", "<b>"}}),
            "a vocabulary of 257 tokens: 256 bytes and 2 special tokens need 258, and at most 1048576 are supported");
  EXPECT_NE(complaint({.vocab_size = 255}), "");
  EXPECT_NE(complaint({.vocab_size = (1 << 20) + 1}), "");
  EXPECT_EQ(complaint({.count_min = 0}), "pairs that occur 0 times cannot be merged; expected 1 or more");
  EXPECT_NE(complaint({.pre = "nothing"}).find("\"nothing\" is no byte-level pre-tokenizer"), std::string::npos);
  EXPECT_NE(complaint({.pre = ""}), "");
  EXPECT_NE(complaint({.pre = "gemma4"}), "");  // code points, not bytes
  EXPECT_EQ(complaint({.special_tokens = {""}}), "a special token is empty");
  EXPECT_EQ(complaint({.special_tokens = {"<a>", "<b>", "<a>"}}), "the special token \"<a>\" is there twice");
  EXPECT_NE(complaint({.special_tokens = {"a"}}).find("is the name of a byte"), std::string::npos);
  EXPECT_NE(complaint({.special_tokens = {"\u0120"}}).find("is the name of a byte"), std::string::npos);
  EXPECT_EQ(complaint({.special_tokens = {"\u0414"}}), "");  // no byte is called so
  EXPECT_NE(complaint({.special_tokens = {"\xff<"}}).find("is not UTF-8"), std::string::npos);
  EXPECT_NE(complaint({.special_tokens = {std::string(1025, 'x')}}).find("has 1025 bytes"), std::string::npos);
}

}  // namespace
}  // namespace andiron
