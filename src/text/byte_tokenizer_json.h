// For tests only: a tokenizer.json with a token for each byte and one that ends texts and messages.
#pragma once

#include <cstdint>
#include <string>

#include "base/json.h"
#include "base/strings.h"
#include "text/byte_level.h"

namespace andiron {

inline std::string byte_tokenizer_json() {
  Json vocabulary = Json::object();
  for (uint32_t byte = 0; byte < 256; ++byte) {
    std::string letter;
    append_utf8(letter, byte_level_character(static_cast<uint8_t>(byte)));
    vocabulary.set(letter, static_cast<int64_t>(byte));
  }
  return R"({"version": "1.0", "added_tokens": [{"id": 256, "content": "<|end|>", "single_word": false,
    "lstrip": false, "rstrip": false, "normalized": false, "special": true}], "normalizer": null,
    "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
    "post_processor": null, "decoder": {"type": "ByteLevel"},
    "model": {"type": "BPE", "merges": [], "vocab": )" +
         vocabulary.dump() + "}}";
}
// Its companion tokenizer_config.json.
inline std::string byte_tokenizer_config() { return R"({"eos_token": "<|end|>"})"; }

}  // namespace andiron
