// andiron adapters show: all that is known of an adapter.
#include <cmath>
#include <cstdio>
#include <map>
#include <optional>

#include "adapter/adapter_base.h"
#include "base/strings.h"
#include "cli/adapter_facts.h"
#include "cli/adapter_store.h"
#include "cli/app.h"
#include "cli/commands.h"
#include "cli/terminal.h"

namespace andiron {

namespace {

void say(std::string_view label, std::string_view text) {
  std::fprintf(stdout, "  %-10s%s\n", std::string(label).c_str(), printable(text).c_str());
}

// Matrices of one kind: "attn_q" of several blocks.
struct Kind {
  std::string slot;
  int64_t n = 0, k = 0, r = 0;
  int64_t count = 0;
};

std::vector<Kind> kinds_of(const Adapter& adapter) {
  std::vector<Kind> kinds;
  for (const AdapterMatrix& m : adapter.matrices) {
    const std::string slot = m.layer.substr(m.layer.rfind('.') + 1);
    const auto same = [&](const Kind& kind) {
      return kind.slot == slot && kind.n == m.n && kind.k == m.k && kind.r == m.r;
    };
    auto found = std::find_if(kinds.begin(), kinds.end(), same);
    if (found == kinds.end()) found = kinds.insert(found, {slot, m.n, m.k, m.r, 0});
    ++found->count;
  }
  return kinds;
}

void print_adapter(const Adapter& adapter, uint64_t bytes) {
  say("base", format("{}, {}", adapter.base_name.empty() ? "not named" : in_quotes(adapter.base_name),
                     adapter.base_hash.empty() ? "hash unknown" : format("hash {}", adapter.base_hash)));
  std::string heads;
  if (adapter.heads > 0) heads = format(", {} heads, {} of keys", adapter.heads, adapter.heads_kv);
  say("for", format("{}{}", adapter.architecture, heads));
  say("changes", format("{} matrices by {} numbers, {}", adapter.matrices.size(), human_count(adapter.parameters()),
                        human_bytes(bytes)));
  for (const Kind& kind : kinds_of(adapter)) {
    say("", format("{:<12} {} of {} x {}, rank {}", kind.slot, kind.count, kind.n, kind.k, kind.r));
  }
}

// The data of a run, as its record has it.
void print_data(const Json& run) {
  const auto files = run.member("data").items_or_none();
  for (const Json& file : files) {
    const auto text = [&](std::string_view key) {
      const Json& found = file.member(key);
      return found.is_null() ? "?" : found.is_string() ? found.as_string() : found.dump();
    };
    say(&file == &files.front() ? "data" : "",
        format("{} ({}, {} rows, {})", text("path"), text("format"), text("rows"), text("xxh3")));
  }
}

// Results of a run that are numbers, before and after.
void print_results(const Json& run) {
  const Json& before = run.member("before");
  if (!before.is_object()) return;
  for (const auto& [key, value] : before.members()) {
    if (!value.is_number()) continue;
    const Json& then = run.member("after").member(key);
    std::string label = key;
    std::replace(label.begin(), label.end(), '_', ' ');
    const std::string later = then.is_number() ? format(" before, {:.4f} after", then.as_double()) : " before";
    say("", format("{} {:.4f}{}", label, value.as_double(), later));
  }
}

void print_run(const Json& run) {
  const auto number = [&](std::string_view key) { return run.member(key).number_or(0); };
  const Json* seed = run.find("seed");
  say("trained", format("{:.0f} steps in {}, seed {}", number("steps"), human_seconds(number("seconds")),
                        seed != nullptr ? seed->dump() : "unknown"));
  print_data(run);
  say("results", format("on {:.0f} rows held out of training", number("held_out_rows")));
  print_results(run);
}

// Where it was imported from, or what it was merged of.
void print_origin(const Json& origin) {
  const Json& from = origin.member("from");
  if (from.is_string()) say("origin", format("imported from {}", from.as_string()));
  const auto parts = origin.member("parts").items_or_none();
  for (const Json& part : parts) {
    const Json& name = part.member("name");
    const Json& weight = part.member("weight");
    if (!name.is_string() || !weight.is_number()) continue;
    say(&part == &parts.front() ? "origin" : "", format("{} times {}", weight.as_double(), name.as_string()));
  }
}

void print_facts(const AdapterFacts& facts, const std::optional<Adapter>& adapter) {
  std::fprintf(stdout, "%s\n", printable(facts.name).c_str());
  say("in", facts.path);
  if (!facts.method.empty()) {
    say("method",
        facts.rank == 0 ? facts.method : format("{}, rank {}, alpha {}", facts.method, facts.rank, facts.alpha));
  }
  if (adapter) print_adapter(*adapter, facts.bytes);
  if (!facts.date.empty()) say("date", facts.date);
  if (!facts.run.is_null()) print_run(facts.run);
  print_origin(facts.origin);
  if (!facts.verdict.empty()) say("verdict", facts.verdict);
  for (const std::string& reason : facts.reasons) say("", reason);
  if (!facts.problem.empty()) say("problem", facts.problem);
}

Json adapter_json(const AdapterFacts& facts, const std::optional<Adapter>& adapter) {
  Json json = facts_json(facts);
  if (adapter) {
    Json matrices = Json::array();
    for (const AdapterMatrix& m : adapter->matrices) {
      Json one = Json::object();
      one.set("layer", m.layer).set("n", m.n).set("k", m.k).set("rank", m.r);
      one.set("alpha", static_cast<double>(m.alpha)).set("scale", static_cast<double>(adapter->scaling(m)));
      matrices.push(std::move(one));
    }
    json.set("base_hash", adapter->base_hash).set("architecture", adapter->architecture);
    json.set("heads", int64_t{adapter->heads}).set("heads_kv", int64_t{adapter->heads_kv});
    json.set("parameters", adapter->parameters()).set("matrices", std::move(matrices));
  }
  json.set("run", facts.run).set("origin", facts.origin);
  return json;
}

}  // namespace

Result<int> show_adapter_command(const GlobalOptions&, const AdapterShowOptions& options) {
  TRY_ASSIGN(const StackEntry entry, parse_adapter(options.adapter));
  AdapterFacts facts = adapter_facts(options.adapter, entry.path);
  std::optional<Adapter> adapter;
  // A run that has not come to its end has a record and no adapter yet.
  if (facts.problem.empty() || facts.run.is_null()) {
    TRY_ASSIGN(adapter, read_named_adapter(options.adapter, options.model));
    if (facts.rank == 0) {  // a GGUF file: there is no configuration to look at
      facts.rank = adapter->rank;
      facts.alpha = static_cast<double>(adapter->alpha);
      facts.method = "lora";
      facts.base = adapter->base_name;
    }
  }
  if (options.json) {
    print_json(adapter_json(facts, adapter));
  } else {
    print_facts(facts, adapter);
  }
  return 0;
}

}  // namespace andiron
