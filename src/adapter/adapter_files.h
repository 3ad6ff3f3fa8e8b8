// What the readers and writers of adapter files share.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "adapter/adapter.h"
#include "adapter/adapter_base.h"
#include "base/result.h"
#include "tensor/dtype.h"

namespace andiron {

constexpr std::string_view kPeftConfig = "adapter_config.json";
constexpr std::string_view kPeftWeights = "adapter_model.safetensors";
constexpr std::string_view kKeyBaseHash = "andiron.base_hash";  // in the metadata of both kinds of file
constexpr int64_t kAdapterHeadsMax = 1 << 16;                   // far above any model's

// Puts the matrices in order and checks everything; with `base` also that it fits.
Status finish_adapter(Adapter& adapter, const AdapterBase* base, std::string_view source);

// Values as bytes of kF32 or kF16. A value that is not finite, or that F16 cannot hold, is an Error naming `what`.
Result<std::vector<uint8_t>> narrow_elements(DType dtype, std::span<const float> values, std::string_view what);

}  // namespace andiron
