// Adapter: low-rank changes to a model's matrices (LoRA, Hu et al. 2021, arXiv 2106.09685), in memory and in files.
//
// W x becomes W x + s B A x, where s is alpha / r, or alpha / sqrt(r) when rank-stabilised (rsLoRA, Kalajdzievski 2023,
// arXiv 2312.03732). With DoRA (Liu et al. 2024, arXiv 2402.09353) row i of W + s B A is scaled to the length
// magnitude[i].
//
// In memory everything is float and named and ordered as GGUF does: the rows of b (and magnitude) of q and k of the
// llama family lie with rotary pairs as neighbours. Files in the order of Hugging Face are turned on the way in and
// out.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/atomic_file.h"
#include "base/json.h"
#include "base/result.h"
#include "tensor/dtype.h"

namespace andiron {

struct AdapterBase;  // adapter/adapter_base.h

// The change to one matrix.
struct AdapterMatrix {
  std::string layer;             // the base matrix, GGUF's name without ".weight": "blk.0.attn_q"
  int64_t n = 0;                 // outputs of the base matrix
  int64_t k = 0;                 // inputs
  int64_t r = 0;                 // rank
  float alpha = 0;               // finite; usually the same for all
  std::vector<float> a;          // [r, k]
  std::vector<float> b;          // [n, r]
  std::vector<float> magnitude;  // [n] with DoRA, else empty
};

struct Adapter {
  std::string name;  // for people; from the file's metadata, or its name
  std::string path;  // what it was read from; empty for one made in memory
  int64_t rank = 0;  // of most matrices (AdapterMatrix::r is what counts)
  float alpha = 0;   // likewise
  bool rslora = false;
  bool dora = false;
  // What it was trained on; empty or 0 where unknown.
  std::string base_name;     // PEFT's base_model_name_or_path
  std::string base_hash;     // see hash_base
  std::string architecture;  // "llama"; never empty in one that was read
  uint32_t heads = 0;  // of the base: needed to turn the rows of q and k, so to read and write PEFT folders of llama
  uint32_t heads_kv = 0;
  // PEFT's target_modules as it came: a list of names, or a regular expression; null: written from the matrices.
  Json target_modules;
  std::vector<AdapterMatrix> matrices;  // in the order of layer_order, each layer once
  Json extra = Json::object();          // further members of adapter_config.json, as they came

  // s of a matrix of this adapter.
  float scaling(const AdapterMatrix& matrix) const;
  const AdapterMatrix* find(std::string_view layer) const;
  int64_t parameters() const;
};

constexpr int64_t kAdapterRankMax = 4096;              // fifteen times the largest in use
constexpr int64_t kAdapterSideMax = int64_t{1} << 24;  // n and k; 64 times the largest vocabulary

// Where a layer that adapters may change stands among the others: by block, then as the forward meets them; -1 for any
// other name. Those are the linear layers that are no experts and no router: blk.N.attn_q, attn_k, attn_v, attn_qkv,
// attn_output, ffn_gate, ffn_up, ffn_down, and output.
int64_t layer_order(std::string_view layer);

// An Error, naming `source` and the layer, unless everything said above holds: order, sizes, all numbers finite.
Status check_adapter(const Adapter& adapter, std::string_view source);

// Reads a PEFT folder (adapter_config.json and adapter_model.safetensors) or a GGUF adapter as llama.cpp writes them.
// With `base` it must fit that model (match_base in adapter_base.h tells how well). Without, the file must say what it
// is for: those written here do; a foreign PEFT folder does not, and is an Error that asks for the model. Refused, each
// by name: what changes anything but linear layers (modules_to_save, embeddings, norms, biases, experts), methods other
// than LoRA and DoRA, starts that change the base (PiSSA, LoftQ, ...), NaN and infinities, partners that are missing or
// do not fit.
Result<Adapter> read_adapter(const std::string& path, const AdapterBase* base = nullptr);

// The same from bytes, for tests and fuzzing. `source` names the file or folder in messages.
Result<Adapter> read_peft(std::string_view config, std::span<const uint8_t> weights, const AdapterBase* base,
                          std::string_view source);
Result<Adapter> read_gguf_adapter(std::span<const uint8_t> bytes, const AdapterBase* base, std::string_view source);

// Writes a PEFT folder: a new one appears complete or not at all; in one that is there its two files are replaced and
// any others kept (base/atomic_folder.h). `dtype`: kF32, or kF16, where a number beyond its range is an Error. What is
// read back is the same adapter, with kF32 to the last bit. `beside`: texts that appear in the folder with it.
// `existing`: whether anything there makes it an Error instead.
struct TextFile {
  std::string name, text;
};
Status write_peft(const Adapter& adapter, const std::string& folder, DType dtype = DType::kF32,
                  std::span<const TextFile> beside = {}, Existing existing = Existing::kReplaced);

// Writes one GGUF file that llama.cpp can load too. GGUF knows one alpha and no rank stabilisation: alpha is written so
// that the scale comes out right, and where the matrices differ in it b is multiplied. It cannot hold DoRA: an Error.
Status write_gguf_adapter(const Adapter& adapter, const std::string& path, DType dtype = DType::kF32,
                          Existing existing = Existing::kReplaced);

}  // namespace andiron
