// ember, the model that andiron brings: it is what its card says, and answers as the README shows.
#include <algorithm>
#include <cstdlib>
#include <sstream>

#include "base/strings.h"
#include "program.h"

namespace andiron {
namespace {

class EmberTest : public ::testing::Test {
 protected:
  static std::string in_source(const std::string& path) { return std::string(ANDIRON_SOURCE_DIR) + "/" + path; }
  // What stands behind `mark` in a text, to the end of it; "" where the mark does not stand there.
  static std::string behind(const std::string& text, const std::string& mark) {
    const size_t at = text.find(mark);
    return at == std::string::npos ? "" : text.substr(at + mark.size());
  }
  void expect_in_card(const std::string& part) const {
    EXPECT_NE(card_.find(part), std::string::npos) << part << " in\n" << card_;
  }

  const std::string model_ = in_source("models/ember.gguf");
  const std::string card_ = whole_file(in_source("models/ember.md"));
  const std::string readme_ = whole_file(in_source("README.md"));
  Program program_;
};

TEST_F(EmberTest, IsTheFileThatItsCardNames) {
  ASSERT_EQ(std::system(format("sha256sum '{}' >'{}'", model_, program_.file("sum")).c_str()), 0);
  const std::string named = behind(card_, "| SHA-256 | `");
  const std::string digits = named.substr(0, named.find_first_not_of("0123456789abcdef"));
  EXPECT_GE(digits.size(), 16U) << named;
  EXPECT_TRUE(program_.text("sum").starts_with(digits)) << digits << " in the card, " << program_.text("sum");
}

// 15 million parameters and 10 MB are the most that it may ever have.
TEST_F(EmberTest, IsAsSmallAsItsCardSays) {
  EXPECT_LE(std::filesystem::file_size(model_), 10'000'000U);
  const Json json = parse(program_.run({"inspect", model_, "--tensors", "--json"}));
  const auto number = [](const Json& value) { return static_cast<int64_t>(value.number_or(-1)); };
  const int64_t parameters = number(json.member("parameters"));
  EXPECT_GT(parameters, 0);
  EXPECT_LE(parameters, 15'000'000);
  expect_in_card(format("| parameters | {}; Q8_0,", human_count(parameters)));
  EXPECT_NE(readme_.find(format("`ember` ({} parameters,", human_count(parameters))), std::string::npos);

  const Json& config = json.member("config");
  EXPECT_EQ(number(config.member("context")), 1024);
  expect_in_card("| context | 1,024 tokens;");
  const auto of = [&](const char* key) { return number(config.member(key)); };
  expect_in_card(format("| {}: {} layers, width {}, {} heads of {} ({} for keys and values), feed-forward {},",
                        json.member("architecture").text_or(""), of("blocks"), of("width"), of("heads"), of("head_dim"),
                        of("kv_heads"), of("feed_forward")));
  EXPECT_EQ(json.member("license").text_or(""), "Apache-2.0");
  expect_in_card("| licence of the weights | Apache-2.0,");

  // Matrices in eight bits; the few numbers of a norm as they are.
  const auto tensors = json.member("tensors").items_or_none();
  EXPECT_FALSE(tensors.empty());
  for (const Json& tensor : tensors) {
    const bool is_matrix = tensor.member("shape").items_or_none().size() > 1;
    EXPECT_EQ(tensor.member("format").text_or(""), is_matrix ? "Q8_0" : "F32") << tensor.dump();
  }
}

// What `andiron learn` holds on to: conversations of two who take turns, and in a third of them, says the card,
// something that a text does not say.
TEST_F(EmberTest, BringsConversationsToHoldOnTo) {
  std::istringstream lines(whole_file(in_source("models/ember.general.jsonl")));
  int rows = 0, untold = 0;
  for (std::string line; std::getline(lines, line); ++rows) {
    const auto json = parse_json(line, "row");
    ASSERT_TRUE(json.ok()) << line;
    auto messages = json->member("messages").items_or_none();
    if (!messages.empty() && messages[0].member("role").text_or("") == "system") messages = messages.subspan(1);
    EXPECT_TRUE(!messages.empty() && messages.size() % 2 == 0) << line;
    for (size_t i = 0; i < messages.size(); ++i) {
      EXPECT_EQ(messages[i].member("role").text_or(""), i % 2 == 0 ? "user" : "assistant") << line;
      EXPECT_FALSE(is_blank(messages[i].member("content").text_or(""))) << line;
    }
    untold += line.find("The text does not say") != std::string::npos ? 1 : 0;
  }
  EXPECT_EQ(rows, 300);
  EXPECT_GE(untold, 100);
}

// The conversation in the README, word for word: what was told, what was not, a sum and a day. Greedy answers are the
// same on any machine.
TEST_F(EmberTest, AnswersAsTheReadmeShows) {
  std::string asked, answered, first;
  std::istringstream lines(behind(readme_, "$ ./run --temp 0\n"));
  for (std::string line; std::getline(lines, line) && line != "```";) {
    const bool is_asked = line.starts_with("> ");
    if (is_asked && first.empty()) first = line.substr(2);
    (is_asked ? asked : answered) += (is_asked ? line.substr(2) : line) + "\n";
  }
  ASSERT_GE(std::count(asked.begin(), asked.end(), '\n'), 4) << asked;
  const Outcome chat = program_.run({"chat", model_, "--temp", "0", "--quiet"}, asked);
  EXPECT_EQ(chat.status, 0) << chat.err;
  EXPECT_EQ(chat.out, answered) << asked;
  // A message alone is the beginning of a chat.
  const Json alone = parse(program_.run({"run", model_, "--chat", "--temp", "0", "-p", first, "--json"}));
  EXPECT_EQ(std::string(alone.member("text").text_or("")) + "\n", answered.substr(0, answered.find('\n') + 1));
}

}  // namespace
}  // namespace andiron
