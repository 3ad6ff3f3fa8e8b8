#include "adapter/hf_modules.h"

#include <algorithm>

#include "base/strings.h"
#include "format/hf_names.h"

namespace andiron {

namespace {

constexpr std::string_view kWeight = ".weight";

Result<const HfFamily*> family_of(const Adapter& adapter, std::string_view source) {
  const HfFamily* family = find_hf_family(adapter.architecture);
  if (family != nullptr) return family;
  if (adapter.architecture.empty()) {
    return make_error("{}: does not say what kind of model it is for; give the model with it", source);
  }
  return make_error("{}: is for a model of the kind \"{}\", which is not supported", source,
                    in_quotes(adapter.architecture));
}

Result<HfModule> finished(const Adapter& adapter, const HfFamily& family, HfRole role, HfModule out,
                          std::string_view source) {
  if (layer_order(out.layer) < 0) {
    return make_error(
        "{}: \"{}\" is not a layer that an adapter can change here; linear layers that are no experts are", source,
        in_quotes(out.module));
  }
  const bool is_turned = interleaved_heads(family, role, 1, 1) != 0;
  out.interleaved_heads = interleaved_heads(family, role, adapter.heads, adapter.heads_kv);
  if (is_turned && out.interleaved_heads == 0) {
    return make_error(
        "{}: how many heads the model has must be known to put the rows of \"{}\" in order; give the model "
        "with it",
        source, in_quotes(out.module));
  }
  return out;
}

}  // namespace

Result<HfModule> module_to_layer(const Adapter& adapter, std::string_view module, std::string_view source) {
  TRY_ASSIGN(const HfFamily* family, family_of(adapter, source));
  HfConfig any;  // of that family, as large as may be: whether the base has the layer is for match_base to say
  any.family = family;
  any.blocks = kHfBlocksMax;
  any.experts = kHfExpertsMax;
  const auto name = translate_hf_name(any, format("{}{}", module, kWeight), source);
  if (!name.ok() || !name->gguf.ends_with(kWeight)) {
    return make_error("{}: \"{}\" is not a module that models of the kind {} have", source, in_quotes(module),
                      family->gguf);
  }
  std::string layer = name->gguf.substr(0, name->gguf.size() - kWeight.size());
  return finished(adapter, *family, name->role, {std::move(layer), std::string(module), 0}, source);
}

Result<HfModule> layer_to_module(const Adapter& adapter, std::string_view layer, std::string_view source) {
  TRY_ASSIGN(const HfFamily* family, family_of(adapter, source));
  TRY_ASSIGN(GgufName name, translate_gguf_name(*family, format("{}{}", layer, kWeight), source));
  name.hf.resize(name.hf.size() - kWeight.size());
  return finished(adapter, *family, name.role, {std::string(layer), std::move(name.hf), 0}, source);
}

Result<std::vector<float>> turn_rows(const HfModule& module, std::vector<float> values, int64_t n, RowOrder wanted,
                                     std::string_view source) {
  if (module.interleaved_heads == 0) return values;
  const auto rows = static_cast<uint64_t>(n);
  if (rows == 0 || rows % (uint64_t{2} * module.interleaved_heads) != 0) {
    return make_error("{}: \"{}\" with {} rows cannot be split into {} heads of pairs", source,
                      in_quotes(module.module), n, module.interleaved_heads);
  }
  const uint64_t per_head = rows / module.interleaved_heads;
  const uint64_t width = values.size() / rows;
  std::vector<float> out(values.size());
  for (uint64_t i = 0; i < rows; ++i) {
    const uint64_t from = interleaved_from(i, per_head);  // row i of GGUF lies there in Hugging Face's order
    const auto [source_row, target_row] = wanted == RowOrder::kGguf ? std::pair(from, i) : std::pair(i, from);
    std::copy_n(values.data() + source_row * width, width, out.data() + target_row * width);
  }
  return out;
}

}  // namespace andiron
