// Tensor names and row orders of Hugging Face models, in GGUF's words and back.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "format/hf_config.h"

namespace andiron {

enum class HfRole {
  kPlain,
  kQuery,   // q rows, and
  kKey,     // k rows: interleaved where the family asks for it
  kNorm,    // 1 is added where the family asks for it
  kExpert,  // one of `experts` that are stacked into a tensor of three dimensions
  kIgnored  // not a weight of the language model
};

struct HfName {
  std::string gguf;  // empty when ignored
  HfRole role = HfRole::kPlain;
  uint32_t expert = 0;
};

// An Error for a name that this family does not have: a weight left out in silence would give wrong answers.
Result<HfName> translate_hf_name(const HfConfig& config, std::string_view name, std::string_view source);

// The way back: "blk.3.attn_q.weight" -> "model.layers.3.self_attn.q_proj.weight". An Error for experts, which GGUF
// keeps in one tensor, and for names that the family does not have.
struct GgufName {
  std::string hf;
  HfRole role = HfRole::kPlain;
};
Result<GgufName> translate_gguf_name(const HfFamily& family, std::string_view name, std::string_view source);

// Within how many heads the rows of a tensor in this role are interleaved in GGUF; 0: they stay where they are.
inline uint32_t interleaved_heads(const HfFamily& family, HfRole role, uint32_t heads, uint32_t heads_kv) {
  if (!family.permutes_qk) return 0;
  return role == HfRole::kQuery ? heads : role == HfRole::kKey ? heads_kv : 0;
}

// Where row (or element) `index` of a GGUF tensor lies in the Hugging Face one. Hugging Face pairs element i of a head
// with i + half for rotation; GGUF's "llama" pairs 2 i with 2 i + 1 (llama.cpp, conversion/llama.py, permute).
inline uint64_t interleaved_from(uint64_t index, uint64_t per_head) {
  const uint64_t within = index % per_head;
  return index - within + within % 2 * (per_head / 2) + within / 2;
}

}  // namespace andiron
