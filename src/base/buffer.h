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

template <typename T>
class Buffer {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  static constexpr size_t kAlignment = 64;  // one cache line, one AVX-512 register

  Buffer() = default;
  // Zeroed; large ones take memory from the system only as they are written. Throws std::bad_alloc when memory is out:
  // callers check sizes against a budget first.
  explicit Buffer(size_t count) : size_(count) {
    if (count == 0) return;
    block_ = std::calloc(count * sizeof(T) + kAlignment, 1);
    if (block_ == nullptr) throw std::bad_alloc();
    const auto address = reinterpret_cast<uintptr_t>(block_);
    data_ = reinterpret_cast<T*>((address + kAlignment - 1) / kAlignment * kAlignment);
  }
  Buffer(int64_t rows, int64_t columns) : Buffer(static_cast<size_t>(rows * columns)) {}
  Buffer(Buffer&& other) noexcept { *this = std::move(other); }
  Buffer& operator=(Buffer&& other) noexcept {
    std::swap(block_, other.block_);
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() { std::free(block_); }

  // Room for `count` numbers: where there is less, zeros take the place of what was held.
  void make_room(int64_t count) {
    if (size_ < static_cast<size_t>(count)) *this = Buffer(static_cast<size_t>(count));
  }

  T* data() { return data_; }
  const T* data() const { return data_; }
  size_t size() const { return size_; }
  T& operator[](size_t i) { return data_[i]; }
  const T& operator[](size_t i) const { return data_[i]; }
  std::span<T> span() { return {data_, size_}; }
  std::span<const T> span() const { return {data_, size_}; }

 private:
  void* block_ = nullptr;  // what free() wants; data_ is the first aligned address in it
  T* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace andiron
