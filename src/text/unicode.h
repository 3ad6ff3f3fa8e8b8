// What the tokenizers need of Unicode: categories, scripts, canonical normalization, lower case.
//
// Tables are generated (text/unicode_tables.h) from one version of the Unicode Character Database. Everything here is
// pure and may be called from any thread. Text need not be valid UTF-8: a byte that is part of no code point is kept
// as it is by the functions that rewrite text.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace andiron {

// General categories (UAX #44, table 12), grouped by their first letter. The order is that of the generated table.
// clang-format off
enum class Category : uint8_t {
  kLu, kLl, kLt, kLm, kLo, kMn, kMc, kMe, kNd, kNl, kNo, kPc, kPd, kPs, kPe, kPi, kPf, kPo,
  kSm, kSc, kSk, kSo, kZs, kZl, kZp, kCc, kCf, kCs, kCo, kCn
};
inline constexpr int kCategoryCount = 30;

// The scripts that pre-tokenizer patterns name (UAX #24).
enum class Script : uint8_t {
  kLatin, kGreek, kCyrillic, kArabic, kHebrew, kDevanagari, kThai, kLao, kKhmer, kMyanmar,
  kHangul, kHiragana, kKatakana, kBopomofo, kHan
};
inline constexpr int kScriptCount = 15;
// clang-format on

// The two-letter short name ("Lu") and the script's name ("Han").
std::string_view category_name(Category category);
std::string_view script_name(Script script);

// Category of a code point; anything above 0x10FFFF is unassigned (Cn).
Category category_of(uint32_t code_point);

// The White_Space property (PropList.txt): what \s means in every pattern here.
bool is_white_space(uint32_t code_point);
// Categories P*.
bool is_punctuation(uint32_t code_point);

// Normalization forms C and D (UAX #15).
std::string to_nfc(std::string_view text);
std::string to_nfd(std::string_view text);
// Every letter's lower case by its simple mapping, and U+0130 by its full one ("i" and a combining dot).
std::string to_lowercase(std::string_view text);

// The text without the code points of category Mn; with to_nfd before it, this strips accents.
std::string without_nonspacing_marks(std::string_view text);

}  // namespace andiron
