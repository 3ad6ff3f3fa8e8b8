// run.json: what a run was and what came of it; all that is needed to repeat it bit for bit.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace andiron {

struct DataFileRecord {
  std::string path;
  std::string use;     // "train", "study", "study held out", "replay", "general"
  std::string format;  // "chat", "alpaca", ...
  std::string hash;    // XXH3-128 of its bytes, 32 hexadecimal digits
  uint64_t bytes = 0;
  int64_t rows = 0;  // read; bad and duplicate ones are of them
  int64_t bad_rows = 0;
  int64_t duplicate_rows = 0;
};

struct MachineRecord {
  std::string processor;  // its brand
  std::string isa;        // of the kernels used
  std::string system;     // "Linux 6.1.0 x86_64"
  int threads = 0;
  uint64_t memory_bytes = 0;
};
// This machine's, but for isa and threads.
MachineRecord this_machine();

// Counts the changes of what the same options and data give: which rows are held out, the rate of a step. Runs of
// another recipe cannot go on to the same numbers.
//   1: texts held out by their names, schedules that end at 0 with the last step
//   2: texts held out by their content, schedules that would end one step after the last
//   3: gradients of weights in whole numbers, and weights rounded without a search, where q8_0 is computed in;
//      dithering begins with all bits of a row
//   4: several general rows a step pull towards the base, and others than those that are measured; what is measured is
//      spread over what there is; a text is the same document whatever its line ends and the format it is read from
inline constexpr int64_t kRecipe = 4;

struct RunRecord {
  std::string name;
  std::string version;       // of andiron
  int64_t recipe = kRecipe;  // a record without it: 1
  std::string method;        // "lora", "rslora", "dora", "full", with "+dpo" and so on
  std::string base_path, base_hash, base_architecture;
  std::vector<DataFileRecord> data;
  std::string rows_hash;         // of the tokens of all rows, and of which are held out
  Json report = Json::object();  // what became of the data: data/report.h
  int64_t train_rows = 0, held_out_rows = 0;
  int64_t train_tokens = 0, trained_tokens = 0, held_out_tokens = 0;  // of those rows; trained: with a loss
  uint64_t seed = 0;
  Json options = Json::object();  // every option, defaults too
  MachineRecord machine;
  std::string started, ended;                            // "2026-11-22T22:30:00+01:00"
  double seconds = 0;                                    // trained, over all resumptions
  int64_t steps = 0;                                     // done
  Json before = Json::object(), after = Json::object();  // results: "held_out_loss", "general_perplexity", ...
  std::string verdict = "running";                       // "running", "stopped", "draft", "kept"
  std::vector<std::string> reasons;                      // of the verdict
};

Json run_record_json(const RunRecord& record);
Result<RunRecord> parse_run_record(std::string_view text, std::string_view source);
// An Error where the record's run, in the folder `out`, cannot go on to the same numbers here.
Status check_recipe(const RunRecord& record, std::string_view out);
// An Error that names the first file of a run's data that is not what it was: other contents, another use or format.
Status check_same_files(const std::vector<DataFileRecord>& before, const std::vector<DataFileRecord>& now);
// Whole or not at all.
Status write_run_record(const std::string& path, const RunRecord& record);
Result<RunRecord> read_run_record(const std::string& path);

// The local time with its distance from UTC, as in RunRecord::started.
std::string timestamp(int64_t seconds_since_1970);

}  // namespace andiron
