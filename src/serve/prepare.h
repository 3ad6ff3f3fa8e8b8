// From what a request asks for to what the engine is given: prompts as tokens, a grammar, the sampling chain.
//
// Takes as long as a template, a tokenizer and a grammar take: no work for the network's thread. Any thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/session.h"
#include "serve/api_ask.h"
#include "serve/api_error.h"
#include "serve/api_exchange.h"
#include "serve/api_ollama.h"
#include "serve/grammar_cache.h"
#include "serve/model_host.h"

namespace andiron {

// Answers that one request may ask for: prompts times `n`.
inline constexpr size_t kAnswersMax = 128;

struct PreparedPrompt {
  std::vector<int32_t> tokens;  // at least one
  bool begins_text = false;     // GenerateOptions::strip_first_space
};

struct PreparedAnswer {
  std::vector<PreparedPrompt> prompts;
  // Of choice 0; choice i has its seed plus i. `strip_first_space` as the prompt says.
  GenerateOptions generate;
  Worn worn;
  ExchangeOptions exchange;  // but for the head
};

// `drawn` is a random number: the seed of a request that has none, and what the ids of calls are made of.
ApiResult<PreparedAnswer> prepare_chat(ModelHost& host, GrammarCache& grammars, ChatAsk ask, uint64_t drawn);
ApiResult<PreparedAnswer> prepare_completion(ModelHost& host, GrammarCache& grammars, CompletionAsk ask,
                                             uint64_t drawn);
// Ollama's generate, which a base model answers by going on with the text.
ApiResult<PreparedAnswer> prepare_generate(ModelHost& host, GrammarCache& grammars, GenerateAsk ask, uint64_t drawn);

// The tokens of a conversation, up to where the answer begins.
ApiResult<std::vector<int32_t>> conversation_tokens(ModelHost& host, const ChatAsk& ask);
// Those of each input. As the model was trained to embed: with the tokens that it wants around a text.
ApiResult<std::vector<std::vector<int32_t>>> embedding_tokens(const ModelHost& host, const EmbeddingsAsk& ask);
ApiResult<std::vector<int32_t>> tokenized(ModelHost& host, const TokenizeAsk& ask);

}  // namespace andiron
