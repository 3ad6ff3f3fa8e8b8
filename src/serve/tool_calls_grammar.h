// Grammars of calls: what is forced where a request requires one. Internal to api_grammar.cpp and tests.
#pragma once

#include <span>
#include <string_view>

#include "base/result.h"
#include "grammar/grammar.h"
#include "serve/tool_calls.h"

namespace andiron {

// Whether calls of a style can be forced; others are asked for in plain_call_style().
bool has_call_grammar(const CallStyle& style);

// One call of one of `tools` (at least one), or several where `parallel`; a node of `grammar`. `begun`: what of the
// first call stands in the prompt. An Error names what of a tool's schema no grammar can carry.
Result<uint32_t> add_calls(Grammar& grammar, const CallStyle& style, std::span<const OfferedTool> tools, bool parallel,
                           std::string_view begun);

// The rules of `other`; its root becomes a rule of `grammar`, which is returned.
uint32_t add_rules(Grammar& grammar, const Grammar& other);
// Any text up to the first `mark`, and the mark. No byte of the mark but its first equals its first.
uint32_t add_text_until(Grammar& grammar, std::string_view mark);

}  // namespace andiron
