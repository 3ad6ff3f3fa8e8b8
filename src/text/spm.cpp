// SentencePiece's BPE from a GGUF file, which keeps scores instead of merges: neighbours merge where together they are
// a token, the one of highest score first (T. Kudo, J. Richardson, 2018; google/sentencepiece, bpe_model.cc).
#include <algorithm>
#include <bit>

#include "base/strings.h"
#include "text/stretch_encoder.h"
#include "text/symbols.h"

namespace andiron {

namespace {

// Order-preserving: a higher score gives a lower rank. A NaN gets some rank too.
uint32_t rank_of_score(float score) {
  const auto bits = std::bit_cast<uint32_t>(score + 0.0f);  // so that -0 equals 0
  const uint32_t ascending = (bits >> 31) != 0 ? ~bits : bits | 0x80000000u;
  return std::min(~ascending, Merge::kNoMerge - 1);
}

class ScoreEncoder : public StretchEncoder {
 public:
  ScoreEncoder(const Vocabulary& vocabulary, const TokenizerSpec& spec)
      : vocabulary_(vocabulary), codec_(vocabulary, spec) {
    for (int32_t id = 0; id < vocabulary.size(); ++id) {
      if (vocabulary.is_spellable(id)) add_merges(vocabulary.text(id));
    }
  }

  void encode(std::string_view text, std::vector<int32_t>& out) const override {
    std::vector<Symbol> symbols;
    MergeScratch scratch;
    bool after_unknown = false;
    for (size_t at = 0; at < text.size();) {
      symbols.clear();
      const size_t end = codec_.split_unit(text, at, symbols);
      const std::string_view unit = text.substr(at, end - at);
      at = end;
      const auto find_merge = [&](const Symbol& left, const Symbol& right) {
        const size_t size = size_t{left.size} + right.size;
        if (size > vocabulary_.text_bytes_max()) return Merge{};
        const int32_t id = vocabulary_.find_spellable(unit.substr(left.begin, size));
        return id == kNoToken ? Merge{} : Merge{rank_of_score(vocabulary_.score(id)), id};
      };
      merge_symbols(symbols, find_merge, scratch);
      codec_.write(symbols, unit, out, after_unknown);
    }
  }

 private:
  // Any two neighbours in a token may be where its last merge happens.
  void add_merges(std::string_view token) {
    for (size_t at = 0; at < token.size();) {
      const size_t begin = at;
      next_code_point(token, at);
      if (at < token.size()) codec_.add_merge(token.substr(begin, at - begin), token.substr(at));
    }
  }

  const Vocabulary& vocabulary_;
  SymbolCodec codec_;
};

}  // namespace

std::unique_ptr<StretchEncoder> make_score_encoder(const Vocabulary& vocabulary, const TokenizerSpec& spec) {
  return std::make_unique<ScoreEncoder>(vocabulary, spec);
}

}  // namespace andiron
