// What the tables of the store are, and how those of an older version become those of this one.
#pragma once

#include <span>

#include "base/result.h"
#include "store/sqlite.h"

namespace andiron {

// The statements that make version N of version N - 1; version 0 is empty.
using Migrations = std::span<const char* const>;
Migrations store_migrations();

// Whether this is a store, or empty, and of a version that is known here. Reads only.
Status check_version(SqliteConnection& connection, Migrations migrations);

// Brings the store to the last version, in one transaction: it is of that one or, after any failure, of the old one.
// A store of the last version is not written to.
Status migrate(SqliteConnection& connection, Migrations migrations);

}  // namespace andiron
