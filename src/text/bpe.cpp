// Byte-pair encoding with ranked merges: byte-level (GPT-2 and its many kin) and on code points with byte fallback
// (SentencePiece models in Hugging Face's form, Gemma 4).
#include <bit>
#include <string>
#include <unordered_map>
#include <utility>

#include "base/strings.h"
#include "text/byte_level.h"
#include "text/pre_tokenizer.h"
#include "text/stretch_encoder.h"
#include "text/symbols.h"

namespace andiron {

namespace {

constexpr size_t kMergesMax = 1 << 24;

// (left, right) -> rank and merged token. Open addressing, at most three quarters full, 16 bytes a slot.
class MergeTable {
 public:
  explicit MergeTable(size_t count) : slots_(std::bit_ceil(count + count / 3 + 1)) {}

  // The first rank given to a pair stays.
  void insert(int32_t left, int32_t right, Merge merge) {
    Slot& slot = slots_[find_slot(left, right)];
    if (slot.merge.rank == Merge::kNoMerge) slot = {left, right, merge};
  }
  Merge find(int32_t left, int32_t right) const { return slots_[find_slot(left, right)].merge; }

 private:
  struct Slot {
    int32_t left = kNoToken;
    int32_t right = kNoToken;
    Merge merge;
  };

  size_t find_slot(int32_t left, int32_t right) const {
    const uint64_t key = static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
    const uint64_t mixed = (key ^ key >> 29) * 0x9e3779b97f4a7c15u;
    const size_t mask = slots_.size() - 1;
    size_t at = static_cast<size_t>(mixed >> 32) & mask;
    while (slots_[at].merge.rank != Merge::kNoMerge && (slots_[at].left != left || slots_[at].right != right)) {
      at = (at + 1) & mask;
    }
    return at;
  }

  std::vector<Slot> slots_;
};

class BytePairEncoder : public StretchEncoder {
 public:
  BytePairEncoder(const Vocabulary& vocabulary, const TokenizerSpec& spec, PreTokenizer pre_tokenizer)
      : vocabulary_(vocabulary),
        pre_tokenizer_(std::move(pre_tokenizer)),
        codec_(vocabulary, spec),
        merges_(spec.merge_left.size()),
        byte_level_(spec.byte_level),
        ignore_merges_(spec.ignore_merges) {
    load_merges(spec);
  }

  void encode(std::string_view text, std::vector<int32_t>& out) const override {
    std::vector<TextSpan> pieces;
    pre_tokenizer_.split(text, pieces);
    Scratch scratch;
    for (const TextSpan& span : pieces) {
      const std::string_view piece = text.substr(span.begin, span.end - span.begin);
      if (ignore_merges_) {
        if (const int32_t id = find_whole(piece, scratch.mapped); id != kNoToken) {
          out.push_back(id);
          continue;
        }
      }
      for (size_t at = 0; at < piece.size();) {
        const size_t end = codec_.unit_end(piece, at);
        encode_unit(piece.substr(at, end - at), scratch, out);
        at = end;
      }
    }
  }

 private:
  struct Scratch {
    std::vector<Symbol> symbols;
    MergeScratch merge;
    std::string mapped;
  };

  // A merge whose result is no token, or one that text must not spell, gets an id beyond the vocabulary: it takes part
  // in later merges as its text would, and what is left of it at the end is written as its bytes. A merge with a part
  // that is neither a token nor such a result can never happen and is left out.
  void load_merges(const TokenizerSpec& spec) {
    std::unordered_map<std::string, int32_t> beyond;
    const auto find = [&](std::string_view text) {
      const int32_t id = vocabulary_.find_spellable(text);
      if (id != kNoToken || beyond.empty()) return id;
      const auto found = beyond.find(std::string(text));
      return found == beyond.end() ? kNoToken : found->second;
    };
    std::string joined;
    for (size_t rank = 0; rank < spec.merge_left.size(); ++rank) {
      const std::string_view left_text = spec.merge_left[rank];
      const std::string_view right_text = spec.merge_right[rank];
      const int32_t left = find(left_text);
      const int32_t right = find(right_text);
      if (left == kNoToken || right == kNoToken) continue;
      joined.assign(left_text).append(right_text);
      int32_t id = find(joined);
      if (id == kNoToken) {
        id = vocabulary_.size() + static_cast<int32_t>(beyond.size());
        beyond.emplace(joined, id);
      }
      merges_.insert(left, right, {static_cast<uint32_t>(rank), id});
    }
    if (!beyond.empty()) codec_.keep_whole();
  }

  void encode_unit(std::string_view unit, Scratch& scratch, std::vector<int32_t>& out) const {
    scratch.symbols.clear();
    codec_.split(unit, scratch.symbols);
    const auto find_merge = [this](const Symbol& left, const Symbol& right) { return merges_.find(left.id, right.id); };
    merge_symbols(scratch.symbols, find_merge, scratch.merge);
    codec_.write(scratch.symbols, unit, out);
  }

  int32_t find_whole(std::string_view piece, std::string& mapped) const {
    if (piece.size() > vocabulary_.text_bytes_max()) return kNoToken;
    if (!byte_level_) return vocabulary_.find_spellable(piece);
    mapped.clear();
    append_byte_level(mapped, piece);
    return vocabulary_.find_spellable(mapped);
  }

  const Vocabulary& vocabulary_;
  PreTokenizer pre_tokenizer_;
  SymbolCodec codec_;
  MergeTable merges_;
  bool byte_level_;
  bool ignore_merges_;
};

}  // namespace

Result<std::unique_ptr<StretchEncoder>> make_byte_pair_encoder(const Vocabulary& vocabulary,
                                                               const TokenizerSpec& spec) {
  if (spec.merge_left.size() != spec.merge_right.size() || spec.merge_left.size() > kMergesMax) {
    return make_error("{}: {} left and {} right parts of merges; they must be as many, and at most {}", spec.source,
                      spec.merge_left.size(), spec.merge_right.size(), kMergesMax);
  }
  TRY_ASSIGN(PreTokenizer pre_tokenizer, PreTokenizer::create(spec.stages, spec.source));
  return std::unique_ptr<StretchEncoder>(new BytePairEncoder(vocabulary, spec, std::move(pre_tokenizer)));
}

}  // namespace andiron
