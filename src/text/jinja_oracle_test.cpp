// Our Jinja against Python's: every template must give the same text, or be refused by both.
//
// jinja_expressions.jsonl holds small templates with the text that python3-jinja2 3.1.2 gives (null: it raises); it is
// checked always. Where /usr/bin/python3 with jinja2 is present, the same templates and all real chat templates of
// ../shared/data are also rendered by it, with a few hundred conversations, in one process.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "base/json.h"
#include "text/jinja.h"

namespace andiron {
namespace {

namespace fs = std::filesystem;

const fs::path kRoot = ANDIRON_SOURCE_DIR;
// 2025-11-25 09:18:21
constexpr int64_t kNow = 1'764'062'301;

std::string read_text(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream out;
  out << file.rdbuf();
  return out.str();
}

std::vector<std::pair<std::string, jinja::Value>> to_values(const Json& variables) {
  std::vector<std::pair<std::string, jinja::Value>> out;
  for (const auto& [name, value] : variables.members()) {
    auto converted = jinja::value_from_json(value, true);
    EXPECT_TRUE(converted.ok());
    if (converted.ok()) out.emplace_back(name, *converted);
  }
  return out;
}

Result<std::string> render(const std::string& source, const std::vector<std::pair<std::string, jinja::Value>>& values) {
  TRY_ASSIGN(const auto parsed, jinja::Template::parse(source, "template"));
  jinja::Template::Options options;
  options.now = kNow;
  TRY_ASSIGN(const jinja::Text text, parsed.render(values, options));
  return text.bytes();
}

struct Expression {
  std::string source;
  const Json* expected = nullptr;  // text, or null when it must be refused
};

struct ExpressionTable {
  Json variables;
  std::vector<Json> lines;
  std::vector<Expression> expressions;
};

ExpressionTable read_expressions() {
  ExpressionTable table;
  std::ifstream file(kRoot / "src/text/jinja_expressions.jsonl");
  for (std::string line; std::getline(file, line);) {
    auto parsed = parse_json(line, "jinja_expressions.jsonl");
    EXPECT_TRUE(parsed.ok()) << line;
    if (parsed.ok()) table.lines.push_back(std::move(*parsed));
  }
  if (table.lines.empty()) return table;
  table.variables = *table.lines[0].find("variables");
  for (size_t i = 1; i < table.lines.size(); ++i) {
    table.expressions.push_back({table.lines[i].items()[0].as_string(), &table.lines[i].items()[1]});
  }
  return table;
}

void expect_same(const Result<std::string>& ours, const Json* expected, const std::string& what) {
  const bool is_text = expected != nullptr && expected->is_string();
  if (is_text) {
    EXPECT_TRUE(ours.ok()) << what << "\nwas refused: " << (ours.ok() ? "" : ours.error().message);
    if (ours.ok()) {
      EXPECT_EQ(*ours, expected->as_string()) << what;
    }
  } else {
    EXPECT_FALSE(ours.ok()) << what << "\nmust be refused, but gave: " << (ours.ok() ? *ours : "");
    if (!ours.ok()) {
      EXPECT_FALSE(ours.error().message.empty());
    }
  }
}

TEST(JinjaOracle, RecordedExpressions) {
  const ExpressionTable table = read_expressions();
  ASSERT_GT(table.expressions.size(), 400u);
  const auto values = to_values(table.variables);
  for (const Expression& expression : table.expressions) {
    expect_same(render(expression.source, values), expression.expected, expression.source);
  }
}

// A render that runs out of steps or memory at any point ends in an error; one that does not gives the same text.
TEST(JinjaOracle, ABudgetFailsOrChangesNothing) {
  const ExpressionTable table = read_expressions();
  const auto values = to_values(table.variables);
  for (const Expression& expression : table.expressions) {
    const auto parsed = jinja::Template::parse(expression.source, "template");
    if (!parsed.ok() || !expression.expected->is_string()) continue;
    for (uint64_t amount = 1; amount < 1'000'000; amount += 1 + amount / 2) {
      jinja::Template::Options few_steps;
      few_steps.now = kNow;
      few_steps.limits.steps = amount;
      jinja::Template::Options little_memory;
      little_memory.now = kNow;
      little_memory.limits.memory_bytes = 4 * amount;
      for (const auto& options : {few_steps, little_memory}) {
        const auto text = parsed->render(values, options);
        if (text.ok()) {
          EXPECT_EQ(text->bytes(), expression.expected->as_string()) << expression.source;
        }
      }
    }
  }
}

// --- with Python at hand ---

enum class OracleState { kPresent, kAbsent, kFailed };

int run_command(const std::string& command) {
  const int status = std::system(command.c_str());
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

// Renders all templates with all variables in Python; `results` is a list of lists.
OracleState ask_oracle(const Json& templates, const Json& variables, Json& results) {
  const fs::path folder = fs::path(testing::TempDir());
  const fs::path request_path = folder / ("jinja_request." + std::to_string(getpid()) + ".json");
  const fs::path result_path = folder / ("jinja_result." + std::to_string(getpid()) + ".json");
  Json now = Json::array();
  for (const int part : {2025, 11, 25, 9, 18, 21}) now.push(part);
  Json request = Json::object();
  request.set("templates", templates).set("variables", variables).set("now", now);
  std::ofstream(request_path) << request.dump();
  const std::string script = (kRoot / "tests/oracles/jinja_oracle.py").string();
  const int code = run_command("/usr/bin/python3 -W ignore '" + script + "' '" + request_path.string() + "' '" +
                               result_path.string() + "'");
  if (code == 3 || code == 127) return OracleState::kAbsent;
  if (code != 0) return OracleState::kFailed;
  auto parsed = parse_json(read_text(result_path), "oracle");
  if (!parsed.ok()) return OracleState::kFailed;
  results = std::move(*parsed);
  return OracleState::kPresent;
}

constexpr const char* kNoOracle =
    "/usr/bin/python3 with jinja2 (package python3-jinja2) is not installed: NOT COMPARED";

TEST(JinjaOracle, RecordedExpressionsAreWhatPythonGives) {
  const ExpressionTable table = read_expressions();
  Json templates = Json::array();
  for (const Expression& expression : table.expressions) templates.push(expression.source);
  Json variables = Json::array();
  variables.push(table.variables);
  Json results;
  const OracleState state = ask_oracle(templates, variables, results);
  if (state == OracleState::kAbsent) GTEST_SKIP() << kNoOracle;
  ASSERT_EQ(state, OracleState::kPresent);
  ASSERT_EQ(results.items().size(), table.expressions.size());
  for (size_t i = 0; i < table.expressions.size(); ++i) {
    const Json* text = results.items()[i].items()[0].find("text");
    const Json* recorded = table.expressions[i].expected;
    ASSERT_EQ(text != nullptr, recorded->is_string()) << table.expressions[i].source;
    if (text != nullptr) {
      EXPECT_EQ(text->as_string(), recorded->as_string()) << table.expressions[i].source;
    }
  }
}

TEST(JinjaOracle, RealTemplatesWithManyConversations) {
  const fs::path folder = kRoot / "../shared/data/templates";
  if (!fs::exists(folder)) GTEST_SKIP() << "no real templates here: " << folder << " is absent";
  std::vector<fs::path> paths;
  Json templates = Json::array();
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() == ".jinja") paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());
  for (const auto& path : paths) templates.push(read_text(path));

  const fs::path conversations_path = fs::path(testing::TempDir()) / "jinja_conversations.json";
  const std::string generator = (kRoot / "tests/oracles/jinja_conversations.py").string();
  const int code = run_command("/usr/bin/python3 '" + generator + "' 200 > '" + conversations_path.string() + "'");
  if (code == 127) GTEST_SKIP() << kNoOracle;
  ASSERT_EQ(code, 0);
  const auto conversations = parse_json(read_text(conversations_path), "conversations");
  ASSERT_TRUE(conversations.ok()) << conversations.error().message;
  Json results;
  const OracleState state = ask_oracle(templates, *conversations, results);
  if (state == OracleState::kAbsent) GTEST_SKIP() << kNoOracle;
  ASSERT_EQ(state, OracleState::kPresent);

  int texts = 0;
  int refusals = 0;
  for (size_t t = 0; t < paths.size(); ++t) {
    const std::string source = templates.items()[t].as_string();
    for (size_t c = 0; c < conversations->items().size(); ++c) {
      const Json& conversation = conversations->items()[c];
      const Json* text = results.items()[t].items()[c].find("text");
      const std::string what = paths[t].filename().string() + " with " + conversation.dump();
      expect_same(render(source, to_values(conversation)), text, what);
      ++(text != nullptr ? texts : refusals);
      if (HasFailure()) return;  // one difference tells enough
    }
  }
  EXPECT_GT(texts, 4000);
  EXPECT_GT(refusals, 0);
}

}  // namespace
}  // namespace andiron
