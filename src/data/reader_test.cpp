#include "data/reader.h"

#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <string>
#include <vector>

#include "base/test_folder.h"
#include "data/json_rows.h"

namespace andiron {
namespace {

namespace fs = std::filesystem;

struct ReadData {
  DataReport report;
  std::vector<Example> examples;
  std::string error;
};

ReadData read(const std::vector<std::string>& paths, std::optional<DataFormat> format = {}) {
  ReadData out;
  DataReader reader(out.report, [&](Example&& example) {
    out.examples.push_back(std::move(example));
    return Status();
  });
  const Status status = reader.read(paths, format);
  if (!status.ok()) out.error = status.error().message;
  return out;
}

std::vector<std::string> rows_of(std::string_view text) {
  std::vector<std::string> out;
  JsonRows rows(text);
  while (const auto row = rows.next()) {
    out.push_back(std::to_string(row->line) + ":" + (row->problem.empty() ? std::string(row->text) : row->problem));
  }
  return out;
}

using Rows = std::vector<std::string>;

TEST(JsonRows, LinesListsAndObjects) {
  EXPECT_EQ(rows_of("{\"a\":1}\n\n  {\"b\":[2]}\r\nbroken\n"), (Rows{"1:{\"a\":1}", "3:{\"b\":[2]}\r", "4:broken"}));
  EXPECT_EQ(rows_of("[\n{\"a\": \"]}\\\"\"},\n{\"b\":\n2}\n]\n"), (Rows{"2:{\"a\": \"]}\\\"\"}", "3:{\"b\":\n2}"}));
  EXPECT_EQ(rows_of("{\n \"a\": 1\n}\n{\n \"a\": 2\n}"), (Rows{"1:{\n \"a\": 1\n}", "4:{\n \"a\": 2\n}"}));
  EXPECT_EQ(rows_of("[]"), Rows{});
  EXPECT_EQ(rows_of(" \n"), Rows{});
}

TEST(JsonRows, WhatIsBrokenIsARowOfItsOwn) {
  EXPECT_EQ(rows_of("[{\"a\":1}, 7, {\"b\":2}"),
            (Rows{"1:{\"a\":1}", "1:7", "1:{\"b\":2}", "1:the file ends before its list does"}));
  EXPECT_EQ(rows_of("[{\"a\":1}, {\"b\": [2}"), (Rows{"1:{\"a\":1}", "1:the file ends within this row"}));
  EXPECT_EQ(rows_of("[{\"a\":1}] {}"), (Rows{"1:{\"a\":1}", "1:there is text after the end of the list"}));
  // A quote is missing: the next row is found again.
  EXPECT_EQ(rows_of("[{\"a\": \"x\n},\n{\"b\": 1}]"),
            (Rows{"1:not valid JSON: a string without an end (line 1)", "3:{\"b\": 1}"}));
  const std::string large = "{\"a\": \"" + std::string(JsonRows::kMaxRowBytes, 'x') + "\"}";
  EXPECT_EQ(rows_of(large + "\n{}"), (Rows{"1:the row has 16.0 MiB; at most 16.0 MiB are read", "2:{}"}));
}

TEST(JsonRows, EveryCutOfAFileEnds) {
  const std::string text = "[{\"a\": [1, {\"b\": \"\\\"]\"}]},\n {\"c\": null}]\n";
  for (size_t size = 0; size <= text.size(); ++size) EXPECT_LE(rows_of(text.substr(0, size)).size(), 4U);
}

TEST(DetectFormat, ByContentAndForTextsByName) {
  const auto detect = [](std::string_view bytes, std::string_view name) {
    const auto format = detect_format(bytes, name);
    return format.ok() ? std::string(data_format_name(*format)) : format.error().message;
  };
  EXPECT_EQ(detect("{\"text\": \"x\"}", "a.txt"), "text-rows");
  EXPECT_EQ(detect("\xef\xbb\xbf[{\"messages\": []}]", "a"), "chat");
  EXPECT_EQ(detect("broken\n{\"prompt\": \"p\", \"completion\": \"c\"}", "a.jsonl"), "completion");
  EXPECT_EQ(detect("[note to self] buy bread", "a.txt"), "text");
  EXPECT_EQ(detect("# Title", "a.MD"), "markdown");
  EXPECT_EQ(detect(" \n", "a.txt"), "it is empty");
  EXPECT_EQ(detect("{\"name\": \"x\", \"version\": 1}", "package.json")
                .rfind("no known kind of data: its rows have the members \"name\", \"version\"; known are", 0),
            0U);
  EXPECT_EQ(detect("\x1f\x8b\x08", "rows.jsonl.gz"), "compressed: unpack it first: gunzip -k 'rows.jsonl.gz'");
  EXPECT_EQ(detect(std::string_view("ab\0c", 4), "a.txt"), "a binary file");
  EXPECT_EQ(detect("%PDF-1.7", "a.txt"), "a PDF: save it as text (pdftotext FILE)");
  EXPECT_EQ(detect("\xff\xfeh", "a.txt"), "UTF-16: convert it first: iconv -f UTF-16 -t UTF-8 'a.txt' > NEW");
}

TEST(DataReader, FoldersAreWalkedInOrderAndWhatIsSkippedIsCounted) {
  const TestFolder folder;
  fs::create_directories(folder.file("b/c"));
  fs::create_directories(folder.file(".git"));
  folder.write("z.txt", std::string_view("last"));
  folder.write("b/c/deep.md", std::string_view("---\ntitle: x\n---\n# Deep\n"));
  folder.write("a.jsonl", std::string_view("{\"text\": \"first\"}\n"));
  folder.write(".hidden.txt", std::string_view("no"));
  folder.write(".git/config.txt", std::string_view("no"));
  folder.write("image.png", std::string_view("\x89PNG"));
  folder.write("package.json", std::string_view("{\"name\": 1}"));
  folder.write("empty.txt", std::string_view(""));
  fs::create_directory_symlink(folder.path(), folder.file("loop"));
  const ReadData data = read({folder.path()});
  EXPECT_EQ(data.error, "");
  ASSERT_EQ(data.examples.size(), 3U);
  EXPECT_EQ(data.examples[0].text, "first");
  EXPECT_EQ(data.examples[1].text, "# Deep");
  EXPECT_NE(data.examples[1].document, data.examples[2].document);
  EXPECT_EQ(data.examples[1].document,
            read({folder.write("else.txt", std::string_view("# Deep\n"))}).examples[0].document)
      << "the content tells documents apart, not their names";
  EXPECT_EQ(data.examples[2].text, "last");
  EXPECT_EQ(data.report.skipped.count, 4);
  EXPECT_EQ(data.report.files.size(), 3U);
  EXPECT_EQ(data.report.files[1].format, DataFormat::kMarkdown);
}

TEST(DataReader, FilesGivenByNameMustBeData) {
  const TestFolder folder;
  const std::string code = folder.write("code.py", std::string_view("print(1)"));
  EXPECT_EQ(read({code}).examples.size(), 1U) << "by name anything is read that is text";
  EXPECT_EQ(read({folder.path()}).examples.size(), 0U);
  EXPECT_EQ(read({folder.path()}, DataFormat::kText).examples.size(), 1U);
  EXPECT_EQ(read({folder.file("nothing")}).error, folder.file("nothing") + ": No such file or directory");
  const std::string packed = folder.write("rows.jsonl.gz", std::string_view("\x1f\x8b\x08\x00", 4));
  EXPECT_EQ(read({packed}).error, packed + ": compressed: unpack it first: gunzip -k '" + packed + "'");
  EXPECT_EQ(read({packed}, DataFormat::kText).error,
            packed + ": compressed: unpack it first: gunzip -k '" + packed + "'");
  EXPECT_NE(read({folder.write("empty.txt", std::string_view(""))}).error, "");
}

TEST(DataReader, BadRowsAreCountedWithTheirLines) {
  const TestFolder folder;
  const std::string path = folder.write("rows.jsonl", std::string_view("{\"text\": \"a\"}\n"
                                                                       "{\"text\": \n"
                                                                       "\n"
                                                                       "{\"text\": \"\xff\"}\n"
                                                                       "{\"text\": \"\"}\n"
                                                                       "{\"prompt\": \"p\", \"completion\": \"c\"}\n"
                                                                       "{\"text\": \" a\\n\"}\n"
                                                                       "{\"text\": \"b\"}\n"));
  const ReadData data = read({path});
  EXPECT_EQ(data.error, "");
  ASSERT_EQ(data.report.files.size(), 1U);
  const DataFile& file = data.report.files[0];
  EXPECT_EQ(file.rows, 7);
  EXPECT_EQ(file.duplicates, 1) << "white space at the ends makes no new row";
  ASSERT_EQ(file.bad.count, 4);
  EXPECT_EQ(file.bad.examples[0].line, 2);
  EXPECT_EQ(file.bad.examples[0].reason,
            "row: not valid JSON: the text ends where a value is expected (line 1, byte 9)");
  EXPECT_EQ(file.bad.examples[1].line, 4);
  EXPECT_EQ(file.bad.examples[1].reason, "row: not valid JSON: a string that is not UTF-8 (line 1, byte 12)");
  EXPECT_EQ(file.bad.examples[2].reason, "\"text\" is empty");
  EXPECT_EQ(file.bad.examples[3].line, 6);
  EXPECT_EQ(file.bad.examples[3].reason, "the file is text-rows data, this row is completion");
  EXPECT_EQ(data.examples.size(), 2U);
  EXPECT_EQ(data.examples[1].line, 8);
}

TEST(DataReader, HostileRowsAreBadRows) {
  const TestFolder folder;
  std::string text = "{\"text\": \"fine\"}\n";
  text += std::string(100'000, '[') + "\n";
  text += "{\"text\": " + std::string(100'000, '{') + "\n";
  text += "{\"a\": [" + std::string(2'000'001, '1').replace(1, 0, ",") + "]}\n";
  std::string many = "{\"text\": [";
  for (int i = 0; i < 1'000'001; ++i) many += "1,";
  text += many + "1]}\n";
  text += "{\"text\": \"x\", \"text\": \"y\"}\n";
  const ReadData data = read({folder.write("rows.jsonl", text)});
  EXPECT_EQ(data.examples.size(), 1U);
  EXPECT_EQ(data.report.bad(), 5);
}

TEST(DataReader, RowsAreTheSameInAnyFormatAndOrder) {
  const TestFolder folder;
  const std::string a = folder.write("a.json", std::string_view(R"([{"instruction": "q", "output": "a"}])"));
  const std::string b = folder.write("b.jsonl", std::string_view(R"({"conversations": [{"from": "human", "value": "q"},
      {"from": "gpt", "value": "a "}]})"));
  const std::string c =
      folder.write("c.jsonl", std::string_view("{\"messages\": [{\"role\": \"user\", \"content\": \"q\"}, "
                                               "{\"role\": \"assistant\", \"content\": \"b\"}]}"));
  const ReadData data = read({a, c, c});
  EXPECT_EQ(data.examples.size(), 2U);
  EXPECT_EQ(data.report.duplicates(), 1);
  const ReadData other = read({c, a});
  ASSERT_EQ(other.examples.size(), 2U);
  EXPECT_EQ(other.examples[1].document, data.examples[0].document);
  EXPECT_NE(other.examples[0].document, other.examples[1].document);
}

TEST(DataReader, ATextIsTheSameInEveryFile) {
  const TestFolder folder;
  const std::string unix_ends = folder.write("unix.txt", std::string_view("One.\nTwo.\n"));
  const std::string dos_ends = folder.write("dos.txt", std::string_view("One.\r\nTwo.\r\n\r\n"));
  const std::string row = folder.write("row.jsonl", std::string_view(R"({"text": " One.\r\nTwo."})"));
  const ReadData data = read({dos_ends, unix_ends, row});
  ASSERT_EQ(data.examples.size(), 1U);
  EXPECT_EQ(data.examples[0].text, "One.\nTwo.");
  EXPECT_EQ(data.report.duplicates(), 2);
  for (const std::string& path : {unix_ends, row}) {
    EXPECT_EQ(read({path}).examples.at(0).document, data.examples[0].document) << path;
  }
}

TEST(DataReader, TextsAreWholeDocuments) {
  const TestFolder folder;
  const ReadData data = read({folder.write("a.txt", std::string_view("\xef\xbb\xbf\r\n one\r\ntwo \n")),
                              folder.write("b.md", std::string_view("+++\nx = 1\n+++\n\n# Head\n\n---\n\ntext\n")),
                              folder.write("c.md", std::string_view("--- not front matter\n---\nx")),
                              folder.write("d.txt", std::string_view("one\r\ntwo")),
                              folder.write("e.txt", std::string_view("caf\xe9\nb"))});
  EXPECT_EQ(data.error, "");
  ASSERT_EQ(data.examples.size(), 3U);
  EXPECT_EQ(data.report.files[3].duplicates, 1);
  EXPECT_EQ(data.examples[0].text, "one\ntwo");
  EXPECT_EQ(data.examples[1].text, "# Head\n\n---\n\ntext");
  EXPECT_EQ(data.examples[2].text, "--- not front matter\n---\nx");
  ASSERT_EQ(data.report.bad(), 1);
  EXPECT_EQ(data.report.files[4].bad.examples[0].line, 1);
  EXPECT_EQ(data.report.files[4].bad.examples[0].reason,
            "not UTF-8; if it is Latin-1: iconv -f LATIN1 -t UTF-8 FILE > NEW");
}

TEST(DataReader, LongTextsComeInPiecesThatJoin) {
  std::string text;
  while (text.size() < (40U << 20)) text += "A line of a long text, and\n\nanother \xc3\xa9\n";
  text.pop_back();
  DataReport report;
  std::string joined;
  int pieces = 0;
  DataReader reader(report, [&](Example&& piece) {
    EXPECT_EQ(piece.first_piece, pieces == 0);
    ++pieces;
    joined += piece.text;
    if (!piece.last_piece) {
      EXPECT_EQ(piece.text.back(), '\n');
    }
    return Status();
  });
  ASSERT_TRUE(reader.read_bytes(text, "long.txt", DataFormat::kText, true).ok());
  EXPECT_EQ(pieces, 3);
  EXPECT_TRUE(joined == text);
}

TEST(DataReader, EndsWhenItIsToStop) {
  const TestFolder folder;
  const std::string rows = folder.write("rows.jsonl", "{\"text\": \"a\"}\n{\"text\": \"b\"}\n{\"text\": \"c\"}\n");
  const std::string more = folder.write("more.txt", "more");
  std::atomic<bool> stop{false};
  DataReport report;
  int64_t taken = 0;
  const ExampleSink sink = [&](Example&&) {
    stop = ++taken == 2;
    return Status();
  };
  const Status status = DataReader(report, sink, &stop).read({rows, more}, {});
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().message, "stopped while the data was read");
  EXPECT_EQ(taken, 2);
  // Nor are files opened, or texts read, once it is set.
  EXPECT_FALSE(DataReader(report, sink, &stop).read({more}, {}).ok());
  EXPECT_FALSE(DataReader(report, sink, &stop).read_bytes("text", "text.txt", DataFormat::kText, true).ok());
  EXPECT_EQ(taken, 2);
}

TEST(DataReader, SharedSamplesAreRead) {
  const fs::path folder = ANDIRON_SOURCE_DIR "/../shared/data/instruct";
  if (!fs::exists(folder)) GTEST_SKIP() << folder << " is absent";
  struct Case {
    const char* file;
    DataFormat format;
    int64_t rows;
    int64_t used;
  };
  // Counted with Python's json and a set of the rows' contents.
  for (const Case& c :
       {Case{"alpaca_en_demo.json", DataFormat::kAlpaca, 999, 985},
        Case{"dpo_en_demo.json", DataFormat::kPreference, 300, 295},
        Case{"glaive_toolcall_en_demo.json", DataFormat::kShareGpt, 300, 265},
        Case{"identity.json", DataFormat::kAlpaca, 91, 91}, Case{"kto_en_demo.json", DataFormat::kLabelled, 300, 300},
        Case{"gsm8k.train.jsonl", DataFormat::kCompletion, 7473, 7473}}) {
    const ReadData data = read({folder / c.file});
    EXPECT_EQ(data.error, "") << c.file;
    ASSERT_EQ(data.report.files.size(), 1U) << c.file;
    EXPECT_EQ(data.report.files[0].format, c.format) << c.file;
    EXPECT_EQ(data.report.rows_read(), c.rows) << c.file;
    EXPECT_EQ(static_cast<int64_t>(data.examples.size()), c.used) << c.file;
    EXPECT_EQ(c.used + data.report.bad() + data.report.duplicates(), c.rows) << c.file;
    for (const RowProblem& problem : data.report.files[0].bad.examples) ADD_FAILURE() << problem.reason;
  }
}

}  // namespace
}  // namespace andiron
