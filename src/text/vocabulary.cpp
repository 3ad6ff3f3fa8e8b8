#include "text/vocabulary.h"

#include <algorithm>
#include <array>
#include <bit>
#include <utility>

#include "base/keyed_hash.h"
#include "base/strings.h"
#include "text/end_tokens.h"

namespace andiron {

namespace {

constexpr size_t kTokensMax = 1 << 24;
constexpr size_t kMarkupBytesMax = 64;

uint32_t hash_text(std::string_view text) { return static_cast<uint32_t>(keyed_hash(text)); }

// "<think>", "[INST]", "<s>".
bool looks_like_markup(std::string_view text) {
  return text.size() >= 3 && (text.front() == '<' || text.front() == '[') && (text.back() == '>' || text.back() == ']');
}

}  // namespace

int parse_byte_token(std::string_view text) {
  if (text.size() != 6 || text.substr(0, 3) != "<0x" || text[5] != '>') return -1;
  int value = 0;
  for (const char c : text.substr(3, 2)) {
    const int digit = c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
    if (digit < 0) return -1;
    value = value * 16 + digit;
  }
  return value;
}

Result<Vocabulary> Vocabulary::create(TokenizerSpec& spec) {
  const size_t count = spec.tokens.size();
  if (count == 0) return make_error("{}: the tokenizer has no tokens", spec.source);
  if (count > kTokensMax) {
    return make_error("{}: {} tokens, but at most {} are supported", spec.source, count, kTokensMax);
  }
  if (!spec.scores.empty() && spec.scores.size() != count) {
    return make_error("{}: {} token scores for {} tokens", spec.source, spec.scores.size(), count);
  }
  if (!spec.types.empty() && spec.types.size() != count) {
    return make_error("{}: {} token types for {} tokens", spec.source, spec.types.size(), count);
  }
  Vocabulary out;
  out.texts_ = std::move(spec.tokens);
  out.scores_ = std::move(spec.scores);
  out.types_ = std::move(spec.types);
  out.types_.resize(count, TokenType::kNormal);
  out.index_texts();
  out.index_bytes();
  out.mark_structure(spec);
  return out;
}

void Vocabulary::index_texts() {
  // At most three quarters full.
  slots_.resize(std::bit_ceil(types_.size() + types_.size() / 3 + 1));
  const size_t mask = slots_.size() - 1;
  for (int32_t id = 0; id < size(); ++id) {
    const std::string_view token = text(id);
    text_bytes_max_ = std::max(text_bytes_max_, token.size());
    const uint32_t hash = hash_text(token);
    size_t at = hash & mask;
    while (slots_[at].id != kNoToken && !(slots_[at].hash == hash && text(slots_[at].id) == token))
      at = (at + 1) & mask;
    if (slots_[at].id == kNoToken) slots_[at] = {hash, id};
  }
}

int32_t Vocabulary::find(std::string_view token) const { return find_hashed(token, hash_text(token)); }

void Vocabulary::find_spellable(std::span<const std::string_view> texts, std::span<int32_t> ids) const {
  std::array<uint32_t, kFindMany> hashes;
  const size_t mask = slots_.size() - 1;
  for (size_t i = 0; i < texts.size(); ++i) {
    hashes[i] = hash_text(texts[i]);
    __builtin_prefetch(&slots_[hashes[i] & mask]);
  }
  for (size_t i = 0; i < texts.size(); ++i) {
    if (const int32_t id = slots_[hashes[i] & mask].id; id != kNoToken) __builtin_prefetch(text(id).data());
  }
  for (size_t i = 0; i < texts.size(); ++i) {
    const int32_t id = find_hashed(texts[i], hashes[i]);
    ids[i] = id != kNoToken && is_spellable(id) ? id : kNoToken;
  }
}

int32_t Vocabulary::find_hashed(std::string_view token, uint32_t hash) const {
  const size_t mask = slots_.size() - 1;
  for (size_t at = hash & mask; slots_[at].id != kNoToken; at = (at + 1) & mask) {
    if (slots_[at].hash == hash && text(slots_[at].id) == token) return slots_[at].id;
  }
  return kNoToken;
}

void Vocabulary::index_bytes() {
  byte_tokens_.assign(256, kNoToken);
  for (int byte = 0; byte < 256; ++byte) {
    byte_tokens_[static_cast<size_t>(byte)] = find(format("<0x{:02X}>", byte));
  }
}

void Vocabulary::make_structural(int32_t id) {
  auto& type = types_[static_cast<size_t>(id)];
  if (type == TokenType::kNormal || type == TokenType::kUndefined) type = TokenType::kControl;
  structural_[static_cast<size_t>(id)] = true;
}

void Vocabulary::mark_structure(const TokenizerSpec& spec) {
  structural_.resize(types_.size());
  for (int32_t id = 0; id < size(); ++id) structural_[static_cast<size_t>(id)] = type(id) == TokenType::kControl;
  for (const EndToken& token : kEndTokens) {
    const int32_t id = find(token.text);
    if (id != kNoToken && (token.distinctive || type(id) == TokenType::kUserDefined)) make_structural(id);
  }
  for (const int32_t id : {spec.bos, spec.eos, spec.eot, spec.eom}) {
    if (holds(id) && looks_like_markup(text(id))) make_structural(id);
  }
  const std::string_view chat = spec.chat_template;
  for (size_t begin = 0; begin < chat.size(); ++begin) {
    if (chat[begin] != '<' && chat[begin] != '[') continue;
    for (size_t end = begin + 3; end <= chat.size() && end - begin <= kMarkupBytesMax; ++end) {
      if (!looks_like_markup(chat.substr(begin, end - begin))) continue;
      const int32_t id = find(chat.substr(begin, end - begin));
      if (id != kNoToken && type(id) == TokenType::kUserDefined) make_structural(id);
    }
  }
}

}  // namespace andiron
