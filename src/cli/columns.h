// Two texts beside each other on a terminal.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace andiron {

// `text` in lines of at most `width` (1 or more) code points, broken between words where there are any; line ends stay
// line ends. A tab counts as one space. (Characters that take two columns are counted as one.)
std::vector<std::string> wrap_text(std::string_view text, size_t width);

// Two columns in `width`, with `divider` between them; every line ends with a line end. Fewer than 20 columns are
// treated as 20.
std::string side_by_side(std::string_view left, std::string_view right, size_t width, std::string_view divider);

}  // namespace andiron
