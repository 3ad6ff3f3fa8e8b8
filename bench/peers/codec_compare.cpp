// Compares the codecs of src/tensor with those of llama.cpp's libggml-base, loaded at run time.
//
//   codec_compare PATH/libggml-base.so [model.safetensors ...]
//   codec_compare PATH/libggml-base.so --golden FOLDER
//
// The first prints tables: decoded floats that differ in any bit, over random blocks; then for each distribution of
// tensor/codec_samples.h and for the F32, F16 and BF16 tensors of each named file, without and with importance weights,
// the root mean square error of both encoders and their speed on one thread. A ratio below 1 means that ours errs
// less. Exit status 0 when every decode agrees and no ratio is above 1, else 1.
// The second writes what the tests of src/tensor check against (src/tensor/testdata).
//
// After setup.sh, from the root of the source tree with a release build in build/release (one command):
//   g++ -std=c++20 -O2 -Isrc bench/peers/codec_compare.cpp -o build/peers/codec_compare
//     build/release/src/libandiron_{format,tensor,base}.a -lfmt -ldl -pthread
// and then
//   build/peers/codec_compare bench/peers/node_modules/@node-llama-cpp/linux-x64/bins/linux-x64/libggml-base.so

#include <dlfcn.h>

#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "base/random.h"
#include "format/safetensors.h"
#include "tensor/codec_samples.h"
#include "tensor/dtype.h"
#include "tensor/quantize.h"

namespace andiron {
namespace {

constexpr uint64_t kRows = 256;       // of a sample, to compare
constexpr uint64_t kGoldenRows = 16;  // of a sample, to write for the tests
constexpr int kGoldenDecodeBlocks = 2;

// The parts of ggml's C interface used here (ggml.h). Its type numbers are GGUF's, as ours are.
struct Peer {
  using Decode = void (*)(const void* blocks, float* out, int64_t elements);
  using QuantizeChunk = size_t (*)(int type, const float* in, void* blocks, int64_t start, int64_t rows,
                                   int64_t row_elements, const float* importance);
  void* library = nullptr;
  QuantizeChunk quantize_chunk = nullptr;

  Decode decoder(DType dtype) const {
    if (dtype == DType::kF16) return reinterpret_cast<Decode>(dlsym(library, "ggml_fp16_to_fp32_row"));
    if (dtype == DType::kBF16) return reinterpret_cast<Decode>(dlsym(library, "ggml_bf16_to_fp32_row"));
    std::string name = "dequantize_row_";
    for (const char c : dtype_info(dtype).name) {
      name += c == 'K' ? c : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    }
    return reinterpret_cast<Decode>(dlsym(library, name.c_str()));
  }
};

std::vector<uint8_t> random_bytes(uint64_t count, uint64_t stream) {
  const RandomStream random(1, stream);
  std::vector<uint8_t> bytes(count);
  for (uint64_t i = 0; i < count; ++i) bytes[i] = static_cast<uint8_t>(random.bits(i));
  return bytes;
}

bool compare_decoders(const Peer& peer) {
  std::printf("%-8s %12s %12s   decode, random bytes\n", "format", "elements", "differ");
  bool same = true;
  for (const DTypeInfo& info : all_dtypes()) {
    const auto decode = peer.decoder(info.dtype);
    if (decode == nullptr) continue;  // F32 has none
    constexpr uint64_t kElements = 1 << 20;
    const auto blocks = random_bytes(row_bytes(info.dtype, kElements), static_cast<uint64_t>(info.dtype));
    std::vector<float> ours(kElements), theirs(kElements);
    decode_row(info.dtype, blocks.data(), ours.data(), kElements);
    decode(blocks.data(), theirs.data(), kElements);
    uint64_t differ = 0;
    for (uint64_t i = 0; i < kElements; ++i) {
      const bool both_nan = std::isnan(ours[i]) && std::isnan(theirs[i]);
      if (!both_nan && std::memcmp(&ours[i], &theirs[i], sizeof(float)) != 0) ++differ;
    }
    same = same && differ == 0;
    std::printf("%-8s %12llu %12llu\n", std::string(info.name).c_str(), static_cast<unsigned long long>(kElements),
                static_cast<unsigned long long>(differ));
  }
  return same;
}

struct Measured {
  double rmse = 0;
  double seconds = 0;
};

template <typename Encode>
Measured measure(DType dtype, const std::vector<float>& in, const std::vector<float>& importance, Encode encode) {
  std::vector<uint8_t> blocks(row_bytes(dtype, in.size()));
  const auto begin = std::chrono::steady_clock::now();
  encode(blocks.data());
  Measured measured;
  measured.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  std::vector<float> out(in.size());
  decode_row(dtype, blocks.data(), out.data(), out.size());
  measured.rmse = codec_rmse(in, out, importance);
  return measured;
}

Measured measure_peer(const Peer& peer, DType dtype, const std::vector<float>& in,
                      const std::vector<float>& importance) {
  return measure(dtype, in, importance, [&](uint8_t* blocks) {
    peer.quantize_chunk(static_cast<int>(dtype), in.data(), blocks, 0, static_cast<int64_t>(in.size() / kSampleRow),
                        kSampleRow, importance.empty() ? nullptr : importance.data());
  });
}

Measured measure_ours(DType dtype, const std::vector<float>& in, const std::vector<float>& importance) {
  return measure(dtype, in, importance, [&](uint8_t* blocks) {
    for (uint64_t row = 0; row < in.size() / kSampleRow; ++row) {
      encode_row(dtype, in.data() + row * kSampleRow, blocks + row * row_bytes(dtype, kSampleRow), kSampleRow,
                 importance.empty() ? nullptr : importance.data());
    }
  });
}

bool compare_encoders(const Peer& peer, const std::string& name, const std::vector<float>& values,
                      const std::vector<float>& importance) {
  std::printf("\n%-8s %12s %12s %8s %10s %10s   %s%s\n", "format", "our rmse", "their rmse", "ratio", "our M/s",
              "their M/s", name.c_str(), importance.empty() ? "" : ", weighted");
  bool no_worse = true;
  for (const DTypeInfo& info : all_dtypes()) {
    if (info.is_float) continue;
    const Measured ours = measure_ours(info.dtype, values, importance);
    const Measured theirs = measure_peer(peer, info.dtype, values, importance);
    const double ratio = ours.rmse == theirs.rmse ? 1.0 : ours.rmse / theirs.rmse;
    const double millions = static_cast<double>(values.size()) * 1e-6;
    std::printf("%-8s %12.5e %12.5e %8.4f %10.1f %10.1f%s\n", std::string(info.name).c_str(), ours.rmse, theirs.rmse,
                ratio, millions / ours.seconds, millions / theirs.seconds, ratio > 1.0 ? "  WORSE" : "");
    no_worse = no_worse && ratio <= 1.0;
  }
  return no_worse;
}

// All float tensors of a file one after another, cut to whole rows.
Result<std::vector<float>> load_numbers(const char* path) {
  TRY_ASSIGN(const auto file, SafetensorsFile::open(path));
  std::vector<float> numbers;
  for (const SafeTensor& tensor : file->tensors()) {
    if (!tensor.dtype()) continue;
    TRY_ASSIGN(const auto floats, file->floats(tensor));
    numbers.insert(numbers.end(), floats.begin(), floats.end());
  }
  numbers.resize(numbers.size() / kSampleRow * kSampleRow);
  return numbers;
}

void print_hex(std::FILE* file, const uint8_t* bytes, size_t count) {
  for (size_t i = 0; i < count; ++i) std::fprintf(file, "%02x", bytes[i]);
}

// FORMAT, a block in hexadecimal, the bits of every decoded float: one block a line, scales finite.
bool write_golden_decode(const Peer& peer, const std::string& path) {
  std::FILE* file = std::fopen(path.c_str(), "w");
  if (file == nullptr) return false;
  for (const DTypeInfo& info : all_dtypes()) {
    const auto decode = peer.decoder(info.dtype);
    if (decode == nullptr || info.is_float) continue;
    std::vector<float> out(info.block_elements);
    uint64_t attempt = 0;
    for (int written = 0; written < kGoldenDecodeBlocks;) {
      const auto block = random_bytes(info.block_bytes, 1000 + attempt++);
      decode(block.data(), out.data(), info.block_elements);
      bool finite = true;
      for (const float value : out) finite = finite && std::isfinite(value);
      if (!finite) continue;
      std::fprintf(file, "%s ", std::string(info.name).c_str());
      print_hex(file, block.data(), block.size());
      for (const float value : out) {
        uint32_t bits;
        std::memcpy(&bits, &value, sizeof(bits));
        std::fprintf(file, " %08x", bits);
      }
      std::fprintf(file, "\n");
      ++written;
    }
  }
  return std::fclose(file) == 0;
}

// FORMAT, sample, weighted or plain, llama.cpp's root mean square error over kGoldenRows rows.
bool write_golden_errors(const Peer& peer, const std::string& path) {
  std::FILE* file = std::fopen(path.c_str(), "w");
  if (file == nullptr) return false;
  for (const DTypeInfo& info : all_dtypes()) {
    if (info.is_float) continue;
    for (const CodecSample& sample : kCodecSamples) {
      const auto values = sample_numbers(sample, kGoldenRows);
      for (const bool weighted : {false, true}) {
        const auto importance = weighted ? sample_importance() : std::vector<float>{};
        std::fprintf(file, "%s %s %s %.9e\n", std::string(info.name).c_str(), std::string(sample.name).c_str(),
                     weighted ? "weighted" : "plain", measure_peer(peer, info.dtype, values, importance).rmse);
      }
    }
  }
  return std::fclose(file) == 0;
}

int compare(const Peer& peer, int count, char** paths) {
  bool good = compare_decoders(peer);
  const auto importance = sample_importance();
  const auto both = [&](const std::string& name, const std::vector<float>& values) {
    good = compare_encoders(peer, name, values, {}) && good;
    good = compare_encoders(peer, name, values, importance) && good;
  };
  for (const CodecSample& sample : kCodecSamples) both(std::string(sample.name), sample_numbers(sample, kRows));
  for (int i = 0; i < count; ++i) {
    auto numbers = load_numbers(paths[i]);
    if (!numbers.ok()) return std::fprintf(stderr, "%s\n", numbers.error().message.c_str()), 2;
    both(paths[i], *numbers);
  }
  return good ? 0 : 1;
}

int run(int count, char** arguments) {
  if (count < 2) {
    std::fprintf(stderr, "usage: codec_compare libggml-base.so [model.safetensors ... | --golden FOLDER]\n");
    return 2;
  }
  Peer peer;
  peer.library = dlopen(arguments[1], RTLD_NOW);
  if (peer.library == nullptr) return std::fprintf(stderr, "%s\n", dlerror()), 2;
  peer.quantize_chunk = reinterpret_cast<Peer::QuantizeChunk>(dlsym(peer.library, "ggml_quantize_chunk"));
  if (peer.quantize_chunk == nullptr) {
    return std::fprintf(stderr, "%s has no ggml_quantize_chunk\n", arguments[1]), 2;
  }
  if (count == 4 && std::strcmp(arguments[2], "--golden") == 0) {
    const std::string folder = arguments[3];
    const bool written = write_golden_decode(peer, folder + "/ggml_decode.txt") &&
                         write_golden_errors(peer, folder + "/ggml_encode_rmse.txt");
    return written ? 0 : 2;
  }
  return compare(peer, count - 2, arguments + 2);
}

}  // namespace
}  // namespace andiron

int main(int count, char** arguments) { return andiron::run(count, arguments); }
