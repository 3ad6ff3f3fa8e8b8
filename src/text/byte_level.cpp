#include "text/byte_level.h"

#include <array>

#include "base/strings.h"

namespace andiron {

namespace {

constexpr bool stands_for_itself(uint32_t byte) {
  return (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || (byte >= 0xae && byte <= 0xff);
}

struct Alphabet {
  std::array<uint16_t, 256> char_of{};
  std::array<int16_t, 0x144> byte_of{};  // -1: not in the alphabet
};

constexpr Alphabet make_alphabet() {
  Alphabet alphabet;
  for (auto& byte : alphabet.byte_of) byte = -1;
  uint16_t next = 0x100;
  for (uint32_t byte = 0; byte < 256; ++byte) {
    const uint16_t code_point = stands_for_itself(byte) ? static_cast<uint16_t>(byte) : next++;
    alphabet.char_of[byte] = code_point;
    alphabet.byte_of[code_point] = static_cast<int16_t>(byte);
  }
  return alphabet;
}

constexpr Alphabet kAlphabet = make_alphabet();

}  // namespace

uint32_t byte_level_character(uint8_t byte) { return kAlphabet.char_of[byte]; }

void append_byte_level(std::string& out, std::string_view text) {
  for (const char c : text) {
    const uint32_t code_point = kAlphabet.char_of[static_cast<uint8_t>(c)];
    if (code_point < 0x80) {
      out += static_cast<char>(code_point);
    } else {
      out += static_cast<char>(0xc0 | code_point >> 6);
      out += static_cast<char>(0x80 | (code_point & 0x3f));
    }
  }
}

bool append_from_byte_level(std::string& out, std::string_view token_text) {
  const size_t size = out.size();
  for (size_t at = 0; at < token_text.size();) {
    const uint32_t code_point = next_code_point(token_text, at);
    const int byte = code_point < kAlphabet.byte_of.size() ? kAlphabet.byte_of[code_point] : -1;
    if (byte < 0) {
      out.resize(size);
      return false;
    }
    out += static_cast<char>(byte);
  }
  return true;
}

}  // namespace andiron
