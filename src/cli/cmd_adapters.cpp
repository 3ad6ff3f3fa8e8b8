// andiron adapters list, import, export, remove: the adapters that have names.
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "adapter/adapter_base.h"
#include "base/atomic_file.h"
#include "base/strings.h"
#include "cli/adapter_facts.h"
#include "cli/adapter_store.h"
#include "cli/app.h"
#include "cli/commands.h"
#include "cli/folder_lock.h"
#include "cli/line_reader.h"
#include "cli/terminal.h"

namespace andiron {

namespace {

// Columns as wide as they need to be, two spaces between them.
void print_table(const std::vector<std::vector<std::string>>& rows) {
  std::vector<size_t> widths(rows.front().size());
  for (const auto& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  for (const auto& row : rows) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      line += row[i];
      if (i + 1 < row.size()) line += std::string(widths[i] + 2 - row[i].size(), ' ');
    }
    line.resize(line.find_last_not_of(' ') + 1);
    std::fprintf(stdout, "%s\n", line.c_str());
  }
}

std::string or_dash(const std::string& text) { return text.empty() ? "-" : text; }

std::vector<std::string> list_row(const AdapterFacts& facts) {
  return {facts.name,
          or_dash(in_quotes(facts.base, 40)),
          or_dash(in_quotes(facts.method, 20)),
          facts.rank > 0 ? format("{}", facts.rank) : "-",
          facts.bytes > 0 ? human_bytes(facts.bytes) : "-",
          or_dash(in_quotes(facts.date, 20)),
          or_dash(in_quotes(facts.verdict, 20)),
          or_dash(loss_text(facts))};
}

}  // namespace

Result<int> list_adapters_command(const GlobalOptions& global, const AdapterListOptions& options) {
  TRY_ASSIGN(const std::string folder, adapters_folder());
  TRY_ASSIGN(const auto names, stored_adapters());
  std::vector<AdapterFacts> all;
  all.reserve(names.size());
  for (const std::string& name : names) all.push_back(adapter_facts(name, format("{}/{}", folder, name)));
  if (options.json) {
    Json list = Json::array();
    for (const AdapterFacts& facts : all) list.push(facts_json(facts));
    Json json = Json::object();
    json.set("folder", folder).set("adapters", std::move(list));
    print_json(json);
    return 0;
  }
  if (all.empty()) {
    std::fprintf(stdout, "no adapters in %s; andiron learn MODEL DATA... --as NAME makes one\n",
                 printable(folder).c_str());
    return 0;
  }
  std::vector<std::vector<std::string>> rows = {
      {"NAME", "BASE", "METHOD", "RANK", "SIZE", "DATE", "VERDICT", "HELD-OUT LOSS"}};
  std::vector<std::string> problems;
  for (const AdapterFacts& facts : all) {
    rows.push_back(list_row(facts));
    if (!facts.problem.empty()) problems.push_back(format("{}: {}", facts.name, facts.problem));
  }
  print_table(rows);
  say_notes(global, problems);
  return 0;
}

namespace {

// The records that come with an adapter that a run of ours made.
Result<std::vector<TextFile>> records_of(const std::string& path) {
  std::vector<TextFile> out;
  if (!is_folder(path)) return out;
  for (const char* name : {"run.json", "loss.csv", "loss.svg"}) {
    const std::string file = format("{}/{}", path, name);
    if (!file_exists(file)) continue;
    TRY_ASSIGN(std::string text, read_text_file(file));
    out.push_back({name, std::move(text)});
  }
  return out;
}

}  // namespace

Result<int> import_adapter_command(const GlobalOptions& global, const AdapterImportOptions& options) {
  TRY_ASSIGN(const std::string folder, new_adapter_folder(options.name));
  if (!file_exists(options.path)) {
    return make_error("{}: there is no such file or folder; expected a PEFT folder or a GGUF adapter", options.path);
  }
  TRY_ASSIGN(Adapter adapter, read_named_adapter(options.path, options.model));
  adapter.name = options.name;
  TRY_ASSIGN(std::vector<TextFile> beside, records_of(options.path));
  std::error_code ignored;
  const auto from = std::filesystem::absolute(options.path, ignored);
  beside.push_back(origin_file(Json(Json::Object{{"made", Json("import")}, {"from", Json(from.string())}})));
  const Status written = write_peft(adapter, folder, DType::kF32, beside, Existing::kKept);
  if (!written.ok() && options.model.empty() && written.error().message.ends_with("give the model with it")) {
    return make_error("{}: --model MODEL", written.error().message);
  }
  TRY(written);
  if (!global.quiet) {
    std::fprintf(stderr, "%s: %lld numbers in %zu matrices, as %s\n", printable(options.path).c_str(),
                 static_cast<long long>(adapter.parameters()), adapter.matrices.size(), options.name.c_str());
  }
  return 0;
}

Result<int> export_adapter_command(const GlobalOptions& global, const AdapterExportOptions& options) {
  TRY(check_free(options.out));
  TRY_ASSIGN(const Adapter adapter, read_named_adapter(options.adapter, options.model));
  const bool as_gguf = options.format.empty() ? options.out.ends_with(".gguf") : options.format == "gguf";
  TRY(as_gguf ? write_gguf_adapter(adapter, options.out, DType::kF32, Existing::kKept)
              : write_peft(adapter, options.out, DType::kF32, {}, Existing::kKept));
  if (!global.quiet) {
    std::fprintf(stderr, "%s: %s as %s\n", printable(options.out).c_str(), printable(options.adapter).c_str(),
                 as_gguf ? "a GGUF adapter" : "a PEFT folder");
  }
  return 0;
}

namespace {

Result<bool> is_confirmed(const AdapterFacts& facts, const AdapterRemoveOptions& options) {
  if (options.yes) return true;
  LineReader reader("");
  if (!reader.interactive()) {
    return make_error("{}: removing cannot be undone and nobody can be asked here; expected --yes", options.name);
  }
  std::string known;
  for (const std::string& part : {facts.base, facts.method, facts.date, facts.verdict}) {
    if (!part.empty()) known += (known.empty() ? " (" : ", ") + printable(part);
  }
  if (!known.empty()) known += ')';
  const InputLine line =
      reader.read(format("Remove the adapter {}{}? It cannot be undone. [y/N] ", options.name, known));
  return line.end == InputEnd::kLine && (line.text == "y" || line.text == "Y" || line.text == "yes");
}

}  // namespace

Result<int> remove_adapter_command(const GlobalOptions& global, const AdapterRemoveOptions& options) {
  TRY_ASSIGN(const std::string folder, adapter_folder(options.name));
  if (check_free(folder).ok()) {
    return make_error("\"{}\": there is no adapter of this name; andiron adapters list shows what there is",
                      options.name);
  }
  TRY_ASSIGN(const bool confirmed, is_confirmed(adapter_facts(options.name, folder), options));
  if (!confirmed) {
    std::fprintf(stderr, "%s was not removed\n", options.name.c_str());
    return 1;
  }
  const FolderLock lock(folder);
  if (lock.is_taken()) {
    return make_error(
        "{}: another process is training in this folder; expected one in which nobody works, end it first", folder);
  }
  // Out of sight first: whatever happens then, no half of it is found under its name.
  std::error_code error;
  const std::string removed = format("{}.part-{}-removed", folder, getpid());
  std::filesystem::rename(folder, removed, error);
  if (error) return make_error("{}: cannot be removed: {}", folder, error.message());
  std::filesystem::remove_all(removed, error);
  if (error) return make_error("{}: cannot be removed: {}", removed, error.message());
  if (!global.quiet) std::fprintf(stderr, "%s was removed\n", options.name.c_str());
  return 0;
}

}  // namespace andiron
