// Data as tokens on disk: read once, by the readers, template and mask of data/dataset.h, into files of tokens
// (data/token_shards.h) in a folder, and found again there as long as data, tokenizer and options are the same.
//
//   index.json              what it was made of, which chunks there are, and what became of the data
//   0000.tokens ...         rows to train on
//   held-out/0000.tokens    rows held out
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "base/thread_team.h"
#include "data/dataset.h"
#include "data/token_shards.h"
#include "text/tokenizer_spec.h"

namespace andiron {

// One input file, and what of it is trained on.
struct TokenSource {
  std::string path, format, hash;
  uint64_t bytes = 0;
  int64_t rows = 0, bad_rows = 0, duplicate_rows = 0;              // read
  int64_t train_rows = 0, train_positions = 0, train_targets = 0;  // rows of tokens; targets have loss
};

struct TokenStore {
  ShardOptions made;
  std::vector<TokenChunk> chunks;
  std::vector<TokenSource> sources;
  TokenRows held_out;
  Json report;                         // report_to_json()
  std::vector<std::string> described;  // describe_report()
  bool found = false;                  // nothing had to be read again
};

// An input file that will be read, before it is.
struct TokenInput {
  std::string path, format, hash;
  uint64_t bytes = 0;
};

struct TokenStoreOptions {
  DataOptions reading;                       // seq_len, window, held_out, seed, ...; `use` is kRows
  int64_t held_out_positions_max = 1 << 17;  // measuring them should cost little beside the steps between
  // Its Error refuses the inputs before anything is written. `key`: what ShardOptions::key would be.
  std::function<Status(const std::string& key, const std::vector<TokenInput>& inputs)> check = {};
};

// XXH3-128 of all that makes a tokenizer.
std::string hash_tokenizer(const TokenizerSpec& spec);

// Of what files are called only the format counts that it decides: `sources` has the names of this call, the report
// those of when they were read. `folder`: made when it is not there. `progress` gets the positions read and a guess of
// all there are. `model_name` is for messages.
Result<TokenStore> open_token_store(const std::string& folder, const std::vector<std::string>& paths,
                                    const Tokenizer& tokenizer, std::string_view tokenizer_hash,
                                    std::string_view model_name, const TokenStoreOptions& options, ThreadTeam& team,
                                    const std::function<void(int64_t done, int64_t total)>& progress);

}  // namespace andiron
