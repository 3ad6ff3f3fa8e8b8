#include "base/check.h"

#include <cstdio>
#include <cstdlib>

namespace andiron {

void check_failed(const char* file, int line, const char* condition) {
  std::fprintf(stderr, "andiron: internal error at %s:%d: %s\n", file, line, condition);
  std::abort();
}

}  // namespace andiron
