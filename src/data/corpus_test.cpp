#include "data/corpus.h"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "base/test_folder.h"

namespace andiron {
namespace {

using Counts = std::map<std::string, int64_t>;

Counts as_map(const PreTokenCounts& counts) {
  Counts out;
  for (size_t i = 0; i < counts.texts.size(); ++i) out[std::string(counts.texts[i])] = counts.counts[i];
  return out;
}

Result<Corpus> count(const std::vector<std::string>& paths, int threads = 2) {
  ThreadTeam team(threads);
  return count_corpus(paths, std::nullopt, {.special_tokens = {"<|end|>"}}, team);
}

// The words of one row.
Counts words_of(const std::string& row) {
  const TestFolder folder;
  const auto corpus = count({folder.write("rows.json", "[" + row + "]")});
  EXPECT_TRUE(corpus.ok()) << (corpus.ok() ? "" : corpus.error().message);
  return corpus.ok() ? as_map(corpus->counts) : Counts();
}

TEST(Corpus, TextsOfEveryKindOfRow) {
  EXPECT_EQ(words_of(R"({"text": "one two<|end|>one"})"), (Counts{{"one", 2}, {" two", 1}}));
  EXPECT_EQ(words_of(R"({"prompt": "one", "completion": "two"})"), (Counts{{"one", 1}, {"two", 1}}));
  EXPECT_EQ(words_of(R"({"instruction": "one", "output": "two"})"), (Counts{{"one", 1}, {"two", 1}}));
  // Each content begins anew; a role is the template's to write.
  EXPECT_EQ(words_of(R"({"messages": [{"role": "system", "content": "one"},
      {"role": "user", "content": [{"type": "text", "text": "one"}, {"type": "text", "text": " two"}]},
      {"role": "assistant", "content": "one"}]})"),
            (Counts{{"one", 3}, {" two", 1}}));
  EXPECT_EQ(words_of(R"({"prompt": "one", "chosen": "two", "rejected": "three"})"),
            (Counts{{"one", 1}, {"two", 1}, {"three", 1}}));
}

TEST(Corpus, ToolsAndCallsAreJson) {
  const Counts words = words_of(R"({"messages": [{"role": "user", "content": "hi"},
      {"role": "assistant", "tool_calls": [{"type": "function", "function": {"name": "look", "arguments": {}}}]},
      {"role": "tool", "content": "seen"}, {"role": "assistant", "content": "done"}],
      "tools": [{"type": "function", "function": {"name": "look", "parameters": {}}}]})");
  for (const char* word : {"hi", "seen", "done"}) EXPECT_EQ(words.count(word), 1U) << word;
  EXPECT_EQ(words.at("look"), 2);  // the name of the tool, and of the call
}

TEST(Corpus, TheSameForAnyNumberOfThreads) {
  // Several pieces, and rows beside.
  std::string text;
  for (int i = 0; text.size() < 700'000; ++i) text += "The " + std::to_string(i % 251) + "th line of a long text.\n";
  std::string rows;
  for (int i = 0; i < 500; ++i) rows += R"({"prompt": "row )" + std::to_string(i) + R"(", "completion": "yes"})" + "\n";
  const TestFolder folder;
  const std::vector<std::string> paths = {folder.write("a.txt", text), folder.write("b.jsonl", rows)};
  const auto first = count(paths, 1);
  ASSERT_TRUE(first.ok()) << first.error().message;
  EXPECT_EQ(first->rows, 501);
  EXPECT_EQ(as_map(first->counts).at(" line"), static_cast<int64_t>(std::count(text.begin(), text.end(), '\n')));
  for (const int threads : {2, 3}) {
    const auto other = count(paths, threads);
    EXPECT_EQ(first->counts.texts, other->counts.texts);
    EXPECT_EQ(first->counts.counts, other->counts.counts);
    EXPECT_EQ(first->text_bytes, other->text_bytes);
  }
}

TEST(Corpus, ProgressEndsWithinWhatThereIs) {
  const TestFolder folder;
  folder.write("a.txt", "some words");
  folder.write("b.txt", "other words");
  ThreadTeam team(1);
  uint64_t last = 0;
  const auto corpus = count_corpus({folder.path()}, std::nullopt, {}, team, [&](uint64_t done, uint64_t total) {
    EXPECT_GT(done, last);
    EXPECT_EQ(total, 21U);
    last = done;
  });
  EXPECT_EQ(last, 21U);
  EXPECT_EQ(corpus->text_bytes, 21U);
}

TEST(Corpus, WhatCannotBeReadIsSaid) {
  const TestFolder folder;
  const std::string empty = folder.write("empty.txt", " \n");
  const std::string latin = folder.write("latin.txt", "caf\xe9");
  const std::string picture = folder.write("picture.txt", std::string_view("P\0\0\1", 4));
  const auto complaint = [](const std::vector<std::string>& paths) {
    const auto corpus = count(paths);
    return corpus.ok() ? std::string() : corpus.error().message;
  };
  EXPECT_NE(complaint({folder.file("none.txt")}).find("none.txt: No such file"), std::string::npos);
  EXPECT_NE(complaint({empty}).find("empty.txt: it is empty"), std::string::npos);
  EXPECT_NE(complaint({picture}).find("picture.txt: a binary file"), std::string::npos);
  const std::string nothing = complaint({latin});
  EXPECT_TRUE(nothing.starts_with("there is no text to learn a vocabulary from\n")) << nothing;
  EXPECT_NE(nothing.find("latin.txt:1: not UTF-8"), std::string::npos) << nothing;
  // In a folder the others count.
  folder.write("good.txt", "good");
  const auto corpus = count({folder.path()});
  ASSERT_TRUE(corpus.ok()) << corpus.error().message;
  EXPECT_EQ(as_map(corpus->counts), (Counts{{"good", 1}}));
  EXPECT_EQ(corpus->report.bad() + corpus->report.skipped.count, 3);
}

}  // namespace
}  // namespace andiron
