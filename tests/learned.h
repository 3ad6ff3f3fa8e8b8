// For tests only: a small random model, rows of data, and adapters that were trained on them for a moment.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "program.h"

namespace andiron {

class LearnedTest : public ::testing::Test {
 protected:
  using Words = std::vector<std::string>;

  std::string model(const std::string& shape = "tiny", const std::string& type = "f32") {
    const std::string path = program_.file(shape + "-" + type + ".gguf");
    if (!std::filesystem::exists(path)) {
      const Outcome made = program_.run({"synth", shape, path, "--type", type});
      EXPECT_EQ(made.status, 0) << made.err;
    }
    return path;
  }
  // Prompts and completions in words that the model has.
  std::string rows(int count = 40) {
    std::string text;
    for (int i = 0; i < count; ++i) {
      text +=
          R"({"prompt": "ba be )" + std::to_string(i) + R"(", "completion": "bo )" + std::to_string(7 * i) + "\"}\n";
    }
    return program_.write("rows.jsonl", text);
  }
  // A high rate, so that a few steps change what is answered.
  void learn(const std::string& name, const std::string& seed = "1", const Words& more = {}) {
    Words words = {"learn", model(), rows(), "--as",       name,  "--steps", "4",  "--seq-len", "64", "--rank",
                   "4",     "--lr",  "0.02", "--held-out", "0.2", "--seed",  seed, "--batch",   "4"};
    words.insert(words.end(), more.begin(), more.end());
    const Outcome learned = program_.run(words);
    ASSERT_EQ(learned.status, 0) << learned.err;
  }
  std::string folder_of(const std::string& name) const { return program_.file("data/andiron/adapters/" + name); }

  // Runs it, expects success, and reads the JSON it prints.
  Json json(Words words) {
    words.push_back("--json");
    const Outcome outcome = program_.run(words);
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    auto parsed = parse_json(outcome.out, "output");
    EXPECT_TRUE(parsed.ok()) << outcome.out;
    return parsed.ok() ? std::move(*parsed) : Json();
  }
  static double number(const Json& object, const char* key) {
    const Json* found = object.find(key);
    if (found != nullptr && found->is_number()) return found->as_double();
    ADD_FAILURE() << key << " in " << object.dump();
    return 0;
  }
  static std::string text(const Json& object, const char* key) {
    const Json* found = object.find(key);
    if (found != nullptr && found->is_string()) return found->as_string();
    ADD_FAILURE() << key << " in " << object.dump();
    return "";
  }
  // The loss on all rows.
  double loss(const std::string& of, const Words& adapters = {}) {
    Words words = {"eval", of, "--data", rows(), "--no-base", "-q"};
    for (const std::string& adapter : adapters) words.insert(words.end(), {"--adapter", adapter});
    return number(json(words), "loss");
  }
  void expect_fails(const Words& words, const std::vector<std::string>& parts, int status = 1) {
    const Outcome outcome = program_.run(words);
    EXPECT_EQ(outcome.status, status) << outcome.err;
    EXPECT_EQ(outcome.out, "");
    for (const std::string& part : parts) {
      EXPECT_NE(outcome.err.find(part), std::string::npos) << part << "\n  in: " << outcome.err;
    }
  }

  Program program_;
};

}  // namespace andiron
