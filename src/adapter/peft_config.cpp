#include "adapter/peft_config.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <set>

#include "base/strings.h"

namespace andiron {

namespace {

constexpr size_t kPatternsMax = 1 << 14;  // more than any model has linear layers
constexpr size_t kRegexesMax = 16;        // each takes time and memory to compile
constexpr size_t kPatternBytesMax = 512;

// What Adapter has members for; all else is kept in `extra`.
constexpr std::array<std::string_view, 8> kOwnMembers = {"r",
                                                         "lora_alpha",
                                                         "use_rslora",
                                                         "use_dora",
                                                         "rank_pattern",
                                                         "alpha_pattern",
                                                         "target_modules",
                                                         "base_model_name_or_path"};

bool is_set(const Json& value) {
  if (value.is_null()) return false;
  if (value.is_bool()) return value.as_bool();
  if (value.is_array()) return !value.items().empty();
  if (value.is_object()) return !value.members().empty();
  return true;
}

// Only letters, digits, "_", "-" and ".": what names consist of.
bool is_plain(std::string_view key) {
  return std::all_of(key.begin(), key.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
           c == '.';
  });
}

bool matches_dots(std::string_view key, std::string_view text) {
  if (key.size() != text.size()) return false;
  for (size_t i = 0; i < key.size(); ++i) {
    if (key[i] != '.' && key[i] != text[i]) return false;
  }
  return true;
}

class ConfigReader {
 public:
  ConfigReader(const Json& json, std::string_view source) : json_(json), source_(source) {}

  Result<PeftConfig> read() {
    TRY(check_supported());
    PeftConfig out;
    if (const Json* rank = json_.find("r")) {
      if (!rank->is_int() || rank->as_int() < 1 || rank->as_int() > kAdapterRankMax) {
        return make_error("{}: \"r\" should be a whole number from 1 to {}", source_, kAdapterRankMax);
      }
      out.rank = rank->as_int();
    }
    if (const Json* alpha = json_.find("lora_alpha")) {
      if (!alpha->is_number() || !std::isfinite(static_cast<float>(alpha->as_double()))) {
        return make_error("{}: \"lora_alpha\" should be a number", source_);
      }
      out.alpha = alpha->as_double();
    }
    TRY_ASSIGN(out.rslora, flag("use_rslora"));
    TRY_ASSIGN(out.dora, flag("use_dora"));
    TRY_ASSIGN(out.rank_pattern, ModulePattern::read(json_.find("rank_pattern"), what("rank_pattern")));
    TRY_ASSIGN(out.alpha_pattern, ModulePattern::read(json_.find("alpha_pattern"), what("alpha_pattern")));
    out.base_name = json_.member("base_model_name_or_path").text_or("");
    TRY_ASSIGN(out.target_modules, targets());
    for (const auto& [key, value] : json_.members()) {
      if (std::find(kOwnMembers.begin(), kOwnMembers.end(), key) == kOwnMembers.end()) out.extra.set(key, value);
    }
    return out;
  }

 private:
  std::string what(std::string_view key) const { return format("{}: \"{}\"", source_, key); }

  Result<bool> flag(std::string_view key) const {
    const Json& found = json_.member(key);
    if (!found.is_null() && !found.is_bool()) return make_error("{} should be true or false", what(key));
    return found.bool_or(false);
  }

  Result<Json> targets() const {
    const Json& found = json_.member("target_modules");
    const bool is_list = found.is_array() && std::all_of(found.items().begin(), found.items().end(),
                                                         [](const Json& item) { return item.is_string(); });
    if (!is_list && !found.is_string() && !found.is_null()) {
      return make_error("{} should be a list of names", what("target_modules"));
    }
    return found;
  }

  Status check_supported() const {
    const Json& type = json_.member("peft_type");
    if (type.text_or("") != "LORA") {
      return make_error("{}: the peft_type is {}; LORA is supported", source_,
                        type.is_string() ? "\"" + in_quotes(type.as_string()) + "\"" : "not stated");
    }
    if (const Json& saved = json_.member("modules_to_save"); is_set(saved)) {
      return make_error(
          "{}: modules_to_save is {}: whole trained modules cannot be taken, only low-rank changes to "
          "linear layers",
          source_, in_quotes(saved.dump()));
    }
    if (const Json& bias = json_.member("bias"); is_set(bias) && bias.text_or("") != "none") {
      return make_error("{}: bias is {}: trained biases are not supported", source_, in_quotes(bias.dump()));
    }
    constexpr std::array<std::string_view, 9> kUnsupported = {"fan_in_fan_out",    "lora_bias",
                                                              "layer_replication", "trainable_token_indices",
                                                              "target_parameters", "alora_invocation_tokens",
                                                              "use_qalora",        "arrow_config",
                                                              "use_bdlora"};
    for (const auto key : kUnsupported) {
      if (is_set(json_.member(key))) return make_error("{} is set, which is not supported", what(key));
    }
    return check_start();
  }

  // Some ways to begin training take the first A and B out of the base, which is another one from then on.
  Status check_start() const {
    const Json& start = json_.member("init_lora_weights");
    if (start.is_null() || start.is_bool()) return {};
    const std::string_view name = start.text_or("");
    if (name == "gaussian" || name == "eva" || name == "orthogonal") return {};
    return make_error(
        "{}: init_lora_weights is {}: such a start changes the base model too; save the adapter with "
        "PEFT's path_initial_model_for_weight_conversion",
        source_, in_quotes(start.dump()));
  }

  const Json& json_;
  std::string_view source_;
};

Json number(double value) {
  const bool is_whole = std::abs(value) < 1e15 && value == std::floor(value);
  return is_whole ? Json(static_cast<int64_t>(value)) : Json(value);
}

void set_default(Json& json, std::string_view key, Json value) {
  if (json.find(key) == nullptr) json.set(std::string(key), std::move(value));
}

}  // namespace

Result<ModulePattern> ModulePattern::read(const Json* member, std::string_view what) {
  ModulePattern out;
  if (member == nullptr || member->is_null()) return out;
  if (!member->is_object() || member->members().size() > kPatternsMax) {
    return make_error("{} should be an object of at most {} names", what, kPatternsMax);
  }
  size_t regexes = 0;
  for (const auto& [key, value] : member->members()) {
    if (!value.is_number() || !std::isfinite(static_cast<float>(value.as_double()))) {
      return make_error("{}: the value of \"{}\" is not a number", what, in_quotes(key));
    }
    Entry entry{.key = key, .regex = {}, .is_whole = key.starts_with('^'), .value = value.as_double()};
    if (entry.is_whole) entry.key.erase(0, 1);
    if (entry.key.ends_with('$') && !entry.key.ends_with("\\$")) entry.key.pop_back();
    if (!is_plain(entry.key)) {
      if (entry.key.size() > kPatternBytesMax || ++regexes > kRegexesMax) {
        return make_error("{}: \"{}\" is too long, or one regular expression too many", what, in_quotes(key));
      }
      auto regex = Regex::compile(format("{}(?:{})$", entry.is_whole ? "" : "(?:.*\\.)?", entry.key));
      if (!regex.ok()) return make_error("{}: \"{}\": {}", what, in_quotes(key), regex.error().message);
      entry.regex = std::move(*regex);
    }
    out.entries_.push_back(std::move(entry));
  }
  return out;
}

std::optional<double> ModulePattern::find(std::string_view module) const {
  for (const Entry& entry : entries_) {
    bool matches = false;
    if (entry.regex) {
      matches = !module.empty() && RegexScanner(*entry.regex, module).match_at(0) == module.size();
    } else if (matches_dots(entry.key, module)) {
      matches = true;
    } else if (!entry.is_whole && module.size() > entry.key.size()) {
      const size_t at = module.size() - entry.key.size();
      matches = module[at - 1] == '.' && matches_dots(entry.key, module.substr(at));
    }
    if (matches) return entry.value;
  }
  return std::nullopt;
}

Result<PeftConfig> read_peft_config(std::string_view text, std::string_view source) {
  TRY_ASSIGN(const Json json, parse_json(text, source, {.depth = 16, .values = 100'000}));
  if (!json.is_object()) return make_error("{}: a JSON object is expected", source);
  return ConfigReader(json, source).read();
}

Json write_peft_config(const Adapter& adapter, const std::vector<std::string>& modules) {
  Json out = adapter.extra;
  set_default(out, "peft_type", "LORA");
  set_default(out, "task_type", "CAUSAL_LM");
  set_default(out, "bias", "none");
  set_default(out, "fan_in_fan_out", false);
  set_default(out, "inference_mode", true);
  set_default(out, "init_lora_weights", true);
  set_default(out, "lora_dropout", 0.0);
  set_default(out, "modules_to_save", Json());
  out.set("r", adapter.rank).set("lora_alpha", number(adapter.alpha));
  out.set("use_rslora", adapter.rslora).set("use_dora", adapter.dora);
  out.set("base_model_name_or_path", adapter.base_name.empty() ? Json() : Json(adapter.base_name));
  Json ranks = Json::object();
  Json alphas = Json::object();
  std::set<std::string> targets;
  for (size_t i = 0; i < modules.size(); ++i) {
    const AdapterMatrix& matrix = adapter.matrices[i];
    if (matrix.r != adapter.rank) ranks.set(modules[i], matrix.r);
    if (matrix.alpha != adapter.alpha) alphas.set(modules[i], number(matrix.alpha));
    targets.insert(modules[i].substr(modules[i].rfind('.') + 1));
  }
  out.set("rank_pattern", std::move(ranks)).set("alpha_pattern", std::move(alphas));
  Json target_modules = adapter.target_modules;
  if (target_modules.is_null()) {
    target_modules = Json::array();
    for (const std::string& target : targets) target_modules.push(target);
  }
  out.set("target_modules", std::move(target_modules));
  std::sort(out.members().begin(), out.members().end(),
            [](const Json::Member& a, const Json::Member& b) { return a.first < b.first; });
  return out;
}

}  // namespace andiron
