#include "data/choices.h"

#include <algorithm>
#include <utility>

#include "base/strings.h"
#include "data/encode.h"
#include "data/messages.h"
#include "data/reader.h"

namespace andiron {

Example answered(const Example& question, const std::string& choice) {
  Example out;
  if (question.messages.items().empty()) {
    out.kind = Example::Kind::kCompletion;
    out.prompt = question.prompt;
    out.completion = choice;
    return out;
  }
  out.messages = question.messages;
  out.messages.push(text_message("assistant", choice));
  out.trained.assign(out.messages.items().size(), 0);
  out.trained.back() = 1;
  return out;
}

namespace {

Result<std::vector<TokenRow>> rows_of(const ExampleEncoder& encoder, const Example& example) {
  std::vector<TokenRow> rows;
  if (example.kind == Example::Kind::kPreference) {
    TRY_ASSIGN(EncodedExample pair, encoder.encode(example));
    rows.push_back(std::move(pair.rows.front()));
    rows.push_back(std::move(pair.rejected));
    return rows;
  }
  for (const std::string& choice : example.choices) {
    TRY_ASSIGN(EncodedExample encoded, encoder.encode(answered(example, choice)));
    rows.push_back(std::move(encoded.rows.back()));  // the one that ends with the answer
  }
  return rows;
}

class Loader {
 public:
  Loader(const ExampleEncoder& encoder, int64_t seq_len, ChoiceSet& out)
      : encoder_(encoder), seq_len_(seq_len), out_(out) {}

  void take(const Example& example) {
    DataReport& report = out_.report;
    DataFile& file = report.files[example.file];
    auto rows = rows_of(encoder_, example);
    if (!rows.ok()) {
      file.bad.add(file.path, example.line, rows.error().message);
      return;
    }
    int64_t longest = 0;
    for (const TokenRow& row : *rows) longest = std::max(longest, row.positions());
    if (longest > seq_len_) {
      report.too_long.add(file.path, example.line, format("{} positions; a sequence has {}", longest, seq_len_));
      return;
    }
    out_.questions.push_back({out_.rows.rows.size(), rows->size(), example.right});
    ++report.rows_used;
    ++report.documents;
    report.plain_chat_format =
        report.plain_chat_format || (!encoder_.has_template() && !example.messages.items().empty());
    for (TokenRow& row : *rows) {
      ++report.train_rows;
      report.train_tokens += static_cast<int64_t>(row.tokens.size());
      report.trained_tokens += std::count(row.trained.begin(), row.trained.end(), uint8_t{1});
      out_.rows.rows.push_back(std::move(row));
    }
  }

 private:
  const ExampleEncoder& encoder_;
  int64_t seq_len_;
  ChoiceSet& out_;
};

}  // namespace

Result<ChoiceSet> load_choices(const std::vector<std::string>& paths, const Tokenizer& tokenizer,
                               std::string_view model_name, int64_t seq_len) {
  TRY_ASSIGN(const auto encoder,
             ExampleEncoder::create(tokenizer, model_name, {.loss_on = LossOn::kLastAnswer, .now = {}}));
  ChoiceSet out;
  Loader loader(encoder, seq_len, out);
  DataReader reader(out.report, [&](Example&& example) {
    loader.take(example);
    return Status();
  });
  TRY(reader.read(paths, DataFormat::kChoice));
  if (out.questions.empty()) return nothing_left("there is no question with choices", describe_report(out.report));
  return out;
}

}  // namespace andiron
