// Data files: any bytes, read as what they look like and as every format, then encoded. Besides not crashing: every row
// is an example, bad or a duplicate; rows of tokens are well-formed, and special tokens come from the template alone.
#include <algorithm>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "base/strings.h"
#include "data/byte_tokenizer.h"
#include "data/choices.h"
#include "data/encode.h"
#include "data/reader.h"

namespace {

using namespace andiron;

void require(bool condition) {
  if (!condition) std::abort();
}

void check_row(const TokenRow& row) {
  require(row.tokens.size() >= 2 && row.tokens.size() == row.trained.size() && row.trained[0] == 0);
  require(std::find(row.trained.begin(), row.trained.end(), uint8_t{1}) != row.trained.end());
}

// `origin`: the row it comes from.
void check_example(const Tokenizer& tokenizer, const ExampleEncoder& encoder, TextCutter& cutter,
                   const Example& example, const Example& origin) {
  require(!origin.document.empty() && origin.line >= 1);
  if (example.kind == Example::Kind::kText) {
    require(is_valid_utf8(example.text));
    std::vector<TokenRow> rows;
    cutter.add(example.text, example.first_piece, example.last_piece, rows);
    for (const TokenRow& row : rows) {
      check_row(row);
      require(row.positions() <= 16);
    }
    return;
  }
  if (example.kind == Example::Kind::kChoice) {
    require(example.choices.size() >= 2 && example.right < example.choices.size());
    for (const std::string& choice : example.choices) {
      check_example(tokenizer, encoder, cutter, answered(example, choice), example);
    }
    return;
  }
  const auto encoded = encoder.encode(example);
  if (!encoded.ok()) {
    require(!encoded.error().message.empty());
    return;
  }
  for (const TokenRow& row : encoded->rows) {
    check_row(row);
    for (const TokenRow& part : split_row(row, tokenizer, 16)) check_row(part);
    // ChatML: each message has one end, and the prompt's are not trained.
    const auto ends = std::count(row.tokens.begin(), row.tokens.end(), kImEnd);
    const auto messages = example.messages.items().size() + (example.chosen.is_null() ? 0 : 64) + 2;
    require(static_cast<size_t>(ends) <= messages);
    require(row.tokens.back() == kImEnd);
  }
  if (example.kind == Example::Kind::kPreference) check_row(encoded->rejected);
}

void read_as(std::string_view bytes, std::string_view name, DataFormat format, bool alike) {
  static const Tokenizer tokenizer = byte_tokenizer();
  static const auto encoder = ExampleEncoder::create(tokenizer, "model", {});
  TextCutter cutter(tokenizer, 16);
  DataReport report;
  int64_t examples = 0;
  DataReader reader(report, [&](Example&& example) {
    examples += example.first_piece ? 1 : 0;
    check_example(tokenizer, *encoder, cutter, example, example);
    return Status();
  });
  require(reader.read_bytes(bytes, std::string(name), format, alike).ok());
  require(report.rows_read() == examples + report.bad() + report.duplicates());
  for (const std::string& line : describe_report(report)) require(is_valid_utf8(line));
  require(parse_json(report_to_json(report).dump(), "report").ok());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  for (const std::string_view name : {"a.jsonl", "a.txt", "a.md"}) {
    const auto format = detect_format(bytes, name);
    if (format.ok()) read_as(bytes, name, *format, true);
    if (!format.ok()) require(!format.error().message.empty());
  }
  for (int i = 0; i <= static_cast<int>(DataFormat::kMarkdown); ++i) {
    read_as(bytes, "a", static_cast<DataFormat>(i), false);
  }
  return 0;
}
