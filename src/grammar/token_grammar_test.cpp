// Masks and steps against brute force: every token of a small vocabulary, spelled out and held against a recogniser
// written separately.
#include "grammar/token_grammar.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/random.h"
#include "grammar/gbnf.h"
#include "grammar/naive_matcher.h"

namespace andiron {
namespace {

class Draw {
 public:
  explicit Draw(uint64_t seed) : random_(seed) {}
  uint32_t below(uint32_t limit) {
    return static_cast<uint32_t>(random_.uniform(counter_++) * static_cast<double>(limit));
  }

 private:
  RandomStream random_;
  uint64_t counter_ = 0;
};

// A random grammar over a, b, c and two letters of two and three bytes; often refused (left recursion, no text).
class RandomGrammar {
 public:
  explicit RandomGrammar(uint64_t seed) : draw_(seed) {
    grammar_.source = "random";
    const uint32_t count = 1 + draw_.below(4);
    for (uint32_t i = 0; i < count; ++i) grammar_.rule("r" + std::to_string(i));
    for (uint32_t i = 0; i < count; ++i) {
      const uint32_t body = node(0);
      grammar_.rules[i].body = body;
    }
  }
  const Grammar& grammar() const { return grammar_; }

 private:
  uint32_t node(int depth) {
    switch (draw_.below(depth < 4 ? 8 : 3)) {
      case 0: return grammar_.text(kLetters[draw_.below(5)]);
      case 1: return grammar_.chars(draw_.below(2) == 0 ? CharSet('a', 'b') : CharSet('c', 0x20ac));
      case 2: return grammar_.call(draw_.below(static_cast<uint32_t>(grammar_.rules.size())));
      case 3:
      case 4: return grammar_.choice(nodes(depth));
      case 5: {
        // Some are loops, some are copied.
        const uint32_t min = draw_.below(draw_.below(2) == 0 ? 3 : 6);
        const uint32_t child = node(depth + 1);
        return grammar_.repeat(child, min, draw_.below(2) == 0 ? GrammarNode::kUnbounded : min + draw_.below(3));
      }
      default: return grammar_.sequence(nodes(depth));
    }
  }
  std::vector<uint32_t> nodes(int depth) {
    std::vector<uint32_t> out;
    for (uint32_t i = 1 + draw_.below(3); i > 0; --i) out.push_back(node(depth + 1));
    return out;
  }

  static constexpr const char* kLetters[] = {"a", "b", "c", "\u00e4", "\u20ac"};
  Draw draw_;
  Grammar grammar_;
};

// Texts of at most `letters` letters, so that all can be looked at.
std::vector<std::string> all_texts(size_t letters) {
  std::vector<std::string> out = {""};
  for (size_t begin = 0, length = 0; length < letters; ++length) {
    const size_t end = out.size();
    for (; begin < end; ++begin) {
      for (const char* letter : {"a", "b", "c", "\u00e4", "\u20ac"}) out.push_back(out[begin] + letter);
    }
  }
  return out;
}

std::vector<std::string_view> letters_and_more() {
  return {"a",
          "b",
          "c",
          "ab",
          "ba",
          "abc",
          "cc",
          "\xc3",
          "\xa4",
          "\xe2",
          "\x82\xac",
          "\xe2\x82",
          "a\xc3",
          "\xa4"
          "b",
          "\u20ac",
          "\u00e4\u00e4",
          "aab",
          "",
          "d",
          "aa",
          "bb",
          "cab",
          "end"};
}
constexpr int32_t kEnd = 22;

bool has(std::span<const uint64_t> mask, int32_t token) {
  return (mask[static_cast<size_t>(token) / 64] >> (token % 64) & 1) != 0;
}

std::shared_ptr<const TokenTrie> small_vocabulary() {
  const auto pieces = letters_and_more();
  return std::make_shared<const TokenTrie>(pieces, std::vector<int32_t>{kEnd});
}

TEST(TokenGrammar, RandomGrammarsAcceptWhatTheNaiveMatcherAccepts) {
  const auto texts = all_texts(5);
  int compared = 0, matched = 0;
  for (uint64_t seed = 0; compared < 150; ++seed) {
    const RandomGrammar random(seed);
    const auto automaton = Automaton::compile(random.grammar());
    if (!automaton.ok()) continue;
    ++compared;
    Pushdown pushdown(*automaton);
    for (const std::string& text : texts) {
      uint32_t at = pushdown.start();
      for (const char c : text) at = pushdown.next(at, static_cast<uint8_t>(c));
      if (pushdown.overflowed()) break;  // too ambiguous: nothing is promised of it
      const bool expected = NaiveMatcher(random.grammar(), text).matches();
      matched += expected ? 1 : 0;
      ASSERT_EQ(pushdown.accepts(at), expected) << "seed " << seed << ", text " << text;
    }
  }
  EXPECT_GT(matched, 4000);
}

// Whether some text of the language goes on from `prefix`: the longest prefixes of the texts it has, by brute force.
TEST(TokenGrammar, MasksAreThoseOfBruteForce) {
  const auto texts = all_texts(5);
  const auto vocabulary = small_vocabulary();
  const auto pieces = letters_and_more();
  int steps = 0, grammars = 0;
  for (uint64_t seed = 1000; grammars < 120; ++seed) {
    const RandomGrammar random(seed);
    const auto made = TokenGrammar::create(random.grammar(), vocabulary);
    if (!made.ok()) continue;
    ++grammars;
    // One matcher for all walks shares its memory with the next; each walk begins anew.
    Draw draw(seed);
    for (int walk = 0; walk < 4; ++walk) {
      GrammarMatcher matcher(*made);
      std::string text;
      for (int step = 0; step < 8; ++step, ++steps) {
        const auto mask = matcher.mask();
        ASSERT_TRUE(mask.ok()) << mask.error().message;
        // Byte by byte through a fresh pushdown: no tree, no masks, no tokens.
        Pushdown slow((*made)->automaton());
        const auto reach = [&](const std::string& bytes) {
          uint32_t at = slow.start();
          for (const char c : bytes) at = slow.next(at, static_cast<uint8_t>(c));
          return at;
        };
        std::vector<int32_t> allowed;
        for (int32_t token = 0; token < kEnd; ++token) {
          const std::string piece(pieces[static_cast<size_t>(token)]);
          const bool expected = !piece.empty() && reach(text + piece) != Pushdown::kDead;
          if (slow.overflowed()) break;
          ASSERT_EQ(has(*mask, token), expected) << "seed " << seed << " after '" << text << "': " << piece;
          if (expected) allowed.push_back(token);
          GrammarMatcher other = matcher;
          ASSERT_EQ(other.accept(token).ok(), expected);
        }
        if (slow.overflowed()) break;
        ASSERT_EQ(has(*mask, kEnd), slow.accepts(reach(text)));
        if (is_valid_utf8(text)) {
          ASSERT_EQ(matcher.may_end(), NaiveMatcher(random.grammar(), text).matches()) << seed << " " << text;
        }
        if (allowed.empty()) break;
        const int32_t next = allowed[draw.below(static_cast<uint32_t>(allowed.size()))];
        ASSERT_TRUE(matcher.accept(next).ok());
        text += pieces[static_cast<size_t>(next)];
        bool goes_on = false;
        for (int byte = 0; byte < 256; ++byte) goes_on |= reach(text + static_cast<char>(byte)) != Pushdown::kDead;
        ASSERT_EQ(matcher.must_end(), !goes_on) << seed << " " << text;
        if (text.size() > 12) break;
      }
    }
  }
  EXPECT_GT(steps, 1000);
}

// What may come is what begins some text of the language: nothing is allowed that leads nowhere, and nothing that leads
// somewhere is left out. Languages of at most five letters, so that all their texts are known.
TEST(TokenGrammar, AllowsExactlyTheBeginningsOfTexts) {
  const auto texts = all_texts(6);
  for (const char* source :
       {"root ::= \"ab\" [ac\u00e4] | \"a\" x\nx ::= \"b\" \"\u20ac\"? \"c\" | never\nnever ::= \"c\" never",
        "root ::= [a-b]{1,2} (\"\u00e4\" | \"\u20ac\" \"c\"){0,1} \"c\"?",
        "root ::= x x\nx ::= \"a\" y | \"\"\ny ::= \"b\"? x{0,0}"}) {
    const auto grammar = parse_gbnf(source, "test");
    ASSERT_TRUE(grammar.ok()) << grammar.error().message;
    std::set<std::string> beginnings;
    for (const std::string& text : texts) {
      if (!NaiveMatcher(*grammar, text).matches()) continue;
      for (size_t size = 0; size <= text.size(); ++size) beginnings.insert(text.substr(0, size));
    }
    const auto automaton = Automaton::compile(*grammar);
    ASSERT_TRUE(automaton.ok());
    Pushdown pushdown(*automaton);
    for (const std::string& text : beginnings) {
      uint32_t at = pushdown.start();
      for (const char c : text) at = pushdown.next(at, static_cast<uint8_t>(c));
      for (int byte = 0; byte < 256; ++byte) {
        const bool expected = beginnings.count(text + static_cast<char>(byte)) == 1;
        EXPECT_EQ(pushdown.next(at, static_cast<uint8_t>(byte)) != Pushdown::kDead, expected) << source << text << byte;
      }
    }
  }
}

// The masks within a string of so many characters, after each character, against every token in turn: tokens that stay
// in the loop, that end it, and that go on behind it, where they may and where they may not.
TEST(TokenGrammar, LoopsCountThroughTokens) {
  const auto vocabulary = small_vocabulary();
  const auto pieces = letters_and_more();
  for (const char* source :
       {"root ::= \"c\" [ab\u00e4]{0,9} \"c\" x\nx ::= \"aab\" [a-c]*", "root ::= ([ab]{5,} \"c\"){2} y\ny ::= \"d\"?",
        "root ::= x x \"d\"\nx ::= [\u00e4\u20ac]{4,7} | \"a\" (\"a\" | \"bb\" | \"\u20ac\"){6} \"c\" | \"d\" x \"d\"",
        "root ::= ([abc]{6} \"d\")*", "root ::= [ab]{4,6} root | [bc]{5,7}"}) {
    const auto grammar = parse_gbnf(source, "test");
    ASSERT_TRUE(grammar.ok()) << grammar.error().message;
    const auto made = TokenGrammar::create(*grammar, vocabulary);
    ASSERT_TRUE(made.ok()) << made.error().message;
    const auto can_begin = [&](const std::string& text) {
      Pushdown pushdown((*made)->automaton());
      uint32_t at = pushdown.start();
      for (const char c : text) at = pushdown.next(at, static_cast<uint8_t>(c));
      return at != Pushdown::kDead;
    };
    Draw draw(7);
    int ended = 0;
    for (int walk = 0; walk < 40; ++walk) {
      GrammarMatcher matcher(*made);
      std::string text;
      for (int step = 0; step < 60; ++step) {
        const auto mask = matcher.mask();
        ASSERT_TRUE(mask.ok()) << mask.error().message;
        std::vector<int32_t> allowed;
        for (int32_t token = 0; token < kEnd; ++token) {
          const std::string_view piece = pieces[static_cast<size_t>(token)];
          if (has(*mask, token)) allowed.push_back(token);
          ASSERT_EQ(has(*mask, token), !piece.empty() && can_begin(text + std::string(piece))) << text << "|" << piece;
        }
        if (is_valid_utf8(text)) {
          const bool matches = NaiveMatcher(*grammar, text).matches();
          ASSERT_EQ(has(*mask, kEnd), matches) << source << ": " << text;
          ended += matches ? 1 : 0;
        }
        ASSERT_TRUE(!matcher.must_end() || allowed.empty());
        if (allowed.empty()) break;
        const int32_t next = allowed[draw.below(static_cast<uint32_t>(allowed.size()))];
        ASSERT_TRUE(matcher.accept(next).ok());
        text += pieces[static_cast<size_t>(next)];
        if (text.size() > 40) break;
      }
    }
    EXPECT_GT(ended, 5) << source;
  }
}

// A loop is one copy however many times it goes round.
TEST(TokenGrammar, LoopsAreSmall) {
  const auto states = [](std::string_view source) {
    const auto grammar = parse_gbnf(source, "test");
    EXPECT_TRUE(grammar.ok());
    const auto automaton = Automaton::compile(*grammar);
    EXPECT_TRUE(automaton.ok());
    return automaton->state_count();
  };
  EXPECT_EQ(states("root ::= \"<\" [a-z]{0,5000} \">\""), states("root ::= \"<\" [a-z]{0,5} \">\""));
  EXPECT_LT(states("root ::= \"<\" ([a-z] | \"\\\\\" [\\\\n]){2,5000} \">\""), 10U);
  // What follows may go on as the loop does: copies.
  EXPECT_GT(states("root ::= \"<\" [a-z]{0,50} [a-f] \">\""), 50U);
}

TEST(TokenGrammar, EndsAndRefusals) {
  const auto grammar = parse_gbnf("root ::= \"a\" \"b\"?", "test.gbnf");
  ASSERT_TRUE(grammar.ok());
  const auto made = TokenGrammar::create(*grammar, small_vocabulary());
  ASSERT_TRUE(made.ok());
  GrammarMatcher matcher(*made);
  EXPECT_FALSE(matcher.may_end());
  EXPECT_FALSE(matcher.accept(kEnd).ok());
  for (const int32_t wrong : {1, -1, 23, 1 << 30}) {
    const Status status = matcher.accept(wrong);
    ASSERT_FALSE(status.ok());
    EXPECT_NE(status.error().message.find("test.gbnf: the grammar does not allow token"), std::string::npos);
  }
  ASSERT_TRUE(matcher.accept(0).ok());
  EXPECT_TRUE(matcher.may_end());
  EXPECT_FALSE(matcher.must_end());
  ASSERT_TRUE(matcher.accept(1).ok());
  EXPECT_TRUE(matcher.may_end());
  EXPECT_TRUE(matcher.must_end());
  auto mask = matcher.mask();
  ASSERT_TRUE(mask.ok());
  EXPECT_EQ((*mask)[0], uint64_t{1} << kEnd);
  ASSERT_TRUE(matcher.accept(kEnd).ok());
  mask = matcher.mask();
  ASSERT_TRUE(mask.ok());
  EXPECT_EQ((*mask)[0], 0U);
  EXPECT_FALSE(matcher.accept(kEnd).ok());
}

// Every "a" may have been read in two ways, which are told apart at the end only: an error, and no end of memory.
TEST(TokenGrammar, TooManyReadingsAreAnError) {
  const auto grammar = parse_gbnf(
      "root ::= \"a\" x \"b\" | \"a\" y \"c\" | \"d\"\nx ::= root | \"b\" x \"c\"\ny ::= root | \"c\" y \"b\"\n",
      "test");
  ASSERT_TRUE(grammar.ok());
  const auto made = TokenGrammar::create(*grammar, small_vocabulary());
  ASSERT_TRUE(made.ok());
  GrammarMatcher matcher(*made);
  Status status;
  int read = 0;
  for (; read < 30 && status.ok(); ++read) status = matcher.accept(0);
  ASSERT_FALSE(status.ok());
  EXPECT_GT(read, 6);
  EXPECT_NE(status.error().message.find("too ambiguous"), std::string::npos) << status.error().message;
}

// A long answer makes the matcher forget configurations; what it allows stays the same.
TEST(TokenGrammar, ForgettingChangesNothing) {
  const auto grammar = parse_gbnf("root ::= \"a\" root \"b\" | \"c\"", "test");
  ASSERT_TRUE(grammar.ok());
  const auto made = TokenGrammar::create(*grammar, small_vocabulary());
  ASSERT_TRUE(made.ok());
  GrammarMatcher matcher(*made);
  constexpr int kDeep = 60'000;
  for (int i = 0; i < kDeep; ++i) ASSERT_TRUE(matcher.accept(0).ok());
  ASSERT_TRUE(matcher.accept(2).ok());
  for (int i = 0; i < kDeep; ++i) {
    ASSERT_FALSE(matcher.may_end()) << i;
    ASSERT_TRUE(matcher.accept(1).ok()) << i;
  }
  EXPECT_TRUE(matcher.must_end());
}

}  // namespace
}  // namespace andiron
