// What a test is compiled with, for those that a sanitizer makes meaningless or far too slow.
#pragma once

#include <vector>

namespace andiron {

#if defined(__has_feature)  // Clang
inline constexpr bool kAddressSanitizer = __has_feature(address_sanitizer);
inline constexpr bool kThreadSanitizer = __has_feature(thread_sanitizer);
#else
#if defined(__SANITIZE_ADDRESS__)
inline constexpr bool kAddressSanitizer = true;
#else
inline constexpr bool kAddressSanitizer = false;
#endif
#if defined(__SANITIZE_THREAD__)
inline constexpr bool kThreadSanitizer = true;
#else
inline constexpr bool kThreadSanitizer = false;
#endif
#endif
inline constexpr bool kSanitized = kAddressSanitizer || kThreadSanitizer;

// Numbers of threads for which results are to be the same. A sanitizer looks at reads and writes, not at results, and
// sees all of them with the last.
inline std::vector<int> thread_counts() { return kSanitized ? std::vector{3} : std::vector{1, 2, 3}; }

}  // namespace andiron
