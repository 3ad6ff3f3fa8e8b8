#include "cli/systemd_unit.h"

#include <string_view>

#include "base/strings.h"

namespace andiron {

namespace {

// As systemd reads command lines and paths (systemd.service(5), "Command lines"; systemd.unit(5), "Specifiers").
std::string escaped(std::string_view text, bool is_command) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
    } else if (c == '%' || (c == '$' && is_command)) {
      out += c;
    }
    if (c == '\n') {
      out += "\\n";
    } else {
      out += c;
    }
  }
  return out + "\"";
}

// What stands there as it is, without quotes.
std::string without_specifiers(std::string_view text) {
  std::string out;
  for (const char c : text) out += c == '%' ? "%%" : std::string(1, c);
  return out;
}

// Little else than serving: these hold whatever the options are.
constexpr std::string_view kHardening =
    "NoNewPrivileges=yes\n"
    "CapabilityBoundingSet=\n"
    "AmbientCapabilities=\n"
    "ProtectSystem=strict\n"
    "ProtectHome=tmpfs\n"
    "PrivateTmp=yes\n"
    "PrivateDevices=yes\n"
    "ProtectKernelTunables=yes\n"
    "ProtectKernelModules=yes\n"
    "ProtectKernelLogs=yes\n"
    "ProtectControlGroups=yes\n"
    "ProtectClock=yes\n"
    "ProtectHostname=yes\n"
    "ProtectProc=invisible\n"
    "RestrictAddressFamilies=AF_INET AF_INET6\n"
    "RestrictNamespaces=yes\n"
    "RestrictRealtime=yes\n"
    "RestrictSUIDSGID=yes\n"
    "LockPersonality=yes\n"
    "MemoryDenyWriteExecute=yes\n"
    "RemoveIPC=yes\n"
    "KeyringMode=private\n"
    "SystemCallArchitectures=native\n"
    "SystemCallFilter=@system-service\n"
    "SystemCallFilter=~@privileged @resources\n"
    "SystemCallErrorNumber=EPERM\n"
    "UMask=0077\n";

}  // namespace

std::string systemd_unit(const UnitOptions& options) {
  std::string out =
      "# andiron serve --systemd ... | sudo tee /etc/systemd/system/andiron.service\n"
      "# sudo systemctl daemon-reload && sudo systemctl enable --now andiron\n"
      "[Unit]\n"
      "Description=andiron: language models on this computer\n"
      "Documentation=man:andiron(1)\n"
      "After=network.target\n"
      "\n"
      "[Service]\n"
      "Type=exec\n"
      "ExecStart=";
  for (size_t i = 0; i < options.command.size(); ++i) {
    out += (i > 0 ? " " : "") + escaped(options.command[i], true);
  }
  if (!options.api_key_file.empty()) out += " --api-key-file \"%d/api-key\"";
  out += "\nRestart=on-failure\nRestartSec=2\n\n";
  if (!options.api_key_file.empty()) {
    out += format("LoadCredential=api-key:{}\n", without_specifiers(options.api_key_file));
  }
  if (options.user.empty()) {
    out +=
        "DynamicUser=yes\n"
        "StateDirectory=andiron\n"
        "CacheDirectory=andiron\n"
        "Environment=XDG_DATA_HOME=/var/lib XDG_CACHE_HOME=/var/cache\n";
  } else {
    out += format("User={}\n", options.user);
    for (const auto& [name, value] : options.environment) {
      out += format("Environment={}\n", escaped(format("{}={}", name, value), false));
    }
  }
  for (const std::string& path : options.read) out += format("BindReadOnlyPaths={}\n", escaped(path, false));
  for (const std::string& path : options.written) out += format("BindPaths={}\n", escaped("-" + path, false));
  out += kHardening;
  if (options.loopback_only) out += "IPAddressDeny=any\nIPAddressAllow=localhost\n";
  out +=
      "\n"
      "[Install]\n"
      "WantedBy=multi-user.target\n";
  return out;
}

}  // namespace andiron
