#include "model/model.h"

#include <utility>

#include "base/strings.h"
#include "model/family.h"
#include "model/kv_cache.h"
#include "model/rope.h"
#include "model/weights.h"
#include "ops/kv_cache.h"

namespace andiron {

Model::Model() = default;
Model::~Model() = default;

std::vector<std::string_view> Model::architectures() {
  std::vector<std::string_view> names;
  for (const Family* family : all_families()) names.push_back(family->name);
  return names;
}

Result<std::shared_ptr<const Model>> Model::load(const std::string& path, const LoadOptions& options) {
  TRY_ASSIGN(auto source, open_model_source(path));
  return load(std::move(source), options);
}

namespace {

Result<const Family*> family_of(const ModelSource& source) {
  TRY_ASSIGN(const std::string_view architecture, source.meta_text("general.architecture"));
  if (const Family* family = find_family(architecture)) return family;
  std::string supported;
  for (const std::string_view name : Model::architectures()) {
    supported += format("{}{}", supported.empty() ? "" : ", ", name);
  }
  return make_error("{}: the architecture \"{}\" is not supported; supported are {}", source.path(),
                    in_quotes(architecture), supported);
}

}  // namespace

Result<ModelConfig> Model::read_config(const ModelSource& source) {
  TRY_ASSIGN(const Family* family, family_of(source));
  return read_model_config(source, *family);
}

Result<std::shared_ptr<const Model>> Model::load(std::unique_ptr<const ModelSource> source,
                                                 const LoadOptions& options) {
  TRY_ASSIGN(const Family* family, family_of(*source));
  std::shared_ptr<Model> model(new Model());
  model->family_ = family;
  TRY_ASSIGN(model->config_, read_model_config(*source, *family));
  TRY_ASSIGN(auto ropes, RopePlans::create(*source, model->config_));
  model->ropes_ = std::make_unique<const RopePlans>(std::move(ropes));
  TRY_ASSIGN(model->weights_, load_weights(*source, model->config_, *family, options, model->notes_));
  model->source_ = std::move(source);
  return std::shared_ptr<const Model>(std::move(model));
}

uint64_t Model::parameters() const {
  uint64_t sum = 0;
  for (const TensorInfo& tensor : source_->tensors()) sum += tensor.elements;
  return sum;
}

uint64_t Model::weight_bytes() const { return weights_->store.bytes(); }

bool Model::weights_from_cache() const { return weights_->store.from_cache(); }

uint64_t Model::kv_bytes_per_position(KvFormat format) const { return andiron::kv_bytes_per_position(config_, format); }

Status Model::check_intact() const {
  TRY(weights_->store.check_intact());
  return source_->check_intact();
}

}  // namespace andiron
