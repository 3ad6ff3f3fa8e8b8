#include "train/evaluate.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "data/byte_tokenizer.h"
#include "model/forward.h"
#include "model/gradient_fixture.h"
#include "train/learn_data.h"
#include "train/score.h"
#include "train/trainer_fixture.h"

namespace andiron {
namespace {

constexpr int64_t kContext = 256;

// A random model over bytes.
class Evaluate : public testing::Test {
 protected:
  Evaluate() : learner_(byte_model(), best_kernels(), 2) {}

  static TinyModel byte_model() {
    TinyModel tiny;
    tiny.vocabulary = byte_tokenizer().vocab_size();
    tiny.context = kContext;
    tiny.build();
    return tiny;
  }

  EvalData load(const std::string& text, const EvalOptions& options, const std::string& name = "rows.jsonl") {
    auto data = load_eval_data({folder_.write(name, text)}, tokenizer_, "model", options, learner_.team);
    EXPECT_TRUE(data.ok()) << (data.ok() ? "" : data.error().message);
    return data.ok() ? std::move(*data) : EvalData();
  }
  static EvalOptions options(EvalMetric metric) {
    EvalOptions out;
    out.metric = metric;
    out.reading.seq_len = kContext;
    out.reading.held_out = 0;
    return out;
  }
  Result<EvalReport> run(const EvalData& data, const EvalOptions& options, const Answerer& answerer = {},
                         const EvalEvents& events = {}) {
    auto pass = make_eval_pass(*learner_.model, learner_.kernels, learner_.team, options.reading.seq_len);
    EXPECT_TRUE(pass.ok());
    return evaluate(**pass, tokenizer_, data, options, learner_.deltas(), answerer, events);
  }

  // log p of the trained tokens of a row, as the forward that answers has it, summed in double.
  double served_logp(const TokenRow& row) {
    auto forward = Forward::create(*learner_.model, learner_.kernels, learner_.team, {kContext, 1, 1}).value();
    auto cache = KvCache::create(*learner_.model, kContext, kKvF16).value();
    double sum = 0;
    for (size_t i = 0; i + 1 < row.tokens.size(); ++i) {
      const Sequence sequence = {&cache, {&row.tokens[i], 1}, LogitRows::kLast, learner_.deltas()};
      EXPECT_TRUE(forward->run({&sequence, 1}).ok());
      if (row.trained[i + 1] == 0) continue;
      const float* logits = forward->logits().row(0);
      double total = 0;
      for (int64_t v = 0; v < tokenizer_.vocab_size(); ++v) total += std::exp(static_cast<double>(logits[v]));
      sum += static_cast<double>(logits[row.tokens[i + 1]]) - std::log(total);
    }
    return sum;
  }

  TestFolder folder_;
  Tokenizer tokenizer_ = byte_tokenizer();
  Learner learner_;
};

const std::string kRows =
    "{\"messages\": [{\"role\": \"user\", \"content\": \"one and one\"}, {\"role\": \"assistant\", \"content\": "
    "\"two\"}]}\n"
    "{\"messages\": [{\"role\": \"user\", \"content\": \"Hi\"}, {\"role\": \"assistant\", \"content\": \"Hello.\"},"
    " {\"role\": \"user\", \"content\": \"Who?\"}, {\"role\": \"assistant\", \"content\": \"Me,  of\\ncourse\"}]}\n";

int64_t trained(const TokenRow& row) { return std::count(row.trained.begin(), row.trained.end(), uint8_t{1}); }

// Where no length is asked for, eval has the rows that learn has.
TEST(RowLengths, AreThoseOfTheModelOrAsAskedFor) {
  const auto lengths = [](std::optional<int64_t> asked, int64_t context) {
    const RowLengths out = row_lengths(asked, context);
    return std::pair(out.most, out.window);
  };
  EXPECT_EQ(lengths({}, 8192), std::pair(int64_t{2048}, int64_t{512}));
  EXPECT_EQ(lengths({}, 600), std::pair(int64_t{600}, int64_t{512}));
  EXPECT_EQ(lengths({}, 256), std::pair(int64_t{256}, int64_t{256}));
  EXPECT_EQ(lengths(64, 8192), std::pair(int64_t{64}, int64_t{64}));
  TokenRows rows;
  rows.rows.resize(1);
  rows.rows[0].tokens.assign(601, 1);
  EXPECT_EQ(sequence_length({2048, 512}, {&rows}), 1024);
  EXPECT_EQ(sequence_length({600, 512}, {&rows}), 600);
  EXPECT_EQ(sequence_length({2048, 512}, {}), 512);
}

TEST_F(Evaluate, SequencesAreAsLongAsTheRowsNeed) {
  EvalOptions short_windows = options(EvalMetric::kLoss);
  short_windows.reading.window = 4;
  const EvalData data = load(std::string(kRows), short_windows);
  int64_t longest = 0;
  for (const TokenRow& row : data.rows.rows) longest = std::max(longest, row.positions());
  EXPECT_GE(data.seq_len, longest);
  EXPECT_LT(data.seq_len, std::min<int64_t>(2 * longest, kContext + 1));
  EXPECT_TRUE(run(data, short_windows).ok());
}

// Each log p is rounded to float once, by at most 2^-24 of its size, which is below 16; both sums are double.
TEST_F(Evaluate, TheLossIsThatOfServing) {
  for (const bool adapted : {false, true}) {
    if (adapted) learner_.train_adapter(adapter_for(*learner_.model, 3, false));
    const EvalData data = load(kRows.substr(0, kRows.find('\n') + 1), options(EvalMetric::kLoss));
    const auto report = run(data, options(EvalMetric::kLoss));
    ASSERT_TRUE(report.ok()) << report.error().message;
    double sum = 0;
    int64_t tokens = 0;
    for (const TokenRow& row : data.rows.rows) {
      sum += served_logp(row);
      tokens += trained(row);
    }
    EXPECT_NEAR(report->loss, -sum / static_cast<double>(tokens), 1e-5) << "float logits exponentiated in two ways";
    EXPECT_EQ(report->tokens, tokens);
    EXPECT_EQ(report->rows, 1);
    EXPECT_EQ(report->perplexity(), std::exp(report->loss));
  }
}

// What a run measures on its held-out rows, bit for bit.
TEST_F(Evaluate, TheLossIsThatOfARun) {
  std::string text;
  for (int i = 0; i < 40; ++i) {
    text += format(R"({{"prompt": "number {}", "completion": "it is {}"}})", i, 3 * i) + "\n";
  }
  EvalOptions held = options(EvalMetric::kLoss);
  held.reading.held_out = 0.2;
  held.reading.seed = 5;
  const EvalData data = load(text, held);
  const std::string path = folder_.file("rows.jsonl");
  const auto set = load_data({path}, tokenizer_, "model", held.reading, learner_.team);
  ASSERT_TRUE(set.ok());
  ASSERT_EQ(data.rows.rows.size(), set->held_out.rows.size());
  learner_.train_adapter(adapter_for(*learner_.model, 3, false));
  TrainData train;
  train.train = &set->train;
  train.held_out = &set->held_out;
  TrainerOptions training;
  training.packing.seq_len = kContext;
  training.packing.pack = false;  // how rows share a pass does not matter
  training.rows_per_pass = 300;
  auto pass = learner_.make_empty_pass(Trainer::rows_needed(train, training), 1);
  TrainSubject trained_subject;
  trained_subject.parameters = learner_.parameters;
  trained_subject.deltas = learner_.deltas();
  auto trainer = Trainer::create(*pass, std::move(trained_subject), train, training, learner_.team).value();
  const auto measured = trainer->measure(set->held_out);
  ASSERT_TRUE(measured.ok());
  const auto report = run(data, held);
  ASSERT_TRUE(report.ok()) << report.error().message;
  EXPECT_EQ(report->loss, measured->loss);
  EXPECT_EQ(report->tokens, measured->tokens);
  EXPECT_EQ(report->accuracy, measured->accuracy);
}

// The random model's likeliest tokens are known by asking it.
TEST_F(Evaluate, AccuracyOfTheLossCountsTheLikeliestTokens) {
  auto forward = Forward::create(*learner_.model, learner_.kernels, learner_.team, {kContext, 1, 1}).value();
  auto cache = KvCache::create(*learner_.model, kContext, kKvF16).value();
  EvalData data;
  data.seq_len = kContext;
  TokenRow row;
  row.tokens = {65};
  row.trained = {0};
  for (int i = 0; i < 12; ++i) {
    const Sequence sequence = {&cache, {&row.tokens.back(), 1}, LogitRows::kLast, nullptr};
    ASSERT_TRUE(forward->run({&sequence, 1}).ok());
    const float* logits = forward->logits().row(0);
    const auto best = static_cast<int32_t>(std::max_element(logits, logits + tokenizer_.vocab_size()) - logits);
    row.tokens.push_back(i % 3 == 0 ? (best + 1) % 256 : best);  // one in three is another
    row.trained.push_back(1);
  }
  data.rows.rows.push_back(row);
  const auto report = run(data, options(EvalMetric::kLoss));
  ASSERT_TRUE(report.ok());
  EXPECT_EQ(report->accuracy, 8.0 / 12.0);
}

TEST_F(Evaluate, ExactAndContainsAskTheLastQuestion) {
  const EvalData data = load(kRows, options(EvalMetric::kExact));
  ASSERT_EQ(data.rows.rows.size(), 2U);
  std::vector<std::string> prompts;
  struct Case {
    const char* first;
    const char* second;
    int exact, contains;
  };
  for (const Case& c :
       {Case{"two", "Me, of course", 2, 2}, Case{" two\n", "\tMe, of   course ", 2, 2},
        Case{"two.", "It is Me, of course!", 0, 2}, Case{"Two", "me, of course", 0, 0}, Case{"", "Me", 0, 0}}) {
    for (const EvalMetric metric : {EvalMetric::kExact, EvalMetric::kContains}) {
      prompts.clear();
      const Answerer answerer = [&](std::span<const int32_t> prompt, const auto&) -> Result<std::string> {
        prompts.push_back(tokenizer_.decode(prompt, true));
        return std::string(prompts.size() == 1 ? c.first : c.second);
      };
      const auto report = run(data, options(metric), answerer);
      ASSERT_TRUE(report.ok()) << report.error().message;
      const int expected = metric == EvalMetric::kExact ? c.exact : c.contains;
      EXPECT_EQ(report->right, expected) << c.first << " / " << c.second;
      EXPECT_EQ(report->accuracy, expected / 2.0);
      EXPECT_EQ(report->rows, 2);
      ASSERT_EQ(prompts.size(), 2U);
      EXPECT_EQ(prompts[0], "<|im_start|>user\none and one<|im_end|>\n<|im_start|>assistant\n");
      EXPECT_TRUE(prompts[1].ends_with("user\nWho?<|im_end|>\n<|im_start|>assistant\n")) << prompts[1];
    }
  }
}

TEST_F(Evaluate, AnswersAreShownWholeToWhoWantsThem) {
  const EvalData data = load(kRows, options(EvalMetric::kExact));
  const Answerer answerer = [&](std::span<const int32_t>, const auto& go_on) -> Result<std::string> {
    EXPECT_TRUE(go_on("this can be right no more"));
    return std::string(" two\n");
  };
  std::vector<GivenAnswer> seen;
  EvalEvents events;
  events.answered = [&](const GivenAnswer& answer) -> Status {
    seen.push_back(answer);
    return {};
  };
  ASSERT_TRUE(run(data, options(EvalMetric::kExact), answerer, events).ok());
  ASSERT_EQ(seen.size(), 2U);
  EXPECT_EQ(seen[0].row, 1);
  EXPECT_EQ(seen[0].expected, "two");
  EXPECT_EQ(seen[0].given, " two\n");
  EXPECT_TRUE(seen[0].right);
  EXPECT_EQ(seen[1].row, 2);
  EXPECT_EQ(seen[1].expected, "Me,  of\ncourse");
  EXPECT_FALSE(seen[1].right);
  events.answered = [](const GivenAnswer&) -> Status { return make_error("no room"); };
  EXPECT_EQ(run(data, options(EvalMetric::kExact), answerer, events).error().message, "no room");
}

// An answer is not asked for beyond the point where it is decided.
TEST_F(Evaluate, AnswersEndOnceTheyAreDecided) {
  const auto length_wanted = [&](EvalMetric metric, const std::string& answer) {
    const EvalData data = load(kRows.substr(0, kRows.find('\n') + 1), options(metric));
    size_t length = 0;
    const Answerer answerer = [&](std::span<const int32_t>, const auto& go_on) -> Result<std::string> {
      for (length = 1; length < answer.size() && go_on(answer.substr(0, length)); ++length) {
      }
      return answer.substr(0, length);
    };
    EXPECT_TRUE(run(data, options(metric), answerer).ok());
    return length;
  };
  EXPECT_EQ(length_wanted(EvalMetric::kExact, "twenty-two"), 3U) << "at \"twe\" it cannot be \"two\" any more";
  EXPECT_EQ(length_wanted(EvalMetric::kExact, "two  \n"), 6U) << "it may still be";
  EXPECT_EQ(length_wanted(EvalMetric::kContains, "it is two, I think"), 9U);
}

TEST_F(Evaluate, ChoosesByTheMeanLogProbability) {
  std::string text;
  for (int i = 0; i < 12; ++i) {
    text +=
        format(R"({{"question": "number {}?", "choices": ["{}", "a long answer to it", "x{}", "yes"], "answer": {}}})",
               i, i, i * i, i % 4) +
        "\n";
  }
  const EvalData data = load(text, options(EvalMetric::kChoice));
  ASSERT_EQ(data.questions.size(), 12U);
  int64_t right = 0, tokens = 0;
  double loss = 0;
  for (const ChoiceQuestion& question : data.questions) {
    std::vector<double> means;
    for (size_t i = 0; i < question.count; ++i) {
      const TokenRow& row = data.rows.rows[question.first + i];
      means.push_back(served_logp(row) / static_cast<double>(trained(row)));
    }
    right += std::max_element(means.begin(), means.end()) - means.begin() == static_cast<int64_t>(question.right);
    const TokenRow& row = data.rows.rows[question.first + question.right];
    loss -= means[question.right] * static_cast<double>(trained(row));
    tokens += trained(row);
  }
  ASSERT_GT(right, 0);
  ASSERT_LT(right, 12);
  const auto report = run(data, options(EvalMetric::kChoice));
  ASSERT_TRUE(report.ok()) << report.error().message;
  EXPECT_EQ(report->right, right);
  EXPECT_EQ(report->rows, 12);
  EXPECT_EQ(report->tokens, tokens);
  EXPECT_NEAR(report->loss, loss / static_cast<double>(tokens), 1e-5) << "of the right choices";
  EvalOptions first = options(EvalMetric::kChoice);
  first.rows_max = 5;
  EXPECT_EQ(run(load(text, first), first)->rows, 5);
}

TEST_F(Evaluate, RowsCanBeLimited) {
  EvalOptions first = options(EvalMetric::kLoss);
  first.rows_max = 1;
  const EvalData data = load(kRows, first);
  EXPECT_EQ(data.rows.rows.size(), 1U);
  EXPECT_EQ(run(data, first)->rows, 1);
}

TEST_F(Evaluate, RefusesWhatHasNoAnswer) {
  const auto text = load_eval_data({folder_.write("notes.txt", "Only words.")}, tokenizer_, "model",
                                   options(EvalMetric::kExact), learner_.team);
  ASSERT_FALSE(text.ok());
  EXPECT_NE(text.error().message.find("notes.txt: the metric exact needs rows with a question"), std::string::npos)
      << text.error().message;
  EvalOptions held = options(EvalMetric::kLoss);
  held.reading.held_out = 0.5;
  const auto one = load_eval_data({folder_.write("one.jsonl", kRows.substr(0, kRows.find('\n') + 1))}, tokenizer_,
                                  "model", held, learner_.team);
  ASSERT_FALSE(one.ok());
  EXPECT_EQ(one.error().message.rfind("nothing is held out of this data", 0), 0U) << one.error().message;
}

TEST_F(Evaluate, CanBeInterrupted) {
  const EvalData data = load(kRows, options(EvalMetric::kLoss));
  EvalEvents events;
  events.progress = [](std::string_view, int64_t, int64_t) { return false; };
  EXPECT_FALSE(run(data, options(EvalMetric::kLoss), {}, events).ok());
}

// A number that is none must not be reported as a loss.
TEST_F(Evaluate, ALossThatIsNotFiniteIsAnError) {
  Adapter adapter = adapter_for(*learner_.model, 2, false);
  for (AdapterMatrix& m : adapter.matrices) std::fill(m.b.begin(), m.b.end(), 3e38F);
  learner_.train_adapter(std::move(adapter));
  const EvalData data = load(kRows, options(EvalMetric::kLoss));
  const auto report = run(data, options(EvalMetric::kLoss));
  ASSERT_FALSE(report.ok());
  EXPECT_NE(report.error().message.find("not a finite number"), std::string::npos);
}

TEST(EvalMetricNames, GoBothWays) {
  for (const EvalMetric metric : {EvalMetric::kLoss, EvalMetric::kExact, EvalMetric::kContains, EvalMetric::kChoice}) {
    EXPECT_EQ(*eval_metric_from_name(eval_metric_name(metric)), metric);
  }
  const auto wrong = eval_metric_from_name("bleu");
  ASSERT_FALSE(wrong.ok());
  EXPECT_EQ(wrong.error().message, "\"bleu\" is not a metric; loss, exact, contains and choice are");
}

TEST(NormalAnswer, IsWithoutWhiteSpaceThatSaysNothing) {
  EXPECT_EQ(normal_answer("  a \n\t b "), "a b");
  EXPECT_EQ(normal_answer(" \n"), "");
  EXPECT_EQ(normal_answer("a"), "a");
}

}  // namespace
}  // namespace andiron
