// WordPiece (BERT): words split at white space and punctuation, each covered by the longest tokens from its left.
// Token texts are in GGUF's form: U+2581 begins a word, other parts stand plainly. Cleaning and splitting follow
// BertNormalizer and BertPreTokenizer of Hugging Face's tokenizers.
#include <algorithm>
#include <string>

#include "base/strings.h"
#include "text/stretch_encoder.h"
#include "text/unicode.h"

namespace andiron {

namespace {

constexpr std::string_view kWordStart = "\u2581";
// Longer tokens are never looked for: each byte of a word takes time by the longest token.
constexpr size_t kTokenBytesMax = 256;

// The blocks that BERT splits into single characters (google-research/bert, tokenization.py, _is_chinese_char, with
// the one bound that Hugging Face's tokenizers have otherwise: 0x2B920).
bool is_chinese(uint32_t c) {
  return (c >= 0x4e00 && c <= 0x9fff) || (c >= 0x3400 && c <= 0x4dbf) || (c >= 0x20000 && c <= 0x2a6df) ||
         (c >= 0x2a700 && c <= 0x2b73f) || (c >= 0x2b740 && c <= 0x2b81f) || (c >= 0x2b920 && c <= 0x2ceaf) ||
         (c >= 0xf900 && c <= 0xfaff) || (c >= 0x2f800 && c <= 0x2fa1f);
}

bool is_dropped(uint32_t c) {
  if (c == '\t' || c == '\n' || c == '\r') return false;
  const Category category = category_of(c);
  return c == 0 || c == 0xfffd || (category >= Category::kCc && category <= Category::kCo);
}

bool stands_alone(uint32_t c) {
  const bool ascii_symbol =
      (c >= '!' && c <= '/') || (c >= ':' && c <= '@') || (c >= '[' && c <= '`') || (c >= '{' && c <= '~');
  return ascii_symbol || is_punctuation(c);
}

class WordPieceEncoder : public StretchEncoder {
 public:
  WordPieceEncoder(const Vocabulary& vocabulary, const TokenizerSpec& spec)
      : vocabulary_(vocabulary),
        unknown_(spec.unk),
        word_chars_max_(spec.word_chars_max),
        lowercase_(spec.lowercase),
        strip_accents_(spec.strip_accents),
        split_chinese_(spec.split_chinese) {}

  void encode(std::string_view text, std::vector<int32_t>& out) const override {
    const std::string clean = normalized(text);
    std::string word;
    int32_t chars = 0;
    const auto finish_word = [&] {
      if (chars > 0) encode_word(word, chars, out);
      word.clear();
      chars = 0;
    };
    for (size_t at = 0; at < clean.size();) {
      const size_t begin = at;
      const uint32_t c = next_code_point(clean, at);
      const bool space = is_white_space(c);
      const bool alone = !space && (stands_alone(c) || (split_chinese_ && is_chinese(c)));
      if (space || alone) finish_word();
      if (space) continue;
      // Past the limit only the length matters.
      if (chars < word_chars_max_) word.append(clean, begin, at - begin);
      if (chars <= word_chars_max_) ++chars;
      if (alone) finish_word();
    }
    finish_word();
  }

 private:
  std::string normalized(std::string_view text) const {
    std::string clean;
    clean.reserve(text.size());
    for (size_t at = 0; at < text.size();) {
      const uint32_t c = next_code_point(text, at);
      if (!is_dropped(c)) append_utf8(clean, c);
    }
    if (strip_accents_) clean = without_nonspacing_marks(to_nfd(clean));
    if (lowercase_) clean = to_lowercase(clean);
    return clean;
  }

  void encode_word(std::string_view word, int32_t chars, std::vector<int32_t>& out) const {
    const size_t already = out.size();
    const std::string text = std::string(kWordStart).append(word);
    const std::string_view whole = text;
    for (size_t at = 0; at < whole.size() && chars <= word_chars_max_;) {
      // A U+2581 in the text itself must not pass for the beginning of a word.
      const bool typed_mark = at > 0 && whole.substr(at, kWordStart.size()) == kWordStart;
      size_t size = typed_mark ? 0 : std::min({whole.size() - at, vocabulary_.text_bytes_max(), kTokenBytesMax});
      int32_t id = kNoToken;
      // Only whole code points: a length that ends inside one cannot be a token's.
      for (; size > 0 && id == kNoToken; --size) {
        if (at + size < whole.size() && (static_cast<uint8_t>(whole[at + size]) & 0xc0) == 0x80) continue;
        id = vocabulary_.find_spellable(whole.substr(at, size));
      }
      if (id == kNoToken) break;
      out.push_back(id);
      at += size + 1;
      if (at == whole.size()) return;
    }
    out.resize(already);
    if (unknown_ != kNoToken) out.push_back(unknown_);
  }

  const Vocabulary& vocabulary_;
  int32_t unknown_;
  int32_t word_chars_max_;
  bool lowercase_;
  bool strip_accents_;
  bool split_chinese_;
};

}  // namespace

std::unique_ptr<StretchEncoder> make_word_piece_encoder(const Vocabulary& vocabulary, const TokenizerSpec& spec) {
  return std::make_unique<WordPieceEncoder>(vocabulary, spec);
}

}  // namespace andiron
