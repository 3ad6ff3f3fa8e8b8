// Base64 (RFC 4648, section 4): bytes within JSON.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace andiron {

std::string to_base64(std::span<const uint8_t> bytes);

// Only what to_base64() writes is read: padded, without line ends or spaces, the unused bits of the last digit zero. So
// bytes have one text. `what` names it in the Error.
Result<std::vector<uint8_t>> from_base64(std::string_view text, std::string_view what);

}  // namespace andiron
