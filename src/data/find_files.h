// The files of a data set: those named, and those in folders.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "data/report.h"

namespace andiron {

struct FoundFile {
  std::string path;
  bool given = false;  // named itself: then it must be readable as data
};

enum class FileKind { kJson, kMarkdown, kPlain, kUnknown };
// By the name's ending, in any case: .json .jsonl .ndjson; .md .markdown; .txt .text or none.
FileKind kind_of_name(std::string_view name);

// Folders are walked in order of names, hidden files and folders left out; what is not a file is counted in `skipped`.
// An Error for a path that does not exist.
Result<std::vector<FoundFile>> find_files(const std::vector<std::string>& paths, RowProblems& skipped);

// Why bytes are no text: archives and documents by their first bytes, with what to do; zero bytes; UTF-16. "" for text,
// whose UTF-8 is not checked.
std::string why_not_text(std::string_view bytes, std::string_view path);

}  // namespace andiron
