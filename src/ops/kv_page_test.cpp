// Slabs: whose memory goes back to the system when, and that nobody else's does.
#include "ops/kv_page.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

namespace andiron {
namespace {

// Of 2 KiB, as the smallest heads have, to 16; those of q8_0 end within a page of the system, and so do their rows.
constexpr int64_t kSizes[] = {2048, 2176, 4096, 8704, 16384};

// A slab all of whose slots have pages. The bytes of the page in slot s are s + 1.
struct FullSlab {
  explicit FullSlab(int64_t piece_bytes) : shape{3, piece_bytes}, slab(std::make_shared<KvSlab>(shape)) {
    for (int64_t slot = 0; slot < kSlabPages; ++slot) {
      pages.push_back(std::make_shared<KvPage>(slab, slot));
      for (int64_t i = 0; i < shape.pieces; ++i) {
        std::ranges::fill(pages.back()->piece(i), static_cast<uint8_t>(slot + 1));
      }
    }
    memory = pages[0]->data();
  }

  // What its memory should hold where all that can be given back was: pages of the system that touch no page which is
  // still there and lie in one row.
  std::vector<uint8_t> expected() const {
    const auto page = static_cast<int64_t>(sysconf(_SC_PAGESIZE));
    const int64_t row = kSlabPages * shape.piece_bytes;
    std::vector<uint8_t> bytes(static_cast<size_t>(shape.pieces * row));
    for (int64_t at = 0; at < shape.pieces * row; ++at) {
      const int64_t begin = at / page * page, last = begin + page - 1;
      bool is_gone = begin / row == last / row;
      for (int64_t slot = begin % row / shape.piece_bytes; is_gone && slot <= last % row / shape.piece_bytes; ++slot) {
        is_gone = pages[static_cast<size_t>(slot)] == nullptr;
      }
      bytes[static_cast<size_t>(at)] = is_gone ? uint8_t{0} : static_cast<uint8_t>(at % row / shape.piece_bytes + 1);
    }
    return bytes;
  }
  std::vector<uint8_t> actual() const { return {memory, memory + kSlabPages * shape.bytes()}; }

  KvPageShape shape;
  std::shared_ptr<KvSlab> slab;  // keeps the memory mapped
  std::vector<std::shared_ptr<KvPage>> pages;
  const uint8_t* memory = nullptr;
};

TEST(KvPage, GivesItsMemoryBackAndNoOther) {
  for (const int64_t piece_bytes : kSizes) {
    FullSlab full(piece_bytes);
    full.pages[9]->mark_shared();
    EXPECT_EQ(full.actual(), full.expected());
    for (const size_t slot : {6, 5, 7, 0, 15, 2, 14, 1, 10, 13, 8, 4, 12, 3, 11, 9}) {
      full.pages[slot].reset();
      EXPECT_EQ(full.actual(), full.expected()) << "pieces of " << piece_bytes << ", without " << slot;
    }
  }
}

// A free slot's memory may have gone with its neighbour's; who takes it finds zeros, and keeps what is written.
TEST(KvPage, TakesASlotBesideOneThatWent) {
  for (const int64_t piece_bytes : kSizes) {
    const auto slab = std::make_shared<KvSlab>(KvPageShape{2, piece_bytes});
    auto first = std::make_shared<KvPage>(slab, 3);
    std::ranges::fill(first->piece(0), uint8_t{1});
    first->mark_shared();
    first.reset();
    KvPage second(slab, 4), third(slab, 5);
    for (KvPage* page : {&second, &third}) {
      for (const uint8_t byte : page->piece(0)) ASSERT_EQ(byte, 0);
      std::ranges::fill(page->piece(0), uint8_t{2});
    }
    for (KvPage* page : {&second, &third}) {
      for (const uint8_t byte : page->piece(0)) ASSERT_EQ(byte, 2);
    }
  }
}

// What one sequence has alone it lets go of at once: there is nothing to be won page by page.
TEST(KvPage, GoesWithItsSlabIfNoneWasShared) {
  FullSlab full(16384);
  const auto before = full.actual();
  for (const size_t slot : {3, 4, 5}) full.pages[slot].reset();
  EXPECT_EQ(full.actual(), before);
}

// Neighbours let go on two threads; for the thread sanitizer too.
TEST(KvPage, MayBeLetGoOnAnyThread) {
  for (const int64_t piece_bytes : kSizes) {
    FullSlab full(piece_bytes);
    full.pages[5]->mark_shared();
    std::thread other([&] {
      for (size_t slot = 0; slot < kSlabPages; slot += 2) full.pages[slot].reset();
    });
    for (size_t slot = 1; slot < kSlabPages; slot += 2) {
      if (slot != 5) full.pages[slot].reset();
    }
    other.join();
    EXPECT_EQ(full.actual(), full.expected()) << "pieces of " << piece_bytes;
  }
}

}  // namespace
}  // namespace andiron
