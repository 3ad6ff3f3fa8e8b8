#include "text/tokenizer.h"

#include <algorithm>
#include <utility>

#include "base/strings.h"
#include "text/byte_level.h"
#include "text/end_tokens.h"
#include "text/unicode.h"

namespace andiron {

namespace {

constexpr std::string_view kSpace = "\u2581";

void replace_spaces(std::string& text) {
  std::string out;
  out.reserve(text.size() + text.size() / 2);
  for (const char c : text) {
    if (c == ' ') {
      out += kSpace;
    } else {
      out += c;
    }
  }
  text = std::move(out);
}

std::string normalize(std::string_view text, const std::vector<Normalization>& steps) {
  std::string out(text);
  for (const Normalization step : steps) {
    switch (step) {
      case Normalization::kNfc: out = to_nfc(out); break;
      case Normalization::kNfd: out = to_nfd(out); break;
      case Normalization::kLowercase: out = to_lowercase(out); break;
      case Normalization::kStripAccents: out = without_nonspacing_marks(out); break;
    }
  }
  return out;
}

}  // namespace

Tokenizer::Tokenizer() = default;
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

Result<Tokenizer> Tokenizer::create(TokenizerSpec spec) {
  if (spec.model != TokenizerModel::kBpe) spec.byte_level = false;
  Tokenizer out;
  TRY_ASSIGN(Vocabulary vocabulary, Vocabulary::create(spec));
  out.vocabulary_ = std::make_unique<const Vocabulary>(std::move(vocabulary));
  TRY(out.take_special_ids(spec));
  // Some files name a control token as the unknown one; text must not turn into that either.
  if (spec.unk == spec.bos || spec.unk == spec.eos || out.is_end_of_generation(spec.unk)) spec.unk = kNoToken;
  switch (spec.model) {
    case TokenizerModel::kSentencePiece:
      if (spec.merge_left.empty()) {
        out.encoder_ = make_score_encoder(*out.vocabulary_, spec);
        break;
      }
      [[fallthrough]];
    case TokenizerModel::kBpe: {
      TRY_ASSIGN(out.encoder_, make_byte_pair_encoder(*out.vocabulary_, spec));
      break;
    }
    case TokenizerModel::kWordPiece: out.encoder_ = make_word_piece_encoder(*out.vocabulary_, spec); break;
  }
  TRY_ASSIGN(WholeTokenFinder finder, WholeTokenFinder::create(*out.vocabulary_, spec));
  out.finder_ = std::make_unique<const WholeTokenFinder>(std::move(finder));
  out.model_ = spec.model;
  out.normalizations_ = std::move(spec.normalizations);
  out.space_prefix_ = spec.space_prefix;
  out.space_prefix_if_missing_ = spec.space_prefix_if_missing;
  out.escapes_spaces_ = !spec.byte_level && spec.model != TokenizerModel::kWordPiece;
  out.chat_template_ = std::move(spec.chat_template);
  out.build_pieces(spec.byte_level);
  return out;
}

Status Tokenizer::take_special_ids(const TokenizerSpec& spec) {
  ids_ = {spec.bos, spec.eos, spec.eot, spec.eom, spec.unk, spec.pad, spec.sep, spec.cls, spec.mask};
  const std::pair<int32_t, std::string_view> named[] = {{ids_.bos, "bos"}, {ids_.eos, "eos"}, {ids_.eot, "eot"},
                                                        {ids_.eom, "eom"}, {ids_.unk, "unk"}, {ids_.pad, "pad"},
                                                        {ids_.sep, "sep"}, {ids_.cls, "cls"}, {ids_.mask, "mask"}};
  for (const auto& [id, name] : named) {
    if (id != kNoToken && !holds(id)) {
      return make_error("{}: the {} token has id {}, but ids run from 0 to {}", spec.source, name, id,
                        vocab_size() - 1);
    }
  }
  const std::pair<bool, std::pair<int32_t, std::string_view>> added[] = {
      {spec.add_bos, {ids_.bos, "bos"}}, {spec.add_eos, {ids_.eos, "eos"}}, {spec.add_sep, {ids_.sep, "sep"}}};
  for (const auto& [add, token] : added) {
    if (add && token.first == kNoToken) {
      return make_error("{}: text is to be put beside a {} token, but none is named", spec.source, token.second);
    }
  }
  adds_bos_ = spec.add_bos;
  adds_eos_ = spec.add_eos;
  adds_sep_ = spec.add_sep;
  find_end_of_generation();
  return {};
}

void Tokenizer::find_end_of_generation() {
  auto& ends = end_of_generation_;
  for (const EndToken& token : kEndTokens) {
    const int32_t found = id(token.text);
    if (!is_structural(found)) continue;
    ends.push_back(found);
    if (ids_.eot == kNoToken && token.ends_turn) ids_.eot = found;
    if (ids_.eom == kNoToken && token.text == kEndOfMessage) ids_.eom = found;
  }
  ends.insert(ends.end(), {ids_.eos, ids_.eot, ids_.eom});
  // Where a reply ends with <|return|> or <|call|>, <|end|> only closes one message of it (o200k_harmony; Solar Open
  // with its own names); and Gemma 4 has a </s> that means nothing.
  const auto has = [&](std::string_view text) { return id(text) != kNoToken; };
  if ((has("<|return|>") && has("<|call|>")) || (has("<|calls|>") && has("<|flush|>"))) std::erase(ends, id("<|end|>"));
  if (has("<|tool_response>")) std::erase(ends, id("</s>"));
  std::erase(ends, kNoToken);
  std::sort(ends.begin(), ends.end());
  ends.erase(std::unique(ends.begin(), ends.end()), ends.end());
}

bool Tokenizer::is_end_of_generation(int32_t id) const {
  return std::binary_search(end_of_generation_.begin(), end_of_generation_.end(), id);
}

void Tokenizer::build_pieces(bool byte_level) {
  pieces_.reserve(static_cast<size_t>(vocab_size()), 8 * static_cast<size_t>(vocab_size()));
  std::string piece;
  for (int32_t id = 0; id < vocab_size(); ++id) {
    piece.clear();
    append_piece(id, byte_level, piece);
    pieces_.push_back(piece);
  }
}

void Tokenizer::append_piece(int32_t id, bool byte_level, std::string& out) const {
  const std::string_view text = vocabulary_->text(id);
  const TokenType type = vocabulary_->type(id);
  const bool plain = type == TokenType::kControl || type == TokenType::kUnknown;
  if (type == TokenType::kByte) {
    if (const int byte = parse_byte_token(text); byte >= 0) {
      out += static_cast<char>(byte);
      return;
    }
  }
  if (plain || (byte_level && type == TokenType::kUserDefined)) {
    out += text;
  } else if (byte_level) {
    if (!append_from_byte_level(out, text)) out += text;
  } else {
    for (size_t at = 0; at < text.size();) {
      const size_t space = std::min(text.find(kSpace, at), text.size());
      out += text.substr(at, space - at);
      if (space < text.size()) out += ' ';
      at = space + kSpace.size();
    }
  }
}

std::string_view Tokenizer::piece(int32_t id) const {
  return holds(id) ? pieces_[static_cast<size_t>(id)] : std::string_view();
}

std::vector<int32_t> Tokenizer::encode(std::string_view text, EncodeOptions options) const {
  std::vector<WholeTokenFinder::Range> trusted;
  if (options.parse_special) trusted.push_back({0, text.size()});
  return encode_text(text, trusted, options.add_special);
}

std::vector<int32_t> Tokenizer::encode(std::span<const Segment> segments, bool add_special) const {
  std::string text;
  std::vector<WholeTokenFinder::Range> trusted;
  for (const Segment& segment : segments) {
    const size_t begin = text.size();
    text += segment.text;
    if (!segment.trusted || segment.text.empty()) continue;
    if (!trusted.empty() && trusted.back().end == begin) {
      trusted.back().end = text.size();
    } else {
      trusted.push_back({begin, text.size()});
    }
  }
  return encode_text(text, trusted, add_special);
}

std::vector<int32_t> Tokenizer::encode_text(std::string_view text, std::span<const WholeTokenFinder::Range> trusted,
                                            bool add_special) const {
  std::vector<int32_t> out;
  out.reserve(text.size() / 4 + 2);
  if (add_special && adds_bos_) out.push_back(ids_.bos);
  std::vector<WholeTokenFinder::Match> matches;
  finder_->find(text, trusted, matches);
  size_t at = 0;
  const auto encode_to = [&](size_t end) {
    if (end > at) encode_stretch(text.substr(at, end - at), at == 0, out);
  };
  for (const auto& match : matches) {
    encode_to(match.begin);
    out.push_back(match.id);
    at = match.end;
  }
  encode_to(text.size());
  if (add_special && adds_sep_) out.push_back(ids_.sep);
  if (add_special && adds_eos_) out.push_back(ids_.eos);
  return out;
}

void Tokenizer::encode_stretch(std::string_view stretch, bool first, std::vector<int32_t>& out) const {
  const bool prefix = space_prefix_ == SpacePrefix::kEach || (space_prefix_ == SpacePrefix::kFirst && first);
  if (normalizations_.empty() && !prefix && !escapes_spaces_) {
    encoder_->encode(stretch, out);
    return;
  }
  std::string text = normalize(stretch, normalizations_);
  const bool begins_with_space = text.substr(0, 1) == " " || text.substr(0, kSpace.size()) == kSpace;
  if (prefix && !(space_prefix_if_missing_ && begins_with_space)) text.insert(text.begin(), ' ');
  if (escapes_spaces_) replace_spaces(text);
  if (!text.empty()) encoder_->encode(text, out);
}

std::string Tokenizer::decode(std::span<const int32_t> ids, bool show_special) const {
  Decoder decoder(*this, {show_special, true});
  std::string out;
  for (const int32_t id : ids) out += decoder.push(id);
  return out + decoder.finish();
}

Decoder::Decoder(const Tokenizer& tokenizer, Options options)
    : tokenizer_(tokenizer),
      options_(options),
      at_start_(options.strip_first_space && (options.is_answer || tokenizer.space_prefix_ != SpacePrefix::kNone ||
                                              tokenizer.model_ == TokenizerModel::kWordPiece)) {}

std::string Decoder::push(int32_t id) {
  std::string out;
  push(id, out);
  return out;
}

void Decoder::push(int32_t id, std::string& out) {
  const TokenType type = tokenizer_.type(id);
  const bool special = type == TokenType::kControl || type == TokenType::kUnknown;
  if (special && !options_.show_special) return;
  std::string_view piece = tokenizer_.piece(id);
  if (at_start_ && !special && !piece.empty()) {
    if (piece.front() == ' ') piece.remove_prefix(1);
    at_start_ = false;
  }
  held_ += piece;
  const size_t ready = held_.size() - incomplete_utf8_tail(held_);
  out.append(held_, 0, ready);
  held_.erase(0, ready);
}

std::string Decoder::finish() { return std::exchange(held_, {}); }

}  // namespace andiron
