// TokenGrammar: which tokens of a vocabulary may come next, so that the answer matches a grammar.
//
//   TRY_ASSIGN(auto grammar, TokenGrammar::create(parsed, std::make_shared<const TokenTrie>(tokenizer)));
//   GrammarMatcher matcher(grammar);
//   TRY_ASSIGN(auto mask, matcher.mask());   // sampler.sample(logits, mask)
//   TRY(matcher.accept(token));
//
// The method is that of XGrammar (Dong et al., 2024). Most tokens are read within the rule that the text stands in:
// whether they may come depends on the state of that rule alone, and is found out once for each state, by a walk over
// the tree of the vocabulary. Of the others, tokens that end the rule and go on behind it, is remembered where in the
// tree the rule ends; from there they are walked with the stack that the text has. Masks of whole configurations are
// remembered too, so that the tokens of one string cost one such walk together. In a loop (automaton.h) that is found
// out of every token is also how many times more it begins; whether there are so many left is looked up.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "grammar/automaton.h"
#include "grammar/pushdown.h"
#include "grammar/token_trie.h"

namespace andiron {

// Any number of threads and matchers may use one.
class TokenGrammar {
 public:
  // Errors as Automaton::compile.
  static Result<std::shared_ptr<const TokenGrammar>> create(const Grammar& grammar,
                                                            std::shared_ptr<const TokenTrie> vocabulary);

  const Automaton& automaton() const { return automaton_; }
  const TokenTrie& vocabulary() const { return *vocabulary_; }
  const std::string& source() const { return source_; }

 private:
  friend class GrammarMatcher;

  // What can be said of a state whatever the stack. `count`: so many times a token begins the state's loop; outside of
  // loops 0.
  struct StateMask {
    struct Part {
      uint32_t count;
      std::vector<int32_t> tokens;  // that stay in the loop
      // Where they, with those of the parts before up to the last with bits, are many: these and all of all parts
      // before as bits, and `tokens` is empty.
      std::vector<uint64_t> bits;
    };
    struct Counted {
      uint32_t what;
      uint32_t count;
    };
    std::vector<Part> parts;       // rising counts
    std::vector<Counted> leaving;  // tokens that leave the loop
    std::vector<Counted> ends;     // nodes of the tree where the rule ends and tokens go on

    void add_to(std::vector<uint64_t>& mask, uint32_t least, uint32_t most) const;
    size_t bytes() const;
  };

  TokenGrammar(std::string source, Automaton automaton, std::shared_ptr<const TokenTrie> vocabulary)
      : source_(std::move(source)),
        automaton_(std::move(automaton)),
        vocabulary_(std::move(vocabulary)),
        masks_(automaton_.state_count()) {}

  std::string source_;
  Automaton automaton_;
  std::shared_ptr<const TokenTrie> vocabulary_;
  mutable std::mutex mutex_;
  mutable std::vector<std::shared_ptr<const StateMask>> masks_;  // by state; null: not yet
  mutable size_t mask_bytes_ = 0;
};

// The place of one answer in a grammar. One thread at a time.
class GrammarMatcher {
 public:
  explicit GrammarMatcher(std::shared_ptr<const TokenGrammar> grammar);

  // A bit for each token, token 0 the lowest of the first word: those that may come next; the end-of-generation tokens
  // where the answer may end. Valid until the next call. An Error where the grammar is too ambiguous to be followed.
  Result<std::span<const uint64_t>> mask();
  // Goes on with a token. An Error, and no change, where it is not allowed.
  Status accept(int32_t token);

  // What was accepted is an answer.
  bool may_end() const { return ended_ || pushdown_.accepts(at_); }
  // No text may follow: it has ended, or can only end.
  bool must_end() const { return ended_ || pushdown_.items(at_).empty(); }

 private:
  using StateMask = TokenGrammar::StateMask;

  std::shared_ptr<const StateMask> state_mask(uint32_t state);
  StateMask find_state_mask(uint32_t state);
  void add_item(const Pushdown::Item& item, std::vector<uint64_t>& bits);
  void compute(std::vector<uint64_t>& bits);
  template <typename OnNode>
  void walk(uint32_t begin, uint32_t end, uint32_t depth, uint32_t configuration, OnNode on_node);
  Status check_overflow() const;

  std::shared_ptr<const TokenGrammar> grammar_;
  Pushdown pushdown_;
  uint32_t at_;
  bool ended_ = false;
  std::vector<uint32_t> path_;                                 // configurations on the way down the tree
  std::unordered_map<uint32_t, std::vector<uint64_t>> masks_;  // by configuration
  uint32_t masks_generation_ = 0;
  std::vector<uint64_t> end_mask_;  // once ended: nothing
};

}  // namespace andiron
