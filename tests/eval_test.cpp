// andiron eval, from outside.
#include <algorithm>
#include <cmath>

#include "learned.h"

namespace andiron {
namespace {

using EvalTest = LearnedTest;

TEST_F(EvalTest, PrintsTheNamesThatScriptsRelyOn) {
  const Json report = json({"eval", model(), "--data", rows()});
  EXPECT_EQ(number(report, "rows"), 40);
  EXPECT_EQ(number(report, "perplexity"), std::exp(number(report, "loss")));
  EXPECT_GE(number(report, "accuracy"), 0);
  EXPECT_EQ(text(report, "metric"), "loss");
  EXPECT_EQ(report.find("base"), nullptr) << "no adapters";
  EXPECT_EQ(number(json({"eval", model(), "--data", rows(), "--max-rows", "7"}), "rows"), 7);
  const Outcome shown = program_.run({"eval", model(), "--data", rows()});
  for (const char* part : {"loss ", "perplexity ", "accuracy ", "40 rows"}) {
    EXPECT_NE(shown.out.find(part), std::string::npos) << part << "\n" << shown.out;
  }
}

// The same rows, the same adapter, the same numbers, bit for bit.
TEST_F(EvalTest, TheLossIsTheOneThatTheRunReports) {
  for (const std::string method : {"lora", "dora"}) {
    learn(method, "3", {"--method", method});
    const auto run = parse_json(whole_file(folder_of(method) + "/run.json"), "run.json");
    ASSERT_TRUE(run.ok());
    const Json report = json({"eval", model(), "--adapter", method, "--data", rows(), "--held-out", "0.2", "--seed",
                              "3", "--seq-len", "64"});
    EXPECT_EQ(number(report, "loss"), number(*run->find("after"), "held_out_loss")) << method;
    ASSERT_NE(report.find("base"), nullptr);
    EXPECT_EQ(number(*report.find("base"), "loss"), number(*run->find("before"), "held_out_loss")) << method;
    EXPECT_NE(number(report, "loss"), number(*report.find("base"), "loss")) << "or the test shows nothing";
    EXPECT_EQ(number(report, "rows"), number(*run, "held_out_rows"));
  }
}

TEST_F(EvalTest, AdaptersCountWithTheirStrength) {
  learn("me");
  const Json off = json({"eval", model(), "--adapter", "me:0", "--data", rows()});
  EXPECT_EQ(number(off, "loss"), number(*off.find("base"), "loss"));
  const Json on = json({"eval", model(), "--adapter", "me", "--data", rows()});
  EXPECT_EQ(number(*on.find("base"), "loss"), number(*off.find("base"), "loss"));
  EXPECT_NE(number(on, "loss"), number(off, "loss"));
  EXPECT_EQ(json({"eval", model(), "--adapter", "me", "--data", rows(), "--no-base"}).find("base"), nullptr);
  const std::string shown = program_.run({"eval", model(), "--adapter", "me", "--data", rows()}).out;
  EXPECT_NE(shown.find("base      adapted"), std::string::npos) << shown;
}

// What is expected is what `run` answers.
TEST_F(EvalTest, AnswersAreThoseOfRun) {
  const std::string model = program_.file("recite.gguf");
  ASSERT_EQ(program_.run({"synth", "tiny", model, "--recite"}).status, 0);
  const auto answer = [&](const std::string& prompt, const std::string& tokens) {
    return program_.run({"run", model, "--greedy", "-p", prompt, "-n", tokens}).out;
  };
  Json rows = Json::array();
  const auto add = [&](const std::string& prompt, const std::string& completion) {
    rows.push(Json(Json::Object{{"prompt", Json(prompt)}, {"completion", Json(completion)}}));
  };
  const std::string four = answer("bu", "4"), two = answer("qe", "2");
  ASSERT_GT(four.size(), two.size());
  ASSERT_NE(two.find_first_not_of(" \n"), std::string::npos);
  ASSERT_TRUE(four.starts_with(' ') && two.starts_with(' ')) << "so that nothing is put between the two";
  add("bu", four + " \n");  // exact
  add("qe", two);           // contained
  add("bi", "nothing of the kind");
  const std::string data = program_.write("quiz.json", rows.dump());
  const Json exact = json({"eval", model, "--data", data, "--metric", "exact", "-n", "4"});
  EXPECT_EQ(number(exact, "right"), 1);
  EXPECT_EQ(number(exact, "accuracy"), 1.0 / 3);
  EXPECT_EQ(number(exact, "rows"), 3);
  const Json contains = json({"eval", model, "--data", data, "--metric", "contains", "-n", "4"});
  EXPECT_EQ(number(contains, "right"), 2);
  EXPECT_EQ(number(contains, "loss"), number(exact, "loss"));
  EXPECT_EQ(number(exact, "loss"), number(json({"eval", model, "--data", data}), "loss"));
}

// A choice is the completion with the least loss, as `--metric loss` has it.
TEST_F(EvalTest, ChoosesTheCompletionWithTheLeastLoss) {
  std::string quiz;
  int right = 0;
  for (int i = 0; i < 4; ++i) {
    const std::string prompt = "ba " + std::to_string(i);
    const std::vector<std::string> choices = {"be", "bo bo", "what " + std::to_string(i), "a longer one, be bi bo"};
    std::vector<double> losses;
    for (const std::string& choice : choices) {
      const std::string row = program_.write(
          "row.json",
          Json(Json::Array{Json(Json::Object{{"prompt", Json(prompt)}, {"completion", Json(choice)}})}).dump());
      losses.push_back(number(json({"eval", model(), "--data", row, "-q"}), "loss"));
    }
    const auto best = std::min_element(losses.begin(), losses.end()) - losses.begin();
    const auto answer = i % 2 == 0 ? best : (best + 1) % 4;  // every other one is wrong
    right += answer == best ? 1 : 0;
    Json row = Json::object();
    Json list = Json::array();
    for (const std::string& choice : choices) list.push(choice);
    row.set("question", prompt).set("choices", std::move(list)).set("answer", static_cast<int64_t>(answer));
    quiz += row.dump() + "\n";
  }
  const Json report = json({"eval", model(), "--data", program_.write("quiz.jsonl", quiz), "--metric", "choice"});
  EXPECT_EQ(number(report, "right"), right);
  EXPECT_EQ(number(report, "accuracy"), right / 4.0);
  EXPECT_EQ(number(report, "rows"), 4);
}

TEST_F(EvalTest, WhatCannotBeUsedIsSaid) {
  const std::string good = R"({"prompt": "ba", "completion": "be"})";
  const std::string data = program_.write("mixed.jsonl", good + "\n{\"prompt\": \"ba\"\n" + good + "\n");
  const Outcome outcome = program_.run({"eval", model(), "--data", data});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_NE(outcome.err.find("mixed.jsonl:2: "), std::string::npos) << outcome.err;
  EXPECT_NE(outcome.err.find("1 of them seen before"), std::string::npos) << outcome.err;
  EXPECT_EQ(program_.run({"eval", model(), "--data", data, "-q"}).err, "");

  expect_fails({"eval", model(), "--data", program_.file("none.jsonl")}, {"none.jsonl"});
  expect_fails({"eval", model(), "--data", program_.write("empty.jsonl", "")}, {"empty.jsonl", "empty"});
  const std::string notes = program_.write("notes.txt", "ba be bi bo");
  expect_fails({"eval", model(), "--data", notes, "--metric", "exact"},
               {"notes.txt", "question and an answer", "text"});
  expect_fails({"eval", model(), "--data", data, "--metric", "choice"}, {"no question with choices", "mixed.jsonl:1"});
  expect_fails({"eval", model(), "--data", data, "--seq-len", "100000"}, {"--seq-len 100000", "512"});
  expect_fails({"eval", model(), "--data", data, "--adapter", "nobody"}, {"nobody"});
  expect_fails({"eval", model(), "--data", data, "--held-out", "0.5"}, {"nothing is held out"});
}

TEST_F(EvalTest, WrongUsageIsStatusTwo) {
  for (const Words& words : {Words{"eval", "model"}, Words{"eval", "model", "--data", "d", "--metric", "bleu"},
                             Words{"eval", "model", "--data", "d", "--format", "csv"},
                             Words{"eval", "model", "--data", "d", "--held-out", "1"},
                             Words{"eval", "model", "--data", "d", "--max-rows", "0"},
                             Words{"eval", "model", "--data", "d", "--seq-len", "1"},
                             Words{"eval", "model", "--data", "d", "--metric", "choice", "--held-out", "0.1"},
                             Words{"eval", "model", "--data", "d", "--metric", "choice", "--format", "chat"}}) {
    expect_fails(words, {}, 2);
  }
}

}  // namespace
}  // namespace andiron
