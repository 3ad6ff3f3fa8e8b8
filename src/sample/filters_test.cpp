// Each filter keeps exactly what its paper's definition keeps (reference_for_tests.h).
#include "sample/filters.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "sample/reference_for_tests.h"

namespace andiron {
namespace {

std::vector<Candidate> candidates_of(const std::vector<float>& logits) {
  std::vector<Candidate> list;
  for (size_t i = 0; i < logits.size(); ++i) list.push_back({logits[i], static_cast<int32_t>(i), 0});
  set_weights(list, 1);
  return list;
}

std::vector<int32_t> tokens(std::span<const Candidate> list) {
  std::vector<int32_t> result;
  for (const Candidate& c : list) result.push_back(c.token);
  std::sort(result.begin(), result.end());
  return result;
}

std::vector<int32_t> tokens(const reference::Distribution& d) {
  std::vector<int32_t> result;
  for (const auto& e : d) result.push_back(e.token);
  std::sort(result.begin(), result.end());
  return result;
}

reference::Distribution softmax(const std::vector<float>& logits) {
  return reference::softmax({logits.begin(), logits.end()});
}

struct Case {
  std::string name;
  std::function<size_t(std::span<Candidate>, double)> filter;
  std::function<reference::Distribution(const reference::Distribution&, double)> definition;
  std::vector<double> parameters;
};

TEST(Filters, KeepWhatTheirDefinitionsKeep) {
  const std::vector<Case> cases = {
      {"typical", keep_typical, reference::typical, {1e-300, 0.1, 0.5, 0.9, 0.95, 0.999}},
      {"top_p", keep_top_p, reference::top_p, {0, 1e-9, 0.1, 0.5, 0.9, 0.95, 0.999}},
      {"min_p", keep_min_p, reference::min_p, {0, 1e-9, 0.01, 0.05, 0.5, 1}},
      {"xtc", keep_xtc, reference::xtc, {0.001, 0.01, 0.1, 0.3, 0.5, 1}},
      {"mirostat", keep_surprise_at_most, reference::mirostat_cut, {-3, 0.001, 1, 2.5, 5, 10, 1e6}},
  };
  for (const Case& c : cases) {
    for (size_t size : {1, 2, 3, 7, 127, 129, 1000, 5003}) {
      for (double spread : {0.1, 3.0, 20.0}) {
        const std::vector<float> logits = reference::random_logits(size, size, spread);
        for (double parameter : c.parameters) {
          std::vector<Candidate> list = candidates_of(logits);
          const size_t kept = c.filter(list, parameter);
          EXPECT_EQ(tokens(std::span<const Candidate>(list).first(kept)),
                    tokens(c.definition(softmax(logits), parameter)))
              << c.name << " " << parameter << " of " << size << " logits with spread " << spread;
        }
      }
    }
  }
}

TEST(Filters, TiesGoToTheLowerToken) {
  std::vector<Candidate> list = candidates_of({1, 2, 2, 2});
  EXPECT_EQ(keep_top_p(list, 0.2), 1u);
  EXPECT_EQ(list[0].token, 1);

  list = candidates_of({0, 0, 0, 0});
  EXPECT_EQ(keep_typical(list, 0.5), 2u);
  EXPECT_EQ(tokens(std::span<const Candidate>(list).first(2)), (std::vector<int32_t>{0, 1}));

  list = candidates_of({0, 0, 0, 0});
  EXPECT_EQ(keep_xtc(list, 0.25), 1u);  // of equals the last counts as the least likely
  EXPECT_EQ(list[0].token, 3);

  list = candidates_of({0, 5, 5});
  EXPECT_EQ(keep_surprise_at_most(list, 0), 1u);
  EXPECT_EQ(list[0].token, 1);
}

TEST(Filters, DrawReturnsTheQuantile) {
  std::vector<Candidate> list = candidates_of({0, 0, 0, 0});
  EXPECT_EQ(draw(list, 0), 0u);
  EXPECT_EQ(draw(list, 0.24), 0u);
  EXPECT_EQ(draw(list, 0.25), 1u);
  EXPECT_EQ(draw(list, 0.999), 3u);
  EXPECT_EQ(draw(list, 1), 3u);
  list[0].weight = list[3].weight = 0;
  EXPECT_EQ(draw(list, 0), 1u) << "a weight of zero is never drawn";
  EXPECT_EQ(draw(list, 1), 2u);
}

TEST(Filters, ExtremeLogitsAndTemperaturesLeaveAWeight) {
  constexpr float kMax = std::numeric_limits<float>::max();
  for (double temperature : {1e-300, 1e-6, 1.0, 1e6}) {
    std::vector<Candidate> list = {{kMax, 0, 0}, {-kMax, 1, 0}, {0, 2, 0}};
    set_weights(list, temperature);
    EXPECT_EQ(list[0].weight, 1);
    EXPECT_EQ(list[1].weight, 0);
    EXPECT_EQ(draw(list, 0.999), 0u);
  }
  EXPECT_EQ(keep_typical({}, 0.5) + keep_min_p({}, 0.5) + keep_top_p({}, 0.5) + keep_xtc({}, 0.5), 0u);
}

}  // namespace
}  // namespace andiron
