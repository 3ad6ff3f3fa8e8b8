// For tests only: every key of a configuration that changes numbers, with two values that it may have.
#pragma once

#include <string>
#include <string_view>

#include "base/strings.h"

namespace andiron {

struct ConfigKey {
  std::string_view table, key;
  std::string_view value;  // "": not given
  std::string_view other;
  std::string_view json;  // in pretrain_config_json()
};

inline constexpr ConfigKey kConfigKeys[] = {
    {"model", "architecture", "\"llama\"", "\"qwen3\"", "model.architecture"},
    {"model", "width", "32", "48", "model.width"},
    {"model", "layers", "2", "3", "model.layers"},
    {"model", "heads", "2", "4", "model.heads"},
    {"model", "kv_heads", "1", "2", "model.kv_heads"},
    {"model", "head_dim", "16", "8", "model.head_dim"},
    {"model", "feed_forward", "48", "64", "model.feed_forward"},
    {"model", "context", "64", "80", "model.context"},
    {"model", "tied", "true", "false", "model.tied"},
    {"model", "rope_base", "1e4", "5e5", "model.rope_base"},
    {"model", "norm_eps", "1e-5", "1e-6", "model.norm_eps"},
    {"tokenizer", "file", "\"tokenizer.json\"", "", ""},
    {"data", "seq_len", "48", "40", "data.seq_len"},
    {"data", "loss_on", "\"answers\"", "\"everything\"", "data.loss_on"},
    {"data", "prompt_weight", "0.25", "0", "data.prompt_weight"},
    {"data", "split_long", "false", "true", "data.split_long"},
    {"data.weights", "\"rows.jsonl\"", "1.5", "2", "data.weights"},
    {"train", "tokens", "", "1000", "train.tokens"},
    {"train", "epochs", "", "0.5", "train.epochs"},
    {"train", "steps", "14", "15", "train.steps"},
    {"train", "batch", "192", "96", "train.batch"},
    {"train", "lr", "1e-2", "2e-2", "train.lr"},
    {"train", "min_lr", "1e-3", "2e-3", "train.min_lr"},
    {"train", "warmup", "0.1", "0.2", "train.warmup"},
    {"train", "schedule", "\"wsd\"", "\"linear\"", "train.schedule"},
    {"train", "decay", "0.2", "0.3", "train.decay"},
    {"train", "weight_decay", "0.1", "0", "train.weight_decay"},
    {"train", "clip", "1", "2", "train.clip"},
    {"train", "optimizer", "\"muon\"", "\"adamw\"", "train.optimizer"},
    {"train", "momentum", "0.95", "0.9", "train.momentum"},
    {"train", "beta1", "0.9", "0.8", "train.beta1"},
    {"train", "beta2", "0.95", "0.9", "train.beta2"},
    {"train", "epsilon", "1e-8", "1e-7", "train.epsilon"},
    {"train", "seed", "3", "4", "train.seed"},
    {"train", "compute", "\"f32\"", "\"bf16\"", "train.compute"},
    {"train", "held_out", "0.1", "0.2", "train.held_out"},
    {"train", "eval_every", "5", "6", "train.eval_every"},
};

// A configuration of them all, with the other value of the key that is `changed` in JSON. What cannot stand beside that
// is left out.
inline std::string config_text(std::string_view changed = "") {
  std::string out;
  std::string_view table;
  for (const ConfigKey& k : kConfigKeys) {
    const bool is_changed = !changed.empty() && k.json == changed;
    const std::string_view value = is_changed ? k.other : k.value;
    if (k.json == "train.steps" && (changed == "train.tokens" || changed == "train.epochs")) continue;
    if (k.json == "data.prompt_weight" && changed == "data.loss_on") continue;
    if (k.json == "train.momentum" && changed == "train.optimizer") continue;
    if (value.empty()) continue;
    if (k.table != table) out += format("[{}]\n", k.table);
    table = k.table;
    out += format("{} = {}\n", k.key, value);
  }
  return out;
}

}  // namespace andiron
