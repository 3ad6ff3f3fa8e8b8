// llama_peer: runs llama.cpp on a GGUF file and prints, as JSON, its speed or its answers.
//
//   llama_peer bench      MODEL [--prompt N] [--generate N] [--rounds N] [--flash on,off] [--ubatch N,N]
//   llama_peer start      MODEL [--prompt N]                 one cold process: load, first token, peak memory
//   llama_peer tokenize   MODEL --text STRING | --file PATH
//   llama_peer logits     MODEL (--tokens N,N | --text STRING | --file PATH) [--top N] [--out PATH]
//   llama_peer greedy     MODEL (--tokens ... as above)      [--generate N]
//   llama_peer perplexity MODEL (--tokens ... as above)      [--context N] [--skip N]
//
// For all: [--threads N] [--no-repack] [--no-mmap]. Speeds are taken as llama-bench takes them (tools/llama-bench of
// the same release: random tokens, a thread pool that polls, a warm-up run, the cache cleared before each round), so
// they equal what it would print. Timed work is all inside llama_decode.
#include <link.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "ggml-backend.h"
#include "ggml-cpu.h"
#include "llama.h"

namespace {

using Clock = std::chrono::steady_clock;
const Clock::time_point process_start = Clock::now();

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

[[noreturn]] void fail(const std::string& message) {
  std::fprintf(stderr, "llama_peer: %s\n", message.c_str());
  std::exit(1);
}

struct Arguments {
  std::string command, model;
  std::map<std::string, std::string> values;

  bool has(const std::string& name) const { return values.count(name) > 0; }
  std::string text(const std::string& name, const std::string& fallback) const {
    const auto found = values.find(name);
    return found == values.end() ? fallback : found->second;
  }
  int number(const std::string& name, int fallback) const {
    return std::atoi(text(name, std::to_string(fallback)).c_str());
  }
  std::vector<std::string> list(const std::string& name, const std::string& fallback) const {
    std::vector<std::string> items;
    std::stringstream stream(text(name, fallback));
    for (std::string item; std::getline(stream, item, ',');) items.push_back(item);
    return items;
  }
};

Arguments parse(int argc, char** argv) {
  if (argc < 3) fail("usage: llama_peer bench|start|tokenize|logits|greedy|perplexity MODEL [options]");
  Arguments arguments{argv[1], argv[2], {}};
  for (int i = 3; i < argc; ++i) {
    const std::string name = argv[i];
    const bool flag = name == "--no-repack" || name == "--no-mmap";
    if (!flag && i + 1 >= argc) fail(name + " needs a value");
    arguments.values[name] = flag ? "1" : argv[++i];
  }
  return arguments;
}

// File name of the CPU backend that was loaded, e.g. libggml-cpu-zen4.so.
std::string loaded_backend() {
  std::string name = "unknown";
  dl_iterate_phdr(
      [](dl_phdr_info* info, size_t, void* data) {
        const char* found = std::strstr(info->dlpi_name, "libggml-cpu-");
        if (found != nullptr) *static_cast<std::string*>(data) = found;
        return 0;
      },
      &name);
  return name;
}

struct Peer {
  llama_model* model;
  const llama_vocab* vocab;
  int threads;
  double load_s;
};

Peer load(const Arguments& arguments) {
  llama_log_set(
      [](ggml_log_level level, const char* text, void*) {
        if (level == GGML_LOG_LEVEL_ERROR) std::fputs(text, stderr);
      },
      nullptr);
  // Takes the backend that scores best on this processor. LLAMA_BACKENDS names a folder with a choice of them instead:
  // with only libggml-cpu-haswell.so in it, llama.cpp runs as on a machine that has AVX2 and nothing wider.
  const char* backends = std::getenv("LLAMA_BACKENDS");
  ggml_backend_load_all_from_path(backends != nullptr ? backends : LLAMA_LIBRARIES);
  llama_backend_init();
  const Clock::time_point start = Clock::now();
  llama_model_params params = llama_model_default_params();
  params.use_extra_bufts = !arguments.has("--no-repack");
  params.load_mode = arguments.has("--no-mmap") ? LLAMA_LOAD_MODE_NONE : LLAMA_LOAD_MODE_MMAP;
  Peer peer{};
  peer.model = llama_model_load_from_file(arguments.model.c_str(), params);
  if (peer.model == nullptr) fail("cannot load " + arguments.model);
  peer.load_s = seconds_since(start);
  peer.vocab = llama_model_get_vocab(peer.model);
  peer.threads = arguments.number("--threads", 2);
  return peer;
}

// A context with llama-bench's thread pool attached.
class Context {
 public:
  Context(const Peer& peer, int tokens_max, llama_flash_attn_type flash, int ubatch) {
    llama_context_params params = llama_context_default_params();
    params.n_ctx = static_cast<uint32_t>(tokens_max);
    params.n_batch = static_cast<uint32_t>(std::max(ubatch, std::min(tokens_max, 2048)));
    params.n_ubatch = static_cast<uint32_t>(ubatch);
    params.n_threads = params.n_threads_batch = peer.threads;
    params.flash_attn_type = flash;
    context_ = llama_init_from_model(peer.model, params);
    if (context_ == nullptr) fail("cannot create a context");

    ggml_backend_reg_t cpu = ggml_backend_dev_backend_reg(ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU));
    const auto pool_new =
        reinterpret_cast<decltype(&ggml_threadpool_new)>(ggml_backend_reg_get_proc_address(cpu, "ggml_threadpool_new"));
    pool_free_ = reinterpret_cast<decltype(&ggml_threadpool_free)>(
        ggml_backend_reg_get_proc_address(cpu, "ggml_threadpool_free"));
    ggml_threadpool_params pool_params = ggml_threadpool_params_default(peer.threads);
    pool_ = pool_new(&pool_params);
    llama_attach_threadpool(context_, pool_, nullptr);
  }
  Context(const Context&) = delete;
  ~Context() {
    llama_free(context_);
    pool_free_(pool_);
  }

  void clear() { llama_memory_clear(llama_get_memory(context_), false); }

  // Runs tokens after those already there; only the last one's logits are computed.
  void decode(std::vector<llama_token>& tokens) {
    const size_t batch = llama_n_batch(context_);
    for (size_t at = 0; at < tokens.size(); at += batch) {
      const int32_t count = static_cast<int32_t>(std::min(batch, tokens.size() - at));
      if (llama_decode(context_, llama_batch_get_one(tokens.data() + at, count)) != 0) fail("llama_decode failed");
    }
    llama_synchronize(context_);
  }

  // Runs at most n_batch tokens from an empty cache and computes all their logits: [tokens][vocabulary].
  const float* decode_all(const std::vector<llama_token>& tokens) {
    clear();
    llama_batch batch = llama_batch_init(static_cast<int32_t>(tokens.size()), 0, 1);
    batch.n_tokens = static_cast<int32_t>(tokens.size());
    for (size_t i = 0; i < tokens.size(); ++i) {
      batch.token[i] = tokens[i];
      batch.pos[i] = static_cast<llama_pos>(i);
      batch.n_seq_id[i] = 1;
      batch.seq_id[i][0] = 0;
      batch.logits[i] = 1;
    }
    if (llama_decode(context_, batch) != 0) fail("llama_decode failed");
    llama_synchronize(context_);
    llama_batch_free(batch);
    return llama_get_logits(context_);
  }

  const float* last_logits() { return llama_get_logits_ith(context_, -1); }

 private:
  llama_context* context_;
  ggml_threadpool_t pool_;
  decltype(&ggml_threadpool_free) pool_free_;
};

std::vector<llama_token> tokenize(const Peer& peer, const std::string& text) {
  std::vector<llama_token> tokens(text.size() + 8);
  const int32_t count =
      llama_tokenize(peer.vocab, text.data(), static_cast<int32_t>(text.size()), tokens.data(),
                     static_cast<int32_t>(tokens.size()), /*add_special=*/true, /*parse_special=*/true);
  if (count < 0) fail("cannot tokenize");
  tokens.resize(static_cast<size_t>(count));
  return tokens;
}

std::vector<llama_token> input_tokens(const Peer& peer, const Arguments& arguments) {
  if (arguments.has("--text")) return tokenize(peer, arguments.text("--text", ""));
  if (arguments.has("--file")) {
    std::ifstream file(arguments.text("--file", ""), std::ios::binary);
    if (!file) fail("cannot open " + arguments.text("--file", ""));
    return tokenize(peer, {std::istreambuf_iterator<char>(file), {}});
  }
  std::vector<llama_token> tokens;
  for (const std::string& item : arguments.list("--tokens", "")) tokens.push_back(std::atoi(item.c_str()));
  if (tokens.empty()) fail("give --tokens, --text or --file");
  for (llama_token token : tokens) {
    if (token < 0 || token >= llama_vocab_n_tokens(peer.vocab)) fail("a token is outside the vocabulary");
  }
  return tokens;
}

llama_token argmax(const float* logits, int vocabulary) {
  return static_cast<llama_token>(std::max_element(logits, logits + vocabulary) - logits);
}

// -log softmax(logits)[token], in double.
double surprise(const float* logits, int vocabulary, llama_token token) {
  const double greatest = *std::max_element(logits, logits + vocabulary);
  double sum = 0;
  for (int i = 0; i < vocabulary; ++i) sum += std::exp(logits[i] - greatest);
  return greatest + std::log(sum) - logits[token];
}

std::string json_list(const std::vector<llama_token>& tokens) {
  std::string list = "[";
  for (llama_token token : tokens) list += (list.size() > 1 ? "," : "") + std::to_string(token);
  return list + "]";
}

// {"median": ..., "min": ..., "max": ..., "samples": [...]} of speeds.
std::string json_samples(const std::vector<double>& samples) {
  std::vector<double> sorted = samples;
  std::sort(sorted.begin(), sorted.end());
  const size_t half = sorted.size() / 2;
  const double median = sorted.size() % 2 == 1 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
  std::ostringstream out;
  out << "{\"median\":" << median << ",\"min\":" << sorted.front() << ",\"max\":" << sorted.back() << ",\"samples\":[";
  for (size_t i = 0; i < samples.size(); ++i) out << (i > 0 ? "," : "") << samples[i];
  out << "]}";
  return out.str();
}

std::string json_common(const Peer& peer) {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  std::ostringstream out;
  out << "\"program\":\"llama.cpp\",\"release\":\"" << LLAMA_RELEASE << "\",\"backend\":\"" << loaded_backend()
      << "\",\"threads\":" << peer.threads << ",\"model_bytes\":" << llama_model_size(peer.model)
      << ",\"parameters\":" << llama_model_n_params(peer.model) << ",\"load_s\":" << peer.load_s
      << ",\"peak_rss_bytes\":" << uint64_t(usage.ru_maxrss) * 1024;
  return out.str();
}

std::vector<llama_token> random_tokens(const Peer& peer, int count) {
  std::vector<llama_token> tokens(static_cast<size_t>(count));
  for (llama_token& token : tokens) token = std::rand() % llama_vocab_n_tokens(peer.vocab);
  if (llama_vocab_get_add_bos(peer.vocab) && count > 0) tokens[0] = llama_vocab_bos(peer.vocab);
  return tokens;
}

// One setting of flash attention and micro-batch: {"flash": ..., "prefill_tokens_per_s": {...}, ...}.
std::string bench_setting(const Peer& peer, const Arguments& arguments, bool flash, int ubatch) {
  const int prompt = arguments.number("--prompt", 512), generate = arguments.number("--generate", 128);
  const int rounds = std::max(1, arguments.number("--rounds", 5));
  Context context(peer, std::max(prompt, generate) + 1,
                  flash ? LLAMA_FLASH_ATTN_TYPE_ENABLED : LLAMA_FLASH_ATTN_TYPE_DISABLED, ubatch);
  std::vector<double> prefill, decode;
  for (int round = -1; round < rounds; ++round) {  // round -1 warms up
    if (prompt > 0) {
      std::vector<llama_token> tokens = random_tokens(peer, prompt);
      context.clear();
      const Clock::time_point start = Clock::now();
      context.decode(tokens);
      if (round >= 0) prefill.push_back(prompt / seconds_since(start));
    }
    if (generate > 0) {
      std::vector<llama_token> token = random_tokens(peer, 1);
      context.clear();
      const Clock::time_point start = Clock::now();
      for (int i = 0; i < (round < 0 ? 1 : generate); ++i) {
        context.decode(token);
        token[0] = std::rand() % llama_vocab_n_tokens(peer.vocab);
      }
      if (round >= 0) decode.push_back(generate / seconds_since(start));
    }
  }
  std::string out = "{\"flash\":" + std::string(flash ? "true" : "false") + ",\"ubatch\":" + std::to_string(ubatch);
  if (prompt > 0) out += ",\"prompt\":" + std::to_string(prompt) + ",\"prefill_tokens_per_s\":" + json_samples(prefill);
  if (generate > 0) {
    out += ",\"generate\":" + std::to_string(generate) + ",\"decode_tokens_per_s\":" + json_samples(decode);
  }
  return out + "}";
}

void bench(const Arguments& arguments) {
  const Peer peer = load(arguments);
  std::string settings;
  for (const std::string& flash : arguments.list("--flash", "on")) {
    for (const std::string& ubatch : arguments.list("--ubatch", "512")) {
      settings +=
          (settings.empty() ? "" : ",") + bench_setting(peer, arguments, flash == "on", std::atoi(ubatch.c_str()));
    }
  }
  std::printf("{%s,\"settings\":[%s]}\n", json_common(peer).c_str(), settings.c_str());
}

void start(const Arguments& arguments) {
  const Peer peer = load(arguments);
  std::vector<llama_token> tokens = random_tokens(peer, std::max(1, arguments.number("--prompt", 32)));
  Context context(peer, static_cast<int>(tokens.size()) + 1, LLAMA_FLASH_ATTN_TYPE_AUTO, 512);
  context.decode(tokens);
  const llama_token first = argmax(context.last_logits(), llama_vocab_n_tokens(peer.vocab));
  const double first_s = seconds_since(process_start);
  std::printf("{%s,\"prompt\":%zu,\"first_token_s\":%g,\"first_token\":%d}\n", json_common(peer).c_str(), tokens.size(),
              first_s, first);
}

void logits(const Arguments& arguments) {
  const Peer peer = load(arguments);
  const std::vector<llama_token> tokens = input_tokens(peer, arguments);
  const int vocabulary = llama_vocab_n_tokens(peer.vocab);
  const size_t top = static_cast<size_t>(std::clamp(arguments.number("--top", 5), 0, vocabulary));
  if (tokens.size() > 2048) fail("logits takes at most 2048 tokens");
  Context context(peer, static_cast<int>(tokens.size()), LLAMA_FLASH_ATTN_TYPE_DISABLED, 512);
  const float* rows = context.decode_all(tokens);
  if (arguments.has("--out")) {  // float32, little-endian, [tokens][vocabulary]
    std::ofstream file(arguments.text("--out", ""), std::ios::binary);
    file.write(reinterpret_cast<const char*>(rows),
               static_cast<std::streamsize>(tokens.size() * static_cast<size_t>(vocabulary) * sizeof(float)));
    if (!file) fail("cannot write " + arguments.text("--out", ""));
  }
  std::printf("{%s,\"tokens\":%s,\"top\":[", json_common(peer).c_str(), json_list(tokens).c_str());
  std::vector<int> order(static_cast<size_t>(vocabulary));
  for (size_t t = 0; t < tokens.size(); ++t) {
    const float* row = rows + t * static_cast<size_t>(vocabulary);
    for (int i = 0; i < vocabulary; ++i) order[static_cast<size_t>(i)] = i;
    std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(top), order.end(),
                      [row](int a, int b) { return row[a] != row[b] ? row[a] > row[b] : a < b; });
    std::printf("%s[", t > 0 ? ",\n" : "");
    for (size_t i = 0; i < top; ++i) std::printf("%s[%d,%.9g]", i > 0 ? "," : "", order[i], row[order[i]]);
    std::printf("]");
  }
  std::printf("]}\n");
}

void greedy(const Arguments& arguments) {
  const Peer peer = load(arguments);
  std::vector<llama_token> tokens = input_tokens(peer, arguments);
  const int generate = arguments.number("--generate", 32);
  Context context(peer, static_cast<int>(tokens.size()) + generate, LLAMA_FLASH_ATTN_TYPE_DISABLED, 512);
  std::vector<llama_token> generated;
  std::string text;
  const std::string prompt = json_list(tokens);
  for (int i = 0; i < generate; ++i) {
    context.decode(tokens);
    tokens = {argmax(context.last_logits(), llama_vocab_n_tokens(peer.vocab))};
    generated.push_back(tokens[0]);
    char piece[256];
    const int32_t length = llama_token_to_piece(peer.vocab, tokens[0], piece, sizeof piece, 0, /*special=*/true);
    if (length > 0) text.append(piece, static_cast<size_t>(length));
  }
  std::printf("{%s,\"prompt\":%s,\"generated\":%s}\n", json_common(peer).c_str(), prompt.c_str(),
              json_list(generated).c_str());
  std::fprintf(stderr, "%s\n", text.c_str());
}

// Chunks of --context tokens, each from an empty cache; tokens from position --skip + 1 on are scored.
void perplexity(const Arguments& arguments) {
  const Peer peer = load(arguments);
  const std::vector<llama_token> tokens = input_tokens(peer, arguments);
  const size_t length = static_cast<size_t>(std::clamp(arguments.number("--context", 512), 2, 2048));
  const size_t skip = static_cast<size_t>(std::max(0, arguments.number("--skip", 0)));
  const int vocabulary = llama_vocab_n_tokens(peer.vocab);
  Context context(peer, static_cast<int>(length), LLAMA_FLASH_ATTN_TYPE_DISABLED, 512);
  double sum = 0;
  size_t scored = 0;
  for (size_t at = 0; at + 1 < tokens.size(); at += length) {
    const std::vector<llama_token> chunk(
        tokens.begin() + static_cast<std::ptrdiff_t>(at),
        tokens.begin() + static_cast<std::ptrdiff_t>(std::min(at + length, tokens.size())));
    const float* rows = context.decode_all(chunk);
    for (size_t t = skip; t + 1 < chunk.size(); ++t, ++scored) {
      sum += surprise(rows + t * static_cast<size_t>(vocabulary), vocabulary, chunk[t + 1]);
    }
  }
  if (scored == 0) fail("too few tokens to score");
  std::printf("{%s,\"tokens\":%zu,\"scored\":%zu,\"nll_mean\":%.9g,\"perplexity\":%.9g}\n", json_common(peer).c_str(),
              tokens.size(), scored, sum / static_cast<double>(scored), std::exp(sum / static_cast<double>(scored)));
}

}  // namespace

int main(int argc, char** argv) {
  const Arguments arguments = parse(argc, argv);
  if (arguments.command == "bench") {
    bench(arguments);
  } else if (arguments.command == "start") {
    start(arguments);
  } else if (arguments.command == "tokenize") {
    const Peer peer = load(arguments);
    std::printf("{\"tokens\":%s}\n", json_list(input_tokens(peer, arguments)).c_str());
  } else if (arguments.command == "logits") {
    logits(arguments);
  } else if (arguments.command == "greedy") {
    greedy(arguments);
  } else if (arguments.command == "perplexity") {
    perplexity(arguments);
  } else {
    fail("unknown command " + arguments.command);
  }
  std::fflush(stdout);
  std::_Exit(0);  // the model is the operating system's to free
}
