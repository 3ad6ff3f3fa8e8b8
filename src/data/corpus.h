// From files and folders to counts of pre-tokens: what a vocabulary is learned from.
//
// Whatever DataReader reads is text here: of a conversation the contents of its messages, each on its own, and tools
// and their calls as JSON; of other rows all their parts. What a template puts around them is not counted. In memory
// are some MiB of text at a time, the counts, and a hash of each row.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/thread_team.h"
#include "data/example.h"
#include "data/report.h"
#include "text/bpe_trainer.h"

namespace andiron {

struct Corpus {
  PreTokenCounts counts;
  int64_t rows = 0;         // that had text
  uint64_t text_bytes = 0;  // of their texts
  DataReport report;        // its files, their bad rows and duplicates, and what was skipped
};

// How much of the files has been read, and how much there is.
using CorpusProgress = std::function<void(uint64_t done, uint64_t total)>;

// Reads as load_data does and counts with all threads of the team; the same for any number of them. `options` must be
// valid. An Error when a path given cannot be read as data, or there is no text in any.
Result<Corpus> count_corpus(const std::vector<std::string>& paths, std::optional<DataFormat> format,
                            const BpeTrainOptions& options, ThreadTeam& team, const CorpusProgress& progress = {});

// Gives `take` each text of an example that is not empty.
void for_each_text(const Example& example, const std::function<void(std::string_view)>& take);

}  // namespace andiron
