// Where adapters live that were given a name instead of a folder, and how they are named on the command line.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "adapter/adapter.h"
#include "base/result.h"
#include "model/adapter_stack.h"

namespace andiron {

// $XDG_DATA_HOME/andiron/adapters, or ~/.local/share/andiron/adapters.
Result<std::string> adapters_folder();
// Whether an adapter can be named so; the Error says how one can.
Status check_adapter_name(std::string_view name);
// The folder of the adapter of that name there: letters, digits, ".", "_" and "-", and no dot first. It need not exist.
Result<std::string> adapter_folder(std::string_view name);

// The names there, sorted; what is no folder, or named otherwise than an adapter can be, is left out.
Result<std::vector<std::string>> stored_adapters();

// "me", "work:0.5", "./folder", "file.gguf:2": a name or a path, and a strength. A path that exists wins over a name.
Result<StackEntry> parse_adapter(const std::string& text);
Result<std::vector<StackEntry>> parse_adapters(const std::vector<std::string>& texts);
// Reads an adapter for its own sake, to which no strength belongs. `model`: its base, or "" where the adapter itself
// says what it is for.
Result<Adapter> read_named_adapter(const std::string& text, const std::string& model);
// The folder of a new adapter of that name; an Error where there is one already.
Result<std::string> new_adapter_folder(const std::string& name);
// "me+work:0.5"; "none" and "base" are no adapters at all. A path that exists wins over what a "+" in it would mean.
Result<std::vector<StackEntry>> parse_stack(const std::string& text);

}  // namespace andiron
