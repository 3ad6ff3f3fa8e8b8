// Byte-pair encoding with ranked merges: byte-level (GPT-2 and its many kin) and on code points with byte fallback
// (SentencePiece models in Hugging Face's form, Gemma 4).
#include <algorithm>
#include <array>
#include <bit>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>

#include "base/keyed_hash.h"
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
  void prefetch(int32_t left, int32_t right) const { __builtin_prefetch(&slots_[home(left, right)]); }
  Merge find(int32_t left, int32_t right) const { return slots_[find_slot(left, right)].merge; }

 private:
  struct Slot {
    int32_t left = kNoToken;
    int32_t right = kNoToken;
    Merge merge;
  };

  size_t home(int32_t left, int32_t right) const {
    const uint64_t key = static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
    return static_cast<size_t>(keyed_hash(key, hash_key_)) & (slots_.size() - 1);
  }
  size_t find_slot(int32_t left, int32_t right) const {
    const size_t mask = slots_.size() - 1;
    size_t at = home(left, right);
    while (slots_[at].merge.rank != Merge::kNoMerge && (slots_[at].left != left || slots_[at].right != right)) {
      at = (at + 1) & mask;
    }
    return at;
  }

  HashKey hash_key_ = hash_key();
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
    Scratch scratch;
    pre_tokenizer_.split(text, [&](TextSpan span) {
      const std::string_view piece = text.substr(span.begin, span.end - span.begin);
      const int32_t id = ignore_merges_ ? find_whole(piece, scratch.mapped) : kNoToken;
      if (id != kNoToken) {
        out.push_back(id);
      } else {
        encode_piece(piece, scratch, out);
      }
    });
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
    constexpr size_t kGroup = Vocabulary::kFindMany / 3;
    std::unordered_map<std::string, int32_t, KeyedHash> beyond;
    const auto find_beyond = [&](std::string_view text) {
      const auto found = beyond.empty() ? beyond.end() : beyond.find(std::string(text));
      return found == beyond.end() ? kNoToken : found->second;
    };
    std::array<std::string_view, Vocabulary::kFindMany> texts;
    std::array<int32_t, Vocabulary::kFindMany> ids;
    std::string joined;
    for (size_t first = 0; first < spec.merge_left.size(); first += kGroup) {
      const size_t count = std::min(kGroup, spec.merge_left.size() - first);
      join_texts(spec, first, count, joined, texts);
      vocabulary_.find_spellable(std::span(texts).first(3 * count), ids);
      for (size_t i = 0; i < count; ++i) {
        int32_t* parts = &ids[3 * i];
        for (size_t k = 0; k < 3; ++k) {
          if (parts[k] == kNoToken) parts[k] = find_beyond(texts[3 * i + k]);
        }
        if (parts[0] != kNoToken && parts[1] != kNoToken && parts[2] == kNoToken) {
          parts[2] = vocabulary_.size() + static_cast<int32_t>(beyond.size());
          beyond.emplace(texts[3 * i + 2], parts[2]);
        }
        merges_.prefetch(parts[0], parts[1]);
      }
      for (size_t i = 0; i < count; ++i) {
        const int32_t* parts = &ids[3 * i];
        if (parts[0] == kNoToken || parts[1] == kNoToken) continue;
        merges_.insert(parts[0], parts[1], {static_cast<uint32_t>(first + i), parts[2]});
        codec_.add_merge(texts[3 * i], texts[3 * i + 1]);
      }
    }
  }

  // Left, right and joined text of `count` merges from `first` on; the joined ones are kept in `joined`.
  static void join_texts(const TokenizerSpec& spec, size_t first, size_t count, std::string& joined,
                         std::span<std::string_view> texts) {
    joined.clear();
    for (size_t i = first; i < first + count; ++i) joined.append(spec.merge_left[i]).append(spec.merge_right[i]);
    size_t at = 0;
    for (size_t i = 0; i < count; ++i) {
      const std::string_view left = spec.merge_left[first + i];
      const std::string_view right = spec.merge_right[first + i];
      const size_t size = left.size() + right.size();
      texts[3 * i] = left;
      texts[3 * i + 1] = right;
      texts[3 * i + 2] = std::string_view(joined).substr(at, size);
      at += size;
    }
  }

  void encode_piece(std::string_view piece, Scratch& scratch, std::vector<int32_t>& out) const {
    const auto find_merge = [this](const Symbol& left, const Symbol& right) { return merges_.find(left.id, right.id); };
    bool after_unknown = false;
    for (size_t at = 0; at < piece.size();) {
      scratch.symbols.clear();
      const size_t end = codec_.split_unit(piece, at, scratch.symbols);
      merge_symbols(scratch.symbols, find_merge, scratch.merge);
      codec_.write(scratch.symbols, piece.substr(at, end - at), out, after_unknown);
      at = end;
    }
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
