// Model: an open language model, loaded and ready to run.
//
//   auto model = andiron::Model::open("model.gguf");
//   if (!model.ok()) ...                                  // model.error().message says why
//   auto session = andiron::Session::create(*model);      // andiron/session.h
//
// A Model is a handle: copies are cheap and share the weights, which live until the last copy and the last session are
// gone. It never changes, so any number of threads may use one.
//
// The file is read where it lies, through a memory map. Weights are rearranged ("packed") for the processor once and
// kept on disk, so that the next start is instant. When a model file is cut short while in use, calls return an Error.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "andiron/result.h"
#include "andiron/tokenizer.h"
#include "andiron/version.h"

namespace andiron::ANDIRON_V1 {

struct ModelOptions {
  // Threads that pack the weights. Default 0: one for each processor. Sessions have a setting of their own.
  int threads = 0;

  // The instruction set: "scalar", "avx2", "avx512", "amx"; asking for one that the machine lacks is an Error.
  // Default "": the environment variable ANDIRON_ISA where set, else the best the machine has. All but amx give the
  // same bits; leave it alone but for comparing.
  std::string instruction_set;

  // Keep packed weights on disk. Default on; costs as much disk as the model, in `cache_folder`. Without it every start
  // packs anew, seconds for each gigabyte; models below 64 MiB do so anyway.
  bool cache = true;
  // Default "": $ANDIRON_CACHE_DIR, else $XDG_CACHE_HOME/andiron, else ~/.cache/andiron.
  std::string cache_folder;
  // Bytes of all packed files together; the least recently used go first. Default 0: 64 GiB, or a fifth of what the
  // disk could hold if that is less.
  uint64_t cache_bytes_max = 0;

  // Called on the opening thread now and then with the bytes of weights made ready so far and in all. Returning false
  // ends the opening with an Error. Default none.
  std::function<bool(uint64_t done, uint64_t total)> progress;
};

// What a model is; fixed when it is opened.
struct ModelInfo {
  std::string path;
  std::string name;          // as the file says; may be empty
  std::string architecture;  // GGUF's name: "llama", "qwen3"
  uint64_t parameters = 0;
  uint64_t weight_bytes = 0;  // packed; a token reads at most these
  int64_t layers = 0;
  int64_t width = 0;
  int64_t context = 0;                 // tokens the model was trained with
  int64_t vocabulary = 0;              // rows of its embedding; the tokenizer may know fewer tokens
  uint64_t cache_bytes_per_token = 0;  // that a session remembers, in CacheFormat::kF16 (andiron/session.h)
  std::string instruction_set;         // in use
  bool weights_from_cache = false;     // packed by an earlier start
  // What did not go as wished but does no harm ("the packed copy could not be kept: disk full").
  std::vector<std::string> notes;
};

class Model {
 public:
  // `path`: a .gguf file, the first of its shards, or a Hugging Face folder (config.json, safetensors, tokenizer.json).
  static Result<Model> open(const std::string& path, const ModelOptions& options = {});

  // These live as long as the model or a copy of it.
  const ModelInfo& info() const;
  const Tokenizer& tokenizer() const;

 private:
  friend class ChatTemplate;
  friend class Session;
  struct Impl;
  explicit Model(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}

  std::shared_ptr<const Impl> impl_;
};

}  // namespace andiron::ANDIRON_V1
