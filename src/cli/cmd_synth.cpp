// andiron synth: random weights in the shape of a real model.
#include <cstdio>

#include "base/strings.h"
#include "cli/app.h"
#include "cli/commands.h"
#include "cli/progress.h"
#include "model/synth.h"

namespace andiron {

Result<int> synth_command(const GlobalOptions& global, const SynthOptions& options) {
  Progress progress("writing " + options.out, Progress::Unit::kBytes, global.quiet);
  TRY(write_synthetic_model({options.shape, options.type, options.seed, options.recite}, options.out,
                            [&](uint64_t done, uint64_t total) { progress.update(done, total); }));
  return 0;
}

}  // namespace andiron
