#include "cli/adapter_facts.h"

#include <sys/stat.h>

#include <algorithm>
#include <cmath>
#include <ctime>
#include <utility>

#include "adapter/adapter_files.h"
#include "adapter/peft_config.h"
#include "base/atomic_file.h"
#include "base/strings.h"
#include "cli/folder_lock.h"
#include "cli/version.h"
#include "train/loss_log.h"
#include "train/run_record.h"
#include "train/verdict.h"

namespace andiron {

namespace {

constexpr uint64_t kRecordBytesMax = 16 << 20;

// Null where there is none, or one that cannot be read: a record is not what an adapter needs to work.
Json read_record_file(const std::string& path) {
  if (!file_exists(path)) return {};
  const auto text = read_text_file(path, kRecordBytesMax);
  if (!text.ok()) return {};
  auto json = parse_json(*text, path);
  return json.ok() && json->is_object() ? std::move(*json) : Json();
}

double loss_in(const Json& run, std::string_view when) {
  return run.member(when).member(kHeldOutLoss).number_or(kNotMeasured);
}

// "2026-11-22T22:30:00+01:00" as "2026-11-22 22:30".
std::string short_date(std::string_view timestamp) {
  if (timestamp.size() < 16 || timestamp[10] != 'T') return std::string(timestamp);
  return format("{} {}", timestamp.substr(0, 10), timestamp.substr(11, 5));
}

std::string last_part(std::string_view path) {
  while (path.size() > 1 && path.back() == '/') path.remove_suffix(1);
  return std::string(path.substr(path.rfind('/') + 1));  // npos + 1 is 0
}

void add_file(const std::string& path, AdapterFacts& facts) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) {
    facts.problem = format("{} is missing", last_part(path));
    return;
  }
  facts.bytes = static_cast<uint64_t>(info.st_size);
  facts.date = short_date(timestamp(info.st_mtime));
}

void add_config(const std::string& path, AdapterFacts& facts) {
  const auto text = read_text_file(path, kRecordBytesMax);
  const auto config = text.ok() ? read_peft_config(*text, path) : Result<PeftConfig>(text.error());
  if (!config.ok()) {
    facts.problem = config.error().message;
    return;
  }
  facts.rank = config->rank;
  facts.alpha = config->alpha;
  facts.base = config->base_name;
  facts.method = config->dora ? "dora" : config->rslora ? "rslora" : "lora";
}

void add_run(AdapterFacts& facts) {
  const Json& run = facts.run;
  facts.method = run.member("method").text_or(facts.method);
  if (facts.base.empty()) facts.base = last_part(run.member("base_path").text_or(""));
  facts.verdict = run.member("verdict").text_or("");
  for (const char* key : {"ended", "started"}) {
    if (const std::string_view date = run.member(key).text_or(""); !date.empty()) {
      facts.date = short_date(date);
      break;
    }
  }
  facts.loss_before = loss_in(run, "before");
  facts.loss_after = loss_in(run, "after");
  for (const Json& reason : run.member("reasons").items_or_none()) {
    if (reason.is_string()) facts.reasons.push_back(reason.as_string());
  }
  // A process that was killed, or had no room left on the disk, could not write so itself.
  if (facts.verdict == "running" && !FolderLock(facts.path).is_taken()) {
    facts.verdict = "stopped";
    facts.reasons.emplace_back("its process ended in the middle; andiron learn --resume goes on");
  }
}

void add_origin(AdapterFacts& facts) {
  const std::string_view made = facts.origin.member("made").text_or("");
  if (made == "merge") facts.method = format("merge {}", facts.origin.member("method").text_or(""));
  if (facts.verdict.empty()) facts.verdict = made == "merge" ? "merged" : made == "import" ? "imported" : "";
}

Json finite(double value) { return std::isfinite(value) ? Json(value) : Json(); }

}  // namespace

AdapterFacts adapter_facts(std::string name, const std::string& path) {
  AdapterFacts facts;
  facts.name = std::move(name);
  facts.path = path;
  facts.loss_before = facts.loss_after = kNotMeasured;
  if (!is_folder(path)) {
    add_file(path, facts);
    return facts;
  }
  facts.run = read_record_file(path + "/run.json");
  facts.origin = read_record_file(format("{}/{}", path, kOriginFile));
  add_file(format("{}/{}", path, kPeftWeights), facts);
  if (const std::string model = path + "/model.gguf"; !facts.problem.empty() && file_exists(model)) {
    add_file(model, facts);
    facts.problem = format("all weights were trained: run it as {}", model);
  }
  if (facts.problem.empty()) add_config(format("{}/{}", path, kPeftConfig), facts);
  if (!facts.origin.is_null()) add_origin(facts);
  if (!facts.run.is_null()) add_run(facts);
  return facts;
}

bool may_have_chatted(std::span<const StackEntry> entries) {
  return std::any_of(entries.begin(), entries.end(), [](const StackEntry& entry) {
    const Json run = read_record_file(entry.path + "/run.json");
    return run.member("report").member("plain_chat_format").bool_or(true);
  });
}

Json facts_json(const AdapterFacts& facts) {
  Json reasons = Json::array();
  for (const std::string& reason : facts.reasons) reasons.push(reason);
  Json json = Json::object();
  json.set("name", facts.name).set("path", facts.path).set("base", facts.base).set("method", facts.method);
  json.set("rank", facts.rank).set("alpha", facts.alpha).set("bytes", facts.bytes).set("date", facts.date);
  json.set("verdict", facts.verdict).set("reasons", std::move(reasons));
  json.set("loss_before", finite(facts.loss_before)).set("loss_after", finite(facts.loss_after));
  if (!facts.problem.empty()) json.set("problem", facts.problem);
  return json;
}

std::string loss_text(const AdapterFacts& facts) {
  if (std::isnan(facts.loss_before)) return "";
  if (std::isnan(facts.loss_after)) return format("{:.4f}", facts.loss_before);
  return format("{:.4f} to {:.4f}", facts.loss_before, facts.loss_after);
}

TextFile origin_file(Json origin) {
  origin.set("when", timestamp(std::time(nullptr))).set("version", kVersion);
  return {std::string(kOriginFile), origin.dump(2) + "\n"};
}

}  // namespace andiron
