// A whole run: what it leaves, that it goes on where it stopped, and what it refuses.
#include "train/learn.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <limits>
#include <string>

#include "adapter/adapter.h"
#include "base/atomic_file.h"
#include "base/random.h"
#include "base/strings.h"
#include "base/test_folder.h"
#include "data/byte_tokenizer.h"
#include "kernels/dispatch.h"
#include "model/tiny_model.h"
#include "train/verdict.h"

namespace andiron {
namespace {

class LearnTest : public testing::Test {
 protected:
  LearnTest() {
    model_ = load([](TinyModel&) {});
    options_.data = {text_file("notes.txt", 40)};
    options_.out = folder_.file("run");
    options_.name = "me";
    options_.base_path = folder_.file("base.gguf");
    options_.rank = 2;
    options_.rate = 1e-2;
    options_.dropout = 0.1;
    options_.steps = 12;
    options_.seq_len = 32;
    options_.batch = 2;
    options_.grad_accum = 1;
    options_.measure_every = 5;
    options_.save_every = 3;
    options_.seed = 7;
  }

  template <typename Change>
  std::shared_ptr<const Model> load(Change change) {
    TinyModel tiny;
    tiny.width = 32, tiny.inner = 40, tiny.heads = 2, tiny.kv_heads = 1, tiny.blocks = 1, tiny.vocabulary = 262;
    tiny.build();
    change(tiny);
    EXPECT_TRUE(tiny.write(folder_.file("base.gguf")).ok());
    LoadOptions options;
    options.cache.enabled = false;
    return Model::load(folder_.file("base.gguf"), options).value();
  }
  std::string text_file(const std::string& name, int lines) {
    std::string text;
    for (int i = 0; i < lines; ++i) text += format("The {} birds of line {} sing again.\n", i % 5, i);
    return folder_.write(name, text);
  }

  Result<LearnResult> run(const LearnOptions& options, LearnEvents events = {}) {
    events.say = [this](std::string_view line) { said_ += std::string(line) + "\n"; };
    return learn(*model_, tokenizer_, kernels_, team_, options, events);
  }
  LearnResult ran(const LearnOptions& options, const LearnEvents& events = {}) {
    auto result = run(options, events);
    EXPECT_TRUE(result.ok()) << (result.ok() ? "" : result.error().message);
    return result.ok() ? std::move(*result) : LearnResult();
  }
  std::string refusal(const LearnOptions& options) {
    const auto result = run(options);
    EXPECT_FALSE(result.ok());
    return result.ok() ? "" : result.error().message;
  }
  // Stops after `steps` of this call.
  bool ran_for(LearnOptions options, int64_t steps) {
    std::atomic<bool> stop = false;
    LearnEvents events;
    events.stop = &stop;
    events.step = [&](const LossRow&) { stop = --steps <= 0; };
    return !ran(options, events).stopped;
  }
  std::vector<uint8_t> adapter() const { return read_bytes(options_.out + "/adapter_model.safetensors"); }

  TestFolder folder_;
  const KernelTable& kernels_ = kernels_of(available_isas().front());
  ThreadTeam team_{2};
  Tokenizer tokenizer_ = byte_tokenizer();
  std::shared_ptr<const Model> model_;
  LearnOptions options_;
  std::string said_;
};

TEST_F(LearnTest, LeavesAnAdapterAndItsRecord) {
  int64_t begun = 0, steps = 0;
  LearnEvents events;
  events.begin = [&](int64_t all, int64_t done) { begun = all - done; };
  events.step = [&](const LossRow&) { ++steps; };
  const LearnResult result = ran(options_, events);
  EXPECT_EQ(begun, 12);
  EXPECT_EQ(steps, 12);
  EXPECT_EQ(result.rows.size(), 12U);
  EXPECT_FALSE(result.samples.empty());
  EXPECT_LT(result.record.after.find(kHeldOutLoss)->as_double(), result.record.before.find(kHeldOutLoss)->as_double());
  const auto record = read_run_record(options_.out + "/run.json");
  ASSERT_TRUE(record.ok());
  EXPECT_EQ(record->steps, 12);
  EXPECT_EQ(record->options.find("seq_len")->as_int(), 32);
  EXPECT_TRUE(record->options.find("now")->is_int());
  EXPECT_EQ(record->data.front().use, "train");
  for (const char* name : {"adapter_config.json", "loss.csv", "loss.svg", "checkpoints"}) {
    EXPECT_TRUE(std::filesystem::exists(options_.out + "/" + name)) << name;
  }
  EXPECT_NE(refusal(options_).find("there is a run in this folder"), std::string::npos);
}

TEST_F(LearnTest, StopsAnywhereAndGoesOnWithTheSameNumbers) {
  for (const LearnMethod method : {LearnMethod::kLora, LearnMethod::kDora}) {
    options_.method = method;
    options_.out = folder_.file(format("whole-{}", learn_method_name(method)));
    ran(options_);
    const auto whole = adapter();
    ASSERT_FALSE(whole.empty());
    const RandomStream random(3, static_cast<uint64_t>(method));
    options_.out = folder_.file(format("parts-{}", learn_method_name(method)));
    LearnOptions part = options_;
    bool done = ran_for(part, 1);
    // What is chosen by the run, and even what was said, need not be said again.
    part.resume = true;
    part.steps.reset();
    part.batch.reset();
    part.rank = LearnOptions{}.rank;
    for (uint64_t i = 0; !done && i < 20; ++i) done = ran_for(part, 1 + static_cast<int64_t>(3 * random.uniform(i)));
    EXPECT_TRUE(done);
    EXPECT_TRUE(adapter() == whole);
    ran(part);  // there is nothing left to do
    EXPECT_TRUE(adapter() == whole);
  }
}

TEST_F(LearnTest, GoesOnOnlyWithTheSameDataAndOptions) {
  ASSERT_FALSE(ran_for(options_, 4));
  LearnOptions again = options_;
  again.resume = true;
  const auto with = [&](auto change) {
    LearnOptions changed = again;
    change(changed);
    return refusal(changed);
  };
  EXPECT_TRUE(with([](LearnOptions& o) {
                o.rank = LearnOptions{}.rank;
                o.given = {"rank"};
              }).starts_with("--rank: "));
  EXPECT_EQ(with([](LearnOptions& o) { o.rank = 3; }),
            "--rank: the run to go on with has 2, and 3 was asked for; leave it out, or begin another run");
  EXPECT_TRUE(with([](LearnOptions& o) { o.rate = 0.5; }).starts_with("--lr: "));
  EXPECT_TRUE(with([](LearnOptions& o) { o.method = LearnMethod::kDora; }).starts_with("--method: "));
  EXPECT_TRUE(with([](LearnOptions& o) { o.steps = 13; }).starts_with("--steps: "));
  const std::string other = text_file("other.txt", 41);
  EXPECT_TRUE(with([&](LearnOptions& o) { o.data = {other}; }).starts_with(other + ": the run was not begun with"));
  EXPECT_TRUE(with([&](LearnOptions& o) { o.data.push_back(other); }).starts_with(other + ": "));
  EXPECT_TRUE(with([&](LearnOptions& o) { o.out += "-none"; }).ends_with("there is no run to resume in this folder"));
  EXPECT_FALSE(std::filesystem::exists(options_.out + "-none"));
  again.memory_bytes = uint64_t{1} << 32;  // changes no number
  again.checkpointing = Checkpointing::kOn;
  EXPECT_TRUE(run(again).ok());
}

TEST_F(LearnTest, BeginsAnewOnlyWhereNothingWasLearned) {
  ran(options_);
  const auto whole = adapter();
  std::filesystem::remove_all(options_.out + "/checkpoints");
  LearnOptions again = options_;
  again.resume = true;
  EXPECT_NE(refusal(again).find("its checkpoints are gone"), std::string::npos);
  EXPECT_TRUE(adapter() == whole);
  // As a kill before the first checkpoint leaves it.
  auto record = read_run_record(options_.out + "/run.json");
  ASSERT_TRUE(record.ok());
  record->steps = 0;
  record->verdict = "running";
  ASSERT_TRUE(write_run_record(options_.out + "/run.json", *record).ok());
  std::filesystem::remove(options_.out + "/adapter_model.safetensors");
  ran(again);
  EXPECT_TRUE(adapter() == whole);
  EXPECT_EQ(read_run_record(options_.out + "/run.json")->before.members().size(), 2U);
}

TEST_F(LearnTest, OtherRowsAndRecipesAreNoticed) {
  ASSERT_FALSE(ran_for(options_, 4));
  LearnOptions again = options_;
  again.resume = true;
  auto record = read_run_record(options_.out + "/run.json");
  ASSERT_TRUE(record.ok());
  record->recipe = kRecipe - 1;
  ASSERT_TRUE(write_run_record(options_.out + "/run.json", *record).ok());
  EXPECT_NE(refusal(again).find("in which the same options give other numbers (recipe 3, here 4)"), std::string::npos);
  record->recipe = kRecipe;
  ASSERT_TRUE(write_run_record(options_.out + "/run.json", *record).ok());
  Tokenizer tokenizer = std::exchange(tokenizer_, byte_tokenizer(std::string(kChatmlTemplate), /*bos=*/true));
  EXPECT_NE(refusal(again).find("begun with other rows of tokens"), std::string::npos);
  tokenizer_ = std::move(tokenizer);
  again.data = {text_file("renamed.txt", 40)};  // the same content
  EXPECT_TRUE(run(again).ok());
}

TEST_F(LearnTest, ADamagedRecordIsRefused) {
  ASSERT_FALSE(ran_for(options_, 4));
  const std::string path = options_.out + "/run.json";
  const auto record = read_run_record(path);
  ASSERT_TRUE(record.ok());
  LearnOptions again = options_;
  again.resume = true;
  for (const auto& [key, value] :
       {std::pair("seq_len", 1.0), {"held_out", 5.0}, {"eval_every", 0.0}, {"warmup", -3.0}}) {
    RunRecord damaged = *record;
    Json& option = *damaged.options.find(key);
    option = option.is_int() ? Json(static_cast<int64_t>(value)) : Json(value);
    ASSERT_TRUE(write_run_record(path, damaged).ok());
    LearnOptions plain;  // nothing given that could differ
    plain.data = options_.data;
    plain.out = options_.out;
    plain.resume = true;
    const std::string message = refusal(plain);
    EXPECT_TRUE(message.starts_with(path + ": not the record of a run: --")) << message;
  }
}

TEST_F(LearnTest, ABudgetIsPlannedForOnce) {
  options_.steps.reset();
  options_.batch.reset();
  options_.grad_accum.reset();
  options_.budget_seconds = 3600;  // never used up: four passes over this little data are the most
  ASSERT_FALSE(ran_for(options_, 2));
  const auto before = read_run_record(options_.out + "/run.json");
  options_.resume = true;
  ran(options_);
  const auto after = read_run_record(options_.out + "/run.json");
  ASSERT_TRUE(before.ok() && after.ok());
  EXPECT_EQ(before->options.find("steps")->as_int(), after->steps);
}

TEST_F(LearnTest, StopsAtTheLastGoodStepWhenTheLossIsNotFinite) {
  // One letter that no number can be computed with, in one row of those trained on.
  model_ = load([](TinyModel& tiny) {
    const float infinity = std::numeric_limits<float>::infinity();
    std::memcpy(tiny.tensors.at("token_embd.weight").bytes.data() + '~' * 32 * sizeof(float), &infinity,
                sizeof infinity);
  });
  options_.reading.held_out = 0;
  options_.data.push_back(folder_.write("bad.txt", "A bird ~ sings."));
  options_.steps = 100;
  const std::string message = refusal(options_);
  EXPECT_NE(message.find("not a finite number (rows "), std::string::npos) << message;
  EXPECT_NE(message.find("is kept in"), std::string::npos) << message;
  const auto record = read_run_record(options_.out + "/run.json");
  ASSERT_TRUE(record.ok());
  EXPECT_EQ(record->verdict, "stopped");
  EXPECT_EQ(record->reasons.size(), 1U);
  EXPECT_FALSE(adapter().empty());
}

// loss.csv alone outgrows what a file may be: step 5, between two checkpoints, has no row.
TEST_F(LearnTest, GoesOnWhereAStepsRowCouldNotBeWritten) {
  ran(options_);
  const auto whole = adapter();
  options_.out = folder_.file("cut");
  const std::string log = options_.out + "/loss.csv";
  rlimit usual = {};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &usual), 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  uintmax_t bytes = 0;
  LearnEvents events;
  events.step = [&](const LossRow& row) {
    if (row.step != 4) return;
    bytes = std::filesystem::file_size(log);
    std::filesystem::resize_file(log, 1 << 30);  // without blocks on disk
    const rlimit tight = {1 << 29, usual.rlim_max};
    EXPECT_EQ(setrlimit(RLIMIT_FSIZE, &tight), 0);
  };
  const auto failed = run(options_, events);
  EXPECT_EQ(setrlimit(RLIMIT_FSIZE, &usual), 0);
  std::signal(SIGXFSZ, handler);
  ASSERT_FALSE(failed.ok());
  EXPECT_NE(failed.error().message.find("the last step saved is 3, --resume goes on"), std::string::npos)
      << failed.error().message;
  std::filesystem::resize_file(log, bytes);
  options_.resume = true;
  EXPECT_EQ(ran(options_).record.steps, 12);
  EXPECT_TRUE(adapter() == whole);
}

TEST_F(LearnTest, RefusesWhatCannotBeBeforeAnythingIsMade) {
  const auto with = [&](auto change) {
    LearnOptions changed = options_;
    change(changed);
    const std::string message = refusal(changed);
    EXPECT_FALSE(std::filesystem::exists(changed.out)) << message;
    return message;
  };
  EXPECT_TRUE(with([](LearnOptions& o) {
                o.dropout = 1;
              }).starts_with("--dropout: expected at least 0 and at most 0.99, got 1"));
  EXPECT_TRUE(with([](LearnOptions& o) { o.alpha = 0; }).starts_with("--alpha: expected more than 0 and at most "));
  EXPECT_TRUE(with([](LearnOptions& o) { o.warmup = NAN; }).starts_with("--warmup: "));
  EXPECT_TRUE(with([](LearnOptions& o) { o.seq_len = 257; }).starts_with("--seq-len: the model has a context of 256"));
  EXPECT_TRUE(with([](LearnOptions& o) { o.memory_bytes = 1000; }).starts_with("training takes about "));
  EXPECT_NE(with([](LearnOptions& o) { o.targets = {"nose"}; }).find("\"nose\" is not a layer"), std::string::npos);
  EXPECT_NE(with([](LearnOptions& o) { o.data = {o.out + "-none"}; }).find("-none"), std::string::npos);
  EXPECT_TRUE(with([&](LearnOptions& o) {
                o.data = {folder_.write("empty.txt", "")};
              }).ends_with("empty.txt: expected a file with something in it, got an empty file"));
  EXPECT_TRUE(with([](LearnOptions& o) {
                o.method = LearnMethod::kFull;
                o.loss = LossKind::kDpo;
              }).starts_with("--loss dpo: "));
}

TEST_F(LearnTest, AFolderWithFilesOfAnotherIsLeftAlone) {
  for (const char* name : {"adapter_config.json", "loss.csv", "checkpoints/step-000000100.safetensors"}) {
    options_.out = folder_.file(format("theirs-{}", name[0]));
    std::filesystem::create_directories(options_.out + "/checkpoints");
    const std::string theirs = folder_.write(format("theirs-{}/{}", name[0], name), "precious");
    EXPECT_NE(refusal(options_).find("in this folder already, and no run"), std::string::npos);
    EXPECT_EQ(read_text_file(theirs).value(), "precious");
  }
}

// Rows of up to four windows make longer sequences; nothing else does.
TEST_F(LearnTest, SequencesAreAsLongAsTheRowsNeed) {
  options_.seq_len.reset();
  ran(options_);
  EXPECT_EQ(read_run_record(options_.out + "/run.json")->options.find("seq_len")->as_int(), 256);  // the context
}

TEST_F(LearnTest, CountsTheTokensOfTheRowsThatAreMeasured) {
  options_.reading.held_out = 0.2;
  options_.held_out_rows = 2;
  const LearnResult result = ran(options_);
  EXPECT_EQ(result.record.held_out_rows, 2);
  int64_t tokens = 0;
  for (const TokenRow& row : result.samples) tokens += std::ssize(row.tokens);
  EXPECT_EQ(result.record.held_out_tokens, tokens);
}

// The planner's epoch is the one that is trained on: a sequence a row where they are not packed.
TEST_F(LearnTest, AnEpochIsPlannedAsItIsPacked) {
  std::string rows;
  for (int i = 10; i < 30; ++i) rows += format("{{\"text\": \"Bird {}.\"}}\n", i);
  options_.data = {folder_.write("rows.jsonl", rows)};
  options_.reading.held_out = 0;
  options_.steps.reset();
  options_.epochs = 2;
  const auto planned_steps = [&] {
    const auto plan = plan_learning(*model_, tokenizer_, kernels_, team_, options_, 0);
    EXPECT_TRUE(plan.ok()) << (plan.ok() ? "" : plan.error().message);
    return plan.ok() ? plan->plan.steps : 0;
  };
  EXPECT_LT(planned_steps(), 11);
  options_.pack = false;
  EXPECT_EQ(planned_steps(), 20);
}

TEST_F(LearnTest, SamplesAreCutBehindTheirPrompts) {
  TokenRow row;
  row.tokens.assign(40, 1);
  row.trained.assign(40, 1);
  row.trained[0] = 0;
  EXPECT_EQ(sample_prompt_size(row), 16U) << "a text has no prompt";
  std::fill_n(row.trained.begin(), 7, uint8_t{0});
  EXPECT_EQ(sample_prompt_size(row), 7U);
  row.tokens.resize(5);
  row.trained.assign(5, 1);
  EXPECT_EQ(sample_prompt_size(row), 5U) << "a short one has no more";
}

TEST_F(LearnTest, JudgesWhatWasLearned) {
  RunRecord record;
  record.before.set(std::string(kHeldOutLoss), 2.0).set(std::string(kGeneralPerplexity), 10.0);
  record.after.set(std::string(kHeldOutLoss), 1.9).set(std::string(kGeneralPerplexity), 10.9);
  judge(record, 0.1);
  EXPECT_EQ(record.verdict, "kept");
  judge(record, 0.05);
  EXPECT_EQ(record.verdict, "draft");
  ASSERT_EQ(record.reasons.size(), 1U);
  EXPECT_EQ(record.reasons[0], "perplexity on general text rose from 10.00 to 10.90, by more than 5%");
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  // A run leaves out losses that are no finite numbers.
  record.after = Json::object();
  judge(record, 0.1);
  EXPECT_EQ(record.verdict, "draft");
  EXPECT_EQ(record.reasons,
            (std::vector<std::string>{"the held-out loss is no finite number any more; it was 2.0000",
                                      "perplexity on general text is no finite number any more; it was 10.00"}));
  record.after.set(std::string(kHeldOutLoss), 1.9).set(std::string(kGeneralPerplexity), kInfinity);
  judge(record, 0.1);
  EXPECT_EQ(record.reasons.size(), 1U);
  record.before = record.after = Json::object();
  judge(record, 0.1);
  EXPECT_EQ(record.reasons.size(), 1U);
  EXPECT_EQ(record.reasons.at(0), "nothing was held out, so what it learned was not measured");
}

// A model that answers whatever it is asked about the birds of notes.txt, whole sentences of which are its answers.
StudyAnswererMaker made_answerer(const Tokenizer& tokenizer, int& requests) {
  return [&] {
    return StudyAnswerer([&](const StudyRequest& request) -> Result<StudyAnswer> {
      ++requests;
      const std::string text = tokenizer.decode(request.prompt);
      const bool asked = text.find(" question") != std::string::npos;
      const size_t at = text.find("birds of line ");
      if (at == std::string::npos) return StudyAnswer{"I don't know.", true};
      const std::string line = text.substr(at + 14, text.find_first_of(" .?", at + 14) - at - 14);
      const std::string answer = format("The birds of line {} sing again.", line);
      return StudyAnswer{asked ? format("Q: What do the birds of line {} do?\nA: {}", line, answer) : answer, true};
    });
  };
}

class StudyingTest : public LearnTest {
 protected:
  StudyingTest() {
    options_.data = {text_file("notes.txt", 4)};
    options_.seq_len = 128;
  }
  Result<LearnResult> run_studying(const LearnOptions& options, int64_t steps = 100) {
    std::atomic<bool> stop = false;
    LearnEvents events;
    events.stop = &stop;
    events.say = [this](std::string_view line) { said_ += std::string(line) + "\n"; };
    events.step = [&](const LossRow&) { stop = --steps <= 0; };
    return learn(*model_, tokenizer_, kernels_, team_, options, events, made_answerer(tokenizer_, requests_));
  }
  std::string study_file() const { return options_.out + "/study.jsonl"; }

  int requests_ = 0;
};

TEST_F(StudyingTest, LearnsWhatItWroteBesideTheDocument) {
  const auto result = run_studying(options_);
  ASSERT_TRUE(result.ok()) << result.error().message;
  EXPECT_NE(said_.find("study: 4 questions kept of "), std::string::npos) << said_;
  const RunRecord& record = result->record;
  ASSERT_EQ(record.data.size(), 2U);  // no other wording was found, so none is held out
  EXPECT_EQ(record.data[1].use, "study");
  EXPECT_EQ(record.data[1].path, study_file());
  EXPECT_EQ(record.options.find("study")->as_string(), "on");
  EXPECT_EQ(record.report.member("study").member("questions_kept").as_int(), 4);
  EXPECT_EQ(record.data[1].rows, record.report.member("study").member("rows").as_int());
  EXPECT_GT(record.train_tokens, record.report.member("train_tokens").as_int() + record.data[1].rows);
  EXPECT_GT(record.trained_tokens, record.report.member("trained_tokens").as_int() + record.data[1].rows);
  EXPECT_NE(read_text_file(study_file())->find("What do the birds of line 2 do?"), std::string::npos);
}

TEST_F(StudyingTest, GoesOnWithTheRowsItHasAndTheSameNumbers) {
  ASSERT_TRUE(run_studying(options_).ok());
  const auto whole = adapter();
  const std::string rows = read_text_file(study_file()).value();
  options_.out = folder_.file("parts");
  ASSERT_TRUE(run_studying(options_, 3)->stopped);
  EXPECT_EQ(read_text_file(study_file()).value(), rows);
  const int before = requests_;
  options_.resume = true;
  ASSERT_TRUE(run_studying(options_).ok());
  EXPECT_EQ(requests_, before);
  EXPECT_TRUE(adapter() == whole);
  ASSERT_TRUE(write_text_file(study_file(), rows + rows).ok());
  EXPECT_NE(run_studying(options_).error().message.find("study.jsonl: the run was not begun with this study data"),
            std::string::npos);
}

// As a kill between the study and the first checkpoint leaves it.
TEST_F(StudyingTest, AStudyWithoutARunIsMadeAgain) {
  ASSERT_TRUE(run_studying(options_).ok());
  const std::string rows = read_text_file(study_file()).value();
  options_.out = folder_.file("again");
  std::filesystem::create_directories(options_.out);
  ASSERT_TRUE(write_text_file(study_file(), rows.substr(0, rows.find('\n') + 1)).ok());
  ASSERT_TRUE(run_studying(options_).ok());
  EXPECT_EQ(read_text_file(study_file()).value(), rows);
}

TEST_F(StudyingTest, StudiesOnlyWhereItCan) {
  const auto rows = [&] { return file_exists(study_file()); };
  options_.study = StudyMode::kOff;
  ASSERT_TRUE(run_studying(options_).ok());
  EXPECT_FALSE(rows());
  EXPECT_EQ(requests_, 0);
  options_.study = StudyMode::kOn;
  options_.out = folder_.file("chat");
  options_.data = {folder_.write(
      "chat.jsonl", R"({"messages": [{"role": "user", "content": "a b c"}, {"role": "assistant", "content": "d"}]})")};
  EXPECT_EQ(run_studying(options_).error().message,
            "--study on: there is no text or Markdown with whole sentences among the data");
  EXPECT_FALSE(std::filesystem::exists(options_.out));
  options_.loss = LossKind::kDpo;
  EXPECT_TRUE(run_studying(options_).error().message.starts_with("--study on: documents are studied for --loss sft"));
}

// What is written in a record is read back as it was.
TEST(LearnOptionsJson, IsReadBack) {
  LearnOptions o;
  o.method = LearnMethod::kRsLora;
  o.targets = {"attn_q", "ffn_down"};
  o.rate = 0.1234567890123456789;
  o.optimizer.weight_decay = 0.1F;
  o.reading.format = DataFormat::kText;
  o.reading.now = 5;
  o.epochs = 1.5;
  o.pack = false;
  o.loss = LossKind::kKto;
  RunRecord record;
  record.options = learn_options_json(o);
  LearnOptions other;
  other.out = "there";
  const auto back = resumed_options(other, record, "run.json");
  ASSERT_TRUE(back.ok()) << back.error().message;
  EXPECT_EQ(learn_options_that_count(*back).dump(), learn_options_that_count(o).dump());
  EXPECT_EQ(back->out, "there");
  RunRecord old;  // of a run from before there was study
  old.options = learn_options_json(o);
  std::erase_if(old.options.members(), [](const Json::Member& member) { return member.first == "study"; });
  const auto parsed = parse_run_record(run_record_json(old).dump(), "run.json");
  ASSERT_TRUE(parsed.ok());
  EXPECT_EQ(resumed_options(other, *parsed, "run.json")->study, StudyMode::kOff);
  EXPECT_FALSE(record.options.find("by_length")->as_bool()) << "as checkpoints have it that are older than its end";
  for (Json::Member& member : old.options.members()) {
    if (member.first == "by_length") member.second = Json(true);
  }
  EXPECT_FALSE(resumed_options(other, old, "run.json").ok());
  record.options = Json::object();
  record.options.set("method", "alchemy");
  EXPECT_FALSE(resumed_options(LearnOptions{}, record, "run.json").ok());
}

}  // namespace
}  // namespace andiron
