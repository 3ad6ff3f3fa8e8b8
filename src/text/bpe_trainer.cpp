#include "text/bpe_trainer.h"

#include <algorithm>
#include <array>
#include <set>
#include <string_view>
#include <utility>

#include "base/strings.h"
#include "text/byte_level.h"
#include "text/pre_names.h"
#include "text/whole_token_finder.h"

namespace andiron {

namespace {

constexpr int64_t kBytes = 256;
constexpr int32_t kBorder = -1;
constexpr int32_t kInside = INT32_MIN;

uint64_t key_of(int32_t left, int32_t right) {
  return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
}

Status check_special_token(std::string_view token) {
  if (token.empty()) return make_error("a special token is empty");
  if (token.size() > WholeTokenFinder::kTextBytesMax) {
    return make_error("the special token \"{}\" has {} bytes; at most {} are found in texts", in_quotes(token, 40),
                      token.size(), WholeTokenFinder::kTextBytesMax);
  }
  if (!is_valid_utf8(token)) return make_error("the special token \"{}\" is not UTF-8", in_quotes(token));
  std::string byte;
  size_t at = 0;
  next_code_point(token, at);
  if (at == token.size() && append_from_byte_level(byte, token)) {
    return make_error("the special token \"{}\" is the name of a byte in the vocabulary; take a longer one",
                      in_quotes(token));
  }
  return {};
}

}  // namespace

Status validate(const BpeTrainOptions& options) {
  const PreFacts* facts = find_pre_tokenizer(options.pre);
  if (facts == nullptr || facts->code_points || options.pre.empty()) {
    return make_error(
        "\"{}\" is no byte-level pre-tokenizer; expected one of GGUF's names (tokenizer.ggml.pre), such as qwen2, "
        "gpt-2, "
        "llama-bpe",
        in_quotes(options.pre));
  }
  std::set<std::string_view> seen;
  for (const std::string& token : options.special_tokens) {
    TRY(check_special_token(token));
    if (!seen.insert(token).second) return make_error("the special token \"{}\" is there twice", in_quotes(token));
  }
  if (options.count_min < 1) {
    return make_error("pairs that occur {} times cannot be merged; expected 1 or more", options.count_min);
  }
  const int64_t least = kBytes + static_cast<int64_t>(options.special_tokens.size());
  if (options.vocab_size < least || options.vocab_size > BpeTrainOptions::kVocabSizeMax) {
    return make_error("a vocabulary of {} tokens: 256 bytes and {} need {}, and at most {} are supported",
                      options.vocab_size, counted(static_cast<int64_t>(options.special_tokens.size()), "special token"),
                      least, BpeTrainOptions::kVocabSizeMax);
  }
  return {};
}

// A place for each byte, and a border before, between and behind them.
Status check_words(size_t bytes, size_t count) {
  if (bytes <= UINT32_MAX && count < UINT32_MAX - bytes) return {};
  return make_error("the texts have {} of distinct words; at most 4 GiB can be learned from, so give fewer texts",
                    human_bytes(bytes));
}

Result<BpeTrainer> BpeTrainer::create(const PreTokenCounts& counts, BpeTrainOptions options) {
  TRY(check_words(counts.texts.bytes(), counts.texts.size()));
  const size_t places = counts.texts.bytes() + counts.texts.size() + 1;
  BpeTrainer out(std::move(options));
  out.add_first_tokens();
  out.places_.reserve(places);
  out.owners_.reserve(places);
  out.lay_out(counts);
  out.offer_new_pairs();
  return out;
}

void BpeTrainer::add_first_tokens() {
  for (const std::string& token : options_.special_tokens) {
    tokens_.push_back(token);
    sizes_.push_back(static_cast<uint32_t>(token.size()));
  }
  std::array<uint8_t, kBytes> bytes;
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<uint8_t>(i);
  std::sort(bytes.begin(), bytes.end(),
            [](uint8_t a, uint8_t b) { return byte_level_character(a) < byte_level_character(b); });
  std::string text;
  for (const uint8_t byte : bytes) {
    byte_ids_[byte] = static_cast<int32_t>(tokens_.size());
    text.clear();
    append_utf8(text, byte_level_character(byte));
    tokens_.push_back(text);
    sizes_.push_back(1);
  }
}

void BpeTrainer::lay_out(const PreTokenCounts& counts) {
  counts_ = counts.counts;
  places_.push_back(kBorder);
  owners_.push_back(0);
  for (size_t i = 0; i < counts.texts.size(); ++i) {
    const std::string_view text = counts.texts[i];
    begins_.push_back(static_cast<uint32_t>(places_.size()));
    token_count_ += static_cast<int64_t>(text.size()) * counts_[i];
    for (const char c : text) {
      const int32_t id = byte_ids_[static_cast<uint8_t>(c)];
      if (const int32_t before = places_.back(); before != kBorder) {
        add(before, id, static_cast<uint32_t>(places_.size() - 1), counts_[i]);
      }
      places_.push_back(id);
      owners_.push_back(static_cast<uint32_t>(i));
    }
    places_.push_back(kBorder);
    owners_.push_back(static_cast<uint32_t>(i));
  }
}

void BpeTrainer::add(int32_t left, int32_t right, uint32_t place, int64_t count) {
  const uint64_t key = key_of(left, right);
  Pair& pair = pairs_[key];
  if (pair.places.empty()) new_pairs_.push_back(key);
  pair.count += count;
  pair.places.push_back(place);
}

void BpeTrainer::subtract(int32_t left, int32_t right, int64_t count) {
  if (const auto found = pairs_.find(key_of(left, right)); found != pairs_.end()) found->second.count -= count;
}

// Pairs that are too rare will never be frequent enough, and are forgotten: most of the pairs of a text occur once.
void BpeTrainer::offer_new_pairs() {
  for (const uint64_t key : new_pairs_) {
    const auto found = pairs_.find(key);
    const auto left = static_cast<int32_t>(key >> 32);
    const auto right = static_cast<int32_t>(key & UINT32_MAX);
    if (found->second.count < options_.count_min || !is_allowed(left, right)) {
      pairs_.erase(found);
    } else {
      heap_.push({found->second.count, left, right});
    }
  }
  new_pairs_.clear();
}

// Text must not come to spell a special token.
bool BpeTrainer::is_allowed(int32_t left, int32_t right) const {
  const auto a = static_cast<size_t>(left);
  const auto b = static_cast<size_t>(right);
  if (size_t{sizes_[a]} + sizes_[b] > kTokenBytesMax) return false;
  return std::none_of(options_.special_tokens.begin(), options_.special_tokens.end(), [&](const std::string& token) {
    return token.size() == tokens_[a].size() + tokens_[b].size() && token.starts_with(tokens_[a]) &&
           token.ends_with(tokens_[b]);
  });
}

std::optional<BpeTrainer::Candidate> BpeTrainer::take_best() {
  while (!heap_.empty()) {
    Candidate best = heap_.top();
    heap_.pop();
    const auto found = pairs_.find(key_of(best.left, best.right));
    const int64_t count = found->second.count;
    if (count == best.count) return best;
    if (count < options_.count_min) {
      pairs_.erase(found);
    } else {
      best.count = count;
      heap_.push(best);
    }
  }
  return std::nullopt;
}

bool BpeTrainer::merge_next() {
  if (vocab_size() >= options_.vocab_size) return false;
  const auto best = take_best();
  if (!best) return false;
  const auto left = static_cast<size_t>(best->left);
  const auto right = static_cast<size_t>(best->right);
  const auto id = static_cast<int32_t>(tokens_.size());
  merge_left_.push_back(tokens_[left]);
  merge_right_.push_back(tokens_[right]);
  tokens_.push_back(std::string(tokens_[left]).append(tokens_[right]));
  sizes_.push_back(sizes_[left] + sizes_[right]);
  last_count_ = best->count;
  merge(*best, id);
  offer_new_pairs();
  return true;
}

void BpeTrainer::merge(const Candidate& pair, int32_t id) {
  const auto found = pairs_.find(key_of(pair.left, pair.right));
  const std::vector<uint32_t> places = std::move(found->second.places);
  pairs_.erase(found);
  const uint32_t left_size = sizes_[static_cast<size_t>(pair.left)];
  const uint32_t size = sizes_[static_cast<size_t>(id)];
  for (const uint32_t place : places) {
    const uint32_t middle = place + left_size;
    if (places_[place] != pair.left || places_[middle] != pair.right) continue;
    const int64_t count = counts_[owners_[place]];
    const int32_t after = places_[place + size];
    if (after != kBorder) {
      subtract(pair.right, after, count);
      add(id, after, place, count);
    }
    if (const int32_t end = places_[place - 1]; end != kBorder) {
      const uint32_t begin = end >= 0 ? place - 1 : place - static_cast<uint32_t>(-end);
      subtract(places_[begin], pair.left, count);
      add(places_[begin], id, begin, count);
    }
    places_[middle - 1] = kInside;
    places_[middle] = kInside;
    places_[place] = id;
    places_[place + size - 1] = -static_cast<int32_t>(size);
    token_count_ -= count;
  }
}

std::vector<int32_t> BpeTrainer::segmentation(size_t pre_token) const {
  std::vector<int32_t> out;
  for (size_t at = begins_[pre_token]; places_[at] != kBorder; at += sizes_[static_cast<size_t>(out.back())]) {
    out.push_back(places_[at]);
  }
  return out;
}

TokenizerSpec BpeTrainer::spec() const {
  const PreFacts& facts = *find_pre_tokenizer(options_.pre);
  TokenizerSpec spec;
  spec.source = "trained";
  spec.tokens = tokens_;
  spec.types.assign(tokens_.size(), TokenType::kNormal);
  std::fill_n(spec.types.begin(), options_.special_tokens.size(), TokenType::kControl);
  spec.merge_left = merge_left_;
  spec.merge_right = merge_right_;
  spec.pre = options_.pre;
  spec.stages = facts.stages;
  spec.ignore_merges = facts.ignore_merges;
  spec.fuse_unknown = false;
  return spec;
}

}  // namespace andiron
