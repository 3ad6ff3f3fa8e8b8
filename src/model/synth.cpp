#include "model/synth.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <numeric>
#include <utility>

#include "base/random.h"
#include "base/strings.h"
#include "format/gguf.h"
#include "model/dense_tensors.h"
#include "model/quant_mix.h"
#include "tensor/quantize.h"

namespace andiron {

namespace {

// The published configurations of the models named (config.json of HuggingFaceTB/SmolLM2-135M,
// TinyLlama/TinyLlama-1.1B-Chat-v1.0, meta-llama/Llama-2-7b-hf).
struct Shape {
  std::string_view name;
  uint32_t blocks, width, feed_forward, heads, kv_heads, vocabulary, context;
  double rope_base;
  bool tied;
};
constexpr Shape kShapes[] = {
    {"smollm2-135m", 30, 576, 1536, 9, 3, 49152, 8192, 1e5, true},
    {"tinyllama-1.1b", 22, 2048, 5632, 32, 4, 32000, 2048, 1e4, false},
    {"llama-2-7b", 32, 4096, 11008, 32, 32, 32000, 4096, 1e4, false},
    {"tiny", 2, 256, 512, 4, 2, 512, 512, 1e4, false},
    {"tiny-odd", 3, 96, 224, 3, 1, 400, 256, 1e4, true},
};

// A number format alone ("q4_k": nearly every matrix in it), or a recipe ("q4_k_m").
Result<QuantType> parse_mix(const std::string& name) {
  if (const auto dtype = dtype_from_name(name)) {
    const auto types = all_quant_types();
    const bool can_write =
        std::any_of(types.begin(), types.end(), [&](const QuantType& type) { return type.base == *dtype; });
    if (can_write) return QuantType{dtype_info(*dtype).name, *dtype, QuantRecipe::kPlain, 0};
  }
  return quant_type_from_name(name);
}

class Plan {
 public:
  Plan(const Shape& shape, const QuantType& type) : shape_(shape), type_(type) {
    context_.layers = shape.blocks;
    context_.heads_per_kv_head = shape.heads / shape.kv_heads;
    context_.tied_head = shape.tied;
  }

  Result<std::vector<TensorInfo>> tensors() {
    DenseShape dense;
    dense.layers = shape_.blocks;
    dense.width = shape_.width;
    dense.heads = shape_.heads;
    dense.kv_heads = shape_.kv_heads;
    dense.head_dim = shape_.width / shape_.heads;
    dense.feed_forward = shape_.feed_forward;
    dense.vocabulary = shape_.vocabulary;
    dense.tied = shape_.tied;
    TRY_ASSIGN(const auto wanted, dense_tensors(dense));
    for (const DenseTensor& tensor : wanted) TRY(add(tensor.name, tensor.shape));
    return std::move(out_);
  }

 private:
  Status add(const std::string& name, const std::vector<uint64_t>& shape) {
    constexpr std::string_view kSource = "the synthetic model";
    TRY_ASSIGN(const TensorInfo unquantised, make_tensor_info(name, DType::kF32, shape, kSource));
    const DType dtype = plan_tensor(unquantised, type_, context_).dtype;
    TRY_ASSIGN(TensorInfo info, make_tensor_info(name, dtype, shape, kSource));
    out_.push_back(std::move(info));
    return {};
  }

  const Shape& shape_;
  QuantType type_;
  QuantContext context_;
  std::vector<TensorInfo> out_;
};

constexpr std::string_view kSpace = "\u2581";

// A SentencePiece vocabulary: three control tokens, the 256 bytes, letters, then words of one to three made-up
// syllables, with and without U+2581 (a space) before them. Every word is reached by merging shorter ones.
std::vector<std::string> make_tokens(uint32_t count) {
  constexpr std::string_view kConsonants = "bcdfghjklmnpqrstvwxz", kVowels = "aeiou";
  std::vector<std::string> tokens = {"<unk>", "<s>", "</s>"};
  for (int byte = 0; byte < 256; ++byte) tokens.push_back(format("<0x{:02X}>", byte));
  tokens.emplace_back(kSpace);
  for (char letter = 'a'; letter <= 'z'; ++letter) tokens.emplace_back(1, letter);
  for (const char* mark : {".", ",", "!", "?", "'", "-"}) tokens.emplace_back(mark);
  std::vector<std::string> syllables;
  for (const char consonant : kConsonants) {
    for (const char vowel : kVowels) syllables.push_back({consonant, vowel});
  }
  std::vector<std::string> words = {""};
  while (tokens.size() < count) {
    std::vector<std::string> longer;
    for (const std::string& word : words) {
      for (const std::string& syllable : syllables) {
        longer.push_back(word + syllable);
        if (tokens.size() < count) tokens.push_back(longer.back());
        if (tokens.size() < count) tokens.push_back(std::string(kSpace) + longer.back());
        if (tokens.size() == count) return tokens;
      }
    }
    words = std::move(longer);
  }
  return tokens;
}

constexpr size_t kFirstByteToken = 3, kFirstNormalToken = 259;

std::vector<MetaEntry> make_metadata(const Shape& shape, const std::vector<std::string>& tokens) {
  std::vector<MetaEntry> out = {
      MetaEntry::text("general.architecture", "llama"),
      MetaEntry::text("general.name", shape.name),
      MetaEntry::u32("general.quantization_version", 2),
      MetaEntry::u32("llama.vocab_size", shape.vocabulary),
      MetaEntry::u32("llama.block_count", shape.blocks),
      MetaEntry::u32("llama.context_length", shape.context),
      MetaEntry::u32("llama.embedding_length", shape.width),
      MetaEntry::u32("llama.feed_forward_length", shape.feed_forward),
      MetaEntry::u32("llama.attention.head_count", shape.heads),
      MetaEntry::u32("llama.attention.head_count_kv", shape.kv_heads),
      MetaEntry::f32("llama.attention.layer_norm_rms_epsilon", 1e-5),
      MetaEntry::u32("llama.rope.dimension_count", shape.width / shape.heads),
      MetaEntry::f32("llama.rope.freq_base", shape.rope_base),
      MetaEntry::text("tokenizer.ggml.model", "llama"),
      MetaEntry::text("tokenizer.ggml.pre", "default"),
      MetaEntry::u32("tokenizer.ggml.bos_token_id", 1),
      MetaEntry::u32("tokenizer.ggml.eos_token_id", 2),
      MetaEntry::u32("tokenizer.ggml.unknown_token_id", 0),
      MetaEntry::boolean("tokenizer.ggml.add_bos_token", true),
      MetaEntry::boolean("tokenizer.ggml.add_eos_token", false),
  };
  MetaValue::Floats scores;
  MetaValue::Ints types;
  for (size_t i = 0; i < tokens.size(); ++i) {
    // Earlier words are more frequent; the rest of the numbers: tokenizer.ggml.token_type.
    scores.push_back(i < kFirstNormalToken ? 0 : -static_cast<double>(i - kFirstNormalToken));
    types.push_back(i == 0 ? 2 : i < kFirstByteToken ? 3 : i < kFirstNormalToken ? 6 : 1);
  }
  out.push_back(MetaEntry::texts("tokenizer.ggml.tokens", MetaValue::Texts(tokens.begin(), tokens.end())));
  out.push_back(MetaEntry::f32s("tokenizer.ggml.scores", std::move(scores)));
  out.push_back(MetaEntry::i32s("tokenizer.ggml.token_type", std::move(types)));
  return out;
}

// The order in which a model recites: next[i] follows token i. Tokens that are no words of two syllables with a space
// before them follow themselves.
std::vector<uint32_t> recital(const std::vector<std::string>& tokens) {
  std::vector<uint32_t> words, next(tokens.size());
  for (uint32_t i = 0; i < tokens.size(); ++i) {
    next[i] = i;
    if (tokens[i].size() == kSpace.size() + 4 && tokens[i].starts_with(kSpace)) words.push_back(i);
  }
  // A step that shares no divisor with the count, so that all words form one round; 0.618 of the count mixes well.
  auto step = static_cast<size_t>(0.618 * static_cast<double>(words.size()));
  while (step > 1 && std::gcd(step, words.size()) != 1) --step;
  for (size_t i = 0; i < words.size(); ++i) next[words[i]] = words[(i + step) % words.size()];
  return next;
}

// `count` numbers with the mean square 1 / columns, as trained matrices roughly have: the sizes of activations then
// stay the same from layer to layer. A sum of four uniform numbers has the variance 1/3; no library function is
// involved, so every machine agrees.
std::vector<float> draw_numbers(const RandomStream& random, uint64_t count, uint64_t columns) {
  const double spread = std::sqrt(3.0 / static_cast<double>(columns));
  std::vector<float> numbers(count);
  for (uint64_t i = 0; i < count; ++i) {
    double sum = -2;
    for (uint64_t j = 0; j < 4; ++j) sum += random.uniform(4 * i + j);
    numbers[i] = static_cast<float>(sum * spread);
  }
  return numbers;
}

// Blocks that large tensors are filled from, by format and columns: drawing a block costs a copy, where encoding it
// anew would make a 7B model take minutes.
class BlockPools {
 public:
  explicit BlockPools(uint64_t seed) : seed_(seed) {}

  const std::vector<uint8_t>& pool(DType dtype, uint64_t columns) {
    constexpr uint64_t kElements = 256 * 1024;
    auto& blocks = pools_[{dtype, columns}];
    if (!blocks.empty()) return blocks;
    const auto numbers = draw_numbers(RandomStream(seed_, pools_.size()), kElements, columns);
    blocks.resize(row_bytes(dtype, kElements));
    encode_row(dtype, numbers.data(), blocks.data(), kElements, nullptr);
    return blocks;
  }

 private:
  uint64_t seed_;
  std::map<std::pair<DType, uint64_t>, std::vector<uint8_t>> pools_;
};

// A tensor's bytes, `size` at a time: blocks drawn from the pool.
class BlockStream {
 public:
  BlockStream(const std::vector<uint8_t>& pool, DType dtype, RandomStream random)
      : pool_(pool), random_(random), run_bytes_(row_bytes(dtype, std::max(32u, dtype_info(dtype).block_elements))) {}

  void next(uint64_t size, std::vector<uint8_t>& out) {
    out.clear();
    while (out.size() < size) {
      const uint64_t run = random_.bits(counter_++) % (pool_.size() / run_bytes_);
      const uint8_t* from = pool_.data() + run * run_bytes_;
      out.insert(out.end(), from, from + std::min<uint64_t>(run_bytes_, size - out.size()));
    }
  }

 private:
  const std::vector<uint8_t>& pool_;
  RandomStream random_;
  uint64_t run_bytes_;
  uint64_t counter_ = 0;
};

// Numbers are drawn as for `spread_columns` columns.
Status write_tensor(GgufWriter& writer, const TensorInfo& tensor, uint64_t spread_columns, BlockPools& pools,
                    const RandomStream& random) {
  if (tensor.shape.size() == 1) {
    const std::vector<float> ones(tensor.elements, 1.0f);
    return writer.append({reinterpret_cast<const uint8_t*>(ones.data()), tensor.bytes});
  }
  std::vector<uint8_t> chunk;
  // A small matrix would meet the same blocks twice, and tokens with equal rows tie.
  constexpr uint64_t kEncodeElementsMax = 128 * 1024;
  if (tensor.elements <= kEncodeElementsMax) {
    const auto numbers = draw_numbers(random, tensor.elements, spread_columns);
    chunk.resize(tensor.bytes);
    encode_row(tensor.dtype, numbers.data(), chunk.data(), tensor.elements, nullptr);
    return writer.append(chunk);
  }
  BlockStream blocks(pools.pool(tensor.dtype, spread_columns), tensor.dtype, random);
  const uint64_t row = row_bytes(tensor.dtype, tensor.columns());
  const uint64_t rows_in_chunk = std::max<uint64_t>(1, (4 << 20) / row);
  for (uint64_t first = 0; first < tensor.rows(); first += rows_in_chunk) {
    blocks.next(std::min(rows_in_chunk, tensor.rows() - first) * row, chunk);
    TRY(writer.append(chunk));
  }
  return {};
}

// A model that recites: the row of the embedding of each token stands in the head at the token that follows it, and
// what layers add to the stream is small beside it.
class Reciter {
 public:
  Reciter(uint64_t seed, const std::vector<std::string>& tokens) : seed_(seed), before_(tokens.size()) {
    const auto next = recital(tokens);
    for (uint32_t i = 0; i < next.size(); ++i) before_[next[i]] = i;
  }

  // What weights of this tensor are drawn as if they had so many columns for.
  static uint64_t spread_columns(const TensorInfo& tensor) {
    const bool adds = tensor.name.ends_with("attn_output.weight") || tensor.name.ends_with("ffn_down.weight");
    return adds ? tensor.columns() * 10000 : tensor.columns();
  }
  static bool is_vocabulary(const TensorInfo& tensor) {
    return tensor.name == "token_embd.weight" || tensor.name == "output.weight";
  }

  Status write(GgufWriter& writer, const TensorInfo& tensor) const {
    const bool head = tensor.name == "output.weight";
    const uint64_t columns = tensor.columns();
    std::vector<uint8_t> bytes(row_bytes(tensor.dtype, columns));
    for (uint64_t row = 0; row < tensor.rows(); ++row) {
      const RandomStream random(seed_, uint64_t{1} << 40 | (head ? before_[row] : row));
      const auto numbers = draw_numbers(random, columns, head ? columns : 1);
      encode_row(tensor.dtype, numbers.data(), bytes.data(), columns, nullptr);
      TRY(writer.append(bytes));
    }
    return {};
  }

 private:
  uint64_t seed_;
  std::vector<uint32_t> before_;
};

}  // namespace

std::vector<std::string_view> synthetic_shapes() {
  std::vector<std::string_view> names;
  for (const Shape& shape : kShapes) names.push_back(shape.name);
  return names;
}

namespace {
Result<const Shape*> find_shape(const std::string& name) {
  const auto* shape = std::find_if(std::begin(kShapes), std::end(kShapes),
                                   [&](const Shape& candidate) { return candidate.name == name; });
  if (shape != std::end(kShapes)) return shape;
  std::string known;
  for (const std::string_view each : synthetic_shapes()) known += format("{}{}", known.empty() ? "" : ", ", each);
  return make_error("\"{}\" is not a synthetic shape; {} are", in_quotes(name), known);
}
}  // namespace

Status check_synthetic(const SyntheticOptions& options) {
  TRY_ASSIGN(const Shape* shape, find_shape(options.shape));
  TRY(parse_mix(options.mix));
  if (options.recite && shape->tied) {
    return make_error("the shape {} has no head of its own, so it cannot recite; tinyllama-1.1b can", shape->name);
  }
  return {};
}

Status write_synthetic_model(const SyntheticOptions& options, const std::string& path,
                             const std::function<void(uint64_t done, uint64_t total)>& progress) {
  TRY(check_synthetic(options));
  TRY_ASSIGN(const Shape* shape, find_shape(options.shape));
  TRY_ASSIGN(const QuantType mix, parse_mix(options.mix));
  TRY_ASSIGN(const auto tensors, Plan(*shape, mix).tensors());
  const auto tokens = make_tokens(shape->vocabulary);
  TRY_ASSIGN(GgufWriter writer, GgufWriter::create(path, make_metadata(*shape, tokens), tensors));
  uint64_t total = 0, done = 0;
  for (const TensorInfo& tensor : tensors) total += tensor.bytes;
  BlockPools pools(options.seed);
  const Reciter reciter(options.seed, tokens);
  for (size_t i = 0; i < tensors.size(); ++i) {
    const RandomStream random(options.seed, uint64_t{1} << 32 | i);
    if (options.recite && Reciter::is_vocabulary(tensors[i])) {
      TRY(reciter.write(writer, tensors[i]));
    } else {
      const uint64_t columns = options.recite ? Reciter::spread_columns(tensors[i]) : tensors[i].columns();
      TRY(write_tensor(writer, tensors[i], columns, pools, random));
    }
    done += tensors[i].bytes;
    if (progress) progress(done, total);
  }
  return writer.finish();
}

}  // namespace andiron
