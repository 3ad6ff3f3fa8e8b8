// TokenizerSpec: all that defines a tokenizer, as plain data, whatever file it came from.
//
// Two readers make one: tokenizer_metadata.h (the tokenizer.ggml.* keys of a GGUF file) and tokenizer_json.h (a Hugging
// Face tokenizer.json with its companions); Tokenizer::create checks it and builds from it. tokenizer_metadata.h
// also turns one back into GGUF keys, and a spec that has made that round is the same tokenizer.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "text/text_list.h"

namespace andiron {

// GGUF's model names in brackets.
enum class TokenizerModel : uint8_t {
  kSentencePiece,  // ["llama"] code points merged by score, or by `merges` where given; byte fallback
  kBpe,            // ["gpt2"] merges by rank
  kWordPiece,      // ["bert"] greedy longest match; token texts begin with U+2581 where a word begins
};

// The numbers are GGUF's (tokenizer.ggml.token_type).
enum class TokenType : uint8_t {
  kUndefined = 0,
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,      // markup such as <|im_end|>; only trusted text yields it
  kUserDefined = 4,  // found whole in any text, before anything else is looked at
  kUnused = 5,
  kByte = 6,  // "<0x0A>": one byte, where no token covers a character
};

// One step of splitting text into the pieces that merges never cross. Steps run in order, each on every piece that
// the steps before it left. Names and meanings of the behaviours are those of Hugging Face's `Split`.
struct PreStage {
  enum class Kind : uint8_t {
    kPattern,
    kDigitTriples,           // digit runs in threes from the right
    kDigitTriplesBeforeEnd,  // the same for runs of \d that no word character follows; others are left alone
  };
  enum class Behavior : uint8_t { kIsolated, kRemoved, kMergedWithPrevious, kMergedWithNext, kContiguous };

  Kind kind = Kind::kPattern;
  Behavior behavior = Behavior::kIsolated;
  bool invert = false;  // the pattern describes what lies between the matches
  std::string pattern;  // text/regex.h

  bool operator==(const PreStage&) const = default;
};

enum class SpacePrefix : uint8_t {
  kNone,
  kFirst,  // a space before the text, unless it begins with a token found whole
  kEach,   // a space before each stretch of text between tokens found whole
};

enum class Normalization : uint8_t { kNfc, kNfd, kLowercase, kStripAccents };

// How one token found whole treats the text around it (Hugging Face's AddedToken).
struct TokenRule {
  int32_t id = 0;
  bool strip_left = false;   // swallows white space before it
  bool strip_right = false;  // and after it
  bool single_word = false;  // only where no letter, digit or underscore adjoins
  bool operator==(const TokenRule&) const = default;
};

inline constexpr int32_t kNoToken = -1;

struct TokenizerSpec {
  std::string source;  // the file, for messages
  TokenizerModel model = TokenizerModel::kBpe;

  TextList tokens;               // by id
  std::vector<float> scores;     // by id, or empty: all 0
  std::vector<TokenType> types;  // by id, or empty: all normal
  TextList merge_left;           // merges in order of rank: left part,
  TextList merge_right;          // and right part
  std::vector<TokenRule> rules;  // tokens that are not matched plainly

  int32_t bos = kNoToken;
  int32_t eos = kNoToken;
  int32_t eot = kNoToken;
  int32_t eom = kNoToken;
  int32_t unk = kNoToken;
  int32_t sep = kNoToken;
  int32_t pad = kNoToken;
  int32_t cls = kNoToken;
  int32_t mask = kNoToken;
  bool add_bos = false;
  bool add_eos = false;
  bool add_sep = false;  // WordPiece: sep after the text

  // Text before splitting.
  std::vector<Normalization> normalizations;
  SpacePrefix space_prefix = SpacePrefix::kNone;
  bool space_prefix_if_missing = false;  // no second space where the text begins with one

  // BPE.
  std::string pre;               // llama.cpp's name for `stages` and `ignore_merges` (tokenizer.ggml.pre), or ""
  std::vector<PreStage> stages;  // empty: one piece
  bool byte_level = true;        // token texts are in GPT-2's byte alphabet; else UTF-8 with U+2581 for a space
  bool ignore_merges = false;    // a piece that is a token is that token, whatever the merges say
  bool fuse_unknown = true;      // neighbouring unknown characters make one `unk`

  // WordPiece (Hugging Face's BertNormalizer).
  bool lowercase = true;
  bool strip_accents = true;
  bool split_chinese = true;
  int32_t word_chars_max = 100;  // a longer word is unknown; at most kWordCharsMax
  // Whatever a file says: a word takes time by its length times that of a token.
  static constexpr int32_t kWordCharsMax = 1000;

  // The default chat template, or "". Tokens found in it that look like markup are structure: see Tokenizer.
  std::string chat_template;
};

}  // namespace andiron
