// andiron doctor: what this machine can do.
#include <array>
#include <cstdio>

#include "base/cpu_info.h"
#include "base/strings.h"
#include "cli/app.h"
#include "cli/commands.h"
#include "cli/machine_limits.h"
#include "cli/terminal.h"
#include "kernels/dispatch.h"

namespace andiron {

namespace {

struct ModelSize {
  const char* name;
  double parameters;
};
constexpr std::array kSizes = {ModelSize{"1B", 1e9}, ModelSize{"3B", 3e9}, ModelSize{"7B", 7e9}, ModelSize{"14B", 14e9},
                               ModelSize{"32B", 32e9}};
constexpr double kBitsPerWeight = 4.5;  // Q4_0, Q4_K
// What a program needs beside the weights, and the KV cache of some thousand tokens.
constexpr double kMoreBytes = 0.5 * (1 << 30);

struct Estimate {
  const char* name;
  double bytes;
  double tokens_per_s;
  bool fits;
};

std::vector<Estimate> estimates(const MachineLimits& limits) {
  std::vector<Estimate> list;
  for (const ModelSize& size : kSizes) {
    const double bytes = size.parameters * kBitsPerWeight / 8;
    const bool fits = bytes + kMoreBytes < static_cast<double>(memory_available_bytes());
    list.push_back({size.name, bytes, expected_tokens_per_s(limits, bytes), fits});
  }
  return list;
}

// People read five to eight words a second; a token is three quarters of a word.
const char* verdict(const Estimate& e) {
  if (!e.fits) return "does not fit in the free memory";
  if (e.tokens_per_s >= 20) return "fast";
  if (e.tokens_per_s >= 7) return "as fast as one reads";
  if (e.tokens_per_s >= 2) return "slow, but usable";
  return "too slow for talking";
}

std::string isa_list() {
  std::string names;
  for (const Isa isa : available_isas()) names += (names.empty() ? "" : ", ") + std::string(isa_name(isa));
  return names;
}

Json doctor_json(const Machine& machine, const MachineLimits& limits) {
  Json json = Json::object();
  json.set("cpu", cpu_info().brand);
  Json isas = Json::array();
  for (const Isa isa : available_isas()) isas.push(isa_name(isa));
  json.set("isas", std::move(isas));
  json.set("isa", machine.kernels->name);
  json.set("threads", machine.team->size());
  json.set("last_level_cache_bytes", last_level_cache_bytes());
  json.set("memory_bytes", memory_total_bytes());
  json.set("memory_available_bytes", memory_available_bytes());
  json.set("limits", limits_json(limits));
  Json sizes = Json::array();
  for (const Estimate& e : estimates(limits)) {
    sizes.push(Json(Json::Object{{"size", Json(e.name)},
                                 {"bytes", Json(static_cast<int64_t>(e.bytes))},
                                 {"tokens_per_s", Json(e.tokens_per_s)},
                                 {"fits", Json(e.fits)}}));
  }
  json.set("models_at_4_5_bits", std::move(sizes));
  return json;
}

void print_text(const Machine& machine, const MachineLimits& limits) {
  std::fprintf(stdout, "processor         %s\n", printable(cpu_info().brand).c_str());
  std::fprintf(stdout, "instruction sets  %s; in use: %s\n", isa_list().c_str(), machine.kernels->name);
  std::fprintf(stdout, "threads           %d\n", machine.team->size());
  std::fprintf(stdout, "memory            %s, of which %s are free\n", human_bytes(memory_total_bytes()).c_str(),
               human_bytes(memory_available_bytes()).c_str());
  std::fprintf(stdout, "last-level cache  %s\n", human_bytes(last_level_cache_bytes()).c_str());
  std::fprintf(stdout, "reads memory at   %.1f GB/s\n", limits.read_bytes);
  std::fprintf(stdout, "multiplies        int8 %.4g Gop/s, bf16 %.4g, f32 %.4g Gflop/s\n", limits.int8_ops,
               limits.bf16_ops, limits.f32_ops);
  std::fprintf(stdout, "\nmodels in 4-bit formats (%.1f bits a weight), answering:\n", kBitsPerWeight);
  for (const Estimate& e : estimates(limits)) {
    std::fprintf(stdout, "  %-4s %9s  about %6.1f tokens/s  %s\n", e.name,
                 human_bytes(static_cast<uint64_t>(e.bytes)).c_str(), e.tokens_per_s, verdict(e));
  }
}

}  // namespace

Result<int> doctor_command(const GlobalOptions& global, const DoctorOptions& options) {
  TRY_ASSIGN(const Machine machine, make_machine(global, /*pin=*/true));
  TRY_ASSIGN(auto meter, LimitMeter::create(*machine.kernels, *machine.team));
  for (int i = 0; i < 5; ++i) {
    meter.sample_read();
    meter.sample_peaks();
  }
  if (const std::string note = meter.note(); !note.empty()) say_notes(global, {&note, 1});
  if (options.json) {
    print_json(doctor_json(machine, meter.limits()));
  } else {
    print_text(machine, meter.limits());
  }
  return 0;
}

}  // namespace andiron
