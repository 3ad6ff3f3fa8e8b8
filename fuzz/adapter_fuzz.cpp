// An adapter: a GGUF file, or adapter_config.json, a zero byte and adapter_model.safetensors. Whatever is taken must
// hold all that check_adapter says, fit the base it was read for, and fold.
#include <cstdlib>

#include "adapter/adapter_base.h"
#include "adapter/fold.h"

namespace {

void use(const andiron::Result<andiron::Adapter>& adapter) {
  using namespace andiron;
  if (!adapter.ok()) {
    if (adapter.error().message.empty()) std::abort();
    return;
  }
  if (!check_adapter(*adapter, "input").ok()) std::abort();
  const WornAdapter worn[] = {{&*adapter, 1}};
  for (const AdapterMatrix& matrix : adapter->matrices) {
    std::vector<float> row(static_cast<size_t>(matrix.k), 1.0f);
    fold_rows(worn, matrix.layer, matrix.n - 1, 1, row);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace andiron;
  static const AdapterBase kBase = {.name = "base",
                                    .hash = "",
                                    .architecture = "llama",
                                    .heads = 2,
                                    .heads_kv = 1,
                                    .layers = {{"blk.0.attn_q", 16, 12}, {"blk.0.attn_k", 8, 12}}};
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  for (const AdapterBase* base : {static_cast<const AdapterBase*>(nullptr), &kBase}) {
    if (input.starts_with("GGUF")) {
      use(read_gguf_adapter(std::span(data, size), base, "input"));
      continue;
    }
    const size_t end = input.find('\0');
    if (end == std::string_view::npos) return 0;
    use(read_peft(input.substr(0, end), std::span(data, size).subspan(end + 1), base, "input"));
  }
  return 0;
}
