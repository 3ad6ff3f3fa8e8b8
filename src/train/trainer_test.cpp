// What training does: it learns a batch by heart, prefers what it is told to, and leaves nothing half done.
#include "train/trainer.h"

#include <gtest/gtest.h>

#include "train/trainer_fixture.h"

namespace andiron {
namespace {

std::unique_ptr<Learner> llama() {
  return std::make_unique<Learner>(small_model({"llama", [](TinyModel&) {}}), best_kernels(), 2);
}

double last_loss(Learner& s, const TokenRows& rows, int64_t steps, double rate, TrainerOptions options = {}) {
  Training training(s, rows, steps, rate, options);
  double loss = 0;
  while (!training.trainer->done()) {
    const auto report = training.trainer->step();
    EXPECT_TRUE(report.ok()) << (report.ok() ? "" : report.error().message);
    if (!report.ok()) return NAN;
    loss = report->loss;
  }
  return loss;
}

// Each token in a row of its own place: there is something to learn for every one.
TEST(Trainer, LearnsABatchByHeart) {
  const TokenRows rows = made_rows(3, 12, 29);
  const auto all = llama();
  all->train_all();
  EXPECT_GT(last_loss(*all, rows, 1, 0), 3);
  EXPECT_LT(last_loss(*all, rows, 80, 1e-2), 0.01);
  const auto adapter = llama();
  adapter->train_adapter(adapter_for(*adapter->model, 4, false, 0));
  EXPECT_LT(last_loss(*adapter, rows, 150, 1e-2), 0.01);
  const auto magnitudes = llama();
  Adapter dora = adapter_for(*magnitudes->model, 4, true, 0);
  for (AdapterMatrix& m : dora.matrices) m.magnitude = lengths_of_rows(magnitudes->tiny, m.layer);
  magnitudes->train_adapter(dora, 1, 0.05F);
  EXPECT_LT(last_loss(*magnitudes, rows, 150, 1e-2), 0.2);
}

// Two answers to one prompt. Before anything is learnt DPO's loss is log 2; a while later the chosen one is preferred.
TEST(Trainer, PrefersTheChosenAnswers) {
  TokenRows rows = made_rows(3, 12, 29);
  rows.rejected = rows.rows;
  for (TokenRow* row :
       {&rows.rows[0], &rows.rows[1], &rows.rows[2], &rows.rejected[0], &rows.rejected[1], &rows.rejected[2]}) {
    std::fill(row->trained.begin(), row->trained.begin() + 5, 0);
    std::fill(row->trained.begin() + 5, row->trained.end(), 1);
  }
  for (TokenRow& row : rows.rejected) {
    for (size_t i = 5; i < row.tokens.size(); ++i) row.tokens[i] = (row.tokens[i] + 11) % 29;
  }
  for (const LossKind kind : {LossKind::kDpo, LossKind::kOrpo}) {
    const auto s = llama();
    s->train_adapter(adapter_for(*s->model, 4, false, 0));
    TrainerOptions options;
    options.loss = kind;
    const double first = last_loss(*s, rows, 1, 0, options);
    if (kind == LossKind::kDpo) {
      EXPECT_NEAR(first, std::log(2.0), 1e-12);  // margins of exactly 0
    }
    Training training(*s, rows, 60, 1e-2, options);
    while (!training.trainer->done()) ASSERT_TRUE(training.trainer->step().ok());
    const auto measured = training.trainer->measure(rows);
    ASSERT_TRUE(measured.ok());
    EXPECT_EQ(measured->accuracy, 1);
    EXPECT_LT(measured->loss, 0.6 * first);
    EXPECT_EQ(measured->rows, 3);
    EXPECT_EQ(measured->tokens, 0) << "the mean is over pairs";
  }
}

TEST(Trainer, KtoMovesAnswersByTheirLabels) {
  TokenRows rows = made_rows(4, 12, 29);
  rows.desirable = {1, 0, 1, 0};
  const auto s = llama();
  s->train_adapter(adapter_for(*s->model, 4, false, 0));
  TrainerOptions options;
  options.loss = LossKind::kKto;
  EXPECT_NEAR(last_loss(*s, rows, 1, 0, options), 0.5, 1e-12);
  EXPECT_LT(last_loss(*s, rows, 60, 1e-2, options), 0.35);
}

// However the rows of a step are cut into passes, its gradient has the same bits.
TEST(Trainer, PassesOfAnySizeMakeTheSameStep) {
  const TokenRows rows = made_rows(5, 12, 29);
  std::vector<std::vector<float>> gradients;
  std::vector<double> losses;
  for (const int64_t rows_per_pass : {1, 25, 512}) {
    const auto s = llama();
    s->train_adapter(adapter_for(*s->model, 4, false));
    TrainerOptions options;
    options.rows_per_pass = rows_per_pass;
    losses.push_back(last_loss(*s, rows, 1, 0, options));
    gradients.push_back(s->gradients());
    EXPECT_EQ(gradients.back(), gradients.front());
    EXPECT_NEAR(losses.back(), losses.front(), 1e-14 * losses.front());
  }
}

// The rows of a step as the reference takes them: each weight as a share of their sum.
Batch weighted_batch(const TokenRows& rows, double prompt_weight) {
  Batch out;
  double sum = 0;
  for (const TokenRow& row : rows.rows) {
    out.segments.push_back(row.positions());
    for (size_t i = 1; i < row.tokens.size(); ++i) {
      out.tokens.push_back(row.tokens[i - 1]);
      out.targets.push_back(row.tokens[i]);
      sum += row.trained[i] != 0 ? 1 : prompt_weight;
    }
  }
  for (const TokenRow& row : rows.rows) {
    for (size_t i = 1; i < row.tokens.size(); ++i) {
      out.weights.push_back(static_cast<float>((row.trained[i] != 0 ? 1 : prompt_weight) / sum));
    }
  }
  return out;
}

// The weighted mean and its slopes against the reference in double. What float arithmetic may change is some sixty
// roundings a layer, there and back, and as many in the head; the share of each token is rounded once more.
TEST(Trainer, PromptsWeighWhatIsSaid) {
  const TokenRows rows = made_rows(3, 9, 29);
  for (const double prompt_weight : {0.0, 0.1, 0.75}) {
    const auto s = llama();
    s->train_all();
    TrainerOptions options;
    options.prompt_loss.weight = static_cast<float>(prompt_weight);
    options.rows_per_pass = 1;
    const double loss = last_loss(*s, rows, 1, 0, options);
    const Batch batch = weighted_batch(rows, prompt_weight);
    ReferenceLoss reference(*s, batch);
    const double share = 61 * 0x1p-24 * static_cast<double>(s->tiny.blocks + 1);
    const double expected = reference.loss().real();
    EXPECT_NEAR(loss, expected, share * expected);
    for (const Parameter& p : s->parameters) {
      std::vector<double> direction(static_cast<size_t>(p.size()));
      double got = 0, square = 0;
      for (size_t i = 0; i < direction.size(); ++i) {
        direction[i] = RandomStream(9).normal(i);
        const auto gradient = static_cast<double>(p.gradient[i]);
        got += direction[i] * gradient;
        square += gradient * gradient;
      }
      EXPECT_NEAR(got, reference.slope(p, direction), share * std::sqrt(square)) << p.name;
    }
  }
}

// With prompts that weigh as much as answers all is as if everything were trained; with none, as if the option were not
// there, whatever is measured.
TEST(Trainer, PromptsThatWeighAsMuchAreTrainedToo) {
  const TokenRows rows = made_rows(5, 12, 29);
  TokenRows everything = rows;
  for (TokenRow& row : everything.rows) std::fill(row.trained.begin() + 1, row.trained.end(), 1);
  const auto s = llama();
  s->train_all();
  const auto step = [&](const TokenRows& data, float prompt_weight) {
    TrainerOptions options;
    options.rows_per_pass = 25;
    options.prompt_loss.weight = prompt_weight;
    const double loss = last_loss(*s, data, 1, 0, options);
    return std::pair(loss, s->gradients());
  };
  EXPECT_TRUE(step(rows, 1) == step(everything, 0));
  EXPECT_FALSE(step(rows, 0.5F) == step(everything, 0));
  EXPECT_TRUE(step(everything, 0.5F) == step(everything, 0)) << "of texts nothing is a prompt";
  TrainerOptions options;
  const double measured = Training(*s, rows, 1, 0, options).trainer->measure(rows)->loss;
  options.prompt_loss.weight = 0.5;
  EXPECT_EQ(Training(*s, rows, 1, 0, options).trainer->measure(rows)->loss, measured);
  EXPECT_NE(Training(*s, rows, 1, 0).trainer->measure(everything)->loss, measured);
}

// The pull against forgetting: its gradient, alone where no token of the step is trained, against the difference of the
// divergence over a step along it. The step changes the divergence by a tenth, so that what the third derivative leaves
// of it is a hundredth of that.
TEST(Trainer, ThePullTowardsTheBaseIsTheSlopeOfTheDivergence) {
  TokenRows rows = made_rows(1, 12, 29);
  std::fill(rows.rows[0].trained.begin(), rows.rows[0].trained.end(), 0);
  const TokenRows general = made_rows(1, 40, 29);
  const auto s = llama();
  s->train_adapter(adapter_for(*s->model, 4, false));
  TrainerOptions options;
  options.kl_weight = 1;
  Training training(*s, rows, 9, 0, options, &general);
  const double middle = training.trainer->step()->kl;
  const auto gradient = s->gradients();
  double square = 0;
  for (const float g : gradient) square += static_cast<double>(g) * static_cast<double>(g);
  ASSERT_GT(square, 0);
  const double far = 0.1 * middle / square;
  const auto divergence_at = [&](double along) {
    size_t at = 0;
    for (const Parameter& p : s->parameters) {
      for (int64_t i = 0; i < p.size(); ++i)
        p.value[i] += static_cast<float>(along * static_cast<double>(gradient[at++]));
    }
    s->worn->repack(training.pass->ops());
    return training.trainer->step()->kl;
  };
  const double above = divergence_at(far), below = divergence_at(-2 * far);
  EXPECT_NEAR((above - below) / (2 * far), square, 0.01 * square);
  EXPECT_GT(middle, 0.01);
}

// Of a conversation the answers are held, and nothing else: the mean over two tokens is that of the means over each.
TEST(Trainer, ThePullIsFeltWhereAGeneralRowAnswers) {
  TokenRows rows = made_rows(1, 12, 29);
  std::fill(rows.rows[0].trained.begin(), rows.rows[0].trained.end(), 0);
  const auto s = llama();
  s->train_adapter(adapter_for(*s->model, 4, false));
  TrainerOptions options;
  options.kl_weight = 1;
  const auto pull_at = [&](std::initializer_list<size_t> answers) {
    TokenRows general = made_rows(1, 40, 29);
    std::fill(general.rows[0].trained.begin(), general.rows[0].trained.end(), 0);
    for (const size_t at : answers) general.rows[0].trained[at] = 1;
    return Training(*s, rows, 1, 0, options, &general).trainer->step()->kl;
  };
  const double early = pull_at({10}), late = pull_at({33});
  ASSERT_GT(std::abs(early - late), 0.01 * std::max(early, late));
  EXPECT_NEAR(pull_at({10, 33}), (early + late) / 2, 1e-5 * (early + late));
  EXPECT_EQ(pull_at({}), 0.0);
}

// Several rows are drawn for a step that is long enough, and one for any: the mean over their tokens lies between the
// pulls of each alone.
TEST(Trainer, ThePullIsThatOfSeveralRowsWhereAStepIsLong) {
  const auto s = llama();
  s->train_adapter(adapter_for(*s->model, 4, false));
  TrainerOptions options;
  options.kl_weight = 1;
  const TokenRows both = made_rows(2, 40, 29);
  const auto pull_of = [&](const TokenRows& general, int64_t steps_rows) {
    TokenRows rows = made_rows(steps_rows, 60, 29, true);
    for (TokenRow& row : rows.rows) std::fill(row.trained.begin(), row.trained.end(), 0);
    return Training(*s, rows, 1, 0, options, &general).trainer->step()->kl;
  };
  const auto alone = [&](size_t i) {
    TokenRows one;
    one.rows.push_back(both.rows[i]);
    return pull_of(one, 1);
  };
  const double first = alone(0), second = alone(1), least = std::min(first, second), most = std::max(first, second);
  ASSERT_GT(most - least, 0.01 * most);
  const double of_short = pull_of(both, 1), of_long = pull_of(both, 32);
  EXPECT_TRUE(of_short == first || of_short == second);
  EXPECT_GT(of_long, least);
  EXPECT_LT(of_long, most);
}

// A step that fails, here in the rows of the next epoch, can be tried again and fails the same.
TEST(Trainer, AFailedStepGoesBackToItsRows) {
  TokenRows rows = made_rows(2, 12, 29);
  const auto s = llama();
  s->train_all();
  Training training(*s, rows, 10, 0);
  ASSERT_TRUE(training.trainer->step().ok());
  const auto before = training.trainer->data_position();
  rows.rows[0].tokens[3] = 29;
  for (int i = 0; i < 3; ++i) {
    const auto failed = training.trainer->step();
    ASSERT_FALSE(failed.ok());
    EXPECT_NE(failed.error().message.find("the token 29"), std::string::npos) << failed.error().message;
    EXPECT_EQ(training.trainer->data_position(), before);
    EXPECT_EQ(training.trainer->steps_done(), 1);
  }
  rows.rows[0].tokens[3] = 28;
  EXPECT_TRUE(training.trainer->step().ok());
}

}  // namespace
}  // namespace andiron
