// For tests and the fuzzer: a tokenizer with a token for each byte and ChatML's markup.
#pragma once

#include <string>
#include <utility>

#include "base/check.h"
#include "base/strings.h"
#include "text/byte_level.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace andiron {

inline constexpr int32_t kImEnd = 257;

inline Tokenizer byte_tokenizer(std::string chat_template = std::string(kChatmlTemplate), bool bos = false) {
  TokenizerSpec spec;
  spec.source = "test";
  std::string letter;
  for (uint32_t byte = 0; byte < 256; ++byte) {
    letter.clear();
    append_utf8(letter, byte_level_character(static_cast<uint8_t>(byte)));
    spec.tokens.push_back(letter);
  }
  spec.types.assign(256, TokenType::kNormal);
  for (const char* token : {"<|im_start|>", "<|im_end|>", "<s>", "</s>", "<think>", "</think>"}) {
    spec.tokens.push_back(token);
    spec.types.push_back(TokenType::kControl);
  }
  spec.eot = kImEnd;
  spec.bos = 258;
  spec.eos = 259;
  spec.add_bos = bos;
  spec.chat_template = std::move(chat_template);
  auto tokenizer = Tokenizer::create(std::move(spec));
  ANDIRON_CHECK(tokenizer.ok());
  return std::move(*tokenizer);
}

}  // namespace andiron
