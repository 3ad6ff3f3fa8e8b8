#include "text/symbols.h"

#include <algorithm>
#include <string>

#include "base/strings.h"
#include "text/byte_level.h"

namespace andiron {

namespace {

constexpr std::string_view kSpace = "\u2581";

// Whether a space stands in `text` after something that is not a space.
bool has_inner_space(std::string_view text) {
  size_t leading = 0;
  while (text.substr(leading, kSpace.size()) == kSpace) leading += kSpace.size();
  return text.find(kSpace, leading) != std::string_view::npos;
}

}  // namespace

SymbolCodec::SymbolCodec(const Vocabulary& vocabulary, const TokenizerSpec& spec)
    : vocabulary_(vocabulary), unknown_(spec.unk), byte_level_(spec.byte_level), fuse_unknown_(spec.fuse_unknown) {
  for (int byte = 0; byte < 256; ++byte) {
    int32_t id = vocabulary.byte_token(static_cast<uint8_t>(byte));
    if (byte_level_) {
      const char c = static_cast<char>(byte);
      std::string text;
      append_byte_level(text, std::string_view(&c, 1));
      id = vocabulary.find_spellable(text);
      // A user-defined token is text as it stands, not in the byte alphabet.
      if (id != kNoToken && vocabulary.type(id) == TokenType::kUserDefined && text[0] != c) id = kNoToken;
    }
    byte_ids_[static_cast<size_t>(byte)] = id;
  }
  if (byte_level_) return;
  splits_at_spaces_ = true;
  for (int32_t id = 0; id < vocabulary.size() && splits_at_spaces_; ++id) {
    splits_at_spaces_ = !vocabulary.is_spellable(id) || !has_inner_space(vocabulary.text(id));
  }
}

void SymbolCodec::split(std::string_view piece, std::vector<Symbol>& symbols) const {
  if (byte_level_) {
    for (size_t at = 0; at < piece.size(); ++at) {
      symbols.push_back({static_cast<uint32_t>(at), 1, byte_ids_[static_cast<uint8_t>(piece[at])]});
    }
    return;
  }
  for (size_t at = 0; at < piece.size();) {
    const size_t begin = at;
    next_code_point(piece, at);
    const int32_t id = vocabulary_.find_spellable(piece.substr(begin, at - begin));
    symbols.push_back({static_cast<uint32_t>(begin), static_cast<uint32_t>(at - begin), id});
  }
}

void SymbolCodec::write(const std::vector<Symbol>& symbols, std::string_view piece, std::vector<int32_t>& out) const {
  bool after_unknown = false;
  for (const Symbol& symbol : symbols) {
    if (vocabulary_.holds(symbol.id)) {
      out.push_back(symbol.id);
      after_unknown = false;
    } else {
      write_parts(piece.substr(symbol.begin, symbol.size), out, after_unknown);
    }
  }
}

void SymbolCodec::write_parts(std::string_view part, std::vector<int32_t>& out, bool& after_unknown) const {
  for (size_t at = 0; at < part.size();) {
    const size_t begin = at;
    if (byte_level_) {
      ++at;
    } else {
      next_code_point(part, at);
    }
    const std::string_view character = part.substr(begin, at - begin);
    const auto id_of = [&](char c) { return byte_ids_[static_cast<uint8_t>(c)]; };
    if (const int32_t id = byte_level_ ? kNoToken : vocabulary_.find_spellable(character); id != kNoToken) {
      out.push_back(id);
    } else if (std::all_of(character.begin(), character.end(), [&](char c) { return id_of(c) != kNoToken; })) {
      for (const char c : character) out.push_back(id_of(c));
    } else {
      write_unknown(out, after_unknown);
      continue;
    }
    after_unknown = false;
  }
}

void SymbolCodec::write_unknown(std::vector<int32_t>& out, bool& after_unknown) const {
  if (unknown_ != kNoToken && !(fuse_unknown_ && after_unknown)) out.push_back(unknown_);
  after_unknown = true;
}

size_t SymbolCodec::unit_end(std::string_view text, size_t at) const {
  const size_t limit = text.size() - at > kUnitBytesMax ? at + kUnitBytesMax : text.size();
  if (!splits_at_spaces_) return limit;
  size_t end = at;
  while (text.substr(end, kSpace.size()) == kSpace) end += kSpace.size();
  end = text.find(kSpace, std::max(end, at + 1));
  return std::min(end, limit);
}

}  // namespace andiron
