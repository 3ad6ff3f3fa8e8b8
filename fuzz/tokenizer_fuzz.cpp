// The first byte says what the rest is: a tokenizer.json (with a zero byte, tokenizer_config.json behind it) that is
// then used, a pattern and a text divided by a zero byte, or a text for one of several small vocabularies.
#include <array>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "base/strings.h"
#include "text/byte_level.h"
#include "text/pre_names.h"
#include "text/regex.h"
#include "text/tokenizer.h"
#include "text/tokenizer_json.h"
#include "text/tokenizer_metadata.h"
#include "text/unicode.h"

namespace {

using namespace andiron;

void require(bool condition) {
  if (!condition) std::abort();
}

constexpr std::string_view kText = "Hello 'LL 1234\r\n\n  <s>\xff\xe4\xb8\xad\u0301 world";

void fuzz_json(std::string_view input) {
  const size_t end = std::min(input.find('\0'), input.size());
  auto spec = spec_from_tokenizer_json(input.substr(0, end), input.substr(std::min(end + 1, input.size())), "fuzz");
  if (!spec.ok()) return;
  metadata_from_spec(*spec);
  const auto tokenizer = Tokenizer::create(std::move(*spec));
  if (!tokenizer.ok()) return;
  for (const bool trusted : {false, true}) {
    for (const int32_t id : tokenizer->encode(kText, {.add_special = true, .parse_special = trusted})) {
      require(tokenizer->holds(id));
    }
  }
}

void fuzz_regex(std::string_view input) {
  const size_t end = std::min(input.find('\0'), input.size());
  const std::string_view text = input.substr(std::min(end + 1, input.size()));
  const auto regex = Regex::compile(input.substr(0, end));
  if (!regex.ok()) return;
  RegexScanner scanner(*regex, text);
  for (size_t at = 0; at < text.size();) {
    const size_t size = scanner.match_at(at);
    require(size <= text.size() - at);
    at += std::max<size_t>(size, 1);
  }
}

void fuzz_unicode(std::string_view input) {
  const std::string composed = to_nfc(input);
  require(to_nfc(composed) == composed);
  require(to_nfd(composed) == to_nfd(input));
  to_lowercase(input);
  without_nonspacing_marks(input);
}

TokenizerSpec small_spec(std::string_view pre) {
  TokenizerSpec spec;
  spec.source = "built in";
  const PreFacts* facts = find_pre_tokenizer(pre);
  require(facts != nullptr);
  spec.stages = facts->stages;
  spec.ignore_merges = facts->ignore_merges;
  for (int byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(byte);
    std::string text;
    append_byte_level(text, std::string_view(&c, 1));
    spec.tokens.push_back(text);
  }
  constexpr std::array<std::array<std::string_view, 2>, 7> kMerges = {{{"a", "b"},
                                                                       {"u", "s"},
                                                                       {"us", "us"},
                                                                       {"\u0120", "\u0120"},
                                                                       {"\u0120\u0120", "\u0120\u0120"},
                                                                       {"b", "c"},
                                                                       {"ab", "ab"}}};
  for (const auto& [left, right] : kMerges) {
    spec.merge_left.push_back(left);
    spec.merge_right.push_back(right);
    spec.tokens.push_back(std::string(left).append(right));
  }
  spec.types.assign(spec.tokens.size(), TokenType::kNormal);
  spec.tokens.push_back("<s>");
  spec.types.push_back(TokenType::kControl);
  return spec;
}

TokenizerSpec small_sentence_piece() {
  TokenizerSpec spec;
  spec.source = "built in";
  spec.model = TokenizerModel::kSentencePiece;
  spec.space_prefix = SpacePrefix::kEach;
  for (int byte = 0; byte < 256; ++byte) {
    spec.tokens.push_back(format("<0x{:02X}>", byte));
    spec.types.push_back(TokenType::kByte);
  }
  for (const char* text : {"\u2581", "a", "b", "u", "s", "us", "usus", "ab", "\u2581a", "\u2581\u2581", "s>", "<"}) {
    spec.tokens.push_back(text);
    spec.types.push_back(TokenType::kNormal);
  }
  spec.tokens.push_back("<s>");
  spec.types.push_back(TokenType::kControl);
  for (size_t id = 0; id < spec.tokens.size(); ++id) spec.scores.push_back(static_cast<float>(id % 5));
  return spec;
}

void fuzz_encode(uint8_t which, std::string_view text) {
  static const std::vector<Tokenizer> tokenizers = [] {
    std::vector<Tokenizer> out;
    for (const char* pre : {"gpt-2", "llama-bpe", "qwen2", "gpt-4o", "deepseek-llm", "deepseek-v3", "falcon", "jais-2",
                            "exaone-moe", "tiny_aya", "superbpe"}) {
      out.push_back(Tokenizer::create(small_spec(pre)).value());
    }
    out.push_back(Tokenizer::create(small_sentence_piece()).value());
    return out;
  }();
  const Tokenizer& tokenizer = tokenizers[which % tokenizers.size()];
  const auto ids = tokenizer.encode(text, {.add_special = false});
  for (const int32_t id : ids) require(tokenizer.holds(id) && !tokenizer.is_control(id));
  // U+2581 is a space to SentencePiece, so there it comes back as one.
  const bool exact = tokenizer.model() == TokenizerModel::kBpe || text.find("\u2581") == std::string_view::npos;
  if (exact) require(tokenizer.decode(ids) == text);
  const size_t half = text.size() / 2;
  const std::vector<Segment> segments = {{std::string(text.substr(0, half)), true}, {std::string(text.substr(half))}};
  const auto mixed = tokenizer.encode(segments, false);
  if (exact && text.find("<s>") == std::string_view::npos) require(mixed == ids);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0]) {
    case '{': fuzz_json({reinterpret_cast<const char*>(data), size}); break;
    case 'R': fuzz_regex(rest); break;
    case 'U': fuzz_unicode(rest); break;
    default: fuzz_encode(data[0], rest); break;
  }
  return 0;
}
