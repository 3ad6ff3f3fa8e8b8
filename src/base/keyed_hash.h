// Hashes for tables of names that come from files.
//
// Whoever makes a file can choose names that collide in a hash that everybody can compute; a table of them then takes
// quadratic time. These hashes depend on a key drawn once in each process, so nobody can. They differ from run to run:
// nothing that is written or shown may depend on them, nor on the order of a table that uses them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace andiron {

struct HashKey {
  uint64_t start;
  uint64_t factor;  // odd
};

// The key of this process. Any thread.
const HashKey& hash_key();

// The two halves of the product together: every bit of the result depends on every bit of `a` (the folded multiply of
// wyhash and its kin).
inline uint64_t folded_multiply(uint64_t a, uint64_t b) {
  __extension__ using Wide = unsigned __int128;
  const Wide product = static_cast<Wide>(a) * b;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

inline uint64_t keyed_hash(uint64_t value, const HashKey& key = hash_key()) {
  return folded_multiply(folded_multiply(value ^ key.start, key.factor), 0xa0761d6478bd642fu);
}

inline uint64_t keyed_hash(std::string_view text, const HashKey& key = hash_key()) {
  uint64_t hash = key.start ^ text.size();
  const char* data = text.data();
  size_t left = text.size();
  for (; left >= 8; data += 8, left -= 8) {
    uint64_t word = 0;
    std::memcpy(&word, data, 8);
    hash = folded_multiply(hash ^ word, key.factor);
  }
  uint64_t tail = 0;
  for (size_t i = 0; i < left; ++i) tail |= static_cast<uint64_t>(static_cast<uint8_t>(data[i])) << (8 * i);
  return folded_multiply(folded_multiply(hash ^ tail, key.factor), 0xa0761d6478bd642fu);
}

// For the standard library's tables.
struct KeyedHash {
  using is_transparent = void;
  size_t operator()(std::string_view text) const { return static_cast<size_t>(keyed_hash(text)); }
};

}  // namespace andiron
