#include "grammar/token_grammar.h"

#include <algorithm>
#include <utility>

#include "base/strings.h"

namespace andiron {

namespace {

constexpr size_t kStateMaskBytesMax = 64 << 20;  // of all states together
constexpr size_t kMasksMax = 128;                // of configurations, for each matcher

void set_bit(std::vector<uint64_t>& bits, int32_t token) {
  bits[static_cast<size_t>(token) / 64] |= uint64_t{1} << (static_cast<uint32_t>(token) % 64);
}

}  // namespace

// The tokens that may come where the loop may begin at most `most` times more, and be left after `least` more.
void TokenGrammar::StateMask::add_to(std::vector<uint64_t>& mask, uint32_t least, uint32_t most) const {
  size_t i = parts.size();
  while (i > 0 && parts[i - 1].count > most) --i;
  for (; i > 0; --i) {
    const Part& part = parts[i - 1];
    for (const int32_t token : part.tokens) set_bit(mask, token);
    if (part.bits.empty()) continue;
    for (size_t word = 0; word < part.bits.size(); ++word) mask[word] |= part.bits[word];
    break;
  }
  for (const Counted& one : leaving) {
    if (one.count >= least && one.count <= most) set_bit(mask, static_cast<int32_t>(one.what));
  }
}

size_t TokenGrammar::StateMask::bytes() const {
  size_t sum = (leaving.size() + ends.size()) * sizeof(Counted);
  for (const Part& part : parts) sum += part.tokens.size() * sizeof(int32_t) + part.bits.size() * sizeof(uint64_t);
  return sum;
}

Result<std::shared_ptr<const TokenGrammar>> TokenGrammar::create(const Grammar& grammar,
                                                                 std::shared_ptr<const TokenTrie> vocabulary) {
  TRY_ASSIGN(Automaton automaton, Automaton::compile(grammar));
  return std::shared_ptr<const TokenGrammar>(
      new TokenGrammar(grammar.source, std::move(automaton), std::move(vocabulary)));
}

GrammarMatcher::GrammarMatcher(std::shared_ptr<const TokenGrammar> grammar)
    : grammar_(std::move(grammar)),
      pushdown_(grammar_->automaton()),
      at_(pushdown_.start()),
      path_(grammar_->vocabulary().depth_max() + 1) {}

// Walks nodes [begin, end) of the tree, which lie below a node of `depth` whose bytes led to `configuration`.
// on_node(node, configuration) for every node that can be reached.
template <typename OnNode>
void GrammarMatcher::walk(uint32_t begin, uint32_t end, uint32_t depth, uint32_t configuration, OnNode on_node) {
  const auto nodes = grammar_->vocabulary().nodes();
  path_[depth] = configuration;
  for (uint32_t i = begin; i < end;) {
    const TokenTrie::Node& node = nodes[i];
    const uint32_t reached = pushdown_.next(path_[node.depth - 1u], node.byte);
    if (reached == Pushdown::kDead) {
      i = node.end;
      continue;
    }
    path_[node.depth] = reached;
    on_node(i, reached);
    ++i;
  }
}

TokenGrammar::StateMask GrammarMatcher::find_state_mask(uint32_t state) {
  const TokenTrie& trie = grammar_->vocabulary();
  const bool in_loop = grammar_->automaton().loop(state) != nullptr;
  struct Place {
    uint32_t count = 0;
    bool left = false;
  };
  std::vector<Place> places(trie.depth_max() + 1);  // on the way down the tree
  std::vector<std::vector<int32_t>> by_count(1);
  StateMask out;
  walk(0, static_cast<uint32_t>(trie.nodes().size()), 0, pushdown_.alone(state), [&](uint32_t node, uint32_t reached) {
    const TokenTrie::Node& at = trie.nodes()[node];
    Place& place = places[at.depth];
    place = places[at.depth - 1u];
    if (in_loop && !place.left) {
      const auto items = pushdown_.items(reached);
      place.left = items.empty() || items[0].count < Pushdown::kUnknownCount;
      if (!place.left) place.count = items[0].count - Pushdown::kUnknownCount;
    }
    if (by_count.size() <= place.count) by_count.resize(place.count + 1);
    for (const int32_t token : trie.tokens(at)) {
      if (place.left) {
        out.leaving.push_back({static_cast<uint32_t>(token), place.count});
      } else {
        by_count[place.count].push_back(token);
      }
    }
    if (pushdown_.accepts(reached) && at.end > node + 1) out.ends.push_back({node, place.count});
  });
  std::vector<uint64_t> bits(trie.mask_words());
  size_t listed = 0;  // tokens since the last part with bits
  for (uint32_t count = 0; count < by_count.size(); ++count) {
    std::vector<int32_t>& tokens = by_count[count];
    if (tokens.empty()) continue;
    for (const int32_t token : tokens) set_bit(bits, token);
    listed += tokens.size();
    if (listed * sizeof(int32_t) > bits.size() * sizeof(uint64_t)) {
      out.parts.push_back({count, {}, bits});
      listed = 0;
    } else {
      tokens.shrink_to_fit();
      out.parts.push_back({count, std::move(tokens), {}});
    }
  }
  return out;
}

std::shared_ptr<const TokenGrammar::StateMask> GrammarMatcher::state_mask(uint32_t state) {
  {
    const std::lock_guard lock(grammar_->mutex_);
    if (grammar_->masks_[state] != nullptr) return grammar_->masks_[state];
  }
  auto made = std::make_shared<const StateMask>(find_state_mask(state));
  if (pushdown_.overflowed()) return made;
  const size_t bytes = made->bytes();
  const std::lock_guard lock(grammar_->mutex_);
  if (grammar_->mask_bytes_ + bytes > kStateMaskBytesMax) {
    std::fill(grammar_->masks_.begin(), grammar_->masks_.end(), nullptr);
    grammar_->mask_bytes_ = 0;
  }
  grammar_->mask_bytes_ += bytes;
  grammar_->masks_[state] = made;
  return made;
}

void GrammarMatcher::add_item(const Pushdown::Item& item, std::vector<uint64_t>& bits) {
  const TokenTrie& trie = grammar_->vocabulary();
  const auto mask = state_mask(item.state);
  uint32_t least = 0, most = 0;
  if (const CountedLoop* loop = grammar_->automaton().loop(item.state)) {
    least = loop->min - std::min(item.count, loop->min);
    most = loop->max == GrammarNode::kUnbounded ? loop->max : loop->max - item.count;
  }
  mask->add_to(bits, least, most);
  if (item.stack == Pushdown::kEmptyStack || mask->ends.empty()) return;
  const uint32_t after = pushdown_.after(item.stack);
  if (pushdown_.items(after).empty()) return;
  for (const StateMask::Counted& end : mask->ends) {
    if (end.count < least || end.count > most) continue;
    const TokenTrie::Node& node = trie.nodes()[end.what];
    walk(end.what + 1, node.end, node.depth, after, [&](uint32_t reached, uint32_t) {
      for (const int32_t token : trie.tokens(trie.nodes()[reached])) set_bit(bits, token);
    });
  }
}

void GrammarMatcher::compute(std::vector<uint64_t>& bits) {
  const std::vector<Pushdown::Item> items(pushdown_.items(at_).begin(), pushdown_.items(at_).end());
  for (const Pushdown::Item& item : items) {
    if (pushdown_.overflowed()) return;
    add_item(item, bits);
  }
  if (!pushdown_.accepts(at_)) return;
  for (const int32_t token : grammar_->vocabulary().ends()) set_bit(bits, token);
}

Status GrammarMatcher::check_overflow() const {
  if (!pushdown_.overflowed()) return {};
  return make_error(
      "{}: the grammar is too ambiguous: a text can be read in more than {} ways at once, or every "
      "token leads elsewhere",
      grammar_->source(), Pushdown::kItemsMax);
}

Result<std::span<const uint64_t>> GrammarMatcher::mask() {
  const size_t words = grammar_->vocabulary().mask_words();
  if (ended_) {
    end_mask_.resize(words);
    return std::span<const uint64_t>(end_mask_);
  }
  if (masks_generation_ != pushdown_.generation() || masks_.size() > kMasksMax) masks_.clear();
  masks_generation_ = pushdown_.generation();
  const auto [found, fresh] = masks_.try_emplace(at_);
  if (fresh) {
    found->second.resize(words);
    compute(found->second);
    TRY(check_overflow());
  }
  return std::span<const uint64_t>(found->second);
}

Status GrammarMatcher::accept(int32_t token) {
  const TokenTrie& trie = grammar_->vocabulary();
  const auto wrong = [&] {
    return make_error("{}: the grammar does not allow token {} here", grammar_->source(), token);
  };
  if (ended_ || token < 0 || token >= trie.vocab_size()) return wrong();
  if (std::find(trie.ends().begin(), trie.ends().end(), token) != trie.ends().end()) {
    if (!may_end()) return wrong();
    ended_ = true;
    return {};
  }
  const std::string_view piece = trie.piece(token);
  uint32_t at = at_;
  for (const char c : piece) at = pushdown_.next(at, static_cast<uint8_t>(c));
  TRY(check_overflow());
  if (piece.empty() || at == Pushdown::kDead) return wrong();
  at_ = pushdown_.trim(at);
  return {};
}

}  // namespace andiron
