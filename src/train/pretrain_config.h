// What a model is to be and how it is trained from nothing: the TOML file of `andiron pretrain`.
//
//   [model]      architecture, name, license, width, layers, heads, kv_heads, head_dim, feed_forward, context, tied,
//                rope_base, norm_eps
//   [tokenizer]  file, template: beside the configuration
//   [data]       seq_len, loss_on, prompt_weight (of the tokens that no answer has), split_long;
//                [data.weights] FILE = how often an epoch shows each of its rows
//   [train]      tokens or epochs or steps, batch (tokens of a step), lr, min_lr, warmup, schedule, decay,
//                optimizer, momentum, weight_decay, clip, beta1, beta2, epsilon, seed, compute, held_out, eval_every,
//                save_every
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"
#include "data/encode.h"
#include "model/fresh_model.h"
#include "tensor/dtype.h"
#include "train/optimizer.h"
#include "train/schedule.h"

namespace andiron {

inline constexpr int64_t kPretrainStepsMax = int64_t{1} << 40;  // and tokens: more than any machine lives to see

struct PretrainConfig {
  FreshModel model;  // its seed is that of everything random
  int64_t seq_len = 0;
  LossOn loss_on = LossOn::kAnswers;
  double prompt_weight = 0;               // of the other tokens of rows with answers: the prompt loss weight
  bool split_long = false;                // rows longer than a sequence are cut into several instead of refused
  std::map<std::string, double> weights;  // by the name of a file: how often an epoch shows each of its rows
  std::optional<int64_t> tokens, steps;   // at most one of these and epochs
  std::optional<double> epochs;
  int64_t batch = 16384;  // tokens of a step
  double lr = 1e-3;
  std::optional<double> min_lr;  // where the rate ends; a tenth of lr
  double warmup = 0.02;          // share of the steps
  Schedule::Kind schedule = Schedule::Kind::kCosine;
  double decay = 0.2;  // wsd: share of the steps in which the rate falls
  OptimizerOptions optimizer;
  std::string compute = "f32";  // the format of the weights in products: f32, bf16 or q8_0
  double held_out = 0.01;
  std::optional<int64_t> eval_every, save_every;
};

// All that changes numbers, under the configuration's names: "train.lr". The tokenizer and its template count by their
// content, elsewhere.
Json pretrain_config_json(const PretrainConfig& config);

// What `compute` names; nothing for other names.
std::optional<DType> compute_type(std::string_view name);

// `file`: its path; what it names is looked for beside it.
Result<PretrainConfig> parse_pretrain_config(std::string_view text, const std::string& file);
Result<PretrainConfig> read_pretrain_config(const std::string& file);

}  // namespace andiron
