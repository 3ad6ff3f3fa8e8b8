// Which compiled grammars are kept, and for how long.
#include "serve/grammar_cache.h"

#include "engine/engine_fixture.h"

namespace andiron {
namespace {

class GrammarCacheTest : public EngineTest {
 protected:
  void SetUp() override { open(); }
  // From `cache`, under `key`: the grammar of this text.
  static std::shared_ptr<const TokenGrammar> get(GrammarCache& cache, const std::string& key, std::string_view text) {
    const auto parsed = parse_gbnf(text, "test.gbnf");
    EXPECT_TRUE(parsed.ok()) << (parsed.ok() ? "" : parsed.error().message);
    auto got = cache.get(key, *parsed);
    EXPECT_TRUE(got.ok()) << (got.ok() ? "" : got.error().message);
    return got.ok() ? *got : nullptr;
  }
};

TEST_F(GrammarCacheTest, WhatIsKnownIsNotCompiledAgain) {
  GrammarCache cache(*tokenizer_);
  EXPECT_EQ(cache.size(), 0U);
  const auto yes = get(cache, "yes", "root ::= \"yes\"");
  ASSERT_NE(yes, nullptr);
  EXPECT_EQ(cache.size(), 1U);
  EXPECT_EQ(get(cache, "yes", "root ::= \"yes\""), yes);
  EXPECT_EQ(cache.size(), 1U);
  const auto no = get(cache, "no", "root ::= \"no\"");
  EXPECT_NE(no, yes) << "another key is another grammar";
  EXPECT_EQ(cache.size(), 2U);
  EXPECT_EQ(&no->vocabulary(), &yes->vocabulary()) << "made once for all";
  EXPECT_EQ(get(cache, "yes", "root ::= \"yes\""), yes);
}

TEST_F(GrammarCacheTest, TheLatestUsedAreKept) {
  GrammarCache cache(*tokenizer_);
  const auto nth = [&](size_t i) { return get(cache, "grammar " + std::to_string(i), "root ::= \"a\""); };
  std::vector<std::shared_ptr<const TokenGrammar>> first;
  for (size_t i = 0; i < GrammarCache::kKept; ++i) first.push_back(nth(i));
  EXPECT_EQ(cache.size(), GrammarCache::kKept);
  EXPECT_EQ(nth(0), first[0]) << "now it is the latest used, and 1 the one that was not used for longest";
  nth(GrammarCache::kKept);
  EXPECT_EQ(cache.size(), GrammarCache::kKept);
  EXPECT_EQ(nth(0), first[0]);
  for (size_t i = 2; i < GrammarCache::kKept; ++i) EXPECT_EQ(nth(i), first[i]) << i;
  // `first` has it still: a new one lies elsewhere.
  EXPECT_NE(nth(1), first[1]);
  EXPECT_EQ(cache.size(), GrammarCache::kKept);
}

TEST_F(GrammarCacheTest, WhatHasALongKeyIsNotKept) {
  GrammarCache cache(*tokenizer_);
  const std::string longest(GrammarCache::kKeyBytesKept, 'k');
  const auto kept = get(cache, longest, "root ::= \"a\"");
  EXPECT_EQ(cache.size(), 1U);
  EXPECT_EQ(get(cache, longest, "root ::= \"a\""), kept);
  const auto lost = get(cache, longest + "k", "root ::= \"a\"");
  ASSERT_NE(lost, nullptr);
  EXPECT_EQ(cache.size(), 1U);
  EXPECT_NE(get(cache, longest + "k", "root ::= \"a\""), lost);
  EXPECT_EQ(get(cache, longest, "root ::= \"a\""), kept);
}

}  // namespace
}  // namespace andiron
