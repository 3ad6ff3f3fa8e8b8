#include "data/report.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/strings.h"

namespace andiron {

namespace {

constexpr std::pair<DataFormat, std::string_view> kFormatNames[] = {
    {DataFormat::kChat, "chat"},
    {DataFormat::kShareGpt, "sharegpt"},
    {DataFormat::kAlpaca, "alpaca"},
    {DataFormat::kCompletion, "completion"},
    {DataFormat::kPreference, "preference"},
    {DataFormat::kLabelled, "labelled"},
    {DataFormat::kTextRows, "text-rows"},
    {DataFormat::kChoice, "choice"},
    {DataFormat::kText, "text"},
    {DataFormat::kMarkdown, "markdown"},
};

int64_t sum(const std::vector<DataFile>& files, int64_t (*count)(const DataFile&)) {
  int64_t total = 0;
  for (const DataFile& file : files) total += count(file);
  return total;
}

void describe(const RowProblems& problems, std::vector<std::string>& out) {
  for (const RowProblem& problem : problems.examples) {
    const std::string line = problem.line > 0 ? format(":{}", problem.line) : "";
    out.push_back(format("    {}{}: {}", in_quotes(problem.file, 200), line, problem.reason));
  }
  const auto shown = static_cast<int64_t>(problems.examples.size());
  if (problems.count > shown) out.push_back(format("    and {} more", human_count(problems.count - shown)));
}

Json problems_to_json(const RowProblems& problems) {
  Json examples = Json::array();
  for (const RowProblem& problem : problems.examples) {
    Json one = Json::object();
    one.set("file", problem.file).set("line", problem.line).set("reason", problem.reason);
    examples.push(std::move(one));
  }
  Json out = Json::object();
  out.set("count", problems.count).set("examples", std::move(examples));
  return out;
}

}  // namespace

std::string_view data_format_name(DataFormat format) {
  for (const auto& [known, name] : kFormatNames) {
    if (known == format) return name;
  }
  return "";
}

Result<DataFormat> parse_data_format(std::string_view name) {
  std::string names;
  for (const auto& [format, known] : kFormatNames) {
    if (known == name) return format;
    names += (names.empty() ? "" : ", ") + std::string(known);
  }
  return make_error("\"{}\" is no data format; there are {}", in_quotes(name), names);
}

void RowProblems::add(std::string file, int64_t line, std::string reason) {
  ++count;
  if (examples.size() < kKept) examples.push_back({std::move(file), line, std::move(reason)});
}

int64_t DataReport::rows_read() const {
  return sum(files, [](const DataFile& file) { return file.rows; });
}
int64_t DataReport::bad() const {
  return sum(files, [](const DataFile& file) { return file.bad.count; });
}
int64_t DataReport::duplicates() const {
  return sum(files, [](const DataFile& file) { return file.duplicates; });
}

std::vector<std::string> describe_files(const DataReport& report) {
  std::vector<std::string> out;
  for (const DataFile& file : report.files) {
    std::string line = format("{}: {}, {}, {}", in_quotes(file.path, 200), data_format_name(file.format),
                              human_bytes(file.bytes), counted(file.rows, "row"));
    if (file.duplicates > 0) line += format(", {} of them seen before", human_count(file.duplicates));
    if (file.bad.count > 0) line += format(", {} of them bad:", human_count(file.bad.count));
    out.push_back(std::move(line));
    describe(file.bad, out);
  }
  if (report.skipped.count > 0) {
    out.push_back(format("{} not read:", counted(report.skipped.count, "file")));
    describe(report.skipped, out);
  }
  return out;
}

std::vector<std::string> describe_report(const DataReport& report) {
  std::vector<std::string> out = describe_files(report);
  if (report.too_long.count > 0) {
    out.push_back(format("{} refused as longer than a sequence:", counted(report.too_long.count, "row")));
    describe(report.too_long, out);
  }
  if (report.rows_split > 0) out.push_back(format("{} split", counted(report.rows_split, "long row")));
  if (report.answers_apart > 0) {
    out.push_back(format("{} trained in rows of their own, as the model's template rewrites them later",
                         counted(report.answers_apart, "answer")));
  }
  if (report.prompts_unlike > 0) {
    out.push_back(format("{} in which the template ends the prompt otherwise than it writes the answer",
                         counted(report.prompts_unlike, "row")));
  }
  if (report.plain_chat_format) {
    out.push_back("the model has no chat template: conversations are written with the built-in plain one");
  }
  out.push_back(format("{} used of {} read: {}, {} of them with loss", counted(report.rows_used, "row"),
                       human_count(report.rows_read()), counted(report.train_tokens, "token"),
                       human_count(report.trained_tokens)));
  out.push_back(format("held out: {} of {} ({})", counted(report.held_out_rows, "row"),
                       human_count(report.train_rows + report.held_out_rows),
                       counted(report.held_out_tokens, "token")));
  return out;
}

Error nothing_left(std::string_view what, const std::vector<std::string>& known) {
  std::string message(what);
  for (const std::string& line : known) message += "\n" + line;
  return Error{message};
}

Json report_to_json(const DataReport& report) {
  Json files = Json::array();
  for (const DataFile& file : report.files) {
    Json one = Json::object();
    one.set("path", file.path).set("format", data_format_name(file.format)).set("bytes", file.bytes);
    one.set("hash", file.hash).set("rows", file.rows).set("duplicates", file.duplicates);
    one.set("bad", problems_to_json(file.bad));
    files.push(std::move(one));
  }
  Json out = Json::object();
  out.set("files", std::move(files)).set("skipped", problems_to_json(report.skipped));
  out.set("rows_read", report.rows_read()).set("rows_used", report.rows_used);
  out.set("bad", report.bad()).set("duplicates", report.duplicates());
  out.set("too_long", problems_to_json(report.too_long)).set("rows_split", report.rows_split);
  out.set("answers_apart", report.answers_apart).set("prompts_unlike", report.prompts_unlike);
  out.set("plain_chat_format", report.plain_chat_format).set("documents", report.documents);
  out.set("held_out_documents", report.held_out_documents).set("train_rows", report.train_rows);
  out.set("held_out_rows", report.held_out_rows).set("train_tokens", report.train_tokens);
  out.set("trained_tokens", report.trained_tokens).set("held_out_tokens", report.held_out_tokens);
  return out;
}

}  // namespace andiron
