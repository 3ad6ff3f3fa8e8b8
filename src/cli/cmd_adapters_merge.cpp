// andiron adapters merge: several adapters into one, or into a model.
#include <cstdio>

#include "adapter/adapter_base.h"
#include "adapter/folded_source.h"
#include "adapter/merge.h"
#include "base/strings.h"
#include "cli/adapter_facts.h"
#include "cli/adapter_store.h"
#include "cli/app.h"
#include "cli/commands.h"
#include "cli/progress.h"
#include "cli/shipped_model.h"
#include "cli/terminal.h"
#include "engine/quantize.h"

namespace andiron {

Status check_merge_options(const AdapterMergeOptions& o) {
  TRY(merge_method_from_name(o.method));
  if (!(o.density > 0 && o.density <= 1)) {
    return make_error("--density {}: expected a share above 0 and at most 1", o.density);
  }
  if (o.into.empty()) {
    if (o.name.empty() == o.out.empty()) return make_error("expected --as NAME or --out FOLDER, and not both");
    if (!o.name.empty()) TRY(check_adapter_name(o.name));
    return o.type.empty() ? Status() : make_error("--type is of the file that --into makes");
  }
  if (o.out.empty() || !o.name.empty()) return make_error("--into makes a model file: expected --out FILE.gguf");
  if (o.type.empty()) return {};
  const auto type = quant_type_from_name(o.type);
  return type.ok() ? Status() : type.error();
}

namespace {

struct Part {
  Adapter adapter;
  float weight = 1;
  std::string path;
};

// `model`: what they are read for, or "".
Result<std::vector<Part>> read_parts(const AdapterMergeOptions& options, const std::string& model) {
  TRY_ASSIGN(const auto entries, parse_adapters(options.adapters));
  std::vector<Part> parts;
  for (const StackEntry& entry : entries) {
    TRY_ASSIGN(Adapter adapter, read_named_adapter(entry.path, model));
    parts.push_back({std::move(adapter), entry.strength, entry.path});
  }
  return parts;
}

// How and of what it was made, for its folder.
TextFile merge_origin(const AdapterMergeOptions& options, MergeMethod method, std::span<const Part> parts) {
  Json json = Json::object();
  json.set("made", "merge").set("method", merge_method_name(method));
  const bool drops = method == MergeMethod::kDareLinear || method == MergeMethod::kDareTies;
  if (drops || method == MergeMethod::kTies) json.set("density", options.density);
  if (drops) json.set("seed", options.seed);
  if (method == MergeMethod::kSvd) json.set("rank", options.rank);
  Json list = Json::array();
  for (const Part& part : parts) {
    Json one = Json::object();
    one.set("name", part.adapter.name).set("path", part.path).set("weight", static_cast<double>(part.weight));
    one.set("base_hash", part.adapter.base_hash);
    list.push(std::move(one));
  }
  json.set("parts", std::move(list));
  return origin_file(std::move(json));
}

Result<int> merge_into_adapter(const GlobalOptions& global, const AdapterMergeOptions& options) {
  std::string folder = options.out;
  if (options.out.empty()) {
    TRY_ASSIGN(folder, new_adapter_folder(options.name));
  }
  TRY(check_free(folder));
  TRY_ASSIGN(const auto parts, read_parts(options, options.model));
  MergeOptions merge;
  TRY_ASSIGN(merge.method, merge_method_from_name(options.method));
  merge.density = options.density;
  merge.seed = options.seed;
  merge.rank = options.rank;
  std::vector<WeightedAdapter> weighted;
  std::vector<std::string> notes;
  for (const Part& part : parts) {
    weighted.push_back({&part.adapter, part.weight});
    const std::string& hash = part.adapter.base_hash;
    const std::string& first = parts.front().adapter.base_hash;
    if (!hash.empty() && !first.empty() && hash != first) {
      notes.push_back(format("{} was made on other weights (hash {}) than {} (hash {})", part.path, hash,
                             parts.front().path, first));
    }
  }
  TRY_ASSIGN(const Machine machine, make_machine(global));
  TRY_ASSIGN(Adapter merged, merge_adapters(weighted, merge, *machine.team));
  merged.name = options.name;
  const TextFile origin = merge_origin(options, merge.method, parts);
  TRY(write_peft(merged, folder, DType::kF32, {&origin, 1}, Existing::kKept));
  say_notes(global, notes);
  if (!global.quiet) {
    std::fprintf(stderr, "%s: %s, %zu matrices, rank %lld\n", printable(folder).c_str(),
                 counted(std::ssize(parts), "adapter").c_str(), merged.matrices.size(),
                 static_cast<long long>(merged.rank));
  }
  return 0;
}

// Reads the adapters for that model; one that does not fit is an Error.
Result<std::vector<Part>> parts_for(const GlobalOptions& global, const AdapterMergeOptions& options,
                                    const ModelSource& source) {
  TRY_ASSIGN(const AdapterBase base, describe_base(source));
  TRY_ASSIGN(auto parts, read_parts(options, options.into));
  std::vector<std::string> notes;
  for (const Part& part : parts) {
    TRY_ASSIGN(const BaseMatch match, match_base(part.adapter, base));
    if (match != BaseMatch::kOther) continue;
    notes.push_back(format("{}: made on other weights ({}, hash {}) than these (hash {}); it fits in shape", part.path,
                           part.adapter.base_name.empty() ? "unnamed" : in_quotes(part.adapter.base_name),
                           part.adapter.base_hash, base.hash));
  }
  say_notes(global, notes);
  return parts;
}

Result<int> merge_into_model(const GlobalOptions& global, const AdapterMergeOptions& options) {
  TRY(check_free(options.out));
  TRY_ASSIGN(const std::string file, model_path(options.into));
  TRY_ASSIGN(const auto source, open_model_source(file));
  TRY_ASSIGN(const auto parts, parts_for(global, options, *source));
  std::vector<WornAdapter> worn;
  worn.reserve(parts.size());
  for (const Part& part : parts) worn.push_back({&part.adapter, part.weight});
  TRY_ASSIGN(const Machine machine, make_machine(global));
  TRY_ASSIGN(const auto folded, fold_source(*source, std::move(worn), *machine.team));
  QuantizeOptions quantize;
  quantize.existing = Existing::kKept;
  if (options.type.empty()) {
    quantize.formats_of = source.get();
  } else {
    TRY_ASSIGN(quantize.type, quant_type_from_name(options.type));
  }
  const InterruptGuard interrupt(/*second_ends=*/true);
  Progress progress("folding", Progress::Unit::kBytes, global.quiet);
  quantize.cancel = interrupt.flag();
  quantize.progress = [&](uint64_t done, uint64_t total, std::string_view tensor) {
    progress.update(done, total, tensor);
  };
  TRY_ASSIGN(const QuantizeReport report, quantize_model(*folded, options.out, *machine.team, quantize));
  progress.clear();
  if (report.cancelled) return kExitInterrupted;
  say_notes(global, report.notes);
  if (!global.quiet) {
    std::fprintf(stderr, "%s: %s with %s, %s\n", printable(options.out).c_str(), printable(options.into).c_str(),
                 counted(std::ssize(parts), "adapter").c_str(), human_bytes(report.bytes_after).c_str());
  }
  return 0;
}

}  // namespace

Result<int> merge_adapters_command(const GlobalOptions& global, const AdapterMergeOptions& options) {
  return options.into.empty() ? merge_into_adapter(global, options) : merge_into_model(global, options);
}

}  // namespace andiron
