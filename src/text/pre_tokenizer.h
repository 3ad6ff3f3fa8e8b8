// PreTokenizer: splits text into the pieces that merges never cross, by a model's stages.
#pragma once

#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/regex.h"
#include "text/tokenizer_spec.h"

namespace andiron {

struct TextSpan {
  size_t begin;
  size_t end;
  bool operator==(const TextSpan&) const = default;
};

class PreTokenizer {
 public:
  // Without stages the text is one piece. Fails on a pattern that cannot be compiled; `source` names the file.
  static Result<PreTokenizer> create(std::span<const PreStage> stages, std::string_view source);

  // Gives `take` the pieces of `text`, in order, none empty. Together they are the text, unless a stage removes
  // something. Takes time linear in the text and keeps no list of pieces: there may be as many as bytes. Any thread.
  using Take = std::function<void(TextSpan)>;
  void split(std::string_view text, const Take& take) const;

 private:
  struct Compiled {
    PreStage stage;
    std::vector<Regex> regex;  // one for a pattern, else none
  };

  void split_from(size_t stage, std::string_view text, TextSpan span, const Take& take) const;

  std::vector<Compiled> stages_;
};

}  // namespace andiron
