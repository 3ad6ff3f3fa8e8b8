#include "train/learn_options.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/json_fields.h"
#include "base/strings.h"

namespace andiron {

namespace {

template <typename E, size_t N>
using Names = std::array<std::pair<std::string_view, E>, N>;

constexpr Names<LearnMethod, 4> kMethods = {{{"lora", LearnMethod::kLora},
                                             {"rslora", LearnMethod::kRsLora},
                                             {"dora", LearnMethod::kDora},
                                             {"full", LearnMethod::kFull}}};
constexpr Names<Checkpointing, 3> kCheckpointing = {
    {{"auto", Checkpointing::kAuto}, {"on", Checkpointing::kOn}, {"off", Checkpointing::kOff}}};
constexpr Names<StudyMode, 3> kStudyModes = {
    {{"auto", StudyMode::kAuto}, {"on", StudyMode::kOn}, {"off", StudyMode::kOff}}};
constexpr Names<LossOn, 3> kLossOn = {
    {{"answers", LossOn::kAnswers}, {"last-answer", LossOn::kLastAnswer}, {"everything", LossOn::kEverything}}};
constexpr Names<LongRows, 2> kLongRows = {{{"refuse", LongRows::kRefuse}, {"split", LongRows::kSplit}}};

template <typename E, size_t N>
Result<E> find_value(const Names<E, N>& names, std::string_view name, std::string_view what) {
  std::string all;
  for (const auto& [known, value] : names) {
    if (known == name) return value;
    all += format("{}{}", all.empty() ? "" : ", ", known);
  }
  return make_error("\"{}\" is not {}; there are {}", in_quotes(name), what, all);
}

template <typename E, size_t N>
std::string_view find_name(const Names<E, N>& names, E wanted) {
  for (const auto& [name, value] : names) {
    if (value == wanted) return name;
  }
  return {};
}

}  // namespace

// Values of each enumeration by name: what base/json_fields.h writes and reads.
template <typename E>
static bool take(const Result<E>& found, E& value) {
  if (found.ok()) value = *found;
  return found.ok();
}
static Json to_json(LearnMethod value) { return Json(learn_method_name(value)); }
static Json to_json(StudyMode value) { return Json(study_mode_name(value)); }
static Json to_json(LossOn value) { return Json(find_name(kLossOn, value)); }
static Json to_json(LongRows value) { return Json(find_name(kLongRows, value)); }
static Json to_json(LossKind value) { return Json(loss_kind_name(value)); }
static Json to_json(Schedule::Kind value) { return Json(schedule_kind_name(value)); }
static Json to_json(DataFormat value) { return Json(data_format_name(value)); }
static Json to_json(Checkpointing value) { return Json(checkpointing_name(value)); }

static bool from_json(const Json& json, LearnMethod& value) {
  return json.is_string() && take(learn_method_from_name(json.as_string()), value);
}
static bool from_json(const Json& json, StudyMode& value) {
  return json.is_string() && take(study_mode_from_name(json.as_string()), value);
}
static bool from_json(const Json& json, LossOn& value) {
  return json.is_string() && take(find_value(kLossOn, json.as_string(), "what a loss is on"), value);
}
static bool from_json(const Json& json, LongRows& value) {
  return json.is_string() && take(find_value(kLongRows, json.as_string(), "a way with long rows"), value);
}
static bool from_json(const Json& json, LossKind& value) {
  return json.is_string() && take(loss_kind_from_name(json.as_string()), value);
}
static bool from_json(const Json& json, Schedule::Kind& value) {
  return json.is_string() && take(schedule_kind_from_name(json.as_string()), value);
}
static bool from_json(const Json& json, DataFormat& value) {
  return json.is_string() && take(parse_data_format(json.as_string()), value);
}

namespace {

// Those that change numbers, and the others.
template <typename Options, typename Fields>
void counting_fields(Options& o, Fields&& at) {
  at("method", o.method);
  at("rank", o.rank);
  at("alpha", o.alpha);
  at("targets", o.targets);
  at("dropout", o.dropout);
  at("lora_plus", o.rate_ratio);
  at("loss", o.loss);
  at("beta", o.beta);
  at("format", o.reading.format);
  at("loss_on", o.reading.loss_on);
  at("long_rows", o.reading.long_rows);
  at("held_out", o.reading.held_out);
  at("now", o.reading.now);
  at("study", o.study);
  at("kl", o.kl_weight);
  at("pack", o.pack);
  bool by_length =
      false;  // an order that is no more: the name stays, so that checkpoints that have it are gone on with
  at("by_length", by_length);
  at("steps", o.steps);
  at("epochs", o.epochs);
  at("seq_len", o.seq_len);
  at("batch", o.batch);
  at("grad_accum", o.grad_accum);
  at("lr", o.rate);
  at("schedule", o.schedule);
  at("warmup", o.warmup);
  at("beta1", o.optimizer.beta1);
  at("beta2", o.optimizer.beta2);
  at("epsilon", o.optimizer.epsilon);
  at("weight_decay", o.optimizer.weight_decay);
  at("clip", o.optimizer.clip_norm);
  at("adam8", o.optimizer.state_8bit);
  at("neftune", o.neftune_alpha);
  at("patience", o.patience);
  at("eval_every", o.measure_every);
  at("held_out_rows", o.held_out_rows);
  at("general_rows", o.general_rows);
  at("seed", o.seed);
}

template <typename Options, typename Fields>
void other_fields(Options& o, Fields&& at) {
  at("general_harm_max", o.general_harm_max);
  at("save_every", o.save_every);
  at("budget", o.budget_seconds);
  at("memory", o.memory_bytes);
  at("checkpointing", o.checkpointing);
}

std::string flag_of(std::string_view key) {
  if (key == "loss_on") return "--everything, --last-answer";
  if (key == "long_rows") return "--split-long";
  if (key == "pack") return "--no-pack";
  std::string out = format("--{}", key);
  for (char& c : out) c = c == '_' ? '-' : c;
  return out;
}

enum class Least : uint8_t { kMayBe, kAbove };  // whether a range holds its lower end

struct Range {
  const char* flag;
  double value;
  double least, most;
  Least end = Least::kMayBe;
};

Status check_ranges(const LearnOptions& o) {
  constexpr double kMany = 1e12, kSequences = 65536;
  const Range ranges[] = {
      {"--rank", static_cast<double>(o.rank), 1, 4096},
      {"--alpha", o.alpha, 0, 1e6, Least::kAbove},
      {"--dropout", o.dropout, 0, 0.99},
      {"--lora-plus", o.rate_ratio, 0, 1e6, Least::kAbove},
      {"--beta", o.beta, 0, 1e6, Least::kAbove},
      {"--held-out", o.reading.held_out, 0, 0.5},
      {"--kl", o.kl_weight, 0, 1e6},
      {"--epochs", o.epochs.value_or(1), 0, 1e9, Least::kAbove},
      {"--lr", o.rate.value_or(1), 0, 1e6},
      {"--warmup", o.warmup, 0, 1},
      {"--weight-decay", static_cast<double>(o.optimizer.weight_decay), 0, 1e6},
      {"--clip", o.optimizer.clip_norm, 0, kMany},
      {"--neftune", o.neftune_alpha, 0, 1e6},
      {"--budget", o.budget_seconds, 0, kMany},
      {"--steps", static_cast<double>(o.steps.value_or(1)), 1, kMany},
      {"--seq-len", static_cast<double>(o.seq_len.value_or(2)), 2, kMany},
      {"--batch", static_cast<double>(o.batch.value_or(1)), 1, kSequences},
      {"--grad-accum", static_cast<double>(o.grad_accum.value_or(1)), 1, kSequences},
      {"--save-every", static_cast<double>(o.save_every.value_or(1)), 1, kMany},
      {"--eval-every", static_cast<double>(o.measure_every.value_or(1)), 1, kMany},
      {"--patience", static_cast<double>(o.patience), 0, kMany},
  };
  for (const Range& r : ranges) {
    const bool low = r.end == Least::kAbove ? r.value > r.least : r.value >= r.least;
    if (low && r.value <= r.most) continue;  // false for NaN
    return make_error("{}: expected {} {} and at most {}, got {}", r.flag,
                      r.end == Least::kAbove ? "more than" : "at least", r.least, r.most, r.value);
  }
  return {};
}

}  // namespace

Result<LearnMethod> learn_method_from_name(std::string_view name) { return find_value(kMethods, name, "a method"); }
std::string_view learn_method_name(LearnMethod method) { return find_name(kMethods, method); }

Result<Checkpointing> checkpointing_from_name(std::string_view name) {
  return find_value(kCheckpointing, name, "a way of checkpointing");
}
std::string_view checkpointing_name(Checkpointing checkpointing) { return find_name(kCheckpointing, checkpointing); }

Result<StudyMode> study_mode_from_name(std::string_view name) {
  return find_value(kStudyModes, name, "a way to study");
}
std::string_view study_mode_name(StudyMode mode) { return find_name(kStudyModes, mode); }

Status check_learn_options(const LearnOptions& o) {
  TRY(check_ranges(o));
  if (o.study == StudyMode::kOn && o.loss != LossKind::kNextToken) {
    return make_error("--study on: documents are studied for --loss sft, not {}", loss_kind_name(o.loss));
  }
  if (!o.replay.empty() && o.loss != LossKind::kNextToken) {
    return make_error("--replay: replayed rows are for --loss sft, not {}", loss_kind_name(o.loss));
  }
  if (o.method != LearnMethod::kFull) return {};
  // What only an adapter has.
  if (o.loss == LossKind::kDpo || o.loss == LossKind::kKto) {
    return make_error("--loss {}: it compares an adapter with its base; --method full has none",
                      loss_kind_name(o.loss));
  }
  const LearnOptions usual;
  for (const auto& [flag, given] : {std::pair("--kl", o.kl_weight > 0), std::pair("--dropout", o.dropout > 0),
                                    std::pair("--lora-plus", o.rate_ratio != usual.rate_ratio),
                                    std::pair("--targets", o.targets != usual.targets)}) {
    if (given) return make_error("{}: it is for adapters; --method full trains all weights", flag);
  }
  return {};
}

Json learn_options_that_count(const LearnOptions& options) {
  Json out = Json::object();
  counting_fields(options, JsonWriter{out});
  return out;
}

Json learn_options_json(const LearnOptions& options) {
  Json out = learn_options_that_count(options);
  other_fields(options, JsonWriter{out});
  return out;
}

Result<LearnOptions> resumed_options(const LearnOptions& given, const RunRecord& record, std::string_view source) {
  const Json asked = learn_options_that_count(given);
  const Json usual = learn_options_that_count(LearnOptions{});
  for (const auto& [key, value] : asked.members()) {
    const Json* saved = record.options.find(key);
    const std::string text = value.dump();
    const bool given_so = std::find(given.given.begin(), given.given.end(), key) != given.given.end();
    if (saved == nullptr || text == saved->dump() || (!given_so && text == usual.find(key)->dump())) continue;
    return make_error("{}: the run to go on with has {}, and {} was asked for; leave it out, or begin another run",
                      flag_of(key), saved->dump(), text);
  }
  if (record.options.member("by_length").bool_or(false)) {
    return make_error("{}: the run was begun with --by-length, which is no more; begin another run", source);
  }
  LearnOptions out = given;
  std::string wrong;
  counting_fields(out, JsonReader{record.options, wrong});
  if (!wrong.empty()) {
    return make_error("{}: not the record of a run: its option \"{}\" is missing or of another kind", source, wrong);
  }
  const Status sound = check_learn_options(out);
  if (!sound.ok()) return make_error("{}: not the record of a run: {}", source, sound.error().message);
  return out;
}

}  // namespace andiron
