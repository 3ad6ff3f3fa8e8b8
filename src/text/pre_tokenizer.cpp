#include "text/pre_tokenizer.h"

#include <algorithm>
#include <utility>

#include "base/strings.h"
#include "text/unicode.h"

namespace andiron {

namespace {

constexpr size_t kStagesMax = 16;

using Behavior = PreStage::Behavior;

// Turns parts into pieces as Hugging Face's SplitDelimiterBehavior says.
class PartJoiner {
 public:
  // `offset`: where the text that the parts are of begins.
  PartJoiner(Behavior behavior, size_t offset, const PreTokenizer::Take& take)
      : behavior_(behavior), offset_(offset), take_(take) {}

  void add(size_t begin, size_t end, bool matched) {
    if (matched && behavior_ == Behavior::kRemoved) return;
    if (joins(matched)) {
      piece_.end = offset_ + end;
    } else {
      finish();
      piece_ = {offset_ + begin, offset_ + end};
    }
    previous_matched_ = matched;
  }
  void finish() {
    if (piece_.end > piece_.begin) take_(piece_);
  }

 private:
  bool joins(bool matched) const {
    if (piece_.end == piece_.begin) return false;
    switch (behavior_) {
      case Behavior::kIsolated:
      case Behavior::kRemoved: return false;
      case Behavior::kMergedWithPrevious: return matched && !previous_matched_;
      case Behavior::kMergedWithNext: return !matched && previous_matched_;
      case Behavior::kContiguous: return matched == previous_matched_;
    }
    return false;
  }

  Behavior behavior_;
  size_t offset_;
  const PreTokenizer::Take& take_;
  TextSpan piece_{0, 0};  // the last one, which more may join; empty before the first
  bool previous_matched_ = false;
};

void isolate_matches(const Regex& regex, std::string_view text, bool invert, PartJoiner& joiner) {
  RegexScanner scanner(regex, text);
  size_t gap = 0;
  for (size_t at = 0; at < text.size();) {
    const size_t size = scanner.match_at(at);
    if (size == 0) {
      next_code_point(text, at);
      continue;
    }
    if (gap < at) joiner.add(gap, at, invert);
    joiner.add(at, at + size, !invert);
    at += size;
    gap = at;
  }
  if (gap < text.size()) joiner.add(gap, text.size(), invert);
}

bool is_word_character(uint32_t c) {
  const Category category = category_of(c);
  return category <= Category::kNd || category == Category::kPc;
}

// Cuts every run of decimal digits so that each cut has a multiple of three digits between it and the run's end;
// with `before_end`, only runs that no word character follows, and those are cut off from the text before them too.
void cut_digit_triples(std::string_view text, bool before_end, PartJoiner& joiner) {
  size_t piece = 0;
  const auto cut = [&](size_t at) {
    if (at > piece) joiner.add(piece, at, false);
    piece = at;
  };
  size_t run = 0;  // where the digits begin, and how many
  size_t digits = 0;
  for (size_t at = 0; at <= text.size();) {
    const size_t here = at;
    const bool end = at == text.size();
    const uint32_t c = end ? 0 : next_code_point(text, at);
    if (end) ++at;
    if (!end && category_of(c) == Category::kNd) {
      if (digits++ == 0) run = here;
      continue;
    }
    if (digits > 0 && (!before_end || end || !is_word_character(c))) {
      if (before_end) cut(run);
      for (; digits > 0; --digits) {
        if (digits % 3 == 0) cut(run);
        next_code_point(text, run);
      }
      if (before_end) cut(here);
    }
    digits = 0;
  }
  cut(text.size());
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

void PreTokenizer::split(std::string_view text, const Take& take) const {
  if (!text.empty()) split_from(0, text, {0, text.size()}, take);
}

void PreTokenizer::split_from(size_t stage, std::string_view text, TextSpan span, const Take& take) const {
  if (stage == stages_.size()) return take(span);
  const Compiled& compiled = stages_[stage];
  const std::string_view piece = text.substr(span.begin, span.end - span.begin);
  Take next;
  if (stage + 1 < stages_.size()) next = [&](TextSpan part) { split_from(stage + 1, text, part, take); };
  PartJoiner joiner(compiled.stage.behavior, span.begin, next ? next : take);
  if (compiled.stage.kind == PreStage::Kind::kPattern) {
    isolate_matches(compiled.regex[0], piece, compiled.stage.invert, joiner);
  } else {
    cut_digit_triples(piece, compiled.stage.kind == PreStage::Kind::kDigitTriplesBeforeEnd, joiner);
  }
  joiner.finish();
}

}  // namespace andiron
