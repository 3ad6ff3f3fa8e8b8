// A Hugging Face folder's config.json, and after a zero byte tensor names, one a line.
#include <cstdlib>

#include "base/json.h"
#include "format/hf_config.h"
#include "format/hf_names.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace andiron;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const size_t end = input.find('\0');
  const auto json = parse_json(input.substr(0, end), "config.json", {.depth = 16, .values = 100'000});
  if (!json.ok()) return 0;
  const auto config = read_hf_config(*json, "config.json");
  if (!config.ok()) return 0;
  if (config->blocks == 0 || config->heads == 0 || config->heads_kv == 0) std::abort();
  std::string_view names = end == std::string_view::npos ? "" : input.substr(end + 1);
  while (!names.empty()) {
    const std::string_view name = names.substr(0, names.find('\n'));
    names.remove_prefix(std::min(names.size(), name.size() + 1));
    const auto translated = translate_hf_name(*config, name, "model.safetensors");
    if (!translated.ok()) continue;
    if (translated->role == HfRole::kExpert && translated->expert >= config->experts) std::abort();
    if (translated->gguf.empty() != (translated->role == HfRole::kIgnored)) std::abort();
  }
  return 0;
}
