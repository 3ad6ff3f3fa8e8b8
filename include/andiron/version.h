// Which andiron this is.
#pragma once

#include <string_view>

// The classes of this library live in andiron::v1, so that a program built with the headers of one version and linked
// with the archive of another fails to link instead of failing to run. You need not write the v1.
#ifndef ANDIRON_V1
#define ANDIRON_V1 inline v1
#endif

namespace andiron::ANDIRON_V1 {

// "1.2.3". Before 1.0 anything may change between minor versions.
std::string_view version();

}  // namespace andiron::ANDIRON_V1
