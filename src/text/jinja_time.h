// strftime for templates, without locale and clock.
#pragma once

#include <cstdint>

#include "text/jinja_runtime.h"

namespace andiron::jinja {

// Appends `pattern` with its conversions (C's strftime in the "C" locale, and glibc's '-' flag) replaced by the parts
// of `seconds`, counted from 1970-01-01 00:00. An unknown conversion stays as it is.
void append_time(TextBuilder& out, const Text& pattern, int64_t seconds);

}  // namespace andiron::jinja
