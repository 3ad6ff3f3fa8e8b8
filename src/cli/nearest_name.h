// What a person may have meant who mistyped a name.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace andiron {

// The one of `names` that is fewest edits (a letter put in, taken out, changed, or two neighbours changed round) away
// from `word`, the first of equals; "" where none is nearer than half the letters of `word`.
// What is returned lies in `names`.
std::string_view nearest_name(std::string_view word, std::span<const std::string> names);

}  // namespace andiron
