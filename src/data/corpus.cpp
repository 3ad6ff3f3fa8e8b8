#include "data/corpus.h"

#include <filesystem>
#include <system_error>
#include <utility>

#include "data/find_files.h"
#include "data/reader.h"
#include "text/pre_token_counter.h"

namespace andiron {

namespace {

// Text that is counted together: enough to keep all threads busy. One longer text alone may be more.
constexpr size_t kBatchBytes = 16 << 20;
// What one thread counts at a time. A text is cut so whatever the number of threads.
constexpr size_t kPieceBytes = 256 << 10;

class CorpusCounter {
 public:
  CorpusCounter(PreTokenCounter counter, ThreadTeam& team) : counter_(std::move(counter)), team_(team) {}

  // Whether the example had text.
  bool take(const Example& example) {
    const uint64_t before = text_bytes_;
    for_each_text(example, [&](std::string_view text) {
      text_bytes_ += text.size();
      batch_bytes_ += text.size();
      for (; !text.empty(); text.remove_prefix(pieces_.back().size())) {
        pieces_.emplace_back(text.substr(0, piece_size(text, kPieceBytes)));
      }
    });
    if (batch_bytes_ >= kBatchBytes) flush();
    return text_bytes_ > before;
  }

  void flush() {
    team_.parallel_for(static_cast<int64_t>(pieces_.size()),
                       [&](int64_t i, int worker) { counter_.add(pieces_[static_cast<size_t>(i)], worker); });
    pieces_.clear();
    batch_bytes_ = 0;
  }

  uint64_t text_bytes() const { return text_bytes_; }
  Result<PreTokenCounts> take_counts() { return counter_.take(); }

 private:
  PreTokenCounter counter_;
  ThreadTeam& team_;
  std::vector<std::string> pieces_;
  size_t batch_bytes_ = 0;
  uint64_t text_bytes_ = 0;
};

uint64_t bytes_of(const std::vector<std::string>& paths) {
  RowProblems ignored;
  const auto found = find_files(paths, ignored);
  if (!found.ok()) return 0;  // the reader will say why
  uint64_t total = 0;
  for (const FoundFile& file : *found) {
    std::error_code error;
    const uint64_t bytes = std::filesystem::file_size(file.path, error);
    if (!error) total += bytes;
  }
  return total;
}

void for_each_content(const Json& content, const std::function<void(std::string_view)>& take) {
  take(content.text_or(""));
  for (const Json& part : content.items_or_none()) take(part.member("text").text_or(""));
}

}  // namespace

void for_each_text(const Example& example, const std::function<void(std::string_view)>& take_any) {
  const auto take = [&](std::string_view text) {
    if (!text.empty()) take_any(text);
  };
  for (const Json* messages : {&example.messages, &example.chosen, &example.rejected}) {
    for (const Json& message : messages->items_or_none()) {
      for_each_content(message.member("content"), take);
      if (const Json* calls = message.find("tool_calls")) take(calls->dump());
    }
  }
  if (!example.tools.is_null()) take(example.tools.dump());
  for (const std::string* text : {&example.prompt, &example.completion, &example.text}) take(*text);
  for (const std::string& choice : example.choices) take(choice);
}

Result<Corpus> count_corpus(const std::vector<std::string>& paths, std::optional<DataFormat> format,
                            const BpeTrainOptions& options, ThreadTeam& team, const CorpusProgress& progress) {
  TRY_ASSIGN(PreTokenCounter counter, PreTokenCounter::create(options, team.size()));
  CorpusCounter texts(std::move(counter), team);
  Corpus out;
  const uint64_t total = progress ? bytes_of(paths) : 0;
  DataReader reader(out.report, [&](Example&& example) -> Status {
    if (texts.take(example) && example.last_piece) ++out.rows;
    if (progress) progress(texts.text_bytes(), total);
    return {};
  });
  TRY(reader.read(paths, format));
  texts.flush();
  out.text_bytes = texts.text_bytes();
  if (out.text_bytes == 0)
    return nothing_left("there is no text to learn a vocabulary from", describe_files(out.report));
  TRY_ASSIGN(out.counts, texts.take_counts());
  return out;
}

}  // namespace andiron
