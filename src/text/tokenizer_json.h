// Tokenizers in Hugging Face's form: tokenizer.json with tokenizer_config.json and special_tokens_map.json.
//
// Understood: BPE, byte-level (GPT-2, Llama 3, Qwen, o200k ...) or in SentencePiece's manner (Llama 2, Mistral, Gemma),
// and WordPiece. Normalizers NFC, NFD, Lowercase, StripAccents, Prepend, Replace of the space, BertNormalizer;
// pre-tokenizers Split, ByteLevel, Digits, Punctuation, Whitespace, WhitespaceSplit, Metaspace, BertPreTokenizer, and
// sequences of them; post-processors that put one token before and one after. Anything else is an Error that names it,
// so that a tokenizer is either exact or refused.
//
// One difference on purpose: an added token is found by its content as written, also where the file asks for it to be
// normalized first ("normalized": true), because that would make markup depend on what stands before it.
#pragma once

#include <string_view>

#include "base/result.h"
#include "text/tokenizer_spec.h"

namespace andiron {

// `config_json` (tokenizer_config.json) and `special_tokens_map_json` may be empty; where they and tokenizer.json
// disagree about a token, tokenizer_config.json wins. `source` names the folder or file in messages. The chat template
// is the config's; one in a file of its own (chat_template.jinja) is for the caller to put into the spec.
//
// Ids without a token become "[PAD<id>]", unused. A SentencePiece model gets scores, the negated rank of the merge that
// makes each token, beside its merges, for programs that read only scores.
Result<TokenizerSpec> spec_from_tokenizer_json(std::string_view tokenizer_json, std::string_view config_json,
                                               std::string_view source, std::string_view special_tokens_map_json = {});

// Adds unused tokens "[PAD<id>]" until there are `count`: for a model with more embedding rows than tokens.
void pad_vocabulary(TokenizerSpec& spec, size_t count);

}  // namespace andiron
