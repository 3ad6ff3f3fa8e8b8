// adapter_config.json of a PEFT folder (Hugging Face peft, src/peft/tuners/lora/config.py).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "adapter/adapter.h"
#include "base/json.h"
#include "base/result.h"
#include "text/regex.h"

namespace andiron {

// rank_pattern or alpha_pattern: values for the modules whose names match. A key is a regular expression for the end of
// the name, from a dot on (peft, src/peft/utils/other.py, get_pattern_key); the first that matches counts.
class ModulePattern {
 public:
  // `member` is the object, or null.
  static Result<ModulePattern> read(const Json* member, std::string_view what);
  // Of a module like "model.layers.0.self_attn.q_proj".
  std::optional<double> find(std::string_view module) const;

 private:
  struct Entry {
    std::string key;             // names with dots, which match any character
    std::optional<Regex> regex;  // where the key says more than that
    bool is_whole = false;       // the key began with ^: it must match the whole name
    double value = 0;
  };
  std::vector<Entry> entries_;
};

struct PeftConfig {
  int64_t rank = 8;  // PEFT's defaults
  double alpha = 8;
  bool rslora = false;
  bool dora = false;
  ModulePattern rank_pattern;
  ModulePattern alpha_pattern;
  std::string base_name;
  Json target_modules;
  Json extra = Json::object();
};

// An Error for settings that change what the weights mean and are not supported here.
Result<PeftConfig> read_peft_config(std::string_view text, std::string_view source);

// `modules` are the Hugging Face names of the matrices, in their order.
Json write_peft_config(const Adapter& adapter, const std::vector<std::string>& modules);

}  // namespace andiron
