// ember_data: writes the conversations that ember is trained on, and the rows it is measured by.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <set>
#include <string>
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

constexpr int64_t kEchoPercent = 10;  // of the rows, beside them

struct Written {
  int64_t rows = 0;
  uint64_t bytes = 0;
};

class Program {
 public:
  Program(const Options& options, const Tables& tables, const StoryBook& stories)
      : options_(options), tables_(tables), stories_(stories) {}

  // A test row is written once: small worlds have few sums and dates. `all` makes room for what is not new.
  Result<Written> write(const Skill& skill, Part part, int64_t rows, const std::string& path) const {
    TRY_ASSIGN(AtomicFile file, AtomicFile::create(path));
    std::set<std::string> seen;
    std::string lines;
    Written out;
    for (uint64_t number = 0; out.rows < rows && number < 20 * static_cast<uint64_t>(rows); ++number) {
      std::string line = to_json_line(make_row(skill, tables_, stories_, part, options_.seed, number));
      if (part == Part::kTest && !seen.insert(line).second) continue;
      lines += line + '\n';
      ++out.rows;
      if (lines.size() < size_t{1} << 20) continue;
      TRY(file.write(lines));
      lines.clear();
    }
    TRY(file.write(lines));
    out.bytes = file.offset();
    TRY(file.commit());
    return out;
  }

  // Lines that say the same again (echo.h): for the model to learn to look back.
  Status write_echoes(int64_t rows, const std::string& path) const {
    std::string lines;
    for (int64_t number = 0; number < rows; ++number) {
      Dice dice(options_.seed, static_cast<uint64_t>(number));
      Json row = Json::object();
      row.set("text", echo_text(Writer(tables_, Part::kTrain, dice)));
      lines += row.dump() + "\n";
    }
    report(path, rows, lines.size());
    return write_text_file(path, lines);
  }

  // The stories as texts without a question: for the model to read, and for perplexity.
  Status write_texts(Part part, const std::string& path) const {
    std::string lines;
    for (const Story& story : stories_.stories(part)) {
      Json row = Json::object();
      row.set("text", story.text);
      lines += row.dump() + "\n";
    }
    report(path, static_cast<int64_t>(stories_.stories(part).size()), lines.size());
    return write_text_file(path, lines);
  }

  Status run() const {
    for (const char* folder : {"train", "test"}) std::filesystem::create_directories(options_.out + "/" + folder);
    for (const Skill& skill : skills()) {
      if (skill.name == "story" && stories_.stories(Part::kTrain).empty()) continue;
      const auto rows = static_cast<int64_t>(static_cast<double>(options_.rows) * skill.share);
      for (const Part part : {Part::kTrain, Part::kTest}) {
        const char* folder = part == Part::kTest ? "test" : "train";
        const std::string path = format("{}/{}/{}.jsonl", options_.out, folder, skill.name);
        TRY_ASSIGN(const Written written, write(skill, part, part == Part::kTest ? options_.test_rows : rows, path));
        report(path, written.rows, written.bytes);
      }
    }
    TRY(write_echoes(options_.rows * kEchoPercent / 100, options_.out + "/train/echo.jsonl"));
    if (stories_.stories(Part::kTrain).empty()) return {};
    TRY(write_texts(Part::kTrain, options_.out + "/train/texts.jsonl"));
    return write_texts(Part::kTest, options_.out + "/test/texts.jsonl");
  }

 private:
  void report(const std::string& path, int64_t rows, uint64_t bytes) const {
    std::printf("%-28s %9s rows %10s\n", path.substr(options_.out.size() + 1).c_str(), human_count(rows).c_str(),
                human_bytes(bytes).c_str());
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

Status run(const Options& options) {
  TRY_ASSIGN(const Tables tables, Tables::read(options.tables));
  StoryBook stories;
  if (!options.stories.empty()) {
    TRY_ASSIGN(stories, StoryBook::read(options.stories, tables));
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
  auto* show = app.add_flag("--list", list, "Only print the skills, each with the metric it is measured by");
  app.add_option("--out", options.out, "Folder to write, or file of pairs")->excludes(show);
  app.add_option("--rows", options.rows, "Training rows of all skills together")->capture_default_str();
  app.add_option("--test-rows", options.test_rows, "Test rows of each skill")->capture_default_str();
  app.add_option("--seed", options.seed, "Seed of everything")->capture_default_str();
  app.add_option("--tables", options.tables, "Folder of the tables")->capture_default_str();
  app.add_option("--stories", options.stories, "Text file of short stories (none: no rows of the skill story)");
  std::vector<std::string> wrong;
  app.add_option("--prefer", wrong, "Write preference pairs to --out: a file of rows, and the answers to them")
      ->expected(2)
      ->excludes(show);
  CLI11_PARSE(app, argc, argv);
  if (list) {
    for (const auto& skill : andiron::ember::skills()) {
      std::printf("%s %s\n", std::string(skill.name).c_str(), std::string(skill.metric).c_str());
    }
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
