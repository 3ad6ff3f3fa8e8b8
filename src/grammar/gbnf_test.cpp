#include "grammar/gbnf.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "base/strings.h"
#include "grammar/automaton.h"
#include "grammar/naive_matcher.h"
#include "grammar/pushdown.h"

namespace andiron {
namespace {

bool accepts(const Automaton& automaton, std::string_view text) {
  Pushdown pushdown(automaton);
  uint32_t at = pushdown.start();
  for (const char c : text) at = pushdown.next(at, static_cast<uint8_t>(c));
  return pushdown.accepts(at);
}

struct Case {
  const char* grammar;
  std::vector<std::string> yes, no;
};

TEST(Gbnf, AcceptsWhatItSays) {
  const Case cases[] = {
      {"root ::= \"yes\" | \"no\"", {"yes", "no"}, {"", "y", "yesno", "Yes"}},
      {"root ::= \"\"", {""}, {"x"}},
      {"root ::=", {""}, {"x"}},
      {"# a comment\nroot ::= a b # more\n\na ::= \"x\"\nb ::= [0-9]+\n", {"x0", "x123"}, {"x", "1", "x1x"}},
      {"root ::= (\"a\"\n  | \"b\"\n)+ |\n \"c\"", {"a", "abba", "c"}, {"", "ac", "cc"}},
      {"root ::= \"a\"{2} \"b\"{1,3} \"c\"{2,} \"d\"{0,1}", {"aabcc", "aabbbcccd"}, {"abcc", "aabbbbcc", "aabc"}},
      {"root ::= \"\\x41\\u00e4\\U0001F600\\n\\t\\\\\\\"\"", {"A\u00e4\U0001F600\n\t\\\""}, {"A"}},
      {"root ::= [\\]\\[\\-^]", {"]", "[", "-", "^"}, {"\\", ""}},
      {"root ::= [a-]+", {"a-a"}, {"b"}},
      {"root ::= [^a-y\\n]", {"z", "A", "\u00e4", "\U0001F600"}, {"a", "\n", "zz", "\xff", "\xc3"}},
      {"root ::= . [\u00e0-\u00ff]",
       {"x\u00e4", "\U0010ffff\u00ff"},
       {"\u00e4", "x\xc3", "x\u0100", "\xed\xa0\x80\u00e4"}},
      {"root ::= \"(\" root \")\" | \"\"", {"", "()", "((()))"}, {"(", "(()", "())"}},
      {"root ::= \"a\" root \"a\" | \"b\" root \"b\" | \"c\"?", {"abba", "abcba", ""}, {"ab", "abca"}},
      {"root ::= x* \"e\"\nx ::= \"a\"? | \"b\"", {"e", "abae"}, {"a", "ee"}},
      {"root ::= (\"a\"*)* \"b\"", {"b", "aaab"}, {"a"}},
      {"root ::= \"a\"?+{2}", {"", "aaaa"}, {"b"}},
      {"root ::= a_1 | b-2\na_1 ::= \"1\"\nb-2 ::= \"2\"\n", {"1", "2"}, {"12"}},
      {"root ::= \"a\" | never\nnever ::= \"a\" \"x\" never", {"a"}, {"ax", "axax"}},
  };
  for (const Case& one : cases) {
    const auto grammar = parse_gbnf(one.grammar, "test");
    ASSERT_TRUE(grammar.ok()) << grammar.error().message;
    const auto automaton = Automaton::compile(*grammar);
    ASSERT_TRUE(automaton.ok()) << automaton.error().message;
    for (const std::string& text : one.yes) EXPECT_TRUE(accepts(*automaton, text)) << one.grammar << ": " << text;
    for (const std::string& text : one.no) EXPECT_FALSE(accepts(*automaton, text)) << one.grammar << ": " << text;
  }
}

TEST(Gbnf, ErrorsSayWhereAndWhatWasExpected) {
  const std::pair<std::string, const char*> cases[] = {
      {"", "test: there is no rule \"root\""},
      {"a ::= \"x\"", "there is no rule \"root\""},
      {"root = \"x\"", "test, line 1, column 6: expected \"::=\" after the rule's name \"root\", got '='"},
      {"root ::= x\n", "test, line 1, column 10: rule \"x\" is used but not defined"},
      {"root ::= \"x\"\nroot ::= \"y\"", "test, line 2, column 1: rule \"root\" is defined a second time"},
      {"root ::= \"x", "column 12: expected '\"' on the same line, but the grammar ends"},
      {"root ::= \"\u00e4x\n\"", "column 13: expected '\"' on the same line, got '\\x0a'"},
      {"root ::= [a", "expected ']' on the same line, but the grammar ends"},
      {"root ::= [b-a]", "line 1, column 11: a range of characters out of order"},
      {"root ::= (\"a\"", "expected ')' or '|', but the grammar ends"},
      {"root ::= \"a\" )", "column 14: expected the end of the line, or '|', got ')'"},
      {"root ::= \"\\q\"", "column 12: expected one of n r t \\ \" [ ] - ^ x u U after '\\', got 'q'"},
      {"root ::= \"\\u12g4\"", "column 15: expected 4 hexadecimal digits after '\\u', got 'g'"},
      {"root ::= \"\\ud800\"", "expected a code point (at most 10FFFF, and no surrogate), got 'd'"},
      {"root ::= \"\\U00110000\"", "expected a code point (at most 10FFFF, and no surrogate)"},
      {"root ::= \"a\"{", "expected a number, but the grammar ends"},
      {"root ::= \"a\"{3,2}", "line 1, column 14: {3,2} asks for more than it allows"},
      {"root ::= \"a\"{1,2", "expected '}', but the grammar ends"},
      {"root ::= \"a\"{999999}", "at most 100000 repetitions can be asked for"},
      {"root ::= <think>", "references to tokens (<...>) are not supported"},
      {"root ::= *", "expected a literal, a class, a rule, '(' or '.', got '*'"},
      {"\n ::= \"x\"", "line 2, column 2: expected the name of a rule, got ':'"},
      {"root ::= root \"a\" | \"b\"", "rule \"root\" is left-recursive (root -> root)"},
      {"root ::= \"x\" a\na ::= e b\ne ::= \"\"\nb ::= a \"x\" | \"y\"", "rule \"a\" is left-recursive (a -> b -> a)"},
      {"root ::= " + std::string(70, '(') + "\"a\"" + std::string(70, ')'), "groups are nested deeper than 64"},
      {"root ::= \"a\"" + std::string(150'000, '?'), "column 78: more than 64 quantifiers follow one another"},
      {"root ::= \xff", "the grammar is not UTF-8"},
      {std::string((1 << 20) + 1, '\n'), "the grammar has 1048577 bytes; at most 1048576 can be read"},
  };
  for (const auto& [text, message] : cases) {
    const auto grammar = parse_gbnf(text, "test");
    ASSERT_FALSE(grammar.ok()) << text;
    EXPECT_NE(grammar.error().message.find(message), std::string::npos) << grammar.error().message;
  }
}

TEST(Gbnf, WhatCannotEndOrIsTooLargeIsRefused) {
  for (const auto& [text, message] :
       {std::pair{"root ::= \"a\" root", "no text matches the grammar"},
        std::pair{"root ::= \"a\" b\nb ::= [^\\x00-\\U0010ffff]", "no text matches the grammar"},
        std::pair{"root ::= ((\"ab\"{5000}){5000}){5000}", "rule \"root\" is too large to be followed"},
        std::pair{"root ::= (x \",\"){100000}\nx ::= \"(\" x \")\" | \"ab\"", "rule \"root\" is too large"},
        std::pair{"root ::= ((\"\"{0,100000}){9,100000} \"a\"){0,100000} (\"b\" [^\\x00-\\U0010ffff]){5}",
                  "no text matches the grammar"},
        std::pair{"root ::= [ab]* \"a\" [ab]{30}", "rule \"root\" is too large to be followed"}}) {
    const auto grammar = parse_gbnf(text, "test");
    ASSERT_TRUE(grammar.ok()) << grammar.error().message;
    const auto automaton = Automaton::compile(*grammar);
    ASSERT_FALSE(automaton.ok()) << text;
    EXPECT_NE(automaton.error().message.find(message), std::string::npos) << automaton.error().message;
  }
}

// Every cut and every flipped bit of a grammar is a grammar or an error with a message; nothing else happens.
TEST(Gbnf, DamagedGrammarsAreReadOrRefused) {
  const std::string whole = "root ::= \"a\\u00e4\" [^b-d]* (x | .){1,2} # end\nx ::= \"y\"? [\\x41-Z]+\n";
  const auto look = [](const std::string& text) {
    const auto grammar = parse_gbnf(text, "test");
    if (!grammar.ok()) {
      EXPECT_FALSE(grammar.error().message.empty());
      return;
    }
    const auto automaton = Automaton::compile(*grammar);
    if (automaton.ok()) Pushdown(*automaton).start();
  };
  for (size_t cut = 0; cut < whole.size(); ++cut) look(whole.substr(0, cut));
  for (size_t bit = 0; bit < whole.size() * 8; ++bit) {
    std::string flipped = whole;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << bit % 8));
    look(flipped);
  }
}

TEST(Gbnf, TheNaiveMatcherKnowsTheseCases) {
  const auto grammar = parse_gbnf("root ::= \"(\" root \")\" | [a\u00e4]{2}", "test");
  ASSERT_TRUE(grammar.ok());
  EXPECT_TRUE(NaiveMatcher(*grammar, "((a\u00e4))").matches());
  EXPECT_FALSE(NaiveMatcher(*grammar, "((a\u00e4)").matches());
}

// Each rule may be empty because the one before it may: found in one pass, not in as many as there are rules.
TEST(Gbnf, LongChainsOfEmptyRules) {
  std::string text = "r0 ::= \"\"\n";
  for (int i = 1; i < 15'000; ++i) text += format("r{} ::= r{}\n", i, i - 1);
  const auto chain = parse_gbnf(text + "root ::= r14999 \"x\" root | \"y\"\n", "chain");
  EXPECT_TRUE(chain.ok()) << chain.error().message;
  const auto circle = parse_gbnf(text + "root ::= r14999 root | \"y\"\n", "circle");
  ASSERT_FALSE(circle.ok());
  EXPECT_NE(circle.error().message.find("left-recursive"), std::string::npos) << circle.error().message;
}

// Equal classes are one set, however many others there are.
TEST(Gbnf, ManyClasses) {
  std::string text = "root ::= [ab]";
  for (int i = 0; i < 10'000; ++i) text += format(" | [{}-\\u{:04x}]", 'a', 0x1000 + i);
  const auto grammar = parse_gbnf(text + " | [a-b]\n", "classes");
  ASSERT_TRUE(grammar.ok()) << grammar.error().message;
  EXPECT_EQ(grammar->sets.size(), 10'001u);
}

// Each may be left out, so each leads to all behind it: what they reach together is counted, and is too much.
TEST(Gbnf, ManyRepetitionsInARowAreRefused) {
  std::string text = "root ::= \"x\"";
  for (int i = 0; i < 20'000; ++i) text += " [a]{0,9}";
  const auto grammar = parse_gbnf(text + "\n", "repetitions");
  ASSERT_TRUE(grammar.ok()) << grammar.error().message;
  const auto automaton = Automaton::compile(*grammar);
  ASSERT_FALSE(automaton.ok());
  EXPECT_NE(automaton.error().message.find("rule \"root\" is too large to be followed"), std::string::npos)
      << automaton.error().message;
}

}  // namespace
}  // namespace andiron
