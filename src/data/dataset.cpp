#include "data/dataset.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/strings.h"
#include "data/encode.h"
#include "data/reader.h"
#include "data/split.h"

namespace andiron {

namespace {

// Examples that are encoded together, by all threads: enough to keep them busy, few enough to hold in memory.
constexpr size_t kBatch = 256;

std::string_view use_name(DataUse use) {
  switch (use) {
    case DataUse::kRows: return "texts, conversations or completions";
    case DataUse::kPairs: return "preference pairs (\"chosen\" and \"rejected\")";
    case DataUse::kLabels: return "labelled answers or preference pairs";
  }
  return "";
}

bool serves(const Example& example, DataUse use) {
  const bool pair = example.kind == Example::Kind::kPreference;
  if (example.kind == Example::Kind::kChoice) return false;
  switch (use) {
    case DataUse::kRows: return !pair && !example.desirable;
    case DataUse::kPairs: return pair;
    case DataUse::kLabels: return pair || example.desirable.has_value();
  }
  return false;
}

// Takes examples, gives rows.
class Loader {
 public:
  Loader(const Tokenizer& tokenizer, std::string_view model_name, const DataOptions& options, ThreadTeam& team,
         DataReport& report, const RowSink& sink)
      : tokenizer_(tokenizer),
        model_name_(model_name),
        options_(options),
        team_(team),
        report_(report),
        sink_(sink),
        cutter_(tokenizer, options.window > 0 ? options.window : options.seq_len) {}

  Status take(Example&& example) {
    if (!serves(example, options_.use)) {
      return make_error("{}:{}: the file is {} data, but {} are needed here", path_of(example), example.line,
                        data_format_name(report_.files[example.file].format), use_name(options_.use));
    }
    if (!encoder_ && example.kind != Example::Kind::kText) TRY(make_encoder());
    const bool chat = example.kind == Example::Kind::kChat || example.kind == Example::Kind::kPreference;
    if (chat && !encoder_->has_template()) report_.plain_chat_format = true;
    batch_.push_back(std::move(example));
    if (batch_.size() >= kBatch || batch_.back().kind == Example::Kind::kText) TRY(flush());
    return {};
  }

  Status flush() {
    std::vector<Result<EncodedExample>> encoded(batch_.size(), Error{});
    team_.parallel_for(static_cast<int64_t>(batch_.size()), [&](int64_t i, int) {
      const Example& example = batch_[static_cast<size_t>(i)];
      if (example.kind != Example::Kind::kText) encoded[static_cast<size_t>(i)] = encoder_->encode(example);
    });
    for (size_t i = 0; i < batch_.size(); ++i) {
      if (batch_[i].kind == Example::Kind::kText) {
        TRY(add_text(batch_[i]));
      } else if (encoded[i].ok()) {
        TRY(add_encoded(batch_[i], std::move(*encoded[i])));
      } else {
        report_.files[batch_[i].file].bad.add(path_of(batch_[i]), batch_[i].line, encoded[i].error().message);
      }
    }
    batch_.clear();
    return {};
  }

 private:
  const std::string& path_of(const Example& example) const { return report_.files[example.file].path; }

  // Only when it is needed: texts can be trained on whatever the model's template is like.
  Status make_encoder() {
    TRY_ASSIGN(auto encoder, ExampleEncoder::create(tokenizer_, model_name_, {options_.loss_on, options_.now}));
    encoder_.emplace(std::move(encoder));
    return {};
  }

  Status add_text(const Example& example) {
    std::vector<TokenRow> cut;
    cutter_.add(example.text, example.first_piece, example.last_piece, cut);
    text_rows_ += cut.size();
    if (example.first_piece) text_rows_ = cut.size();
    if (example.last_piece && text_rows_ == 0) {
      report_.files[example.file].bad.add(path_of(example), example.line, "the text has fewer than two tokens");
    } else if (example.last_piece) {
      ++report_.rows_used;
    }
    for (TokenRow& row : cut) TRY(add_row(example, std::move(row)));
    return {};
  }

  Status add_encoded(const Example& example, EncodedExample&& encoded) {
    int64_t longest = encoded.rejected.positions();
    for (const TokenRow& row : encoded.rows) longest = std::max(longest, row.positions());
    const bool is_long = longest > options_.seq_len;
    const bool can_split = example.kind != Example::Kind::kPreference && !example.desirable;
    if (is_long && (options_.long_rows == LongRows::kRefuse || !can_split)) {
      report_.too_long.add(path_of(example), example.line,
                           format("{} positions; a sequence has {}", longest, options_.seq_len));
      return {};
    }
    ++report_.rows_used;
    report_.answers_apart += static_cast<int64_t>(encoded.rows.size()) - 1;
    if (encoded.prompt_unlike) ++report_.prompts_unlike;
    if (is_long) ++report_.rows_split;
    if (example.kind == Example::Kind::kPreference) return add_pair(example, std::move(encoded));
    for (TokenRow& row : encoded.rows) {
      if (row.positions() <= options_.seq_len) {
        TRY(add_row(example, std::move(row), example.desirable));
        continue;
      }
      for (TokenRow& part : split_row(row, tokenizer_, options_.seq_len)) TRY(add_row(example, std::move(part)));
    }
    return {};
  }

  Status add_pair(const Example& example, EncodedExample&& encoded) {
    if (options_.use == DataUse::kPairs) {
      return add_row(example, std::move(encoded.rows.front()), {}, std::move(encoded.rejected));
    }
    TRY(add_row(example, std::move(encoded.rows.front()), true));
    return add_row(example, std::move(encoded.rejected), false);
  }

  Status add_row(const Example& example, TokenRow&& row, std::optional<bool> desirable = {},
                 std::optional<TokenRow> rejected = {}) {
    return sink_({std::move(row), std::move(rejected), desirable, held_out_order(example.document, options_.seed),
                  example.file});
  }

  const Tokenizer& tokenizer_;
  std::string_view model_name_;
  const DataOptions& options_;
  ThreadTeam& team_;
  DataReport& report_;
  const RowSink& sink_;
  std::optional<ExampleEncoder> encoder_;
  TextCutter cutter_;
  size_t text_rows_ = 0;  // of the text at hand
  std::vector<Example> batch_;
};

void move_row(TokenRows& from, size_t i, TokenRows& to) {
  to.rows.push_back(std::move(from.rows[i]));
  if (!from.rejected.empty()) to.rejected.push_back(std::move(from.rejected[i]));
  if (!from.desirable.empty()) to.desirable.push_back(from.desirable[i]);
}

void split(TokenRows&& rows, const std::vector<uint64_t>& orders, const DataOptions& options, DataSet& out) {
  const HeldOut held = hold_out(orders, {options.held_out, options.held_out_rows_max});
  for (size_t i = 0; i < rows.rows.size(); ++i) move_row(rows, i, held.rows[i] != 0 ? out.held_out : out.train);
  DataReport& report = out.report;
  report.documents = held.documents;
  report.held_out_documents = held.held_out;
  report.train_rows = static_cast<int64_t>(out.train.rows.size());
  report.held_out_rows = static_cast<int64_t>(out.held_out.rows.size());
  report.train_tokens = count_tokens(out.train);
  report.trained_tokens = count_trained(out.train);
  report.held_out_tokens = count_tokens(out.held_out);
}

}  // namespace

int64_t count_tokens(const TokenRows& rows) {
  int64_t tokens = 0;
  for (const auto* side : {&rows.rows, &rows.rejected}) {
    for (const TokenRow& row : *side) tokens += static_cast<int64_t>(row.tokens.size());
  }
  return tokens;
}

int64_t count_trained(const TokenRows& rows) {
  int64_t trained = 0;
  for (const auto* side : {&rows.rows, &rows.rejected}) {
    for (const TokenRow& row : *side) trained += std::count(row.trained.begin(), row.trained.end(), uint8_t{1});
  }
  return trained;
}

Status read_rows(const std::vector<std::string>& paths, const Tokenizer& tokenizer, std::string_view model_name,
                 const DataOptions& options, ThreadTeam& team, DataReport& report, const RowSink& sink) {
  ANDIRON_CHECK(options.seq_len >= 2);
  Loader loader(tokenizer, model_name, options, team, report, sink);
  DataReader reader(
      report, [&](Example&& example) { return loader.take(std::move(example)); }, options.stop);
  TRY(reader.read(paths, options.format));
  return loader.flush();
}

Result<DataSet> load_data(const std::vector<std::string>& paths, const Tokenizer& tokenizer,
                          std::string_view model_name, const DataOptions& options, ThreadTeam& team) {
  DataSet out;
  TokenRows rows;
  std::vector<uint64_t> orders;
  TRY(read_rows(paths, tokenizer, model_name, options, team, out.report, [&](LoadedRow&& loaded) -> Status {
    rows.rows.push_back(std::move(loaded.row));
    if (loaded.rejected) rows.rejected.push_back(std::move(*loaded.rejected));
    if (loaded.desirable) rows.desirable.push_back(*loaded.desirable ? 1 : 0);
    orders.push_back(loaded.order);
    return {};
  }));
  if (rows.rows.empty()) return nothing_left("there is no row to use", describe_report(out.report));
  split(std::move(rows), orders, options, out);
  return out;
}

}  // namespace andiron
