// The adapters that `andiron serve` offers: those of the store that were made for its model, or those that were named.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "serve/model_host.h"

namespace andiron {

// `named`: names of the store, PEFT folders and GGUF adapters, which requests know by the last part of their path;
// empty for the whole store, which is looked through anew each time. `base_name`: AdapterBase::name of the model. An
// Error where one of `named` is not there, or two have one name.
Result<AdapterSource> served_adapters(const std::vector<std::string>& named, const std::string& base_name);

}  // namespace andiron
