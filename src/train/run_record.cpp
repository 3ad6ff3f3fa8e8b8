#include "train/run_record.h"

#include <sys/utsname.h>

#include <ctime>

#include "base/atomic_file.h"
#include "base/cpu_info.h"
#include "base/strings.h"

namespace andiron {

namespace {

// One list of members serves writing and reading: whatever is written is read back under the same name.
template <typename Fields>
void data_fields(DataFileRecord& r, Fields&& at) {
  at("path", r.path);
  at("use", r.use);
  at("format", r.format);
  at("xxh3", r.hash);
  at("bytes", r.bytes);
  at("rows", r.rows);
  at("bad_rows", r.bad_rows);
  at("duplicate_rows", r.duplicate_rows);
}

template <typename Fields>
void machine_fields(MachineRecord& r, Fields&& at) {
  at("processor", r.processor);
  at("isa", r.isa);
  at("system", r.system);
  at("threads", r.threads);
  at("memory_bytes", r.memory_bytes);
}

template <typename Fields>
void run_fields(RunRecord& r, Fields&& at) {
  at("name", r.name);
  at("version", r.version);
  at("method", r.method);
  at("base_path", r.base_path);
  at("base_hash", r.base_hash);
  at("base_architecture", r.base_architecture);
  at("data", r.data);
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

struct Writer {
  Json& out;
  void operator()(const char* key, const std::string& value) { out.set(key, value); }
  void operator()(const char* key, int64_t value) { out.set(key, value); }
  void operator()(const char* key, int value) { out.set(key, value); }
  void operator()(const char* key, double value) { out.set(key, value); }
  void operator()(const char* key, const Json& value) { out.set(key, value); }
  // As a text where JSON's whole numbers, which are int64 here, cannot hold it: no digit of a seed may be lost.
  void operator()(const char* key, uint64_t value) {
    if (value >> 63 != 0) {
      out.set(key, std::to_string(value));
    } else {
      out.set(key, value);
    }
  }
  void operator()(const char* key, const std::vector<std::string>& value) {
    Json items = Json::array();
    for (const std::string& item : value) items.push(item);
    out.set(key, std::move(items));
  }
  void operator()(const char* key, MachineRecord& value) {
    Json object = Json::object();
    machine_fields(value, Writer{object});
    out.set(key, std::move(object));
  }
  void operator()(const char* key, std::vector<DataFileRecord>& value) {
    Json items = Json::array();
    for (DataFileRecord& file : value) {
      Json object = Json::object();
      data_fields(file, Writer{object});
      items.push(std::move(object));
    }
    out.set(key, std::move(items));
  }
};

// Remembers the first member that is missing or of another kind.
struct Reader {
  const Json& in;
  std::string& wrong;

  template <typename Take>
  void member(const char* key, Take&& take) {
    const Json* found = in.find(key);
    if (wrong.empty() && (found == nullptr || !take(*found))) wrong = key;
  }
  void operator()(const char* key, std::string& value) {
    member(key, [&](const Json& json) {
      if (json.is_string()) value = json.as_string();
      return json.is_string();
    });
  }
  void operator()(const char* key, int64_t& value) {
    member(key, [&](const Json& json) {
      if (json.is_int()) value = json.as_int();
      return json.is_int();
    });
  }
  void operator()(const char* key, int& value) {
    int64_t wide = 0;
    (*this)(key, wide);
    value = static_cast<int>(wide);
  }
  void operator()(const char* key, double& value) {
    member(key, [&](const Json& json) {
      if (json.is_number()) value = json.as_double();
      return json.is_number() || json.is_null();  // null: not finite
    });
  }
  void operator()(const char* key, Json& value) {
    member(key, [&](const Json& json) {
      value = json;
      return true;
    });
  }
  void operator()(const char* key, uint64_t& value) {
    member(key, [&](const Json& json) {
      if (json.is_int() && json.as_int() >= 0) {
        value = static_cast<uint64_t>(json.as_int());
        return true;
      }
      if (!json.is_string()) return false;
      value = 0;
      for (const char digit : json.as_string()) {
        if (digit < '0' || digit > '9') return false;
        value = value * 10 + static_cast<uint64_t>(digit - '0');
      }
      return json.as_string() == std::to_string(value);
    });
  }
  void operator()(const char* key, std::vector<std::string>& value) {
    member(key, [&](const Json& json) {
      if (!json.is_array()) return false;
      for (const Json& item : json.items()) {
        if (!item.is_string()) return false;
        value.push_back(item.as_string());
      }
      return true;
    });
  }
  void operator()(const char* key, MachineRecord& value) {
    member(key, [&](const Json& json) {
      machine_fields(value, Reader{json, wrong});
      return wrong.empty();
    });
  }
  void operator()(const char* key, std::vector<DataFileRecord>& value) {
    member(key, [&](const Json& json) {
      if (!json.is_array()) return false;
      for (const Json& item : json.items()) data_fields(value.emplace_back(), Reader{item, wrong});
      return wrong.empty();
    });
  }
};

}  // namespace

MachineRecord this_machine() {
  MachineRecord machine;
  machine.processor = cpu_info().brand;
  machine.memory_bytes = memory_total_bytes();
  struct utsname name {};
  if (::uname(&name) == 0) machine.system = format("{} {} {}", name.sysname, name.release, name.machine);
  return machine;
}

Json run_record_json(const RunRecord& record) {
  RunRecord copy = record;  // the list of members takes what it may write to
  Json out = Json::object();
  run_fields(copy, Writer{out});
  return out;
}

Result<RunRecord> parse_run_record(std::string_view text, std::string_view source) {
  TRY_ASSIGN(const Json json, parse_json(text, source));
  if (!json.is_object()) return make_error("{}: not the record of a run: expected a JSON object", source);
  RunRecord record;
  std::string wrong;
  run_fields(record, Reader{json, wrong});
  if (!wrong.empty()) {
    return make_error("{}: not the record of a run: \"{}\" is missing or of another kind", source, wrong);
  }
  return record;
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
