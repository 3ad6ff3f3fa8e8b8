// XXH3 (github.com/Cyan4973/xxHash): by which files and what was made of them are known again. Whoever wants to can
// make two contents of one hash: it tells what has changed, not what was forged. Its values are written to files, so
// they stay what they are.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace andiron {

// XXH3-128 of what is added, piece by piece.
class ContentHash {
 public:
  ContentHash();
  ContentHash(ContentHash&&) noexcept;
  ContentHash& operator=(ContentHash&&) = delete;
  ~ContentHash();

  void add(std::span<const uint8_t> bytes);
  void add(uint64_t number);
  // With its length in front, so that no byte can move from one text to the next unnoticed.
  void add_text(std::string_view text);

  // Of all that was added: 32 hexadecimal digits, as xxhsum -H2 prints them.
  std::string digits() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// The same of one piece.
std::string content_hash(std::string_view bytes);

// XXH3-64, and the same as 16 hexadecimal digits.
uint64_t short_hash(std::span<const uint8_t> bytes);
std::string short_hash_digits(std::string_view bytes);

}  // namespace andiron
