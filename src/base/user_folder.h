// Where a person's files of one kind lie (XDG Base Directory Specification 0.8).
#pragma once

#include <string>
#include <string_view>

namespace andiron {

// $VARIABLE/andiron, or ~/BELOW_HOME/andiron where the variable is no absolute path; "" when HOME is none either.
// Nothing is made.
std::string user_folder(const char* variable, std::string_view below_home);

}  // namespace andiron
