// Model: an open language model, ready to run: its configuration and its packed weights.
//
//   TRY_ASSIGN(auto model, Model::load("model.gguf", options));
//   TRY_ASSIGN(auto cache, KvCache::create(*model, 4096));            // one conversation (model/kv_cache.h)
//   TRY_ASSIGN(auto forward, Forward::create(*model, kernels, team));  // the machine that runs it (model/forward.h)
//   Sequence sequence{&cache, tokens, LogitRows::kLast};
//   TRY(forward.run({&sequence, 1}));                                 // then forward.logits()
//
// Immutable once loaded: any number of Forwards, on any threads, may share one. The weights are the same bytes whatever
// instruction set will read them, so one model serves every kernel table.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/thread_team.h"
#include "format/model_source.h"
#include "kernels/kernel_table.h"
#include "model/config.h"
#include "model/packed_cache.h"

namespace andiron {

struct Weights;   // model/weights.h
struct Family;    // model/family.h
class RopePlans;  // model/rope.h

struct LoadOptions {
  // Packs the weights; must be idle. Null: the calling thread alone. Not kept.
  ThreadTeam* team = nullptr;
  // Keep packed weights on disk, so that the next start need not pack again (model/packed_cache.h).
  PackedCacheOptions cache;
  // Called on the loading thread now and then with the bytes of weights made ready so far and in all. Returning false
  // stops the loading with an Error.
  std::function<bool(uint64_t done, uint64_t total)> progress;
};

class Model {
 public:
  // Opens a .gguf file, the first of its shards, or a Hugging Face folder.
  static Result<std::shared_ptr<const Model>> load(const std::string& path, const LoadOptions& options);
  static Result<std::shared_ptr<const Model>> load(std::unique_ptr<const ModelSource> source,
                                                   const LoadOptions& options);
  // The configuration alone, without a look at the weights: for telling what a model is.
  static Result<ModelConfig> read_config(const ModelSource& source);
  // The architectures that load(), as GGUF names them.
  static std::vector<std::string_view> architectures();

  ~Model();
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;

  const ModelConfig& config() const { return config_; }
  // The metadata, the tokenizer's keys and side files; rows of the embedding are read from it while running.
  const ModelSource& source() const { return *source_; }
  const Family& family() const { return *family_; }
  const Weights& weights() const { return *weights_; }
  const RopePlans& ropes() const { return *ropes_; }

  uint64_t parameters() const;      // elements of all tensors
  uint64_t weight_bytes() const;    // packed: what a token reads at most
  bool weights_from_cache() const;  // mapped from a file packed earlier
  uint64_t kv_bytes_per_position(KvFormat format) const;

  // What did not go as wished but does no harm ("the packed copy could not be kept: disk full").
  std::span<const std::string> notes() const { return notes_; }

  // An Error once a file behind the model was cut short or changed: nothing computed since can be trusted.
  Status check_intact() const;

 private:
  Model();

  std::unique_ptr<const ModelSource> source_;
  const Family* family_ = nullptr;
  ModelConfig config_;
  std::unique_ptr<const Weights> weights_;
  std::unique_ptr<const RopePlans> ropes_;
  std::vector<std::string> notes_;
};

}  // namespace andiron
