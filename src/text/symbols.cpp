#include "text/symbols.h"

#include <algorithm>
#include <string>

#include "base/strings.h"
#include "text/byte_level.h"

namespace andiron {

namespace {

// The character of a text that is not empty.
uint32_t first_character(std::string_view text) {
  size_t at = 0;
  return next_code_point(text, at);
}
uint32_t last_character(std::string_view text) {
  uint32_t last = static_cast<uint8_t>(text.back());
  if (last < 0x80) return last;
  for (size_t at = 0; at < text.size();) last = next_code_point(text, at);
  return last;
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
}

void SymbolCodec::add_merge(std::string_view left, std::string_view right) {
  if (left.empty() || right.empty()) return;  // no symbol is empty, so nothing is ever merged by it
  merging_.add(last_character(left), first_character(right));
}

size_t SymbolCodec::split_unit(std::string_view text, size_t at, std::vector<Symbol>& symbols) const {
  const size_t begin = at;
  uint32_t previous = 0;
  while (at < text.size() && at - begin < kUnitBytesMax) {
    size_t end = at + 1;
    uint32_t character = 0;
    if (byte_level_) {
      character = byte_level_character(static_cast<uint8_t>(text[at]));
    } else {
      end = at;
      character = next_code_point(text, end);
    }
    if (at > begin && !merging_.may_hold(previous, character)) break;
    const int32_t id =
        byte_level_ ? byte_ids_[static_cast<uint8_t>(text[at])] : vocabulary_.find_spellable(text.substr(at, end - at));
    symbols.push_back({static_cast<uint32_t>(at - begin), static_cast<uint32_t>(end - at), id});
    previous = character;
    at = end;
  }
  return at;
}

void SymbolCodec::write(const std::vector<Symbol>& symbols, std::string_view unit, std::vector<int32_t>& out,
                        bool& after_unknown) const {
  for (const Symbol& symbol : symbols) {
    if (vocabulary_.holds(symbol.id)) {
      out.push_back(symbol.id);
      after_unknown = false;
    } else {
      write_parts(unit.substr(symbol.begin, symbol.size), out, after_unknown);
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

}  // namespace andiron
