// Imports: any bytes into an empty store. Besides not crashing: what is refused changes nothing; after what is taken
// the store is whole, and its export can be imported again and gives the same export.
#include <cstdlib>
#include <string>
#include <string_view>

#include "store/exchange.h"
#include "store/schema.h"
#include "store/search.h"

namespace {

using namespace andiron;

void require(bool condition) {
  if (!condition) std::abort();
}

std::unique_ptr<SqliteConnection> empty_store() {
  auto opened = SqliteConnection::open(":memory:", {});
  require(opened.ok());
  require((*opened)->run_script("PRAGMA foreign_keys = ON").ok());
  require(migrate(**opened, store_migrations()).ok());
  return std::move(*opened);
}

bool import(SqliteConnection& db, std::string_view text) {
  auto transaction = SqliteTransaction::begin(db, SqliteTransaction::Kind::kWrite);
  require(transaction.ok());
  const auto report = import_store(db, text, true);
  if (!report.ok()) require(!report.error().message.empty());
  return report.ok() && transaction->commit().ok();
}

std::string exported(SqliteConnection& db) {
  std::string text;
  require(export_store(db, [&](std::string_view line) {
            text += line;
            return Status();
          }).ok());
  return text;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const std::string nothing = exported(*empty_store());
  const auto db = empty_store();
  if (!import(*db, {reinterpret_cast<const char*>(data), size})) {
    require(exported(*db) == nothing);
    return 0;
  }
  require(check_words(*db).ok());
  const std::string once = exported(*db);
  const auto again = empty_store();
  require(import(*again, once));
  require(exported(*again) == once);
  return 0;
}
