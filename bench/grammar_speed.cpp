// What a mask costs: grammar_speed VOCABULARY [ANSWERS]
//
// VOCABULARY is a .gguf file or a tokenizer.json. For some grammars, answers are drawn evenly under the masks (which
// asks more of the masks than a model does: it goes wherever the grammar may go), ANSWERS (20) each of at most 300
// tokens. Printed are microseconds of processor time a token, for the mask and the step together: the mean over all
// answers from the first on, all that is computed once included; the mean of the last half of the answers; and the
// slowest hundredth.
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "grammar/gbnf.h"
#include "grammar/json_schema.h"
#include "grammar/token_grammar.h"
#include "model/tokenizer_source.h"

namespace {

using namespace andiron;

// Processor time: other programs do not count.
double now_us() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) * 1e6 + static_cast<double>(time.tv_nsec) * 1e-3;
}
double us_since(double begin) { return now_us() - begin; }

constexpr std::pair<const char*, const char*> kSchemas[] = {
    {"any JSON object", R"({"type": "object"})"},
    {"person, 6 members", R"({"type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer"},
      "email": {"type": "string", "format": "email"}, "tags": {"type": "array", "items": {"type": "string"}},
      "address": {"type": "object", "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
      "required": ["street", "city"]}, "notes": {"type": "string"}},
      "required": ["name", "age", "email", "tags", "address", "notes"], "additionalProperties": false})"},
    {"tool call, enum", R"({"type": "object", "properties": {"tool": {"enum": ["search", "open", "close", "write"]},
      "arguments": {"type": "object"}, "why": {"type": "string"}}, "required": ["tool", "arguments", "why"]})"},
    {"strings of at most 100", R"({"type": "array", "items": {"type": "string", "maxLength": 100}})"},
    {"tree", R"({"$ref": "#/$defs/n", "$defs": {"n": {"type": "object", "properties": {"name": {"type": "string"},
      "children": {"type": "array", "items": {"$ref": "#/$defs/n"}}}, "required": ["name", "children"]}}})"},
};

constexpr std::pair<const char*, const char*> kGrammars[] = {
    {"GBNF arithmetic", "root ::= e\ne ::= t ([-+] t)*\nt ::= f ([*/] f)*\nf ::= [0-9]+ | \"(\" e \")\" | [a-z]+\n"},
    {"GBNF lines of words", "root ::= (\"- \" [^\\n]+ \"\\n\"){3,10}\n"},
};

// The tokens a model would hardly choose (the rest of a string for ever) are cut: an answer draws its length.
void measure(const char* name, const Result<Grammar>& grammar, const std::shared_ptr<const TokenTrie>& vocabulary,
             int answers) {
  const auto begin = now_us();
  auto made = grammar.ok() ? TokenGrammar::create(*grammar, vocabulary)
                           : Result<std::shared_ptr<const TokenGrammar>>(grammar.error());
  if (!made.ok()) {
    std::fprintf(stderr, "%s\n", made.error().message.c_str());
    std::exit(1);
  }
  const double compile_us = us_since(begin);
  const RandomStream random(1);
  uint64_t draws = 0;
  std::vector<double> times, late;
  for (int answer = 0; answer < answers; ++answer) {
    GrammarMatcher matcher(*made);
    for (int step = 0; step < 300; ++step) {
      const auto mask_begin = now_us();
      const auto mask = matcher.mask();
      double us = us_since(mask_begin);
      if (!mask.ok()) break;
      std::vector<int32_t> allowed;
      for (int32_t token = 0; token < vocabulary->vocab_size(); ++token) {
        if (((*mask)[static_cast<size_t>(token) / 64] >> (token % 64) & 1) != 0) allowed.push_back(token);
      }
      if (allowed.empty()) break;
      const auto at = static_cast<size_t>(random.uniform(draws++) * static_cast<double>(allowed.size()));
      const auto step_begin = now_us();
      if (!matcher.accept(allowed[at]).ok()) break;
      us += us_since(step_begin);
      times.push_back(us);
      if (answer >= answers / 2) late.push_back(us);
    }
  }
  const auto mean = [](const std::vector<double>& list) {
    double sum = 0;
    for (const double one : list) sum += one;
    return list.empty() ? 0 : sum / static_cast<double>(list.size());
  };
  const double all = mean(times);
  std::sort(times.begin(), times.end());
  std::printf("%-24s %8.1f ms  %6zu tokens  %8.1f us mean  %8.1f us later  %8.1f us at 99%%  %8.1f us slowest\n", name,
              compile_us / 1000, times.size(), all, mean(late), times[times.size() * 99 / 100], times.back());
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: grammar_speed VOCABULARY [ANSWERS]\n");
    return 2;
  }
  auto spec = read_tokenizer(argv[1]);
  auto tokenizer = spec.ok() ? Tokenizer::create(std::move(*spec)) : Result<Tokenizer>(spec.error());
  if (!tokenizer.ok()) {
    std::fprintf(stderr, "%s\n", tokenizer.error().message.c_str());
    return 1;
  }
  const int answers = argc > 2 ? std::atoi(argv[2]) : 20;
  const auto begin = now_us();
  const auto vocabulary = std::make_shared<const TokenTrie>(*tokenizer);
  std::printf("%d tokens, %zu nodes, made in %.1f ms\n", vocabulary->vocab_size(), vocabulary->nodes().size(),
              us_since(begin) / 1000);
  for (const auto& [name, text] : kSchemas) measure(name, parse_json_schema(text, name), vocabulary, answers);
  for (const auto& [name, text] : kGrammars) measure(name, parse_gbnf(text, name), vocabulary, answers);
  return 0;
}
