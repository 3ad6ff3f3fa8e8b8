#include "engine/allocation_fixture.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <iterator>
#include <new>
#include <string>
#include <thread>

#include "base/atomic_file.h"
#include "base/test_folder.h"

namespace {
void count_one() {
  if (andiron::g_counting.load(std::memory_order_relaxed)) {
    andiron::g_allocations.fetch_add(1, std::memory_order_relaxed);
  }
}

bool is_to_fail() {
  if (andiron::t_allocations_left >= 0 && andiron::t_allocations_left-- == 0) return true;
  return !andiron::t_spared && andiron::g_allocations_left >= 0 && andiron::g_allocations_left-- == 0;
}
}  // namespace

// Not inlined: GCC would see free() meet a pointer from new, not knowing that this new is malloc().
[[gnu::noinline]] void* operator new(std::size_t size) {
  count_one();
  if (is_to_fail()) throw std::bad_alloc();
  if (void* memory = std::malloc(size == 0 ? 1 : size)) return memory;
  throw std::bad_alloc();
}
// The library's sorts ask for memory this way, do without where there is none, and give it back to the delete below.
[[gnu::noinline]] void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  count_one();
  return std::malloc(size == 0 ? 1 : size);
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace andiron {
namespace {

bool allocating_fails() {
  try {
    ::operator delete(::operator new(1));
  } catch (const std::bad_alloc&) {
    return true;
  }
  return false;
}

TEST(Allocation, FailsOnceAndWhenItIsAskedTo) {
  t_allocations_left = 1;
  const bool first = allocating_fails(), second = allocating_fails(), third = allocating_fails();
  EXPECT_FALSE(first);
  EXPECT_TRUE(second);
  EXPECT_FALSE(third);
}

TEST(Allocation, FailsOnAnyThreadThatIsNotSpared) {
  t_spared = true;
  bool first = true, second = false, third = true;
  std::thread other([&] {
    g_allocations_left = 1;
    first = allocating_fails(), second = allocating_fails(), third = allocating_fails();
  });
  other.join();
  t_spared = false;
  EXPECT_FALSE(first);
  EXPECT_TRUE(second);
  EXPECT_FALSE(third);
}

Status write_over(const std::string& path, bool named) {
  TRY_ASSIGN(AtomicFile file, named ? AtomicFile::create_named(path) : AtomicFile::create(path));
  TRY(file.write("new"));
  return file.commit();
}

// Of base, and here because it takes this operator new.
TEST(Allocation, AFileThatThereIsNoMemoryForLeavesNothingBesideTheOld) {
  const TestFolder folder;
  for (const bool named : {false, true}) {
    const std::string path = folder.write("x", "old");
    bool is_written = false;
    for (int64_t failures = 0; !is_written; ++failures) {
      ASSERT_LT(failures, 100);
      t_allocations_left = failures;
      try {
        is_written = write_over(path, named).ok();
      } catch (const std::bad_alloc&) {
        is_written = false;
      }
      t_allocations_left = -1;
      const std::filesystem::directory_iterator files(folder.path());
      EXPECT_EQ(std::distance(begin(files), end(files)), 1) << failures << (named ? ", named" : "");
    }
    EXPECT_EQ(read_text_file(path, 100).value(), "new");
  }
}

}  // namespace
}  // namespace andiron
