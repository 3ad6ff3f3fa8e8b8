#include "train/learn_data.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/content_hash.h"
#include "base/strings.h"
#include "train/learn.h"

namespace andiron {

namespace {

void add_files(const DataReport& report, const char* use, std::vector<DataFileRecord>& to) {
  for (const DataFile& file : report.files) {
    to.push_back({file.path, use, std::string(data_format_name(file.format)), file.hash, file.bytes, file.rows,
                  file.bad.count, file.duplicates});
  }
}

DataUse use_of(LossKind loss) {
  if (loss == LossKind::kNextToken) return DataUse::kRows;
  return loss == LossKind::kKto ? DataUse::kLabels : DataUse::kPairs;
}

// English of our own, cut as texts are.
TokenRows built_in_general(const Tokenizer& tokenizer, int64_t seq_len) {
  TokenRows out;
  TextCutter(tokenizer, seq_len).add(general_text(), true, true, out.rows);
  return out;
}

int64_t longest_row(const TokenRows& rows) {
  int64_t most = 0;
  for (const auto* side : {&rows.rows, &rows.rejected}) {
    for (const TokenRow& row : *side) most = std::max(most, row.positions());
  }
  return most;
}

}  // namespace

RowLengths row_lengths(std::optional<int64_t> asked, int64_t context) {
  constexpr int64_t kLongest = 2048, kUsual = 512;
  return {asked.value_or(std::min(kLongest, context)), asked.value_or(std::min(kUsual, context))};
}

int64_t sequence_length(const RowLengths& lengths, std::initializer_list<const TokenRows*> sides) {
  int64_t longest = 0, out = lengths.window;
  for (const TokenRows* rows : sides) longest = std::max(longest, longest_row(*rows));
  while (out < std::min(longest, lengths.most)) out = std::min(2 * out, lengths.most);
  return out;
}

Result<LearnData> read_learn_data(const LearnOptions& o, const StudiedFiles& studied, const Tokenizer& tokenizer,
                                  int64_t context, const std::function<bool(int64_t)>& fits, ThreadTeam& team) {
  if (o.seq_len && *o.seq_len > context) {
    return make_error("--seq-len: the model has a context of {} tokens, {} were asked for", context, *o.seq_len);
  }
  if (context < 2) return make_error("a context of {} tokens is too short to learn anything in", context);
  LearnData out;
  DataOptions reading = o.reading;
  reading.use = use_of(o.loss);
  reading.seed = o.seed;
  RowLengths lengths = row_lengths(o.seq_len, context);
  while (lengths.most > lengths.window && !fits(lengths.most)) {
    lengths.most = std::max(lengths.window, lengths.most / 2);
  }
  reading.seq_len = lengths.most;
  reading.window = lengths.window;
  TRY_ASSIGN(out.set, load_data(o.data, tokenizer, o.base_path, reading, team));
  add_files(out.set.report, "train", out.files);
  reading.use = DataUse::kRows;
  reading.held_out = 0;
  const auto add = [&](const std::vector<std::string>& paths, const char* use, TokenRows& to) -> Status {
    TRY_ASSIGN(DataSet more, load_data(paths, tokenizer, o.base_path, reading, team));
    add_files(more.report, use, out.files);
    std::move(more.train.rows.begin(), more.train.rows.end(), std::back_inserter(to.rows));
    return {};
  };
  if (!studied.rows.empty()) TRY(add({studied.rows}, "study", out.set.train));
  if (!studied.held_out.empty()) TRY(add({studied.held_out}, "study held out", out.set.held_out));
  if (!o.replay.empty()) TRY(add(o.replay, "replay", out.set.train));
  out.seq_len = sequence_length(lengths, {&out.set.train, &out.set.held_out});
  reading.seq_len = reading.window = out.seq_len;
  if (o.general.empty()) {
    out.general = built_in_general(tokenizer, out.seq_len);
    return out;
  }
  TRY_ASSIGN(DataSet general, load_data(o.general, tokenizer, o.base_path, reading, team));
  add_files(general.report, "general", out.files);
  out.general = std::move(general.train);
  return out;
}

std::string hash_rows(std::initializer_list<const TokenRows*> sides) {
  ContentHash hash;
  for (const TokenRows* rows : sides) {
    for (const auto* list : {&rows->rows, &rows->rejected}) {
      hash.add(list->size());
      for (const TokenRow& row : *list) {
        hash.add(row.tokens.size());
        hash.add({reinterpret_cast<const uint8_t*>(row.tokens.data()), row.tokens.size() * sizeof(int32_t)});
        hash.add(row.trained);
      }
    }
    hash.add(rows->desirable);
  }
  return hash.digits();
}

int64_t positions_of(const TokenRows& rows) {
  int64_t sum = 0;
  for (const auto* side : {&rows.rows, &rows.rejected}) {
    for (const TokenRow& row : *side) sum += row.positions();
  }
  return sum;
}

void keep_spread(TokenRows& rows, int64_t count) {
  const auto keep = [count](auto& of) {
    const size_t all = of.size(), most = static_cast<size_t>(count);
    if (all <= most) return;
    for (size_t i = 0; i < most; ++i) {
      const size_t from = i * all / most;  // not before i
      if (from != i) of[i] = std::move(of[from]);
    }
    of.resize(most);
  };
  keep(rows.rows);
  keep(rows.rejected);
  keep(rows.desirable);
}

TokenRows take_measured(TokenRows& rows) {
  constexpr size_t kLeast = 8, kEvery = 4;
  if (rows.rows.size() < kLeast) return rows;
  TokenRows measured, others;
  for (size_t i = 0; i < rows.rows.size(); ++i) {
    (i % kEvery == 0 ? measured : others).rows.push_back(std::move(rows.rows[i]));
  }
  rows = std::move(others);
  return measured;
}

}  // namespace andiron
