#include "base/content_hash.h"

#include "base/strings.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace andiron {

struct ContentHash::State {
  XXH3_state_t hash;
};

ContentHash::ContentHash() : state_(std::make_unique<State>()) { XXH3_128bits_reset(&state_->hash); }
ContentHash::ContentHash(ContentHash&&) noexcept = default;
ContentHash::~ContentHash() = default;

void ContentHash::add(std::span<const uint8_t> bytes) {
  XXH3_128bits_update(&state_->hash, bytes.data(), bytes.size());
}

void ContentHash::add(uint64_t number) { XXH3_128bits_update(&state_->hash, &number, sizeof number); }

void ContentHash::add_text(std::string_view text) {
  add(uint64_t{text.size()});
  XXH3_128bits_update(&state_->hash, text.data(), text.size());
}

std::string ContentHash::digits() const {
  const XXH128_hash_t hash = XXH3_128bits_digest(&state_->hash);
  return format("{:016x}{:016x}", hash.high64, hash.low64);
}

std::string content_hash(std::string_view bytes) {
  const XXH128_hash_t hash = XXH3_128bits(bytes.data(), bytes.size());
  return format("{:016x}{:016x}", hash.high64, hash.low64);
}

uint64_t short_hash(std::span<const uint8_t> bytes) { return XXH3_64bits(bytes.data(), bytes.size()); }

std::string short_hash_digits(std::string_view bytes) {
  return format("{:016x}", XXH3_64bits(bytes.data(), bytes.size()));
}

}  // namespace andiron
