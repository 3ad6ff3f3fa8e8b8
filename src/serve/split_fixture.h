// For tests only: what a splitter made of an answer, in a form that compares well.
#pragma once

#include <algorithm>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "base/strings.h"
#include "serve/tool_calls.h"

namespace andiron {

// Pieces of the same kind joined: "text:Hello", "think:...", "call:name {arguments}".
inline std::vector<std::string> described(const std::vector<AnswerPart>& parts) {
  std::vector<std::string> out;
  const AnswerPart* last = nullptr;
  for (const AnswerPart& part : parts) {
    const bool same = last != nullptr && last->kind == part.kind && part.kind != AnswerPart::Kind::kCall;
    switch (part.kind) {
      case AnswerPart::Kind::kText: out.push_back(same ? out.back() + part.text : "text:" + part.text); break;
      case AnswerPart::Kind::kThinking: out.push_back(same ? out.back() + part.text : "think:" + part.text); break;
      case AnswerPart::Kind::kCall: out.push_back("call:" + part.text + " "); break;
      case AnswerPart::Kind::kArguments:
        if (out.empty()) out.emplace_back("arguments of nothing ");
        out.back() += part.text;
        last = &part;
        continue;
    }
    if (same) out.erase(out.end() - 2);
    last = &part;
  }
  return out;
}

// Feeds `text` to what has push() and finish(), cut at random between characters.
template <typename Splitter>
std::vector<AnswerPart> feed(Splitter splitter, std::string_view text, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<AnswerPart> parts;
  for (size_t at = 0; at < text.size();) {
    size_t end = at;
    // Seed 0: all at once; 1: character by character; others: as it comes.
    const size_t count = seed == 0 ? text.size() : seed == 1 ? 1 : 1 + random() % 7;
    for (size_t i = 0; i < count && end < text.size(); ++i) next_code_point(text, end);
    splitter.push(text.substr(at, end - at), parts);
    at = end;
  }
  splitter.finish(parts);
  return parts;
}

}  // namespace andiron
