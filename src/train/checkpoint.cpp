#include "train/checkpoint.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>

#include "base/atomic_file.h"
#include "base/atomic_folder.h"
#include "base/content_hash.h"
#include "base/strings.h"
#include "format/safetensors.h"

namespace andiron {

namespace {

constexpr std::string_view kStateKey = "andiron_checkpoint", kHashKey = "xxh3";
constexpr int64_t kVersion = 1;
constexpr std::string_view kPrefix = "step-", kSuffix = ".safetensors";
constexpr size_t kStepDigits = 9;  // so that names sort as numbers

// The hash of a checkpoint is that of the state's text, then of every tensor in the file's order.
void add_tensor(ContentHash& hash, std::string_view name, std::string_view type, std::span<const uint64_t> shape,
                std::span<const uint8_t> data) {
  hash.add_text(name);
  hash.add_text(type);
  hash.add_text({reinterpret_cast<const char*>(shape.data()), shape.size_bytes()});
  hash.add_text({reinterpret_cast<const char*>(data.data()), data.size()});
}

std::vector<StateTensor> values_of(std::span<const Parameter> parameters) {
  std::vector<StateTensor> tensors;
  for (const Parameter& parameter : parameters) {
    tensors.push_back({parameter.name,
                       false,
                       {parameter.shape.begin(), parameter.shape.end()},
                       {reinterpret_cast<uint8_t*>(parameter.value), static_cast<size_t>(parameter.size()) * 4}});
  }
  return tensors;
}

// Everything of a checkpoint that is not JSON, as it lies in memory.
std::vector<StateTensor> tensors_of(Optimizer& optimizer) {
  std::vector<StateTensor> tensors = values_of(optimizer.parameters());
  for (StateTensor& tensor : optimizer.state()) tensors.push_back(std::move(tensor));
  return tensors;
}

std::string_view type_of(const StateTensor& tensor) { return tensor.bytes ? "U8" : "F32"; }

std::string state_text(const CheckpointState& state, const Optimizer& optimizer) {
  Json json = Json::object();
  json.set("version", kVersion).set("step", state.step).set("data_position", state.data_position);
  json.set("tokens", state.tokens).set("best_loss", state.best_loss).set("best_step", state.best_step);
  json.set("optimizer_steps", optimizer.steps()).set("run", state.run).set("trainer", state.trainer);
  return json.dump();
}

struct Loaded {
  std::shared_ptr<const SafetensorsFile> file;
  CheckpointState state;
  int64_t optimizer_steps = 0;
};

Result<Loaded> read_state(std::string_view text, const std::string& path) {
  TRY_ASSIGN(const Json json, parse_json(text, path));
  Loaded out;
  const auto whole = [&](std::string_view key, int64_t& value, int64_t least = 0) {
    const Json* found = json.find(key);
    if (found == nullptr || !found->is_int() || found->as_int() < least) return false;
    value = found->as_int();
    return true;
  };
  int64_t version = 0;
  if (!whole("version", version) || version != kVersion) {
    return make_error("{}: a checkpoint of version {}; this program reads version {}", path, version, kVersion);
  }
  const Json* best = json.find("best_loss");
  const Json* run = json.find("run");
  const Json* trainer = json.find("trainer");
  CheckpointState& state = out.state;
  if (!whole("step", state.step) || !whole("data_position", state.data_position) || !whole("tokens", state.tokens) ||
      !whole("best_step", state.best_step, -1) || !whole("optimizer_steps", out.optimizer_steps) || best == nullptr ||
      run == nullptr || trainer == nullptr) {
    return make_error("{}: its description lacks a number, or has one below 0", path);
  }
  if (best->is_number()) state.best_loss = best->as_double();  // null: infinity
  state.run = *run;
  state.trainer = *trainer;
  return out;
}

// The file with its state, after its hash has been found right.
Result<Loaded> load_checked(const std::string& path) {
  TRY_ASSIGN(auto file, SafetensorsFile::open(path));
  const std::string* text = file->metadata(kStateKey);
  const std::string* expected = file->metadata(kHashKey);
  if (text == nullptr || expected == nullptr) return make_error("{}: not a checkpoint of andiron", path);
  ContentHash hash;
  hash.add_text(*text);
  for (const SafeTensor& tensor : file->tensors()) {
    add_tensor(hash, tensor.name, tensor.dtype_name, tensor.shape, file->bytes(tensor));
  }
  TRY(file->file().check_intact());
  if (hash.digits() != *expected) {
    return make_error("{}: damaged: its contents have the hash {}, it was written with {}", path, hash.digits(),
                      in_quotes(*expected));
  }
  TRY_ASSIGN(Loaded loaded, read_state(*text, path));
  loaded.file = std::move(file);
  return loaded;
}

// Where two descriptions of a run part: `"seed": 1 there, 2 here`.
std::string first_difference(const Json& there, const Json& here) {
  if (!there.is_object() || !here.is_object()) return "";
  for (const auto& [key, value] : here.members()) {
    const Json* other = there.find(key);
    if (other != nullptr && other->dump() == value.dump()) continue;
    return format(": \"{}\" is {} there, {} here", in_quotes(key),
                  other == nullptr ? "nothing" : in_quotes(other->dump()), in_quotes(value.dump()));
  }
  for (const auto& [key, value] : there.members()) {
    if (here.find(key) == nullptr)
      return format(": \"{}\" is {} there, nothing here", in_quotes(key), in_quotes(value.dump()));
  }
  return "";
}

// The tensor of the file that has this name, type and shape.
Result<const SafeTensor*> matching(const SafetensorsFile& file, const StateTensor& wanted) {
  const SafeTensor* found = file.find(wanted.name);
  if (found == nullptr) {
    return make_error("{}: made by another run: it lacks \"{}\"", file.path(), in_quotes(wanted.name));
  }
  if (found->dtype_name != type_of(wanted) || found->shape != wanted.shape || found->bytes != wanted.data.size()) {
    return make_error("{}: made by another run: \"{}\" has {} bytes of {}, {} bytes of {} are expected", file.path(),
                      in_quotes(wanted.name), found->bytes, in_quotes(found->dtype_name), wanted.data.size(),
                      type_of(wanted));
  }
  return found;
}

// Copies all `wanted` from the file, once all have been found right.
Status copy_tensors(const SafetensorsFile& file, std::span<const StateTensor> wanted) {
  for (const StateTensor& tensor : wanted) {
    auto found = matching(file, tensor);
    if (!found.ok()) return std::move(found).error();
  }
  for (const StateTensor& tensor : wanted) {
    const auto bytes = file.bytes(*file.find(tensor.name));
    if (!bytes.empty()) std::memcpy(tensor.data.data(), bytes.data(), bytes.size());
  }
  return file.file().check_intact();
}

}  // namespace

Result<Checkpoints> Checkpoints::open(const std::string& folder) {
  if (::mkdir(folder.c_str(), 0777) == 0) {
    TRY(sync_folder(parent_of(folder)));
  } else if (errno != EEXIST || !is_folder(folder)) {
    return make_error("{}: cannot make this folder for checkpoints: {}", folder, std::strerror(errno));
  }
  return Checkpoints(folder);
}

std::string Checkpoints::path_of(int64_t step) const { return format("{}/{}{:09}{}", folder_, kPrefix, step, kSuffix); }

Result<std::vector<int64_t>> Checkpoints::steps() const {
  TRY_ASSIGN(const std::vector<std::string> names, list_folder(folder_));
  std::vector<int64_t> steps;
  for (const std::string& name : names) {
    if (!name.starts_with(kPrefix) || !name.ends_with(kSuffix)) continue;
    if (name.size() < kPrefix.size() + kStepDigits + kSuffix.size()) continue;
    const auto step = parse_int(name.substr(kPrefix.size(), name.size() - kPrefix.size() - kSuffix.size()), "step");
    if (step.ok() && *step >= 0) steps.push_back(*step);
  }
  std::sort(steps.begin(), steps.end());
  return steps;
}

uint64_t Checkpoints::bytes_needed(Optimizer& optimizer) {
  uint64_t bytes = 64 << 10;  // the state's text, and the file system's own
  for (const StateTensor& tensor : tensors_of(optimizer)) {
    bytes += tensor.data.size() + 2 * tensor.name.size() + 200;  // an entry of the header, generously
  }
  return bytes;
}

Status Checkpoints::check_space(uint64_t bytes, int count) const {
  TRY_ASSIGN(const uint64_t free, free_bytes(folder_));
  const uint64_t needed = bytes * static_cast<uint64_t>(count);
  if (free >= needed) return {};
  return make_error("{}: {} of {} take {} of disk space, but only {} is free; make room or choose another folder",
                    folder_, count == 1 ? "one checkpoint" : format("{} checkpoints", count), human_bytes(bytes),
                    human_bytes(needed), human_bytes(free));
}

Status Checkpoints::save(const CheckpointState& state, Optimizer& optimizer) {
  const std::string text = state_text(state, optimizer);
  ContentHash hash;
  hash.add_text(text);
  std::vector<SafetensorsOut> out;
  const std::vector<StateTensor> tensors = tensors_of(optimizer);
  for (const StateTensor& tensor : tensors) {
    add_tensor(hash, tensor.name, type_of(tensor), tensor.shape, tensor.data);
    out.push_back({.name = tensor.name, .shape = tensor.shape, .data = tensor.data, .dtype_name = type_of(tensor)});
  }
  const std::vector<std::pair<std::string, std::string>> metadata = {{std::string(kStateKey), text},
                                                                     {std::string(kHashKey), hash.digits()}};
  TRY(check_space(bytes_needed(optimizer), 1));
  TRY(write_safetensors(path_of(state.step), out, metadata));
  if (state.step != last_) before_ = std::exchange(last_, state.step);
  prune(state.best_step);
  return {};
}

void Checkpoints::prune(int64_t best_step) {
  const auto there = steps();
  if (!there.ok()) return;
  for (const int64_t step : *there) {
    if (step != last_ && step != before_ && step != best_step) ::unlink(path_of(step).c_str());
  }
}

Result<std::optional<Checkpoints::Restored>> Checkpoints::restore(Optimizer& optimizer, const Json& expected_run) {
  TRY_ASSIGN(const std::vector<int64_t> there, steps());
  if (there.empty()) return std::optional<Restored>();
  Restored out;
  for (size_t i = there.size(); i-- > 0;) {
    out.path = path_of(there[i]);
    auto loaded = load_checked(out.path);
    if (!loaded.ok()) {
      out.refused.push_back(std::move(loaded).error().message);
      continue;
    }
    if (loaded->state.step != there[i]) {
      out.refused.push_back(format("{}: it holds step {}; renamed?", out.path, loaded->state.step));
      continue;
    }
    if (loaded->state.run.dump() != expected_run.dump()) {
      return make_error("{}: made by another run{}; begin anew or give the same options", out.path,
                        first_difference(loaded->state.run, expected_run));
    }
    TRY(copy_tensors(*loaded->file, tensors_of(optimizer)));
    optimizer.set_steps(loaded->optimizer_steps);
    out.state = std::move(loaded->state);
    last_ = there[i];
    before_ = i > 0 ? there[i - 1] : -1;
    return std::optional<Restored>(std::move(out));
  }
  return make_error("no usable checkpoint: {}", out.refused.front());
}

Status Checkpoints::load_values(int64_t step, std::span<const Parameter> parameters) const {
  TRY_ASSIGN(const Loaded loaded, load_checked(path_of(step)));
  return copy_tensors(*loaded.file, values_of(parameters));
}

Status Checkpoints::clear() {
  TRY_ASSIGN(const std::vector<int64_t> there, steps());
  for (const int64_t step : there) {
    if (::unlink(path_of(step).c_str()) != 0) {
      return make_error("{}: cannot remove it: {}", path_of(step), std::strerror(errno));
    }
  }
  last_ = before_ = -1;
  return sync_folder(folder_);
}

}  // namespace andiron
