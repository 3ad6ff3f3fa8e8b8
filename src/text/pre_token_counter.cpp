#include "text/pre_token_counter.h"

#include <algorithm>
#include <utility>

#include "text/pre_names.h"

namespace andiron {

Result<PreTokenCounter> PreTokenCounter::create(const BpeTrainOptions& options, int workers) {
  TRY_ASSIGN(PreTokenizer pre_tokenizer, PreTokenizer::create(find_pre_tokenizer(options.pre)->stages, options.pre));
  PreTokenCounter out(std::move(pre_tokenizer), workers);
  if (options.special_tokens.empty()) return out;
  TokenizerSpec special;
  special.source = "special tokens";
  for (const std::string& token : options.special_tokens) special.tokens.push_back(token);
  special.types.assign(options.special_tokens.size(), TokenType::kControl);
  TRY_ASSIGN(Vocabulary vocabulary, Vocabulary::create(special));
  out.special_tokens_ = std::make_unique<const Vocabulary>(std::move(vocabulary));
  TRY_ASSIGN(out.finder_, WholeTokenFinder::create(*out.special_tokens_, special));
  return out;
}

void PreTokenCounter::add(std::string_view text, int worker) {
  Worker& own = workers_[static_cast<size_t>(worker)];
  const auto count_stretch = [&](size_t begin, size_t end) {
    if (begin == end) return;
    const std::string_view stretch = text.substr(begin, end - begin);
    pre_tokenizer_.split(stretch, [&](TextSpan span) {
      const std::string_view pre_token = stretch.substr(span.begin, span.end - span.begin);
      const auto found = own.table.find(pre_token);
      if (found != own.table.end()) {
        ++found->second;
      } else {
        own.table.emplace(pre_token, 1);
      }
    });
  };
  own.specials.clear();
  const WholeTokenFinder::Range all{0, text.size()};
  finder_.find(text, std::span(&all, 1), own.specials);
  size_t at = 0;
  for (const auto& match : own.specials) {
    count_stretch(at, match.begin);
    at = match.end;
  }
  count_stretch(at, text.size());
}

Result<PreTokenCounts> PreTokenCounter::take() {
  Table all = std::move(workers_.front().table);
  for (Worker& worker : workers_) {
    Table table = std::exchange(worker.table, {});
    while (&worker != &workers_.front() && !table.empty()) {
      auto node = table.extract(table.begin());
      const int64_t count = node.mapped();
      if (const auto inserted = all.insert(std::move(node)); !inserted.inserted) inserted.position->second += count;
    }
  }
  std::vector<const Table::value_type*> sorted;
  sorted.reserve(all.size());
  size_t bytes = 0;
  for (const auto& entry : all) {
    sorted.push_back(&entry);
    bytes += entry.first.size();
  }
  TRY(check_words(bytes, all.size()));
  std::sort(sorted.begin(), sorted.end(), [](const auto* a, const auto* b) { return a->first < b->first; });
  PreTokenCounts counts;
  counts.texts.reserve(sorted.size(), bytes);
  counts.counts.reserve(sorted.size());
  for (const auto* entry : sorted) {
    counts.texts.push_back(entry->first);
    counts.counts.push_back(entry->second);
  }
  return counts;
}

}  // namespace andiron
