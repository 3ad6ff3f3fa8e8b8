#include "text/pre_tokenizer.h"

#include <algorithm>
#include <utility>

#include "base/strings.h"
#include "text/unicode.h"

namespace andiron {

namespace {

constexpr size_t kStagesMax = 16;

using Behavior = PreStage::Behavior;

struct Part {
  TextSpan span;
  bool matched;
};

void isolate_matches(const Regex& regex, std::string_view text, size_t offset, bool invert, std::vector<Part>& out) {
  RegexScanner scanner(regex, text);
  size_t gap = 0;
  for (size_t at = 0; at < text.size();) {
    const size_t size = scanner.match_at(at);
    if (size == 0) {
      next_code_point(text, at);
      continue;
    }
    if (gap < at) out.push_back({{offset + gap, offset + at}, invert});
    out.push_back({{offset + at, offset + at + size}, !invert});
    at += size;
    gap = at;
  }
  if (gap < text.size()) out.push_back({{offset + gap, offset + text.size()}, invert});
}

bool is_word_character(uint32_t c) {
  const Category category = category_of(c);
  return category <= Category::kNd || category == Category::kPc;
}

// Cuts every run of decimal digits so that each cut has a multiple of three digits between it and the run's end;
// with `before_end`, only runs that no word character follows, and those are cut off from the text before them too.
void cut_digit_triples(std::string_view text, size_t offset, bool before_end, std::vector<Part>& out) {
  size_t piece = 0;
  std::vector<size_t> digits;
  const auto cut = [&](size_t at) {
    if (at > piece) out.push_back({{offset + piece, offset + at}, false});
    piece = at;
  };
  for (size_t at = 0; at <= text.size();) {
    const size_t here = at;
    const bool end = at == text.size();
    const uint32_t c = end ? 0 : next_code_point(text, at);
    if (end) ++at;
    if (!end && category_of(c) == Category::kNd) {
      digits.push_back(here);
      continue;
    }
    if (!before_end || end || !is_word_character(c)) {
      for (size_t i = 0; i < digits.size(); ++i) {
        if ((digits.size() - i) % 3 == 0 || (before_end && i == 0)) cut(digits[i]);
      }
      if (before_end && !digits.empty()) cut(here);
    }
    digits.clear();
  }
  cut(text.size());
}

// Turns parts into pieces as Hugging Face's SplitDelimiterBehavior says.
void apply_behavior(Behavior behavior, const std::vector<Part>& parts, std::vector<TextSpan>& out) {
  bool previous_matched = false;
  for (size_t i = 0; i < parts.size(); ++i) {
    const Part& part = parts[i];
    bool joins = false;
    switch (behavior) {
      case Behavior::kIsolated: break;
      case Behavior::kRemoved:
        if (part.matched) continue;
        break;
      case Behavior::kMergedWithPrevious: joins = i > 0 && part.matched && !previous_matched; break;
      case Behavior::kMergedWithNext: joins = i > 0 && !part.matched && previous_matched; break;
      case Behavior::kContiguous: joins = i > 0 && part.matched == previous_matched; break;
    }
    if (joins) {
      out.back().end = part.span.end;
    } else {
      out.push_back(part.span);
    }
    previous_matched = part.matched;
  }
}

}  // namespace

Result<PreTokenizer> PreTokenizer::create(std::span<const PreStage> stages, std::string_view source) {
  if (stages.size() > kStagesMax) {
    return make_error("{}: the pre-tokenizer has {} steps, but at most {} are supported", source, stages.size(),
                      kStagesMax);
  }
  PreTokenizer out;
  for (const PreStage& stage : stages) {
    Compiled compiled{stage, {}};
    if (stage.kind == PreStage::Kind::kPattern) {
      auto regex = Regex::compile(stage.pattern);
      if (!regex.ok()) return make_error("{}: the pre-tokenizer: {}", source, regex.error().message);
      compiled.regex.push_back(std::move(*regex));
    }
    out.stages_.push_back(std::move(compiled));
  }
  return out;
}

void PreTokenizer::split(std::string_view text, std::vector<TextSpan>& pieces) const {
  pieces.clear();
  if (!text.empty()) pieces.push_back({0, text.size()});
  std::vector<TextSpan> before;
  std::vector<Part> parts;
  for (const Compiled& compiled : stages_) {
    std::swap(before, pieces);
    pieces.clear();
    for (const TextSpan& span : before) {
      const std::string_view piece = text.substr(span.begin, span.end - span.begin);
      parts.clear();
      if (compiled.stage.kind == PreStage::Kind::kPattern) {
        isolate_matches(compiled.regex[0], piece, span.begin, compiled.stage.invert, parts);
      } else {
        const bool before_end = compiled.stage.kind == PreStage::Kind::kDigitTriplesBeforeEnd;
        cut_digit_triples(piece, span.begin, before_end, parts);
      }
      apply_behavior(compiled.stage.behavior, parts, pieces);
    }
  }
}

}  // namespace andiron
