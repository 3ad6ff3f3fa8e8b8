// GPT-2's byte alphabet: every byte as a printable character, so that a token of any bytes is text.
// Bytes that are printable in Latin-1 (0x21-0x7E, 0xA1-0xAC, 0xAE-0xFF) stand for themselves, the other 68 become
// U+0100 and on in their order (openai/gpt-2, encoder.py, bytes_to_unicode).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace andiron {

// The character that stands for a byte.
uint32_t byte_level_character(uint8_t byte);

// Appends the bytes of `text` in the byte alphabet (one or two bytes of UTF-8 each).
void append_byte_level(std::string& out, std::string_view text);

// Appends the bytes that a token's text stands for. False, with `out` as it was, when a character is outside the
// alphabet.
bool append_from_byte_level(std::string& out, std::string_view token_text);

}  // namespace andiron
