#include "train/pretrain_config.h"

#include <utility>

#include "base/atomic_file.h"
#include "base/json_fields.h"
#include "base/strings.h"
#include "train/toml_table.h"

namespace andiron {

namespace {

constexpr double kStepsMost = kPretrainStepsMax;

// A path as the configuration means it.
std::string beside(const std::string& config, const std::string& path) {
  return path.empty() || path.starts_with('/') ? path : format("{}/{}", parent_of(config), path);
}

Status read_model(TomlTable& t, FreshModel& model) {
  DenseShape& s = model.shape;
  TRY(t.need({"width", "layers", "heads", "feed_forward", "context"}));
  TRY(t.take("architecture", s.architecture));
  TRY(t.take("name", model.name));
  TRY(t.take("license", model.license));
  TRY(t.take("width", s.width, {8, 1 << 20}));
  TRY(t.take("layers", s.layers, {1, 512}));
  TRY(t.take("heads", s.heads, {1, 1 << 16}));
  s.kv_heads = s.heads;
  TRY(t.take("kv_heads", s.kv_heads, {1, 1 << 16}));
  s.head_dim = s.width / s.heads;
  TRY(t.take("head_dim", s.head_dim, {2, 512}));
  TRY(t.take("feed_forward", s.feed_forward, {1, 1 << 22}));
  TRY(t.take("context", model.context, {2, 1 << 24}));
  TRY(t.take("tied", s.tied));
  TRY(t.take("rope_base", model.rope_base, {2, 1e15}));
  TRY(t.take("norm_eps", model.norm_epsilon, {1e-12, 1}));
  TRY(t.done());
  if (s.heads % s.kv_heads != 0) {
    return t.error_at("kv_heads", format("{} heads cannot share {} key heads evenly", s.heads, s.kv_heads));
  }
  if (!t.has("head_dim") && s.width % s.heads != 0) {
    return t.error_at("heads", format("a width of {} cannot be split over {} heads; say head_dim", s.width, s.heads));
  }
  if (s.head_dim < 2 || s.head_dim % 2 != 0) {
    return t.error_at(t.has("head_dim") ? "head_dim" : "heads",
                      format("heads of {} numbers cannot be rotated in pairs", s.head_dim));
  }
  DenseShape probe = s;  // says whether there is such an architecture
  probe.vocabulary = 1;
  const auto tensors = dense_tensors(probe);
  return tensors.ok() ? Status{} : t.error_at("architecture", tensors.error().message);
}

Status read_tokenizer(TomlTable& t, const std::string& file, FreshModel& model) {
  TRY(t.need({"file"}));
  TRY(t.take("file", model.tokenizer));
  TRY(t.take("template", model.chat_template));
  TRY(t.done());
  for (const auto& [key, path] : {std::pair("file", &model.tokenizer), std::pair("template", &model.chat_template)}) {
    *path = beside(file, *path);
    if (!path->empty() && !file_exists(*path)) return t.error_at(key, format("there is no {}", in_quotes(*path, 200)));
  }
  return {};
}

Status read_data(TomlFile& file, PretrainConfig& config) {
  TomlTable& t = file.table("data");
  config.seq_len = config.model.context;
  TRY(t.take("seq_len", config.seq_len, {2, 1 << 24}));
  std::string loss_on = "answers";
  TRY(t.take("loss_on", loss_on));
  TRY(t.take("prompt_weight", config.prompt_weight, {0, 1}));
  TRY(t.take("split_long", config.split_long));
  TRY(t.done());
  if (loss_on != "answers" && loss_on != "everything") {
    return t.error_at("loss_on", format("expected \"answers\" or \"everything\", got \"{}\"", in_quotes(loss_on)));
  }
  if (loss_on == "everything") config.loss_on = LossOn::kEverything;
  if (loss_on == "everything" && t.has("prompt_weight")) {
    return t.error_at("prompt_weight", "it is for loss_on = \"answers\", and that is \"everything\"");
  }
  if (config.seq_len > config.model.context) {
    return t.error_at("seq_len",
                      format("the context of the model is {}, and {} is more", config.model.context, config.seq_len));
  }
  return file.table("data.weights").take_all(config.weights, {0, 1000});
}

Status read_length(TomlTable& t, PretrainConfig& config) {
  TRY(t.take("tokens", config.tokens, {1, kStepsMost}));
  TRY(t.take("epochs", config.epochs, {1e-9, 1e9}));
  TRY(t.take("steps", config.steps, {1, kStepsMost}));
  const int given = config.tokens.has_value() + config.epochs.has_value() + config.steps.has_value();
  if (given <= 1) return {};
  return t.error_at(config.steps ? "steps" : "epochs", "tokens, epochs and steps exclude each other");
}

Status read_rates(TomlTable& t, PretrainConfig& config) {
  TRY(t.take("lr", config.lr, {0, 1e6}));
  TRY(t.take("min_lr", config.min_lr, {0, 1e6}));
  TRY(t.take("warmup", config.warmup, {0, 1}));
  std::string schedule(schedule_kind_name(config.schedule));
  TRY(t.take("schedule", schedule));
  TRY(t.take("decay", config.decay, {0, 1}));
  const auto kind = schedule_kind_from_name(schedule);
  if (!kind.ok()) return t.error_at("schedule", kind.error().message);
  config.schedule = *kind;
  if (config.min_lr && *config.min_lr > config.lr) {
    return t.error_at("min_lr", format("{} is more than lr, {}", *config.min_lr, config.lr));
  }
  return {};
}

Status read_optimizer(TomlTable& t, OptimizerOptions& optimizer) {
  std::string name = "adamw";
  TRY(t.take("optimizer", name));
  if (name != "adamw" && name != "muon") {
    return t.error_at("optimizer", format("expected \"adamw\" or \"muon\", got \"{}\"", in_quotes(name)));
  }
  optimizer.muon = name == "muon";
  std::optional<double> momentum;
  TRY(t.take("momentum", momentum, {0, 0.999999}));
  if (momentum && !optimizer.muon) return t.error_at("momentum", "it is muon's, and the optimizer is adamw");
  if (momentum) optimizer.momentum = static_cast<float>(*momentum);
  double beta1 = 0.9, beta2 = 0.95, epsilon = 1e-8, decay = 0.1;
  TRY(t.take("beta1", beta1, {0, 0.999999}));
  TRY(t.take("beta2", beta2, {0, 0.999999}));
  TRY(t.take("epsilon", epsilon, {1e-20, 1}));
  TRY(t.take("weight_decay", decay, {0, 1e6}));
  TRY(t.take("clip", optimizer.clip_norm, {0, 1e12}));
  optimizer.beta1 = static_cast<float>(beta1);
  optimizer.beta2 = static_cast<float>(beta2);
  optimizer.epsilon = static_cast<float>(epsilon);
  optimizer.weight_decay = static_cast<float>(decay);
  return {};
}

Status read_train(TomlTable& t, PretrainConfig& config) {
  TRY(read_length(t, config));
  TRY(t.take("batch", config.batch, {1, 1 << 30}));
  TRY(read_rates(t, config));
  TRY(read_optimizer(t, config.optimizer));
  int64_t seed = 0;
  TRY(t.take("seed", seed, {0, 9e15}));
  config.model.seed = static_cast<uint64_t>(seed);
  TRY(t.take("compute", config.compute));
  TRY(t.take("held_out", config.held_out, {0, 0.5}));
  TRY(t.take("eval_every", config.eval_every, {1, kStepsMost}));
  TRY(t.take("save_every", config.save_every, {1, kStepsMost}));
  TRY(t.done());
  if (!compute_type(config.compute)) {
    return t.error_at("compute",
                      format("expected \"f32\", \"bf16\" or \"q8_0\", got \"{}\"", in_quotes(config.compute)));
  }
  if (config.batch < config.seq_len) {
    return t.error_at("batch",
                      format("a step of {} tokens has not room for one sequence of {}", config.batch, config.seq_len));
  }
  return {};
}

}  // namespace

std::optional<DType> compute_type(std::string_view name) {
  if (name == "f32") return DType::kF32;
  if (name == "bf16") return DType::kBF16;
  if (name == "q8_0") return DType::kQ8_0;
  return std::nullopt;
}

Json pretrain_config_json(const PretrainConfig& c) {
  Json out = Json::object();
  const JsonWriter at{out};
  const DenseShape& s = c.model.shape;
  at("model.architecture", s.architecture);
  at("model.width", s.width);
  at("model.layers", s.layers);
  at("model.heads", s.heads);
  at("model.kv_heads", s.kv_heads);
  at("model.head_dim", s.head_dim);
  at("model.feed_forward", s.feed_forward);
  at("model.context", c.model.context);
  at("model.tied", s.tied);
  at("model.rope_base", c.model.rope_base);
  at("model.norm_eps", c.model.norm_epsilon);
  at("data.seq_len", c.seq_len);
  at("data.loss_on", std::string(c.loss_on == LossOn::kEverything ? "everything" : "answers"));
  if (c.prompt_weight > 0) at("data.prompt_weight", c.prompt_weight);  // runs of before it was there go on
  at("data.split_long", c.split_long);
  Json weights = Json::object();
  for (const auto& [name, weight] : c.weights) weights.set(name, weight);
  at("data.weights", weights);
  at("train.tokens", c.tokens);
  at("train.epochs", c.epochs);
  at("train.steps", c.steps);
  at("train.batch", c.batch);
  at("train.lr", c.lr);
  at("train.min_lr", c.min_lr);
  at("train.warmup", c.warmup);
  at("train.schedule", std::string(schedule_kind_name(c.schedule)));
  at("train.decay", c.decay);
  at("train.weight_decay", c.optimizer.weight_decay);
  at("train.clip", c.optimizer.clip_norm);
  if (c.optimizer.muon) {  // AdamW's runs of before there was a choice go on
    at("train.optimizer", std::string("muon"));
    at("train.momentum", c.optimizer.momentum);
  }
  at("train.beta1", c.optimizer.beta1);
  at("train.beta2", c.optimizer.beta2);
  at("train.epsilon", c.optimizer.epsilon);
  at("train.seed", c.model.seed);
  at("train.compute", c.compute);
  at("train.held_out", c.held_out);
  at("train.eval_every", c.eval_every);
  return out;
}

Result<PretrainConfig> parse_pretrain_config(std::string_view text, const std::string& file) {
  TRY_ASSIGN(TomlFile toml, TomlFile::parse(text, file));
  PretrainConfig out;
  TRY(read_model(toml.table("model"), out.model));
  TRY(read_tokenizer(toml.table("tokenizer"), file, out.model));
  TRY(read_data(toml, out));
  TomlTable& train = toml.table("train");
  TRY(read_train(train, out));
  const DenseShape& shape = out.model.shape;
  for (const int64_t inputs : {shape.width, shape.heads * shape.head_dim, shape.feed_forward}) {
    if (out.compute != "q8_0" || inputs % 32 == 0) continue;
    return train.error_at("compute",
                          format("q8_0 has blocks of 32, and {} inputs of the model's matrices are not whole "
                                 "blocks",
                                 inputs));
  }
  TRY(toml.done());
  return out;
}

Result<PretrainConfig> read_pretrain_config(const std::string& file) {
  TRY_ASSIGN(const std::string text, read_text_file(file, TomlFile::kBytesMax));
  return parse_pretrain_config(text, file);
}

}  // namespace andiron
