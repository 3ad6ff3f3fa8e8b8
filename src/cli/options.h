// What a person can ask for on the command line, as plain data. cli/command_line.cpp fills it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cli/shipped_model.h"
#include "sample/sampler_options.h"
#include "train/learn.h"
#include "train/pretrain.h"

namespace andiron {

// Options of every command.
struct GlobalOptions {
  std::string isa;  // "": the best this machine has
  int threads = 0;  // 0: one for each processor
  std::string kv = "f16";
  int64_t context = 0;  // 0: see SessionOptions
  bool no_cache = false;
  bool quiet = false;
};

// How the next token is chosen and when to stop; shared by run and chat.
struct AnswerOptions {
  int64_t tokens_max = -1;
  SamplerOptions sampling;
  bool greedy = false;
  std::optional<uint64_t> seed;  // none: drawn, and reported
  std::vector<std::string> stop;
  std::vector<std::string> bias;      // "TOKEN=NUMBER"
  std::string draft;                  // path of a draft model
  bool lookup = false;                // guess from the prompt
  std::vector<std::string> adapters;  // "NAME" or "NAME:STRENGTH", in the order in which they are added
  std::string grammar, json_schema;   // files that the answer must match, at most one; "": none
};

// What learn() does not take as it is stands beside it as text.
struct LearnCommandOptions {
  std::string model;
  LearnOptions learn;
  std::string method = "lora", loss = "sft", schedule = "cosine", checkpointing = "auto", study = "auto";
  std::string budget, until;
  std::string format;
  std::string chat_template;
  double held_out = 0.05;
  double memory_gib = 0;
  bool everything = false, last_answer = false, split_long = false, no_pack = false;
  bool json = false;
};

struct PretrainCommandOptions {
  std::string config;
  PretrainOptions pretrain;
  std::string budget, until, checkpointing = "auto";
  double memory_gib = 0;
  bool json = false;
};

struct EvalCommandOptions {
  std::string model = kShippedModel;
  std::vector<std::string> adapters;  // as in AnswerOptions
  std::vector<std::string> data;
  std::string metric = "loss";
  std::string format;
  std::string chat_template;
  bool everything = false, last_answer = false, split_long = false;
  double held_out = 0;
  uint64_t seed = 0;
  int64_t seq_len = 0;  // 0: as learn
  int64_t rows_max = 0;
  int64_t tokens_max = 256;  // of an answer
  std::string answers;       // file to write the answers to; "": none
  bool no_base = false;      // with adapters: do not measure without them too
  bool json = false;
};

struct AdapterListOptions {
  bool json = false;
};

struct AdapterShowOptions {
  std::string adapter;  // here and below: a name in the store, a PEFT folder or a GGUF adapter
  std::string model;    // the base; "": the adapter must say what it is for
  bool json = false;
};

struct AdapterMergeOptions {
  std::vector<std::string> adapters;  // "ADAPTER" or "ADAPTER:WEIGHT"
  std::string model;
  std::string method = "linear";
  double density = 0.5;
  int64_t rank = 0;
  uint64_t seed = 0;
  std::string name, out;  // where the result goes: into the store, or a folder; of `into` a file
  std::string into;       // a model to fold them into; "": merge adapters
  std::string type;       // of the file; "": each tensor keeps its format
};

struct AdapterExportOptions {
  std::string adapter, model;
  std::string out;
  std::string format;  // "peft" or "gguf"; "": a GGUF adapter where `out` ends in .gguf
};

struct AdapterImportOptions {
  std::string path, model;
  std::string name;
};

struct AdapterRemoveOptions {
  std::string name;
  bool yes = false;
};

struct PlotOptions {
  std::string run;
  std::string out;  // an SVG; "": in the terminal
};

struct RunOptions {
  std::string model = kShippedModel;
  std::string prompt;
  std::string prompt_file;    // "-": standard input
  std::string system;         // with chat
  std::string chat_template;  // with chat: a file, "" for the model's own
  bool chat = false;
  bool json = false;
  bool no_special = false;
  bool show_special = false;
  bool ignore_end = false;
  int32_t logprobs = -1;
  AnswerOptions answer;
};

// One prompt, two stacks: "me", "me+work:0.5", "none".
struct AdapterDiffOptions {
  RunOptions run;
  std::string a, b;
};

struct ChatCommandOptions {
  std::string model = kShippedModel;
  std::string system;
  std::string load;
  std::string chat_template;  // as in RunOptions
  AnswerOptions answer;
};

struct ServeCommandOptions {
  std::string model = kShippedModel;
  std::string name;                                // by which requests know it; "": of the model's file
  std::vector<std::string> hosts = {"localhost"};  // addresses to listen at
  int32_t port = 8080;                             // 0: one that is free
  std::string api_key_file;                        // "": no key is asked for
  std::vector<std::string> own_names;              // see SecurityPolicy
  int64_t sequences = 16;
  std::vector<std::string> adapters;  // to offer; none: all of the store
  std::string chat_template;          // as in RunOptions
  bool no_prefix_cache = false;
  std::string store;      // file of the chats; "": default_store_path()
  bool no_store = false;  // no chats are kept
  bool no_page = false;   // no page at /
  bool no_learn = false;  // nothing is taught
  bool metrics = false;
  bool systemd = false;  // print a unit instead
};

struct InspectOptions {
  std::string model = kShippedModel;
  bool json = false;
  bool tensors = false;
};

struct TokenizeOptions {
  std::string model;
  std::optional<std::string> text;
  std::string file;  // "-": standard input
  bool no_special = false;
  bool json = false;
};

struct DetokenizeOptions {
  std::string model;
  std::optional<std::string> ids;
  std::string file;  // "-": standard input
  bool show_special = false;
  bool json = false;
};

struct TokenizerTrainOptions {
  std::vector<std::string> data;
  std::string out;
  int64_t vocab = 4096;
  std::string pre = "qwen2";
  std::vector<std::string> special;
  std::string bos, eos, pad;  // which of the special tokens; "": none
  std::string chat_template;
  std::string format;
  bool force = false;  // replace files that are there
  bool json = false;
};

struct TokenizerShowOptions {
  std::string path;
  bool json = false;
};

struct TemplateOptions {
  std::string model;
  std::string messages;
  std::string tools;
  std::string chat_template;  // as in RunOptions
  bool no_generation_prompt = false;
  bool json = false;
};

struct LogitsOptions {
  std::string model;
  std::string tokens;
  std::string out;
};

struct PplOptions {
  std::string model;
  std::string file;
  std::string base;
  int64_t window = 512;
  int64_t windows_max = 0;
  bool json = false;
};

struct QuantizeCommandOptions {
  std::string source;
  std::string out;
  std::string type;
  std::string imatrix;
  bool pure = false;
};

struct ImatrixOptions {
  std::string model;
  std::string file;
  std::string out = "imatrix.gguf";
  int64_t window = 512;
  int64_t windows_max = 0;
};

struct BenchOptions {
  std::string model;
  int64_t prefill = 512;
  int64_t decode = 128;
  int64_t depth = 0;  // tokens in the cache before decoding is measured
  int repeats = 5;
  bool train = false;  // measure training instead: an adapter of all layers, on tokens drawn evenly
  int64_t sequence = 512;
  int64_t batch = 4;  // sequences of a step
  int64_t rank = 8;
  double memory_gib = 0;  // 0: six tenths of what is free
  bool json = false;
};

struct CacheOptions {
  bool clear = false;
  bool json = false;
};

struct DoctorOptions {
  bool json = false;
};

struct SynthOptions {
  std::string shape;
  std::string type = "q4_0";
  std::string out;
  uint64_t seed = 1;
  bool recite = false;
};

}  // namespace andiron
