#include "base/user_folder.h"

#include <cstdlib>

#include "base/strings.h"

namespace andiron {

std::string user_folder(const char* variable, std::string_view below_home) {
  const char* set = std::getenv(variable);
  if (set != nullptr && set[0] == '/') return format("{}/andiron", set);
  const char* home = std::getenv("HOME");
  if (home != nullptr && home[0] == '/') return format("{}/{}/andiron", home, below_home);
  return "";
}

}  // namespace andiron
