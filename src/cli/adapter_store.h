// Where adapters live that were given a name instead of a folder, and how they are named on the command line.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/adapter_stack.h"

namespace andiron {

// $XDG_DATA_HOME/andiron/adapters, or ~/.local/share/andiron/adapters. Made when it is not there.
Result<std::string> adapters_folder();
// The folder of the adapter of that name there: letters, digits, ".", "_" and "-", and no dot first. It need not exist.
Result<std::string> adapter_folder(std::string_view name);

// "me", "work:0.5", "./folder", "file.gguf:2": a name or a path, and a strength. A path that exists wins over a name.
Result<StackEntry> parse_adapter(const std::string& text);
Result<std::vector<StackEntry>> parse_adapters(const std::vector<std::string>& texts);

}  // namespace andiron
