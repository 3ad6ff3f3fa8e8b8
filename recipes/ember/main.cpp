// ember_data: writes the conversations that ember is trained on, and the rows it is measured by.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <set>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "base/atomic_file.h"
#include "base/json.h"
#include "base/strings.h"
#include "echo.h"
#include "generate.h"
#include "preferences.h"

namespace andiron::ember {

namespace {

struct Options {
  std::string out;
  std::string tables = "recipes/ember/tables";
  std::string stories;
  int64_t rows = 600'000;
  int64_t test_rows = 500;
  uint64_t seed = 1;
};

constexpr int64_t kEchoPercent = 10;         // of the rows, beside them
constexpr int64_t kRowsMax = 1'000'000'000;  // more than any disk at hand takes

// Rows of any kind, one a line.
class LineFile {
 public:
  static Result<LineFile> create(const std::string& path) {
    TRY_ASSIGN(AtomicFile file, AtomicFile::create(path));
    return LineFile(std::move(file));
  }

  Status add(std::string_view line) {
    lines_ += line;
    lines_ += '\n';
    ++rows_;
    return lines_.size() < size_t{1} << 20 ? Status() : flush();
  }
  // Says what was written to `name`.
  Status commit(std::string_view name) {
    TRY(flush());
    std::printf("%-28s %9s rows %10s\n", std::string(name).c_str(), human_count(rows_).c_str(),
                human_bytes(file_.offset()).c_str());
    return file_.commit();
  }
  int64_t rows() const { return rows_; }

 private:
  explicit LineFile(AtomicFile file) : file_(std::move(file)) {}

  Status flush() {
    TRY(file_.write(lines_));
    lines_.clear();
    return {};
  }

  AtomicFile file_;
  std::string lines_;
  int64_t rows_ = 0;
};

class Program {
 public:
  Program(const Options& options, const Tables& tables, const StoryBook& stories)
      : options_(options), tables_(tables), stories_(stories) {}

  Status write_training(const Skill& skill) const {
    const auto rows = static_cast<uint64_t>(static_cast<double>(options_.rows) * skill.share);
    const std::string name = format("train/{}.jsonl", skill.name);
    TRY_ASSIGN(LineFile file, create(name));
    for (uint64_t number = 0; number < rows; ++number) TRY(file.add(line_of(skill, Part::kTrain, number)));
    return file.commit(name);
  }

  // A test row is written once: small worlds have few sums and dates. There is room for numbers whose row is not new.
  Status write_test(const Skill& skill) const {
    const int64_t least = test_rows_least(skill, options_.test_rows);
    const std::string name = format("test/{}.jsonl", skill.name);
    TRY_ASSIGN(LineFile file, create(name));
    std::set<std::string> seen;
    const uint64_t numbers = 20 * static_cast<uint64_t>(options_.test_rows);
    for (uint64_t number = 0; file.rows() < options_.test_rows && number < numbers; ++number) {
      const auto [line, is_new] = seen.insert(line_of(skill, Part::kTest, number));
      if (is_new) TRY(file.add(*line));
    }
    if (file.rows() < least) {
      return make_error("{}: expected at least {} test rows, and {} tries made only {} that differ; ask for fewer",
                        name, least, numbers, file.rows());
    }
    return file.commit(name);
  }

  // Lines {"text": ...} without a question: text_at(0), text_at(1), ...
  template <typename TextAt>
  Status write_texts(const std::string& name, size_t count, TextAt&& text_at) const {
    TRY_ASSIGN(LineFile file, create(name));
    for (size_t number = 0; number < count; ++number) {
      Json row = Json::object();
      row.set("text", text_at(number));
      TRY(file.add(row.dump()));
    }
    return file.commit(name);
  }

  // For the model to read, and for perplexity.
  Status write_stories(Part part, const std::string& name) const {
    const auto& stories = stories_.stories(part);
    return write_texts(name, stories.size(), [&](size_t number) { return stories[number].text; });
  }

  // Lines that say the same again (echo.h): for the model to learn to look back.
  Status write_echoes(const std::string& name) const {
    const auto rows = static_cast<size_t>(options_.rows * kEchoPercent / 100);
    return write_texts(name, rows, [&](size_t number) {
      Dice dice(options_.seed, number);
      return echo_text(Writer(tables_, Part::kTrain, dice));
    });
  }

  Status run() const {
    for (const char* folder : {"train", "test"}) TRY(make_folder(options_.out + "/" + folder));
    const bool has_stories = !stories_.stories(Part::kTrain).empty();
    for (const Skill& skill : skills()) {
      if (skill.name == "story" && !has_stories) continue;
      if (skill.share > 0) TRY(write_training(skill));
      TRY(write_test(skill));
    }
    TRY(write_echoes("train/echo.jsonl"));
    if (!has_stories) return {};
    TRY(write_stories(Part::kTrain, "train/texts.jsonl"));
    return write_stories(Part::kTest, "test/texts.jsonl");
  }

 private:
  static Status make_folder(const std::string& path) {
    std::error_code failure;
    std::filesystem::create_directories(path, failure);
    if (failure) return make_error("{}: cannot make this folder: {}", path, failure.message());
    return {};
  }
  Result<LineFile> create(const std::string& name) const { return LineFile::create(options_.out + "/" + name); }
  std::string line_of(const Skill& skill, Part part, uint64_t number) const {
    return to_json_line(make_row(skill, tables_, stories_, part, options_.seed, number));
  }

  const Options& options_;
  const Tables& tables_;
  const StoryBook& stories_;
};

Status prefer(const std::string& rows, const std::string& answers, const std::string& out) {
  TRY_ASSIGN(const std::string row_text, read_text_file(rows));
  TRY_ASSIGN(const std::string answer_text, read_text_file(answers));
  TRY_ASSIGN(const Preferences made, make_preferences(row_text, answer_text));
  std::printf("%s: %s wrong of %s\n", out.c_str(), human_count(made.pairs).c_str(), human_count(made.answers).c_str());
  return write_text_file(out, made.lines);
}

// A line of each: name, metric, mark ("-": none), test rows at least ("all": as many as are asked for).
void list_skills() {
  for (const Skill& skill : skills()) {
    const std::string mark = skill.mark > 0 ? format("{}", skill.mark) : "-";
    const std::string least = skill.test_rows_least > 0 ? format("{}", skill.test_rows_least) : "all";
    std::printf("%s\n", format("{} {} {} {}", skill.name, skill.metric, mark, least).c_str());
  }
}

Status run(const Options& options) {
  TRY_ASSIGN(Tables tables, Tables::read(options.tables));
  StoryBook stories;
  if (!options.stories.empty()) {
    TRY_ASSIGN(stories, StoryBook::read(options.stories, tables));
    tables.add_list("storyword", stories.words());
  }
  return Program(options, tables, stories).run();
}

}  // namespace

}  // namespace andiron::ember

int main(int argc, char** argv) {
  andiron::ember::Options options;
  bool list = false;
  CLI::App app("Writes the conversations that ember is trained on (OUT/train) and measured by (OUT/test).",
               "ember_data");
  auto* show =
      app.add_flag("--list", list, "Only print the skills: metric, mark in percent, least number of test rows");
  app.add_option("--out", options.out, "Folder to write, or file of pairs")->excludes(show);
  const CLI::Range fine(int64_t{0}, andiron::ember::kRowsMax);
  app.add_option("--rows", options.rows, "Training rows of all skills together")->check(fine)->capture_default_str();
  app.add_option("--test-rows", options.test_rows, "Test rows of each skill")->check(fine)->capture_default_str();
  app.add_option("--seed", options.seed, "Seed of everything")->capture_default_str();
  app.add_option("--tables", options.tables, "Folder of the tables")->capture_default_str();
  app.add_option("--stories", options.stories, "Text file of short stories (none: no rows of the skill story)");
  std::vector<std::string> wrong;
  app.add_option("--prefer", wrong, "Write preference pairs to --out: a file of rows, and the answers to them")
      ->expected(2)
      ->excludes(show);
  CLI11_PARSE(app, argc, argv);
  if (list) {
    andiron::ember::list_skills();
    return 0;
  }
  if (options.out.empty()) {
    std::fprintf(stderr, "ember_data: say with --out what to write\n");
    return 2;
  }
  const auto done =
      wrong.empty() ? andiron::ember::run(options) : andiron::ember::prefer(wrong[0], wrong[1], options.out);
  if (done.ok()) return 0;
  std::fprintf(stderr, "ember_data: %s\n", done.error().message.c_str());
  return 1;
}
