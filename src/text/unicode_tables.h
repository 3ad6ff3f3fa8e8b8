// The generated Unicode tables behind text/unicode.h; nothing else should need them.
#pragma once

#include <cstdint>
#include <span>

namespace andiron::unicode_tables {

struct ScriptRange {
  uint8_t script;  // enum class Script
  uint32_t first;
  uint32_t last;  // inclusive
};
struct CodePointPair {
  uint32_t from;
  uint32_t to;
};
struct Decomposition {
  uint32_t code_point;
  uint16_t at;  // into kDecompositionParts
  uint8_t count;
};
struct Composition {
  uint32_t first;
  uint32_t second;
  uint32_t composed;
};

// Every table is sorted by its first code point (kScripts by script, then code point).
extern const std::span<const uint32_t> kCategories;  // (first code point << 5 | Category), each up to the next
extern const std::span<const ScriptRange> kScripts;
extern const std::span<const uint32_t> kCombiningClasses;     // (first code point << 8 | class), each up to the next
extern const std::span<const CodePointPair> kLowercase;       // simple mappings
extern const std::span<const Decomposition> kDecompositions;  // canonical, expanded in full, without Hangul
extern const std::span<const uint32_t> kDecompositionParts;
extern const std::span<const Composition> kCompositions;  // canonical, exclusions left out, without Hangul

}  // namespace andiron::unicode_tables
