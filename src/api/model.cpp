#include <utility>

#include "api/impl.h"
#include "base/strings.h"
#include "kernels/dispatch.h"
#include "model/tokenizer_source.h"

namespace andiron::v1 {

namespace {

// The tier whose table this is.
std::string tier_name(const KernelTable* kernels) {
  for (const Isa isa : available_isas()) {
    if (&kernels_of(isa) == kernels) return std::string(isa_name(isa));
  }
  return "";
}

ModelInfo describe(const andiron::Model& model, const KernelTable* kernels) {
  const ModelConfig& config = model.config();
  ModelInfo info;
  info.path = model.source().path();
  info.name = config.name;
  info.architecture = config.architecture;
  info.parameters = model.parameters();
  info.weight_bytes = model.weight_bytes();
  info.layers = config.blocks;
  info.width = config.width;
  info.context = config.context;
  info.vocabulary = config.vocabulary;
  info.cache_bytes_per_token = model.kv_bytes_per_position(kKvF16);
  info.instruction_set = tier_name(kernels);
  info.weights_from_cache = model.weights_from_cache();
  info.notes.assign(model.notes().begin(), model.notes().end());
  return info;
}

}  // namespace

std::string_view version() { return ANDIRON_VERSION; }

Result<int> resolve_threads(int threads) {
  constexpr int kThreadsMax = 1024;
  if (threads < 0 || threads > kThreadsMax) {
    return make_error("threads: expected 0 (one for each processor) to {}, got {}", kThreadsMax, threads);
  }
  return threads > 0 ? threads : ThreadTeam::processors_available();
}

Result<Model> Model::open(const std::string& path, const ModelOptions& options) {
  TRY_ASSIGN(const int threads, resolve_threads(options.threads));
  // Before any thread starts: AMX is granted to threads begun after it was asked for.
  TRY_ASSIGN(const KernelTable* kernels, select_kernels(options.instruction_set));
  ThreadTeam team(threads);
  LoadOptions load;
  load.team = &team;
  load.cache = {.enabled = options.cache, .folder = options.cache_folder, .bytes_max = options.cache_bytes_max};
  load.progress = options.progress;
  TRY_ASSIGN(auto source, open_model_source(path));
  // The tokenizer first: it fails within milliseconds, packing takes seconds.
  TRY_ASSIGN(auto spec, tokenizer_spec(*source));
  TRY_ASSIGN(auto tokenizer, andiron::Tokenizer::create(std::move(spec)));
  TRY_ASSIGN(auto model, andiron::Model::load(std::move(source), load));
  ModelInfo info = describe(*model, kernels);
  auto shared_tokenizer = std::make_shared<const Tokenizer::Impl>(Tokenizer::Impl{std::move(tokenizer)});
  return Model(std::make_shared<const Impl>(
      Impl{std::move(model), kernels, Tokenizer(std::move(shared_tokenizer)), std::move(info)}));
}

const ModelInfo& Model::info() const { return impl_->info; }
const Tokenizer& Model::tokenizer() const { return impl_->tokenizer; }

}  // namespace andiron::v1
