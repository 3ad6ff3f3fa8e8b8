// A file of the prefix cache. Its hash is made right, or nothing behind it would ever be met.
#include <cstdlib>
#include <memory>
#include <span>
#include <string>

#include "base/content_hash.h"
#include "engine/prefix_block.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace andiron;
  std::string file(reinterpret_cast<const char*>(data), size);
  file += content_hash(file);
  const auto make = [](std::span<const uint8_t> bytes) {
    const KvPageShape shape = {1, static_cast<int64_t>(bytes.size())};
    return std::make_shared<KvPage>(std::make_shared<KvSlab>(shape), 0);
  };
  const auto block = parse_prefix_file(file, "input", make);
  if (!block.ok()) {
    if (block.error().message.empty()) std::abort();
    return 0;
  }
  // What was taken is all there is, under the name that it asks for.
  PrefixChain chain(block->space);
  chain.extend(block->tokens);
  if (prefix_file_bytes(*block) != file.size() || chain.size() < 1) std::abort();
  if (chain.key(chain.size() - 1) != block->key || chain.parent(chain.size() - 1) != block->parent) std::abort();
  if (!block->is(block->space, block->tokens)) std::abort();
  return 0;
}
