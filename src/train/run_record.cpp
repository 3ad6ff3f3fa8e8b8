#include "train/run_record.h"

#include <sys/utsname.h>

#include <ctime>

#include "base/atomic_file.h"
#include "base/cpu_info.h"
#include "base/json_fields.h"
#include "base/strings.h"

namespace andiron {

template <FieldsOf<DataFileRecord> R, typename Fields>
static void fields(R& r, Fields&& at) {
  at("path", r.path);
  at("use", r.use);
  at("format", r.format);
  at("xxh3", r.hash);
  at("bytes", r.bytes);
  at("rows", r.rows);
  at("bad_rows", r.bad_rows);
  at("duplicate_rows", r.duplicate_rows);
}

template <FieldsOf<MachineRecord> R, typename Fields>
static void fields(R& r, Fields&& at) {
  at("processor", r.processor);
  at("isa", r.isa);
  at("system", r.system);
  at("threads", r.threads);
  at("memory_bytes", r.memory_bytes);
}

template <FieldsOf<RunRecord> R, typename Fields>
static void fields(R& r, Fields&& at) {
  at("name", r.name);
  at("version", r.version);
  at("recipe", r.recipe);
  at("method", r.method);
  at("base_path", r.base_path);
  at("base_hash", r.base_hash);
  at("base_architecture", r.base_architecture);
  at("data", r.data);
  at("rows_xxh3", r.rows_hash);
  at("report", r.report);
  at("train_rows", r.train_rows);
  at("held_out_rows", r.held_out_rows);
  at("train_tokens", r.train_tokens);
  at("trained_tokens", r.trained_tokens);
  at("held_out_tokens", r.held_out_tokens);
  at("seed", r.seed);
  at("options", r.options);
  at("machine", r.machine);
  at("started", r.started);
  at("ended", r.ended);
  at("seconds", r.seconds);
  at("steps", r.steps);
  at("before", r.before);
  at("after", r.after);
  at("verdict", r.verdict);
  at("reasons", r.reasons);
}

MachineRecord this_machine() {
  MachineRecord machine;
  machine.processor = cpu_info().brand;
  machine.memory_bytes = memory_total_bytes();
  struct utsname name {};
  if (::uname(&name) == 0) machine.system = format("{} {} {}", name.sysname, name.release, name.machine);
  return machine;
}

Json run_record_json(const RunRecord& record) { return to_json(record); }

Result<RunRecord> parse_run_record(std::string_view text, std::string_view source) {
  TRY_ASSIGN(Json json, parse_json(text, source));
  if (!json.is_object()) return make_error("{}: not the record of a run: expected a JSON object", source);
  if (json.find("recipe") == nullptr) json.set("recipe", 1);
  Json* options = json.find("options");  // of a run from before there was study
  if (options != nullptr && options->is_object() && options->find("study") == nullptr) options->set("study", "off");
  RunRecord record;
  std::string wrong;
  fields(record, JsonReader{json, wrong});
  if (!wrong.empty()) {
    return make_error("{}: not the record of a run: \"{}\" is missing or of another kind", source, wrong);
  }
  return record;
}

Status check_recipe(const RunRecord& record, std::string_view out) {
  if (record.recipe == kRecipe) return {};
  return make_error(
      "{}: the run was begun by an andiron ({}) in which the same options give other numbers (recipe {}, here {}); go "
      "on with that one, or begin another run",
      out, in_quotes(record.version), record.recipe, kRecipe);
}

Status check_same_files(const std::vector<DataFileRecord>& before, const std::vector<DataFileRecord>& now) {
  for (size_t i = 0; i < now.size(); ++i) {
    if (i >= before.size()) return make_error("{}: the run was not begun with this {} data", now[i].path, now[i].use);
    const DataFileRecord& then = before[i];
    if (then.hash != now[i].hash || then.use != now[i].use) {
      return make_error("{}: the run was not begun with this {} data: its {} was {} ({})", now[i].path, now[i].use,
                        then.use, then.path, then.hash);
    }
    if (then.format != now[i].format) {
      return make_error("{}: the run read it as {}, and now it is {}; give it the name that it had, {}", now[i].path,
                        then.format, now[i].format, then.path);
    }
  }
  if (before.size() == now.size()) return {};
  return make_error("{}: the run was begun with this data too; give it again", before[now.size()].path);
}

Status write_run_record(const std::string& path, const RunRecord& record) {
  return write_text_file(path, run_record_json(record).dump(2) + "\n");
}

Result<RunRecord> read_run_record(const std::string& path) {
  TRY_ASSIGN(const std::string text, read_text_file(path));
  return parse_run_record(text, path);
}

std::string timestamp(int64_t seconds_since_1970) {
  const auto seconds = static_cast<std::time_t>(seconds_since_1970);
  std::tm local{};
  if (localtime_r(&seconds, &local) == nullptr) return format("@{}", seconds_since_1970);
  char text[64] = "";
  if (std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S%z", &local) == 0) return format("@{}", seconds_since_1970);
  std::string out = text;
  out.insert(out.size() - 2, ":");  // +0100 to +01:00
  return out;
}

}  // namespace andiron
