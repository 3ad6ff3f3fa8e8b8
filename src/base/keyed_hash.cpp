#include "base/keyed_hash.h"

#include <sys/random.h>

#include <array>
#include <chrono>

namespace andiron {

namespace {

HashKey draw_key() {
  std::array<uint64_t, 2> words = {};
  // Without the system's random numbers the time and where things lie in memory are the best there is.
  if (::getentropy(words.data(), sizeof words) != 0) {
    words[0] = static_cast<uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
    words[1] = folded_multiply(reinterpret_cast<uintptr_t>(&words) ^ words[0], 0xd6e8feb86659fd93u);
  }
  return {words[0], words[1] | 1};
}

}  // namespace

const HashKey& hash_key() {
  static const HashKey key = draw_key();
  return key;
}

}  // namespace andiron
