// StopText: finds stop strings in text that arrives piece by piece, and holds back what might become one.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace andiron {

class StopText {
 public:
  // Empty stop strings are ignored. `reserve`: bytes of text between two calls that need no new memory.
  explicit StopText(std::vector<std::string> stops, size_t reserve = 4096);

  // Takes the next text and returns what may be shown now: valid until the next call. Once a stop string has been
  // found (the one that ends first; of those the longest), nothing more is returned.
  std::string_view push(std::string_view text);
  // What was held back, when the text ends without a stop string.
  std::string_view finish();

  bool stopped() const { return stopped_; }
  // The stop string found; "" before.
  std::string_view found() const { return found_; }

 private:
  size_t held_back() const;

  std::vector<std::string> stops_;
  size_t longest_ = 0;
  std::string pending_;  // text not yet returned
  size_t returned_ = 0;  // leading bytes of pending_ that the last call returned
  std::string_view found_;
  bool stopped_ = false;
};

}  // namespace andiron
