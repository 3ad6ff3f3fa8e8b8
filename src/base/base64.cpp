#include "base/base64.h"

#include <algorithm>
#include <array>

#include "base/strings.h"

namespace andiron {

namespace {

constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr uint8_t kNoDigit = 64;

constexpr std::array<uint8_t, 256> digit_values() {
  std::array<uint8_t, 256> values{};
  values.fill(kNoDigit);
  for (size_t i = 0; i < kDigits.size(); ++i) values[static_cast<uint8_t>(kDigits[i])] = static_cast<uint8_t>(i);
  return values;
}
constexpr std::array<uint8_t, 256> kValues = digit_values();

}  // namespace

std::string to_base64(std::span<const uint8_t> bytes) {
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t at = 0; at < bytes.size(); at += 3) {
    const size_t count = std::min<size_t>(3, bytes.size() - at);
    uint32_t group = 0;
    for (size_t i = 0; i < 3; ++i) group = group << 8 | (i < count ? bytes[at + i] : 0U);
    for (size_t i = 0; i < 4; ++i) out += i <= count ? kDigits[group >> (18 - 6 * i) & 63] : '=';
  }
  return out;
}

Result<std::vector<uint8_t>> from_base64(std::string_view text, std::string_view what) {
  const auto wrong = [&] { return make_error("{} is not Base64 as RFC 4648 has it, padded and on one line", what); };
  if (text.size() % 4 != 0) return wrong();
  std::vector<uint8_t> out;
  out.reserve(text.size() / 4 * 3);
  for (size_t at = 0; at < text.size(); at += 4) {
    const bool last = at + 4 == text.size();
    const size_t padding = !last || text[at + 3] != '=' ? 0 : text[at + 2] != '=' ? 1 : 2;
    uint32_t group = 0;
    for (size_t i = 0; i < 4; ++i) {
      const uint8_t value = i < 4 - padding ? kValues[static_cast<uint8_t>(text[at + i])] : uint8_t{0};
      if (value == kNoDigit) return wrong();
      group = group << 6 | value;
    }
    if (padding > 0 && (group & ((1U << (8 * padding)) - 1)) != 0) return wrong();
    for (size_t i = 0; i < 3 - padding; ++i) out.push_back(static_cast<uint8_t>(group >> (16 - 8 * i)));
  }
  return out;
}

}  // namespace andiron
