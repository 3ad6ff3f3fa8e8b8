// The version of the program, from CMakeLists.txt's project(VERSION).
#pragma once

namespace andiron {
inline constexpr const char* kVersion = ANDIRON_VERSION;
}  // namespace andiron
