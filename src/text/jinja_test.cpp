// The interpreter's own promises: budgets, messages, taint. That it computes what Python's jinja2 does is shown by
// jinja_oracle_test.cpp.
#include "text/jinja.h"

#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "base/json.h"

namespace andiron {
namespace {

using Values = std::vector<std::pair<std::string, jinja::Value>>;

Values values_of(std::string_view json, bool tainted = true) {
  Values out;
  const auto parsed = parse_json(json, "variables");
  EXPECT_TRUE(parsed.ok()) << json;
  for (const auto& [name, value] : parsed->members()) {
    out.emplace_back(name, *jinja::value_from_json(value, tainted));
  }
  return out;
}

Result<jinja::Text> render(std::string_view source, const Values& values = {}, jinja::Limits limits = {}) {
  TRY_ASSIGN(const auto parsed, jinja::Template::parse(source, "t"));
  jinja::Template::Options options;
  options.limits = limits;
  return parsed.render(values, options);
}

std::string error_of(std::string_view source, const Values& values = {}, jinja::Limits limits = {}) {
  const auto result = render(source, values, limits);
  return result.ok() ? "no error, but: " + result->bytes() : result.error().message;
}

std::string repeated(std::string_view text, size_t count) {
  std::string out;
  for (size_t i = 0; i < count; ++i) out += text;
  return out;
}

TEST(Jinja, RendersWithVariables) {
  const auto text = render("{% for m in messages %}{{ m.role }}: {{ m['content'] }}\n{% endfor %}",
                           values_of(R"({"messages": [{"role": "user", "content": "Hi"}]})"));
  ASSERT_TRUE(text.ok()) << text.error().message;
  EXPECT_EQ(text->bytes(), "user: Hi\n");
}

TEST(Jinja, OfTwoVariablesWithOneNameTheLastCounts) {
  Values values;
  values.emplace_back("x", jinja::make_string("first"));
  values.emplace_back("x", jinja::make_string("second"));
  EXPECT_EQ(render("{{ x }}", values)->bytes(), "second");
}

TEST(Jinja, TheClockIsAbsentUnlessGiven) {
  const auto parsed = jinja::Template::parse("{{ strftime_now('%Y') if strftime_now is defined else 'never' }}", "t");
  ASSERT_TRUE(parsed.ok());
  EXPECT_EQ(parsed->render({}, {})->bytes(), "never");
  EXPECT_EQ(parsed->render({}, {.limits = {}, .now = 0})->bytes(), "1970");
}

TEST(Jinja, StrftimeKnowsTheCalendar) {
  struct Case {
    int64_t seconds;
    const char* expected;
  };
  // Checked with GNU date -u.
  const Case cases[] = {{0, "1970-01-01 Thursday 001 01 1970"},
                        {951'782'400, "2000-02-29 Tuesday 060 09 2000"},
                        {1'735'603'200, "2024-12-31 Tuesday 366 01 2025"},
                        {1'609'459'199, "2020-12-31 Thursday 366 53 2020"},
                        {1'609'459'200, "2021-01-01 Friday 001 53 2020"},
                        {-1, "1969-12-31 Wednesday 365 01 1970"},
                        {4'107'542'400, "2100-03-01 Monday 060 09 2100"}};
  const auto parsed = jinja::Template::parse("{{ strftime_now('%F %A %j %V %G') }}", "t");
  ASSERT_TRUE(parsed.ok());
  for (const Case& c : cases) EXPECT_EQ(parsed->render({}, {.limits = {}, .now = c.seconds})->bytes(), c.expected);
}

TEST(Jinja, MessagesNameTheTemplateAndTheLine) {
  struct Case {
    const char* source;
    const char* expected;
  };
  const Case cases[] = {
      {"a\n{{ x.y }}", "t: line 2: 'x' is undefined"},
      {"a\n\n{{ 1 + 'a' }}", "t: line 3: '+' does not work between a int and a str"},
      {"{% if true %}\n{{ raise_exception('roles must alternate') }}{% endif %}",
       "t: line 2: the template refuses: roles must alternate"},
      {"{% macro m() %}\n{{ none + 1 }}\n{% endmacro %}\n\n{{ m() }}", "t: line 2: '+' does not work between"},
      {"{{ {}.a.b }}", "t: line 1: 'dict object' has no attribute 'a'"},
      {"\n{% for %}", "t: line 2: a"},
      {"\n\n{{ 'abc }}", "t: line 3: a string without its closing quote"},
      {"{% if true %}", "t: line 1: the template ends where 'elif' is expected"},
      {"{% include 'x' %}", "t: line 1: the tag 'include' is not supported"},
      {"{{ x | nofilter }}", "t: line 1: there is no filter 'nofilter'"},
      {"{{ 5 | urlize }}", "t: line 1: the filter 'urlize' is not supported"},
      {"{{ 99999999999999999999 }}", "t: line 1: a whole number that does not fit 64 bits"},
      {"{{ 9223372036854775807 + 1 }}", "t: line 1: a whole number that does not fit 64 bits"},
      {"{{ [1].append(2) }}", "t: line 1: 'append' of a list is not available in templates"},
  };
  for (const Case& c : cases) EXPECT_EQ(error_of(c.source).rfind(c.expected, 0), 0u) << error_of(c.source);
}

TEST(Jinja, RefusesTextThatIsNotUtf8AndTemplatesOutOfAllProportion) {
  EXPECT_NE(error_of("\xff").find("not UTF-8"), std::string::npos);
  EXPECT_TRUE(render(std::string(128 * 1024, 'x')).ok());
  EXPECT_NE(error_of(std::string(128 * 1024 + 1, 'x')).find("at most 128 KiB"), std::string::npos);
  EXPECT_FALSE(jinja::value_from_json(Json("\xc3"), true).ok());
}

// --- budgets ---

TEST(JinjaLimits, HostileTemplatesEndInAnError) {
  struct Case {
    const char* what;
    std::string source;
    const char* expected;
  };
  const Case cases[] = {
      {"nested loops", repeated("{% for x in range(1000) %}", 5) + "x" + repeated("{% endfor %}", 5), "steps"},
      {"a loop without output", "{% for x in range(100000) %}{% for y in range(100000) %}{% endfor %}{% endfor %}",
       "steps"},
      {"a huge range", "{{ range(1000000000) | list }}", "range() is limited"},
      {"doubling text",
       "{% set ns = namespace(s='x') %}{% for i in range(100) %}{% set ns.s = ns.s + ns.s %}{% endfor %}",
       "need more than 64.0 MiB"},
      {"doubling a list",
       "{% set ns = namespace(s=[1]) %}{% for i in range(100) %}{% set ns.s = ns.s + ns.s %}{% endfor %}",
       "need more than 64.0 MiB"},
      {"repeating text", "{{ 'x' * 1000000000000 }}", "need more than"},
      {"repeating a list", "{{ [1] * 1000000000000 }}", "need more than"},
      {"padding", "{{ 'x'.center(1000000000000) }}", "need more than"},
      {"a wide format", "{{ '%999999999d' % 1 }}", "need more than"},
      {"a wider format", "{{ '{:>999999999}'.format('x') }}", "need more than"},
      {"a wide filler", "{{ [1] | batch(100000000000, 'x') | list }}", "need more than"},
      {"many slices", "{{ [1] | slice(100000000000) | list }}", "steps"},
      {"replacing", "{% set s = 'x' * 1000000 %}{{ s.replace('x', s) | length }}", "need more than"},
      {"joining", "{% set s = 'x' * 1000000 %}{{ ([s] * 1000) | join | length }}", "need more than"},
      {"indenting", "{% set s = '\n' * 100000 %}{{ s | indent(100000, true, true) | length }}", "need more than"},
      {"json", "{% set s = [[[[[1]]]]] %}{{ s | tojson(indent=100000000) | length }}", "need more than"},
      {"long output", "{% for i in range(100000) %}{{ 'xxxxxxxxxxxxxxxxxxxx' }}{% endfor %}", "output is longer"},
      {"hoarding",
       "{% set ns = namespace(l=[]) %}{% for i in range(10000) %}{% set ns.l = [ns.l[:50], 'x' * 100000] "
       "%}{% endfor %}",
       ""},
      {"a macro that calls itself", "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "calls within each other"},
      {"macros in turns", "{% macro f(g) %}{{ g(f) }}{% endmacro %}{% macro h(g) %}{{ g(h) }}{% endmacro %}{{ f(h) }}",
       "calls within each other"},
      {"a loop that calls itself", "{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}",
       "calls within each other"},
      {"nested lists", "{% set ns = namespace(s=1) %}{% for i in range(1000) %}{% set ns.s = [ns.s] %}{% endfor %}",
       "nested deeper"},
      {"nested dicts",
       "{% set ns = namespace(s=1) %}{% for i in range(1000) %}{% set ns.s = {'a': ns.s} %}{% endfor %}",
       "nested deeper"},
      {"nested methods",
       "{% set ns = namespace(s=[1]) %}{% for i in range(1000) %}{% set ns.s = [ns.s].count %}{% endfor %}",
       "nested deeper"},
      {"a value shared 2^90 times",
       "{% set ns = namespace(s=1) %}{% for i in range(90) %}{% set ns.s = [ns.s, ns.s] %}{% endfor %}{{ ns.s }}", ""},
      {"comparing such a value",
       "{% set ns = namespace(s=1, t=1) %}{% for i in range(90) %}{% set ns.s = [ns.s, ns.s] %}{% set ns.t = [ns.t, "
       "ns.t] %}{% endfor %}{{ ns.s == ns.t }}",
       "steps"},
      {"such a value as a key",
       "{% set ns = namespace(s=1) %}{% for i in range(90) %}{% set ns.s = (ns.s, ns.s) %}{% endfor %}{{ {ns.s: 1} }}",
       "cannot be a dict's key"},
      {"a namespace that holds itself", "{% set ns = namespace() %}{% set ns.a = [ns] %}{{ ns }}", "hold each other"},
  };
  for (const Case& c : cases) {
    const std::string message = error_of(c.source);
    EXPECT_EQ(message.rfind("t: ", 0), 0u) << c.what << ": " << message;
    EXPECT_NE(message.find(c.expected), std::string::npos) << c.what << ": " << message;
  }
}

TEST(JinjaLimits, DeepSyntaxIsRefusedNotCrashedOn) {
  const size_t n = 4'000;
  const std::string sources[] = {
      "{{ " + repeated("(", n) + "1" + repeated(")", n) + " }}",
      "{{ " + repeated("[", n) + repeated("]", n) + " }}",
      "{{ " + repeated("{1:", n) + "1" + repeated("}", n) + " }}",
      "{{ " + repeated("not ", n) + "1 }}",
      "{{ " + repeated("-", n) + "1 }}",
      "{{ 1" + repeated(" if 1 else 1", n) + " }}",
      "{{ x" + repeated(".a", n) + " }}",
      "{{ x" + repeated("[0]", n) + " }}",
      "{{ x" + repeated("()", n) + " }}",
      "{{ 1" + repeated("|string", n) + " }}",
      "{{ x" + repeated("[x", n) + repeated("]", n) + " }}",
      "{{ f" + repeated("(f", n) + repeated(")", n) + " }}",
      repeated("{% if 1 %}", n) + repeated("{% endif %}", n),
      repeated("{% for x in y %}", n) + repeated("{% endfor %}", n),
      repeated("{% macro m() %}", n) + repeated("{% endmacro %}", n),
      "{% set " + repeated("(", n) + "x" + repeated(")", n) + " = 1 %}",
  };
  for (const std::string& source : sources) {
    EXPECT_NE(error_of(source).find("nested deeper than 100"), std::string::npos)
        << source.substr(0, 40) << ": " << error_of(source);
  }
}

TEST(JinjaLimits, LongChainsAreNoDepth) {
  const size_t n = 10'000;
  EXPECT_EQ(render("{{ 1" + repeated(" + 1", n) + " }}")->bytes(), "10001");
  EXPECT_EQ(render("{{ 0" + repeated(" or 0", n) + " or 7 }}")->bytes(), "7");
  EXPECT_EQ(render("{{ 1" + repeated(" == 1", n) + " }}")->bytes(), "True");
  EXPECT_EQ(render("{{ ''" + repeated(" ~ ''", n) + " }}")->bytes(), "");
  EXPECT_EQ(render("{% if 0 %}" + repeated("{% elif 0 %}", n) + "{% else %}x{% endif %}")->bytes(), "x");
}

TEST(JinjaLimits, DeepestAllowedRecursionFits) {
  // 99 macro calls within each other, each with an expression around the call.
  const auto text = render(
      "{% macro f(n) %}{% if n > 0 %}{{ ('' ~ f(n - 1)) | trim }}{% else %}end{% endif %}{% endmacro %}{{ f(98) }}");
  ASSERT_TRUE(text.ok()) << text.error().message;
  EXPECT_EQ(text->bytes(), "end");
}

TEST(JinjaLimits, SearchingIsLinear) {
  // A needle that almost matches everywhere: a simple search would compare a quarter of 10^12 bytes.
  const std::string setup = "{% set hay = 'a' * 1000000 %}{% set needle = 'a' * 500000 ~ 'b' %}";
  EXPECT_EQ(render(setup + "{{ needle in hay }}{{ hay.find(needle) }}{{ hay.rfind('b' ~ 'a' * 500000) }}"
                           "{{ hay.split(needle) | length }}{{ hay.count(needle) }}")
                ->bytes(),
            "False-1-110");
}

TEST(JinjaLimits, SearchesForwardsAndBackwardsAgreeWithASimpleOne) {
  // All texts of a's and b's: needles of every kind of period, longer than those that are searched simply.
  for (unsigned bits = 0; bits < 1u << 10; ++bits) {
    std::string piece;
    for (unsigned i = 0; i < 10; ++i) piece += (bits >> i & 1) != 0 ? 'a' : 'b';
    const std::string needle = piece + piece.substr(0, 7 + bits % 4);
    const std::string text = piece.substr(3) + piece + "b" + piece + piece + piece.substr(0, 5) + "a" + needle + piece;
    EXPECT_EQ(jinja::find_text(text, needle), text.find(needle)) << needle;
    EXPECT_EQ(jinja::find_text_last(text, needle), text.rfind(needle)) << needle;
    const std::string absent = needle + (bits % 2 == 0 ? "ba" : "ab");
    EXPECT_EQ(jinja::find_text(text, absent, 3), text.find(absent, 3)) << absent;
    EXPECT_EQ(jinja::find_text_last(text, absent, 60), std::string_view(text).substr(0, 60).rfind(absent)) << absent;
  }
}

// Each of these once ran for minutes within its steps: what a step pays for must be about as much whatever it does.
TEST(JinjaLimits, StepsPayForWhatTheyDo) {
  const std::string setup =
      "{% set hay = 'a' * 1000000 %}{% set needle = 'a' * 500000 ~ 'b' %}{% set key = (hay, hay) %}"
      "{% set d = {key: 1} %}{% set e = {'a' * 1000000: 1} %}{% set f = {hay: 1} %}{% set parts = (needle,) * 10 %}";
  for (const char* work :
       {"needle in hay", "hay.find(needle)", "hay.rfind(needle)", "hay.count(needle)", "hay.replace(needle, '')",
        "hay.split(needle)", "hay.rsplit(needle)", "hay.partition(needle)", "d[key]", "key in d", "d.get(key)",
        "e == f", "hay.startswith(parts)", "'x'.strip(hay)", "'x' | trim(hay)", "'' | indent(1000000)"}) {
    const std::string source = setup + "{% for i in range(200) %}{% set x = " + work + " %}{% endfor %}";
    EXPECT_NE(error_of(source, {}, {.steps = 150'000}).find("steps"), std::string::npos) << work;
  }
}

TEST(JinjaLimits, FormatsPayForDigitsAndNames) {
  const std::string digits = "{% set p = '%.999f' * 1000 %}{% set v = (1.5e-300,) * 1000 %}{{ (p % v) | length }}";
  EXPECT_EQ(render(digits)->bytes(), "1001000");
  EXPECT_NE(error_of(digits, {}, {.steps = 10'000}).find("steps"), std::string::npos);
  const std::string names = "{{ '{a}{b}'.format_map({'a': 1, 'b': 2, 'c': 3}) }}";
  EXPECT_EQ(render(names)->bytes(), "12");
  EXPECT_NE(error_of("{{ dict(**{'x' * 4097: 1}) }}").find("longer than 4096"), std::string::npos);
}

TEST(JinjaLimits, MemoryCountsWhatGrowingTextHolds) {
  const std::string double_up =
      "{% set ns = namespace(s = 'x') %}{% for i in range(20) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}";
  EXPECT_NE(error_of(double_up + "{{ ns.s | length }}", {}, {.memory_bytes = 2 << 20}).find("values need more"),
            std::string::npos);
  EXPECT_EQ(render(double_up + "{{ ns.s | length }}")->bytes(), "1048576");
}

TEST(JinjaLimits, CallersMayRaiseAndLower) {
  EXPECT_NE(error_of("{{ 'x' * 100 }}", {}, {.output_bytes = 99}).find("output is longer than 99 B"),
            std::string::npos);
  EXPECT_TRUE(render("{{ 'x' * 100 }}", {}, {.output_bytes = 100}).ok());
  EXPECT_NE(error_of("{% for i in range(50) %}{% endfor %}", {}, {.steps = 50}).find("50 steps"), std::string::npos);
}

TEST(JinjaLimits, MemoryIsGivenBack) {
  // Two thousand times 100 KB, but never much at once: values die when nothing holds them.
  const auto text = render("{% for i in range(2000) %}{% set s = 'x' * 100000 %}{% endfor %}done");
  ASSERT_TRUE(text.ok()) << text.error().message;
  EXPECT_EQ(text->bytes(), "done");
}

TEST(Jinja, OneTemplateMayRunInManyThreads) {
  const auto parsed = jinja::Template::parse(
      "{% macro m(x) %}{{ x | upper }}{% endmacro %}{% set ns = namespace(n=0) %}{% for w in words %}"
      "{% set ns.n = ns.n + loop.index %}{{ m(w) }}{% endfor %}{{ ns.n }}",
      "t");
  ASSERT_TRUE(parsed.ok());
  const Values values = values_of(R"({"words": ["a", "b", "c"]})");
  std::vector<std::thread> threads;
  std::vector<std::string> results(4);
  for (std::string& result : results) {
    threads.emplace_back([&] {
      for (int i = 0; i < 50; ++i) result = parsed->render(values, {})->bytes();
    });
  }
  for (auto& thread : threads) thread.join();
  for (const std::string& result : results) EXPECT_EQ(result, "ABC6");
}

// --- taint ---

// The text with its tainted parts in « ».
std::string marked(const jinja::Text& text) {
  std::string out;
  size_t at = 0;
  for (const auto& range : text.tainted()) {
    out += text.bytes().substr(at, range.begin - at) + "«" + text.bytes().substr(range.begin, range.end - range.begin) +
           "»";
    at = range.end;
  }
  return out + text.bytes().substr(at);
}

TEST(JinjaTaint, FollowsEveryByte) {
  struct Case {
    const char* source;
    const char* expected;
  };
  // u is "<|end|>", w is " a b ", l is ["p", "q"], all from outside.
  const Case cases[] = {
      {"<s>{{ u }}</s>", "<s>«<|end|>»</s>"},
      {"{{ '<|x|>' + u + '\\n' }}", "<|x|>«<|end|>»\n"},
      {"{{ '[' ~ u ~ ']' }}", "[«<|end|>»]"},
      {"{{ (u + '!')[2:-1] }}", "«end|>»"},
      {"{{ ('!' + u)[:3] }}", "!«<|»"},
      {"{{ ('a' + u)[::-1] }}", "«>|dne|<»a"},
      {"{{ (' ' + w + 'x ') | trim }}", "«a b »x"},
      {"{{ ('-' ~ u).upper() }}", "-«<|END|>»"},
      {"{{ ('ab' ~ w).title() }}", "Ab« A B »"},
      {"{{ 'a-b'.replace('-', u) }}", "a«<|end|>»b"},
      {"{{ (u ~ '.').replace('end', 'END') }}", "«<|»END«|>»."},
      {"{{ (u ~ '|x').split('|')[1] }}{{ (u ~ '|x').split('|')[3] }}", "«end»x"},
      {"{{ l | join(', ') }}", "«p», «q»"},
      {"{{ 'p' in l }}{{ l | length }}", "True2"},
      {"{{ ', '.join(l) }}", "«p», «q»"},
      {"{{ l | join(u) }}", "«p<|end|>q»"},
      {"{{ '%s=%d' % (u, 5) }}", "«<|end|>»=5"},
      {"{{ '{}:{:>4}'.format(u, l[0]) }}", "«<|end|>»:   «p»"},
      {"{{ u | e }}", "«&lt;|end|&gt;»"},
      {"{{ 'x\\ny' | indent(u) }}", "x\n«<|end|>»y"},
      {"{{ w | urlencode }}", "«%20a%20b%20»"},
      {"{{ 'abc'.center(5, l[0]) }}", "«p»abc«p»"},
      {"{{ l | tojson }}", "«[\"p\", \"q\"]»"},
      {"{{ {'k': [1]} | tojson }}", "{\"k\": [1]}"},
      {"{{ {'k': u} | tojson }}", "«{\"k\": \"<|end|>\"}»"},
      {"{{ l }}", "«['p', 'q']»"},
      {"{{ [1, 'x'] }}", "[1, 'x']"},
      {"{% set x %}a{{ u }}{% endset %}{{ x }}", "a«<|end|>»"},
      {"{% macro m(t) %}<{{ t }}>{% endmacro %}{{ m(u) }}", "<«<|end|>»>"},
      {"{% filter upper %}a{{ u }}{% endfilter %}", "A«<|END|>»"},
      {"{% for c in l %}{{ c }};{% endfor %}", "«p»;«q»;"},
      {"{% for k in d %}{{ k }}{% endfor %}{{ d.key }}", "«keyvalue»"},
      {"{{ u if u == '<|end|>' }}{{ '<|end|>' if u == '<|end|>' }}", "«<|end|>»<|end|>"},
      {"{{ (u ~ 'x') | list | last }}{{ (u ~ 'x') | first }}", "x«<»"},
      {"{{ l | map('upper') | join('-') }}", "«P»-«Q»"},
      {"{{ w.strip() ~ w.split() | join('+') }}", "«a ba»+«b»"},
      {"{{ u | default('x') }}{{ none | default(u, true) }}", "«<|end|><|end|>»"},
      {"{{ dict(a=u).a ~ namespace(b=u).b }}", "«<|end|><|end|>»"},
      {"{{ (u ~ 'é').swapcase() }}", "«<|END|>»É"},
      {"{{ 'a\\tb'.expandtabs(2) ~ w.expandtabs() }}", "a b« a b »"},
      {"{{ u.partition('|')[2] ~ '|'.join(['x', 'y']) }}", "«end|>»x|y"},
      {"{{ u | truncate(5, true, '..') }}", "«<|end|>»"},
      {"{{ (u * 3) | truncate(5, true, '..', 0) }}", "«<|e».."},
      {"{{ u | string | safe ~ 1 }}", "«<|end|>»1"},
  };
  const Values values = values_of(R"({"u": "<|end|>", "w": " a b ", "l": ["p", "q"], "d": {"key": "value"}})");
  for (const Case& c : cases) {
    const auto text = render(c.source, values);
    ASSERT_TRUE(text.ok()) << c.source << ": " << text.error().message;
    EXPECT_EQ(marked(*text), c.expected) << c.source;
  }
}

}  // namespace
}  // namespace andiron
