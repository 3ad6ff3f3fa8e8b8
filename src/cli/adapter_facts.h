// What can be told of an adapter's folder without reading its numbers: its configuration, its run and where it is from.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "adapter/adapter.h"
#include "base/json.h"
#include "model/adapter_stack.h"

namespace andiron {

// Beside an adapter that was not trained in its folder: {"made": "merge" or "import", "when", ...}.
inline constexpr std::string_view kOriginFile = "origin.json";

struct AdapterFacts {
  std::string name;    // in the store, or the path as it was given
  std::string path;    // of the folder or file
  std::string base;    // the model it was made for, as far as it is known
  std::string method;  // "lora", "rslora", "dora", with "+dpo" and so on; "merge ties"; "" unknown
  int64_t rank = 0;
  double alpha = 0;
  uint64_t bytes = 0;  // of the weights
  std::string date;    // "2026-11-22 22:30": when it was trained, made or written
  // "kept", "draft", "stopped", "running"; "merged", "imported"; "" unknown.
  std::string verdict;
  std::vector<std::string> reasons;        // of the verdict
  double loss_before = 0, loss_after = 0;  // held out; NaN: not measured
  Json run, origin;                        // the records as they are, or null
  std::string problem;                     // why there is no adapter to wear, or ""
};

// Never fails: what cannot be read is said in `problem`.
AdapterFacts adapter_facts(std::string name, const std::string& path);
// Whether a base model is asked in chat form with these, as `andiron learn` trained one of them or may have: where
// there is no record of it, that is taken for granted.
bool may_have_chatted(std::span<const StackEntry> entries);
// Without the records.
Json facts_json(const AdapterFacts& facts);
// "4.6123 to 3.1201", or "".
std::string loss_text(const AdapterFacts& facts);

// The records that go into a new adapter's folder: of a merge or an import, with the time of now and the version.
TextFile origin_file(Json origin);

}  // namespace andiron
