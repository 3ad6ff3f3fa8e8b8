// Upper, lower and title case of text as Python's str methods give them (full mappings, without language).
#pragma once

#include <cstddef>
#include <cstdint>

#include "text/jinja_runtime.h"
#include "text/jinja_text.h"

namespace andiron::jinja {

enum class Case : uint8_t { kUpper, kLower, kTitle, kSwap, kFold };

// Appends bytes [begin, end) of `text` with each character's case changed; every character keeps its taint. kTitle maps
// each single character; str.title and capitalize choose which.
void append_case(TextBuilder& out, const Text& text, size_t begin, size_t end, Case wanted);

// Letters that have case; those in lower case.
bool is_cased(uint32_t code_point);
bool is_lower(uint32_t code_point);

}  // namespace andiron::jinja
