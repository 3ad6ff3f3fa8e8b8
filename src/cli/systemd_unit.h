// A systemd unit for a server: started with the machine, restarted when it fails, and able to do little else than
// serve.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace andiron {

struct UnitOptions {
  std::vector<std::string> command;  // the program, by its whole path, and its arguments
  std::string user;                  // whose adapters it serves; "": a user of its own, with folders of its own
  std::vector<std::string> read;     // whole paths of what it reads: program, model, adapters, templates
  std::vector<std::pair<std::string, std::string>> environment;  // of this user, where it says other folders
  std::vector<std::string> written;                              // of the user's folders that it writes to: data, cache
  std::string api_key_file;                                      // a whole path, or "": passed to it as a credential
  bool loopback_only = true;
};

// The unit's text. The options that take the key from its credential are added to the command.
std::string systemd_unit(const UnitOptions& options);

}  // namespace andiron
