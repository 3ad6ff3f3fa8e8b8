// Texts of tokens that end a reply, in models whose files do not say so. Gathered by llama.cpp (src/llama-vocab.cpp,
// "tokens that cause end of generation").
#pragma once

#include <string_view>

namespace andiron {

struct EndToken {
  std::string_view text;
  bool ends_turn = false;  // may stand for `eot` where the file names none
  // No ordinary token is spelled so: it is markup even where the file calls it normal. (The others occur in ordinary
  // text: "</s>" ends a strike-through in HTML, and Qwen has a token for that.)
  bool distinctive = true;
};

inline constexpr EndToken kEndTokens[] = {
    {"<|eot_id|>", true},             // Llama 3
    {"<|im_end|>", true},             // ChatML
    {"<|end|>", true},                // Phi-3, o200k_harmony
    {"<end_of_turn>", true},          // Gemma
    {"<|endoftext|>", true},          // GPT-2
    {"<|end_of_text|>", true},        // Granite
    {"<EOT>", true, false},           // CodeLlama
    {"_<EOT>", true, false},          // CodeLlama
    {"[EOT]", true, false},           // Kimi K2
    {"<｜end▁of▁sentence｜>", true},  // DeepSeek
    {"<end_of_utterance>", true},     // SmolDocling
    {"<|eom_id|>"},                   // Llama 3: a message, not the turn
    {"<|return|>"},                   // o200k_harmony
    {"<|call|>"},                     // o200k_harmony
    {"<|flush|>"},                    // Solar Open
    {"<|calls|>"},                    // Solar Open
    {"</s>", false, false},           // SentencePiece
    {"[EOS]", false, false},          // Kimi K2
    {"<eos>", false, false},          // Gemma
    {"<turn|>"},                      // Gemma 4
    {"<|tool_response>"},             // Gemma 4
    {"[e~[", false, false},           // MiniMax
    {"<|fim_pad|>"},                  // fill-in-the-middle: nothing sensible follows these three
    {"<|repo_name|>"},
    {"<|file_sep|>"},
};

inline constexpr std::string_view kEndOfMessage = "<|eom_id|>";

}  // namespace andiron
