// andiron logits: the raw numbers, for comparing with other programs.
#include <algorithm>
#include <cstdio>
#include <span>

#include "base/atomic_file.h"
#include "base/strings.h"
#include "cli/app.h"
#include "cli/commands.h"
#include "cli/id_list.h"
#include "cli/progress.h"

namespace andiron {

namespace {
constexpr int64_t kRowsPerRun = 64;  // logits of 64 rows: 64 MiB with a vocabulary of 256 K
}

Result<int> logits_command(const GlobalOptions& global, const LogitsOptions& options) {
  TRY_ASSIGN(const Machine machine, make_machine(global));
  TRY_ASSIGN(const LoadedModel loaded, load_model(global, machine, options.model));
  const Model& model = *loaded.model;
  const int64_t vocabulary = model.config().vocabulary;
  TRY_ASSIGN(const auto tokens, parse_ids(options.tokens, vocabulary, "--tokens"));
  if (tokens.empty()) return make_error("--tokens: expected at least one id");
  const auto count = static_cast<int64_t>(tokens.size());
  TRY_ASSIGN(auto cache, KvCache::create(model, std::max(count, global.context), machine.kv_format));
  const ForwardLimits limits = {.rows = kRowsPerRun, .logit_rows = kRowsPerRun, .sequences = 1};
  TRY_ASSIGN(const auto forward, Forward::create(model, *machine.kernels, *machine.team, limits));
  TRY_ASSIGN(AtomicFile file, AtomicFile::create(options.out));
  Progress progress("computing logits", Progress::Unit::kTokens, global.quiet);
  for (int64_t done = 0; done < count; done += kRowsPerRun) {
    const auto next = std::span(tokens).subspan(done, std::min(kRowsPerRun, count - done));
    const Sequence sequence = {&cache, next, LogitRows::kAll};
    TRY(forward->run({&sequence, 1}));
    for (int64_t row = 0; row < static_cast<int64_t>(next.size()); ++row) {
      const float* logits = forward->logits().row(row);
      TRY(file.write({reinterpret_cast<const uint8_t*>(logits), static_cast<size_t>(vocabulary) * sizeof(float)}));
    }
    progress.update(done + static_cast<int64_t>(next.size()), count);
  }
  TRY(file.commit());
  progress.clear();
  if (!global.quiet) {
    std::fprintf(stderr, "%s: %lld x %lld float32\n", options.out.c_str(), static_cast<long long>(count),
                 static_cast<long long>(vocabulary));
  }
  return 0;
}

}  // namespace andiron
