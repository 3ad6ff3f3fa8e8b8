#pragma once

namespace andiron {
// From CMakeLists.txt's project(VERSION).
inline constexpr const char* kVersion = ANDIRON_VERSION;
}  // namespace andiron
