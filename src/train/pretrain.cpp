#include "train/pretrain.h"

#include <filesystem>
#include <memory>
#include <utility>

#include "base/atomic_file.h"
#include "base/strings.h"
#include "model/model.h"
#include "model/tokenizer_source.h"
#include "train/float_model.h"

namespace andiron {

namespace {

LearnOptions learn_options(const PretrainOptions& o, const std::string& model) {
  const PretrainConfig& c = o.config;
  LearnOptions out;
  out.data = o.data;
  out.out = o.out;
  out.name = c.model.name;
  out.base_path = model;
  out.version = o.version;
  out.method = LearnMethod::kFull;
  out.reading.loss_on = c.loss_on;
  out.reading.held_out = c.held_out;
  out.reading.long_rows = c.split_long ? LongRows::kSplit : LongRows::kRefuse;
  out.seq_len = c.seq_len;
  out.batch = 1;
  out.grad_accum = c.batch / c.seq_len;
  out.steps = c.steps;
  if (c.tokens) out.steps = (*c.tokens + c.batch - 1) / c.batch;
  out.epochs = c.epochs;
  out.schedule = c.schedule;
  out.rate = c.lr;
  out.warmup = c.warmup;
  out.optimizer = c.optimizer;
  out.patience = 0;
  out.measure_every = c.eval_every;
  out.save_every = c.save_every;
  out.budget_seconds = o.budget_seconds;
  out.memory_bytes = o.memory_bytes;
  out.checkpointing = o.checkpointing;
  out.resume = o.resume;
  out.seed = c.model.seed;
  return out;
}

}  // namespace

Result<LearnResult> pretrain(const KernelTable& kernels, ThreadTeam& team, const PretrainOptions& options,
                             const LearnEvents& events) {
  const std::string path = options.out + "/initial.gguf";
  if (!options.resume) {
    std::error_code error;
    std::filesystem::create_directories(options.out, error);
    if (error) return make_error("{}: the folder cannot be made: {}", options.out, error.message());
    TRY_ASSIGN(const auto fresh, make_fresh_source(options.config.model, path));
    TRY(write_float_model(*fresh, {}, path));
  }
  LoadOptions loading;
  loading.team = &team;
  loading.cache.enabled = false;
  TRY_ASSIGN(const auto model, Model::load(path, loading));
  TRY_ASSIGN(TokenizerSpec spec, tokenizer_spec(model->source()));
  TRY_ASSIGN(const Tokenizer tokenizer, Tokenizer::create(std::move(spec)));
  return learn(*model, tokenizer, kernels, team, learn_options(options, path), events);
}

}  // namespace andiron
