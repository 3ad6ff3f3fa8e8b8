// Buffer<T>: owning, 64-byte aligned storage for numbers. Moves, never copies.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <span>
#include <type_traits>
#include <utility>

namespace andiron {

// Of memory that is read and written in rows far apart, such as activations: large ones keep the processor's address
// cache from running out, but whole ones are taken as soon as a number is written. A wish: the system may not have any.
enum class Pages : uint8_t { kUsual, kLarge };

namespace internal {
// Zeroes, at a multiple of 2 MiB; null when memory is out.
void* map_large_pages(size_t bytes);
void unmap_large_pages(void* data, size_t bytes);
}  // namespace internal

template <typename T>
class Buffer {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  static constexpr size_t kAlignment = 64;  // one cache line, one AVX-512 register

  Buffer() = default;
  // Zeroed; large ones take memory from the system only as they are written. Throws std::bad_alloc when memory is out:
  // callers check sizes against a budget first.
  explicit Buffer(size_t count, Pages pages = Pages::kUsual) : size_(count) {
    constexpr size_t kWorthwhile = 2 << 20;
    if (count == 0) return;
    const size_t bytes = count * sizeof(T);
    mapped_ = pages == Pages::kLarge && bytes >= kWorthwhile;
    block_ = mapped_ ? internal::map_large_pages(bytes) : std::calloc(bytes + kAlignment, 1);
    if (block_ == nullptr) throw std::bad_alloc();
    const auto address = reinterpret_cast<uintptr_t>(block_);
    data_ = reinterpret_cast<T*>((address + kAlignment - 1) / kAlignment * kAlignment);
  }
  Buffer(int64_t rows, int64_t columns, Pages pages = Pages::kUsual)
      : Buffer(static_cast<size_t>(rows * columns), pages) {}
  Buffer(Buffer&& other) noexcept { *this = std::move(other); }
  Buffer& operator=(Buffer&& other) noexcept {
    std::swap(block_, other.block_);
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(mapped_, other.mapped_);
    return *this;
  }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() {
    if (mapped_) {
      internal::unmap_large_pages(block_, size_ * sizeof(T));
    } else {
      std::free(block_);
    }
  }

  // Room for `count` numbers of work in progress: where there is less, zeros take the place of what was held.
  void make_room(int64_t count) {
    if (size_ < static_cast<size_t>(count)) *this = Buffer(static_cast<size_t>(count), Pages::kLarge);
  }

  T* data() { return data_; }
  const T* data() const { return data_; }
  size_t size() const { return size_; }
  T& operator[](size_t i) { return data_[i]; }
  const T& operator[](size_t i) const { return data_[i]; }
  std::span<T> span() { return {data_, size_}; }
  std::span<const T> span() const { return {data_, size_}; }

 private:
  void* block_ = nullptr;  // as it was allocated; data_ is the first aligned address in it
  T* data_ = nullptr;
  size_t size_ = 0;
  bool mapped_ = false;  // not from calloc()
};

}  // namespace andiron
