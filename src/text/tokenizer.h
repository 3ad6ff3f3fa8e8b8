// Tokenizer: text to token ids and back, exactly as the model was trained with.
//
// Three algorithms (SentencePiece BPE, byte-level BPE, WordPiece) behind one class; which, and all its rules, comes in
// a TokenizerSpec. Immutable once created and movable; any number of threads may use one.
//
// Encoding never fails and takes time linear in the text but for a logarithm. Text need not be valid UTF-8: byte-level
// and byte-fallback models keep every byte, the others treat a stray byte as unknown.
//
// Trust. A control token ("<|im_end|>") steers the model, so text that people wrote must not turn into one by spelling
// it. Text is trusted (the chat template's own words) or not; only trusted text yields control tokens, and the same
// goes for "structural" tokens: user-defined ones that end replies, or look like markup ("<think>") and occur in the
// model's chat template. Spelled in untrusted text they are encoded as the characters they are made of.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/segment.h"
#include "text/stretch_encoder.h"
#include "text/tokenizer_spec.h"
#include "text/vocabulary.h"
#include "text/whole_token_finder.h"

namespace andiron {

struct EncodeOptions {
  bool add_special = true;     // put bos before and eos after where the model wants them
  bool parse_special = false;  // the text is trusted
};

class Tokenizer {
 public:
  // Fails, naming spec.source, on a spec that is no tokenizer: no tokens, lists of different lengths, ids out of range,
  // a pre-tokenizer pattern that cannot be compiled.
  static Result<Tokenizer> create(TokenizerSpec spec);

  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  ~Tokenizer();

  std::vector<int32_t> encode(std::string_view text, EncodeOptions options = {}) const;
  // Segments are encoded as one text: where one ends leaves no mark on the tokens. A control token must lie within
  // trusted segments (neighbouring trusted ones count as one).
  std::vector<int32_t> encode(std::span<const Segment> segments, bool add_special) const;

  // The text of tokens: control and unknown tokens give nothing unless `show_special`; one space that encoding put
  // before the text is taken away. Ids outside the vocabulary give nothing.
  std::string decode(std::span<const int32_t> ids, bool show_special = false) const;

  // The bytes that a token adds to a text, its own text for control tokens, "" for an id outside the vocabulary. A
  // token may hold a part of a UTF-8 sequence: print through Decoder. The view lives as long as the tokenizer.
  std::string_view piece(int32_t id) const;
  // The token with this text as the vocabulary spells it ("<|im_end|>", "\u0120the"), or kNoToken.
  int32_t id(std::string_view text) const { return vocabulary_->find(text); }

  int32_t vocab_size() const { return vocabulary_->size(); }
  // Undefined for an id outside the vocabulary.
  TokenType type(int32_t id) const { return holds(id) ? vocabulary_->type(id) : TokenType::kUndefined; }
  bool holds(int32_t id) const { return vocabulary_->holds(id); }
  bool is_control(int32_t id) const { return type(id) == TokenType::kControl; }
  // A control token, or a user-defined one that only trusted text yields.
  bool is_structural(int32_t id) const { return holds(id) && vocabulary_->is_structural(id); }
  // The model has said all it wants: eos, eot, eom, and every token known to mean the same.
  bool is_end_of_generation(int32_t id) const;

  // kNoToken where the model has none.
  int32_t bos() const { return ids_.bos; }
  int32_t eos() const { return ids_.eos; }
  int32_t eot() const { return ids_.eot; }
  int32_t eom() const { return ids_.eom; }
  int32_t unk() const { return ids_.unk; }
  int32_t pad() const { return ids_.pad; }
  int32_t sep() const { return ids_.sep; }
  bool adds_bos() const { return adds_bos_; }
  bool adds_eos() const { return adds_eos_; }

  TokenizerModel model() const { return model_; }
  const std::string& chat_template() const { return chat_template_; }

 private:
  friend class Decoder;

  struct SpecialIds {
    int32_t bos, eos, eot, eom, unk, pad, sep, cls, mask;
  };

  Tokenizer();
  Status take_special_ids(const TokenizerSpec& spec);
  void find_end_of_generation();
  void build_pieces(bool byte_level);
  void append_piece(int32_t id, bool byte_level, std::string& out) const;
  std::vector<int32_t> encode_text(std::string_view text, std::span<const WholeTokenFinder::Range> trusted,
                                   bool add_special) const;
  void encode_stretch(std::string_view stretch, bool first, std::vector<int32_t>& out) const;

  TokenizerModel model_ = TokenizerModel::kBpe;
  std::unique_ptr<const Vocabulary> vocabulary_;  // at a fixed address: the two below refer to it
  std::unique_ptr<const StretchEncoder> encoder_;
  std::unique_ptr<const WholeTokenFinder> finder_;
  TextList pieces_;
  SpecialIds ids_{};
  std::vector<int32_t> end_of_generation_;
  bool adds_bos_ = false;
  bool adds_eos_ = false;
  bool adds_sep_ = false;
  std::vector<Normalization> normalizations_;
  SpacePrefix space_prefix_ = SpacePrefix::kNone;
  bool space_prefix_if_missing_ = false;
  bool escapes_spaces_ = false;
  std::string chat_template_;
};

// Turns tokens into text as they come. What it returns may be printed at once: a UTF-8 sequence is held back until its
// last byte has come. One stream, one thread; the tokenizer must outlive it.
class Decoder {
 public:
  struct Options {
    bool show_special = false;  // the text of control and unknown tokens too
    // Take away the space that the model puts before the first word, where encoding would have put it. Off for text
    // that goes on after other text.
    bool strip_first_space = true;
    // The text is an answer: of it such a space goes with every tokenizer, for chat templates put one before answers.
    bool is_answer = false;
  };

  explicit Decoder(const Tokenizer& tokenizer) : Decoder(tokenizer, Options()) {}
  Decoder(const Tokenizer& tokenizer, Options options);

  // The text that `id` completes, maybe none.
  std::string push(int32_t id);
  // The same, appended to `out`: allocates nothing once the strings have grown to the size in use.
  void push(int32_t id, std::string& out);
  // What was held back: bytes that never became UTF-8.
  std::string finish();

 private:
  const Tokenizer& tokenizer_;
  Options options_;
  bool at_start_ = true;
  std::string held_;
};

}  // namespace andiron
