#include "base/buffer.h"

#include <sys/mman.h>

namespace andiron::internal {

namespace {
constexpr size_t kPage = size_t{2} << 20;
size_t whole_pages(size_t bytes) { return (bytes + kPage - 1) / kPage * kPage; }
}  // namespace

void* map_large_pages(size_t bytes) {
  if (bytes > SIZE_MAX - 2 * kPage) return nullptr;
  const size_t size = whole_pages(bytes);
  void* mapped = mmap(nullptr, size + kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) return nullptr;
  const auto begin = reinterpret_cast<uintptr_t>(mapped);
  const size_t before = (kPage - begin % kPage) % kPage;
  auto* data = static_cast<uint8_t*>(mapped) + before;
  if (before > 0) munmap(mapped, before);
  munmap(data + size, kPage - before);
  madvise(data, size, MADV_HUGEPAGE);
  return data;
}

void unmap_large_pages(void* data, size_t bytes) { munmap(data, whole_pages(bytes)); }

}  // namespace andiron::internal
