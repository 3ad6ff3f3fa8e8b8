#include "train/learn.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "adapter/adapter_base.h"
#include "base/strings.h"
#include "data/packing.h"
#include "data/row_source.h"
#include "model/train_pass.h"
#include "text/chat_prompt.h"
#include "train/learn_data.h"
#include "train/pass_plan.h"
#include "train/planner.h"
#include "train/run_folder.h"
#include "train/run_loop.h"
#include "train/score.h"
#include "train/subject.h"
#include "train/trainer.h"

namespace andiron {

namespace {

// One run, from its options to its result; methods in the order in which they happen.
class Run {
 public:
  Run(const Model& model, const Tokenizer& tokenizer, const KernelTable& kernels, ThreadTeam& team,
      const LearnOptions& options, const LearnEvents& events, const StudyAnswererMaker& answerer)
      : model_(model),
        tokenizer_(tokenizer),
        kernels_(kernels),
        team_(team),
        o_(options),
        events_(events),
        answerer_(answerer),
        folder_(options.out),
        called_(now_seconds()) {}

  Result<LearnResult> run() {
    TRY(open());
    TRY(study_documents());
    TRY(read_data());
    TRY(choose_pass());
    TRY(make_pass());
    TRY(plan());
    return train();
  }

  Result<LearnPlan> plan_only(double tokens_per_s);

 private:
  void say(std::string_view line) const { events_.tell(line); }
  std::string file(std::string_view name) const { return folder_.file(name); }
  const TokenRows& held_out() const { return data_.set.held_out; }
  TrainData train_data() const { return {&data_.set.train, &data_.set.held_out, &data_.general}; }
  TrainSubject subject() { return subject_->trained(*pass_, team_); }

  Status open();
  Result<bool> is_to_study(const std::vector<Passage>& passages) const;
  Status study_documents();
  Status read_data();
  Status check_same_data() const;
  Status choose_pass();
  Status make_pass();
  TrainerOptions trainer_options() const;
  double limit_measurements(double tokens_per_s);
  PlanInput plan_input();
  Status plan();
  Json identity() const;
  RunRecord fresh_record() const;
  Result<LearnResult> train();

  const Model& model_;
  const Tokenizer& tokenizer_;
  const KernelTable& kernels_;
  ThreadTeam& team_;
  LearnOptions o_;  // what was left open is filled in by and by
  const LearnEvents& events_;
  const StudyAnswererMaker& answerer_;
  RunFolder folder_;
  double called_;  // when learn() was

  StudiedFiles studied_;
  std::optional<Json> studies_;  // what became of its study, where there was one now
  LearnData data_;
  TokenRows measured_general_;  // taken out of data_.general, from which the pull against forgetting draws
  std::string rows_hash_;
  AdapterBase base_;
  std::unique_ptr<Subject> subject_;
  PassPlan pass_plan_;
  std::unique_ptr<TrainPass> pass_;
  Plan plan_;
  std::optional<RunRecord> before_;  // of the run to go on with
};

Status Run::open() {
  TRY(check_learn_options(o_));
  TRY(folder_.open(o_.resume));
  TRY_ASSIGN(base_, describe_base(model_.source()));
  if (!o_.resume) {
    if (!o_.reading.now) o_.reading.now = local_now();
    return {};
  }
  TRY_ASSIGN(before_, read_run_record(file("run.json")));
  TRY(check_recipe(*before_, o_.out));
  TRY_ASSIGN(o_, resumed_options(o_, *before_, file("run.json")));
  if (before_->base_hash != base_.hash) {
    return make_error("{}: the run was begun on {} ({}), and this model is another ({})", o_.base_path,
                      before_->base_path, before_->base_hash, base_.hash);
  }
  return {};
}

// Says why not, where it was asked for.
Result<bool> Run::is_to_study(const std::vector<Passage>& passages) const {
  const bool asked = o_.study == StudyMode::kOn;
  if (!ChatPrompt::can_chat(tokenizer_)) {
    if (!asked) return false;
    return make_error("--study on: {} is a base model, which cannot be asked; only a chat model can study",
                      o_.base_path);
  }
  if (passages.empty() && asked) {
    return make_error("--study on: there is no text or Markdown with whole sentences among the data");
  }
  return !passages.empty();
}

// A third of the time at most, so that most of it is left to learn in.
Status Run::study_documents() {
  constexpr double kStudyShare = 1.0 / 3;
  const std::string path = file("study.jsonl");
  if (o_.resume) {
    for (const DataFileRecord& data : before_->data) {
      if (data.use == "study") studied_.rows = path;
      if (data.use == "study held out") studied_.held_out = file("study-held-out.jsonl");
    }
    return {};
  }
  std::vector<Passage> passages;
  const bool may = answerer_ && o_.study != StudyMode::kOff && o_.loss == LossKind::kNextToken;
  bool wanted = false;
  if (may) {
    TRY_ASSIGN(passages, read_passages(o_.data, o_.reading.format, o_.reading.stop));
    TRY_ASSIGN(wanted, is_to_study(passages));
  }
  o_.study = StudyMode::kOff;
  if (!wanted) return {};
  say(format("studying {}: the model writes questions about them and answers these itself{} (--study off: not)",
             counted(std::ssize(passages), "passage"),
             o_.budget_seconds > 0 ? format(", for at most {}", human_seconds(kStudyShare * o_.budget_seconds)) : ""));
  StudyOptions options;
  options.model_name = o_.base_path;
  options.seed = o_.seed;
  options.now = o_.reading.now;
  options.context = model_.config().context;
  if (o_.budget_seconds > 0) options.deadline = called_ + kStudyShare * o_.budget_seconds;
  TRY_ASSIGN(const StudyAnswerer answerer, answerer_());
  TRY_ASSIGN(const StudyResult result, study(passages, tokenizer_, options, answerer, events_));
  say(result.describe());
  studies_ = result.to_json();
  if (result.rows.empty()) return {};
  TRY(write_study_rows(result.rows, path));
  studied_.rows = path;
  if (!result.held_out.empty()) {
    studied_.held_out = file("study-held-out.jsonl");
    TRY(write_study_rows(result.held_out, studied_.held_out));
  }
  o_.study = StudyMode::kOn;
  return {};
}

Status Run::check_same_data() const {
  TRY(check_same_files(before_->data, data_.files));
  if (before_->rows_hash != rows_hash_) {
    return make_error(
        "{}: the run was begun with other rows of tokens, or others were held out: the chat template has changed "
        "since",
        o_.out);
  }
  return {};
}

Status Run::read_data() {
  const auto fits = [&](int64_t seq_len) {
    const TrainLimits limits = {rows_per_pass(seq_len), model_.config().blocks};
    return TrainPass::bytes_needed(model_, limits, team_.size()) <= memory_wanted(o_.memory_bytes);
  };
  TRY_ASSIGN(data_, read_learn_data(o_, studied_, tokenizer_, model_.config().context, fits, team_));
  o_.seq_len = data_.seq_len;
  for (const std::string& line : describe_report(data_.set.report)) say(line);
  rows_hash_ = hash_rows({&data_.set.train, &data_.set.held_out, &data_.general});
  if (o_.resume) TRY(check_same_data());
  measured_general_ = take_measured(data_.general);
  keep_spread(data_.set.held_out, o_.held_out_rows.value_or(INT64_MAX));
  keep_spread(measured_general_, o_.general_rows.value_or(INT64_MAX));
  return {};
}

Status Run::choose_pass() {
  if (!o_.rate) o_.rate = usual_rate(model_, o_);
  PassWishes wishes;
  TRY_ASSIGN(wishes.parameters, Subject::parameters_count(model_, base_, o_));
  wishes.optimizer_bytes = Optimizer::state_bytes(wishes.parameters, o_.optimizer.state_8bit);
  TrainerOptions options;
  options.loss = o_.loss;
  options.packing.seq_len = data_.seq_len;
  options.rows_per_pass = rows_per_pass(data_.seq_len);
  wishes.rows = Trainer::rows_needed(train_data(), options);
  for (const TokenRow& row : measured_general_.rows) wishes.rows = std::max(wishes.rows, row.positions());
  wishes.checkpointing = o_.checkpointing;
  wishes.memory_bytes = o_.memory_bytes;
  wishes.advice = "ask for shorter sequences or a lower rank, or take a smaller model";
  TRY_ASSIGN(pass_plan_, plan_pass(model_, wishes, team_.size()));
  return {};
}

Status Run::make_pass() {
  TRY_ASSIGN(subject_, Subject::create(model_, base_, kernels_, team_, o_));
  TRY_ASSIGN(pass_, TrainPass::create(model_, subject_->weights(), kernels_, team_, pass_plan_.limits));
  say(pass_plan_.describe());
  return {};
}

TrainerOptions Run::trainer_options() const {
  TrainerOptions out;
  out.loss = o_.loss;
  out.beta = o_.beta;
  out.sequences = plan_.batch * plan_.grad_accum;
  out.packing.seq_len = data_.seq_len;
  out.packing.pack = o_.pack;
  out.packing.seed = o_.seed;
  out.rows_per_pass = rows_per_pass(data_.seq_len);
  out.schedule.kind = o_.schedule;
  out.schedule.peak = *o_.rate;
  out.schedule.steps = plan_.steps;
  out.schedule.warmup_steps = static_cast<int64_t>(o_.warmup * static_cast<double>(plan_.steps));
  out.optimizer = o_.optimizer;
  out.neftune_alpha = o_.neftune_alpha;
  out.kl_weight = o_.kl_weight;
  out.seed = o_.seed;
  return out;
}

// Leaves so many rows to be measured that one measurement is a small part of the budget, and gives what those before
// and after all steps take, in seconds.
double Run::limit_measurements(double tokens_per_s) {
  constexpr double kHeldOutPart = 0.03, kGeneralPart = 0.01;
  const double forward_per_s = tokens_per_s / kForwardShare;
  const auto limit = [&](TokenRows& rows, double part) {
    const double room = part * o_.budget_seconds * forward_per_s;
    const double share = std::min(1.0, room / static_cast<double>(std::max<int64_t>(1, positions_of(rows))));
    keep_spread(rows, std::max<int64_t>(1, static_cast<int64_t>(share * static_cast<double>(rows.rows.size()))));
  };
  limit(data_.set.held_out, kHeldOutPart);
  limit(measured_general_, kGeneralPart);
  return 2 * static_cast<double>(positions_of(held_out()) + positions_of(measured_general_)) / forward_per_s;
}

PlanInput Run::plan_input() {
  PlanInput input;
  const TokenRows& rows = data_.set.train;
  input.rows = std::ssize(rows.rows);
  input.tokens = positions_of(rows);
  input.sequences = std::ssize(plan_epoch(row_positions(rows), trainer_options().packing, 0));
  input.trained_tokens = count_trained(rows);
  input.steps = o_.steps;
  input.epochs = o_.epochs;
  input.by_heart = !studied_.rows.empty();
  input.sequence_length = data_.seq_len;
  input.batch = o_.batch;
  input.grad_accum = o_.grad_accum;
  input.memory = pass_plan_.memory;
  input.held_out_tokens = positions_of(held_out());
  return input;
}

Status Run::plan() {
  PlanInput input = plan_input();
  if (o_.budget_seconds > 0 && !o_.resume) {
    plan_.batch = plan_.grad_accum = 1;
    TRY_ASSIGN(input.tokens_per_s, measure_speed(*pass_, subject(), train_data(), trainer_options(), team_, events_));
    const double apart = limit_measurements(input.tokens_per_s) + now_seconds() - called_;
    input.budget_seconds = o_.budget_seconds - apart;
    if (input.budget_seconds <= 0) {
      return make_error("the budget of {} is too short: reading and measuring alone take {}",
                        human_seconds(o_.budget_seconds), human_seconds(apart));
    }
  }
  input.held_out_tokens = positions_of(held_out());
  TRY_ASSIGN(plan_, plan_run(input));
  for (const std::string& line : plan_.lines) say(line);
  o_.steps = plan_.steps;
  o_.batch = plan_.batch;
  o_.grad_accum = plan_.grad_accum;
  if (!o_.measure_every) o_.measure_every = std::max<int64_t>(1, plan_.held_out_every);
  if (!o_.save_every) o_.save_every = o_.measure_every;
  o_.held_out_rows = std::ssize(held_out().rows);
  o_.general_rows = std::ssize(measured_general_.rows);
  return {};
}

Result<LearnPlan> Run::plan_only(double tokens_per_s) {
  LearnPlan out;
  TRY(check_learn_options(o_));
  TRY_ASSIGN(base_, describe_base(model_.source()));
  if (!o_.reading.now) o_.reading.now = local_now();
  if (o_.study != StudyMode::kOff && o_.loss == LossKind::kNextToken) {
    TRY_ASSIGN(const auto passages, read_passages(o_.data, o_.reading.format, o_.reading.stop));
    TRY_ASSIGN(const bool wanted, is_to_study(passages));
    if (wanted) out.passages = std::ssize(passages);
  }
  TRY(read_data());
  TRY(choose_pass());
  PlanInput input = plan_input();
  input.tokens_per_s = tokens_per_s;
  if (tokens_per_s > 0) input.budget_seconds = o_.budget_seconds;
  TRY_ASSIGN(out.plan, plan_run(input));
  out.rate = *o_.rate;
  return out;
}

// What must be the same for a run to go on.
Json Run::identity() const {
  Json out = Json::object();
  Json files = Json::array();
  for (const DataFileRecord& data : data_.files) files.push(data.hash);
  out.set("data", std::move(files));
  out.set("base", base_.hash);
  out.set("rows", rows_hash_);
  out.set("options", learn_options_that_count(o_));
  return out;
}

RunRecord Run::fresh_record() const {
  RunRecord out;
  out.name = o_.name;
  out.version = o_.version;
  out.method = learn_method_name(o_.method);
  if (o_.loss != LossKind::kNextToken) out.method += format("+{}", loss_kind_name(o_.loss));
  out.base_path = o_.base_path;
  out.base_hash = base_.hash;
  out.base_architecture = model_.config().architecture;
  out.data = data_.files;
  out.rows_hash = rows_hash_;
  out.report = report_to_json(data_.set.report);
  if (studies_) out.report.set("study", *studies_);
  out.train_rows = std::ssize(data_.set.train.rows);
  out.held_out_rows = std::ssize(held_out().rows);
  out.train_tokens = count_tokens(data_.set.train);
  out.trained_tokens = count_trained(data_.set.train);
  out.held_out_tokens = count_tokens(held_out());
  out.seed = o_.seed;
  out.options = learn_options_json(o_);
  out.machine = this_machine();
  out.machine.isa = kernels_.name;
  out.machine.threads = team_.size();
  return out;
}

Result<LearnResult> Run::train() {
  TRY_ASSIGN(const auto trainer, Trainer::create(*pass_, subject(), train_data(), trainer_options(), team_));
  RunLoopOptions options;
  options.steps = plan_.steps;
  options.measure_every = *o_.measure_every;
  options.save_every = *o_.save_every;
  options.patience = o_.patience;
  options.write_at_saves = subject_->is_adapter();
  options.general_harm_max = o_.general_harm_max;
  options.begun = called_;
  options.budget_seconds = o_.budget_seconds;
  const auto repack = [this] { subject().repack(); };
  const auto write = [this] { return subject_->write(model_, o_); };
  RunLoop loop({folder_, events_, *trainer, held_out(), measured_general_, repack, write}, options);
  return loop.run(fresh_record(), before_, identity());
}

}  // namespace

size_t sample_prompt_size(const TokenRow& row) {
  constexpr size_t kLeastPrompt = 3, kOfText = 16;  // of a text's row at most a bos and the first token are not trained
  const size_t size = row.prompt_size() >= kLeastPrompt ? row.prompt_size() : kOfText;
  return std::min(size, row.tokens.size());
}

double usual_rate(const Model& model, const LearnOptions& options) {
  // Adapters of small models want a higher rate, and bear it.
  constexpr uint64_t kSmall = 100'000'000;
  const double of_adapter = model.parameters() < kSmall ? 1e-3 : 2e-4;
  const double usual = options.method == LearnMethod::kFull ? 2e-5 : of_adapter;
  return options.loss == LossKind::kNextToken ? usual : usual / 10;
}

Result<LearnPlan> plan_learning(const Model& model, const Tokenizer& tokenizer, const KernelTable& kernels,
                                ThreadTeam& team, const LearnOptions& options, double tokens_per_s) {
  std::vector<std::string> lines;
  LearnEvents events;
  events.say = [&](std::string_view line) { lines.emplace_back(line); };
  TRY_ASSIGN(LearnPlan out, Run(model, tokenizer, kernels, team, options, events, {}).plan_only(tokens_per_s));
  out.lines = std::move(lines);
  out.lines.insert(out.lines.end(), out.plan.lines.begin(), out.plan.lines.end());
  return out;
}

Result<LearnResult> learn(const Model& model, const Tokenizer& tokenizer, const KernelTable& kernels, ThreadTeam& team,
                          const LearnOptions& options, const LearnEvents& events, const StudyAnswererMaker& answerer) {
  return Run(model, tokenizer, kernels, team, options, events, answerer).run();
}

}  // namespace andiron
