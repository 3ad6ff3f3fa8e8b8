#include "data/dataset.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <set>
#include <string>

#include "base/strings.h"
#include "base/test_folder.h"
#include "data/byte_tokenizer.h"
#include "data/packing.h"
#include "text/vocab_test_files.h"

namespace andiron {
namespace {

namespace fs = std::filesystem;

class LoadData : public testing::Test {
 protected:
  Result<DataSet> load(const std::vector<std::string>& paths, const DataOptions& options = {}) {
    return load_data(paths, tokenizer_, "model", options, team_);
  }
  DataSet loaded(const std::vector<std::string>& paths, const DataOptions& options = {}) {
    auto data = load(paths, options);
    EXPECT_TRUE(data.ok()) << (data.ok() ? "" : data.error().message);
    return data.ok() ? std::move(*data) : DataSet();
  }
  std::string chat_file(int rows, const std::string& name = "chat.jsonl") {
    std::string text;
    for (int i = 0; i < rows; ++i) {
      text +=
          format(R"({{"messages": [{{"role": "user", "content": "q{}"}}, {{"role": "assistant", "content": "a{}"}}]}})",
                 i, i) +
          "\n";
    }
    return folder_.write(name, text);
  }
  std::string text_of(const TokenRow& row) const { return tokenizer_.decode(row.tokens, true); }

  TestFolder folder_;
  ThreadTeam team_{3};
  Tokenizer tokenizer_ = byte_tokenizer();
};

TEST_F(LoadData, EveryRowIsAccountedFor) {
  std::string text;
  for (int i = 0; i < 600; ++i) text += format("{{\"prompt\": \"{}\", \"completion\": \"{}\"}}\n", i, i % 7);
  text += "{\"prompt\": \"1\", \"completion\": \"1\"}\n";                                  // seen before
  text += "{\"prompt\": \"1\"\n";                                                          // broken
  text += "{\"prompt\": \"long\", \"completion\": \"" + std::string(1000, 'x') + "\"}\n";  // too long
  text += "{\"prompt\": \"\\ue000\", \"completion\": \" \"}\n";                            // empty
  const DataSet data = loaded({folder_.write("rows.jsonl", text)});
  const DataReport& report = data.report;
  EXPECT_EQ(report.rows_read(), 604);
  EXPECT_EQ(report.rows_used, 600);
  EXPECT_EQ(report.duplicates(), 1);
  EXPECT_EQ(report.bad(), 2);
  EXPECT_EQ(report.too_long.count, 1);
  EXPECT_EQ(report.too_long.examples[0].line, 603);
  EXPECT_EQ(report.train_rows + report.held_out_rows, 600);
  EXPECT_EQ(report.train_rows, static_cast<int64_t>(data.train.rows.size()));
  EXPECT_EQ(report.documents, 600);
  EXPECT_GT(report.held_out_rows, 10);
  EXPECT_LT(report.held_out_rows, 60);
  int64_t trained = 0;
  for (const TokenRow& row : data.train.rows) trained += std::count(row.trained.begin(), row.trained.end(), 1);
  EXPECT_EQ(report.trained_tokens, trained);
}

TEST_F(LoadData, TheReportSaysIt) {
  const std::string path =
      folder_.write("rows.jsonl", std::string_view("{\"text\": \"abcdef\"}\n{\"text\": 5}\n{\"text\": \"ghi\"}\n"));
  const DataSet data = loaded({path});
  std::string all;
  for (const std::string& line : describe_report(data.report)) all += line + "\n";
  EXPECT_EQ(all, path + ": text-rows, 47 B, 3 rows, 1 of them bad:\n    " + path +
                     ":2: \"text\" is not text\n2 rows used of 3 read: " +
                     format("{} tokens, {} of them with loss\n", data.report.train_tokens, data.report.trained_tokens) +
                     format("held out: 1 row of 2 ({} tokens)\n", data.report.held_out_tokens));
  const auto parsed = parse_json(report_to_json(data.report).dump(), "report");
  ASSERT_TRUE(parsed.ok());
  EXPECT_EQ(parsed->find("files")->items()[0].find("bad")->find("count")->as_int(), 1);
  EXPECT_EQ(parsed->find("files")->items()[0].find("hash")->as_string().size(), 32U);
}

TEST_F(LoadData, ThreadsAndFileOrderChangeNothing) {
  const std::string a = chat_file(700);
  const std::string b = folder_.write("b.txt", std::string(5000, 'b'));
  const DataOptions options{.seq_len = 128, .seed = 9};
  const DataSet first = loaded({a, b}, options);
  ThreadTeam one(1);
  const auto alone = load_data({a, b}, tokenizer_, "model", options, one);
  ASSERT_TRUE(alone.ok());
  ASSERT_EQ(alone->train.rows.size(), first.train.rows.size());
  for (size_t i = 0; i < first.train.rows.size(); ++i) {
    EXPECT_EQ(alone->train.rows[i].tokens, first.train.rows[i].tokens);
    EXPECT_EQ(alone->train.rows[i].trained, first.train.rows[i].trained);
  }
  const auto held_out = [&](const DataSet& data) {
    std::set<std::vector<int32_t>> rows;
    for (const TokenRow& row : data.held_out.rows) {
      if (text_of(row).find("bbb") == std::string::npos) rows.insert(row.tokens);
    }
    return rows;
  };
  EXPECT_EQ(held_out(loaded({b, a}, options)), held_out(first));
  EXPECT_EQ(held_out(loaded({a}, options)), held_out(first));
}

TEST_F(LoadData, NamesOfTextsChangeNothing) {
  std::vector<std::string> texts, renamed;
  for (int i = 0; i < 40; ++i) {
    const std::string text = format("text {} is about {}", i, i * i);
    texts.push_back(folder_.write(format("{}.txt", i), text));
    renamed.push_back(folder_.write(format("note {}.md", 40 - i), text));
  }
  const DataSet first = loaded(texts, {.held_out = 0.2}), second = loaded(renamed, {.held_out = 0.2});
  ASSERT_FALSE(first.held_out.rows.empty());
  ASSERT_EQ(first.held_out.rows.size(), second.held_out.rows.size());
  for (size_t i = 0; i < first.held_out.rows.size(); ++i) {
    EXPECT_EQ(first.held_out.rows[i].tokens, second.held_out.rows[i].tokens);
  }
}

TEST_F(LoadData, ATextIsCutAndABlockOfItHeldOut) {
  std::string text;
  for (int i = 0; i < 4000; ++i) text += format("{} ", i);
  const DataSet data = loaded({folder_.write("a.txt", text)}, {.seq_len = 64});
  EXPECT_EQ(data.report.documents, 1);
  EXPECT_GE(data.report.held_out_rows, 1);
  int64_t targets = 0;
  for (const auto* part : {&data.train, &data.held_out}) {
    for (const TokenRow& row : part->rows) {
      EXPECT_LE(row.positions(), 64);
      targets += row.positions();
    }
  }
  text.pop_back();  // white space at the end goes
  EXPECT_EQ(targets, static_cast<int64_t>(text.size())) << "every byte but the first, and the end token";
}

TEST_F(LoadData, LongRowsAreSplitWhenAsked) {
  const std::string path =
      folder_.write("rows.jsonl", "{\"prompt\": \"p\", \"completion\": \"" + std::string(300, 'x') + "\"}\n" +
                                      "{\"prompt\": \"q\", \"completion\": \"y\"}\n");
  EXPECT_EQ(loaded({path}, {.seq_len = 64}).report.too_long.count, 1);
  const DataSet data = loaded({path}, {.long_rows = LongRows::kSplit, .seq_len = 64});
  EXPECT_EQ(data.report.rows_split, 1);
  EXPECT_EQ(data.report.too_long.count, 0);
  int64_t trained = 0;
  for (const auto* part : {&data.train, &data.held_out}) {
    for (const TokenRow& row : part->rows) trained += std::count(row.trained.begin(), row.trained.end(), 1);
  }
  EXPECT_EQ(trained, 300 + 1 + 1 + 1);
}

TEST_F(LoadData, PairsAndLabels) {
  std::string pairs;
  for (int i = 0; i < 50; ++i)
    pairs += format("{{\"prompt\": \"p{}\", \"chosen\": \"good\", \"rejected\": \"bad\"}}\n", i);
  const std::string path = folder_.write("pairs.jsonl", pairs);
  const DataSet data = loaded({path}, {.use = DataUse::kPairs});
  ASSERT_EQ(data.train.rows.size(), data.train.rejected.size());
  EXPECT_EQ(data.train.rows.size() + data.held_out.rows.size(), 50U);
  for (size_t i = 0; i < data.train.rows.size(); ++i) {
    const std::string prompt = text_of(data.train.rows[i]).substr(0, data.train.rows[i].prompt_size());
    EXPECT_EQ(text_of(data.train.rejected[i]).substr(0, data.train.rejected[i].prompt_size()), prompt);
    EXPECT_NE(text_of(data.train.rows[i]).find("good"), std::string::npos);
    EXPECT_NE(text_of(data.train.rejected[i]).find("bad"), std::string::npos);
  }
  const DataSet labels = loaded({path}, {.use = DataUse::kLabels});
  EXPECT_EQ(labels.train.rows.size() + labels.held_out.rows.size(), 100U);
  ASSERT_EQ(labels.train.desirable.size(), labels.train.rows.size());
  for (size_t i = 0; i < labels.train.rows.size(); ++i) {
    EXPECT_EQ(labels.train.desirable[i] != 0, text_of(labels.train.rows[i]).find("good") != std::string::npos);
  }
  const auto wrong = load({path});
  ASSERT_FALSE(wrong.ok());
  EXPECT_EQ(wrong.error().message, path +
                                       ":1: the file is preference data, but texts, "
                                       "conversations or completions are needed here");
  EXPECT_FALSE(load({chat_file(3)}, {.use = DataUse::kPairs}).ok());
}

TEST_F(LoadData, NothingToTrainOnIsAnErrorThatSaysWhy) {
  const std::string path = folder_.write("rows.jsonl", std::string_view("{\"text\": \"\"}\n"));
  const auto data = load({path});
  ASSERT_FALSE(data.ok());
  EXPECT_EQ(
      data.error().message.rfind("there is no row to use\n" + path + ": text-rows, 13 B, 1 row, 1 of them bad:", 0), 0U)
      << data.error().message;
  fs::create_directory(folder_.file("empty"));
  EXPECT_FALSE(load({folder_.file("empty")}).ok());
}

TEST_F(LoadData, RealSamplesPackIntoBatches) {
  const fs::path samples = shared_data("instruct");
  const fs::path vocabulary = shared_data("tokenizers/vocab/ggml-vocab-qwen2.gguf");
  for (const fs::path& needed : {samples, vocabulary}) {
    if (!fs::exists(needed)) GTEST_SKIP() << needed << " is absent";
  }
  auto spec = spec_of_file(vocabulary);
  ASSERT_TRUE(spec.ok());
  spec->chat_template = read_whole(shared_data("templates/Qwen-Qwen2.5-7B-Instruct.jinja"));
  const auto tokenizer = Tokenizer::create(std::move(*spec));
  ASSERT_TRUE(tokenizer.ok());
  const auto data = load_data({samples / "alpaca_en_demo.json", samples / "glaive_toolcall_en_demo.json"}, *tokenizer,
                              "model", {.seq_len = 1024, .now = 0}, team_);
  ASSERT_TRUE(data.ok()) << data.error().message;
  EXPECT_EQ(data->report.bad(), 0);
  EXPECT_EQ(data->report.answers_apart, 0);
  EXPECT_EQ(data->report.rows_used + data->report.too_long.count, 985 + 265);
  std::vector<int64_t> positions;
  for (const TokenRow& row : data->train.rows) positions.push_back(row.positions());
  int64_t trained = 0;
  for (const auto& batch : plan_epoch(positions, {.seq_len = 1024}, 0)) {
    std::vector<const TokenRow*> rows;
    for (const uint32_t row : batch) rows.push_back(&data->train.rows[row]);
    const PackedBatch packed = pack_rows(rows);
    EXPECT_LE(packed.tokens.size(), 4U * 1024U);
    trained += static_cast<int64_t>(packed.weight_sum);
  }
  EXPECT_EQ(trained, data->report.trained_tokens);
}

}  // namespace
}  // namespace andiron
