#include "train/plot.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <sstream>

#include "base/strings.h"
#include "train/plot_scale.h"

namespace andiron {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN(), kInf = std::numeric_limits<double>::infinity();

std::vector<LossRow> run_of(int64_t steps) {
  std::vector<LossRow> rows;
  for (int64_t step = 1; step <= steps; ++step) {
    const double share = static_cast<double>(step) / static_cast<double>(steps);
    rows.push_back({.step = step,
                    .tokens = 2048 * step,
                    .loss = 4 - 2 * std::sqrt(share),
                    .held_out_loss = step % 10 == 0 ? 4.1 - 1.9 * std::sqrt(share) : kNan,
                    .learning_rate = 2e-4 * (1 - share),
                    .gradient_norm = 1,
                    .tokens_per_s = 600 + static_cast<double>(step % 7)});
  }
  return rows;
}

std::vector<std::vector<LossRow>> hostile_runs() {
  const double largest = std::numeric_limits<double>::max(), least = std::numeric_limits<double>::denorm_min();
  std::vector<std::vector<LossRow>> runs = {{}, {{.step = 0}}, {{.step = 5, .loss = 2}}};
  runs.push_back(
      {{.step = 1, .loss = 1}, {.step = 2, .loss = kNan}, {.step = 3, .loss = kInf}, {.step = 4, .loss = 2}});
  runs.push_back({{.step = 1, .loss = -largest, .learning_rate = least}, {.step = 2, .loss = largest}});
  runs.push_back({{.step = 1, .loss = 1e300, .tokens_per_s = -1e300}, {.step = 2, .loss = -1e300}});
  runs.push_back({{.step = 1, .loss = least, .tokens_per_s = least}, {.step = 2, .loss = 2 * least}});
  runs.push_back(
      {{.step = 1, .loss = 3, .held_out_loss = 3, .learning_rate = 0, .tokens_per_s = 0}, {.step = 2, .loss = 3}});
  runs.push_back({{.step = 7, .loss = 1}, {.step = 7, .loss = 2}});  // a step twice
  runs.push_back({{.step = std::numeric_limits<int64_t>::min(), .loss = 1},
                  {.step = std::numeric_limits<int64_t>::max(), .loss = 2}});
  runs.push_back({{.step = 1, .loss = 1 + 1e-16}, {.step = 2, .loss = 1}});
  return runs;
}

// Every tag is closed in order, every attribute is quoted, nothing but the five entities: enough of XML for what
// plot_svg writes.
void expect_well_formed(const std::string& svg) {
  std::vector<std::string> open;
  for (size_t at = svg.find('<'); at != std::string::npos; at = svg.find('<', at + 1)) {
    const size_t end = svg.find('>', at);
    ASSERT_NE(end, std::string::npos);
    const std::string tag = svg.substr(at + 1, end - at - 1);
    ASSERT_EQ(tag.find('<'), std::string::npos) << tag;
    ASSERT_EQ(std::count(tag.begin(), tag.end(), '"') % 2, 0) << tag;
    const std::string name = tag.substr(0, tag.find_first_of(" /", 1));
    if (tag.front() == '/') {
      ASSERT_FALSE(open.empty());
      ASSERT_EQ("/" + open.back(), name);
      open.pop_back();
    } else if (tag.back() != '/') {
      open.push_back(name);
    }
  }
  EXPECT_TRUE(open.empty());
  for (size_t at = svg.find('&'); at != std::string::npos; at = svg.find('&', at + 1)) {
    const std::string entity = svg.substr(at, svg.find(';', at) - at + 1);
    EXPECT_TRUE(entity == "&amp;" || entity == "&lt;" || entity == "&gt;" || entity == "&quot;" || entity == "&#39;")
        << entity;
  }
  EXPECT_TRUE(is_valid_utf8(svg));
}

// Columns of a line: one for each code point, as all that is drawn is of single width.
size_t width_of(std::string_view line) {
  size_t columns = 0;
  for (size_t at = 0; at < line.size(); ++columns) next_code_point(line, at);
  return columns;
}

TEST(PlotSvg, DrawsEveryCurve) {
  const std::string svg = plot_svg(run_of(100), "me");
  expect_well_formed(svg);
  for (const char* text : {">loss<", ">held-out loss<", ">learning rate<", ">tokens/s<", ">step<", ">me<", ">2.5<",
                           ">1e-4<", "prefers-color-scheme:dark"}) {
    EXPECT_NE(svg.find(text), std::string::npos) << text;
  }
  size_t circles = 0;
  for (size_t at = svg.find("<circle"); at != std::string::npos; at = svg.find("<circle", at + 1)) ++circles;
  EXPECT_EQ(circles, 10u) << "one for each measurement on held-out rows";
}

TEST(PlotSvg, TextCannotLeaveItsPlace) {
  const std::string svg = plot_svg(run_of(3), "</text><script>alert('1')</script>\"\x1b[2J & \xff\x01");
  expect_well_formed(svg);
  EXPECT_EQ(svg.find("<script"), std::string::npos);
  EXPECT_EQ(svg.find('\x1b'), std::string::npos);
  EXPECT_EQ(svg.find('\x01'), std::string::npos);
}

TEST(PlotSvg, LongRunsStaySmallAndKeepTheirSpikes) {
  std::vector<LossRow> rows = run_of(200'000);
  rows[123'456].loss = 50;
  const std::string svg = plot_svg(rows, "long");
  EXPECT_LT(svg.size(), 200'000u);
  EXPECT_NE(svg.find(">50<"), std::string::npos) << "the axis reaches it";
  const PlotLayout layout = plot_layout(rows, 1000, 8, 6);
  const PlotSeries& loss = layout.panels[0].series[0];
  EXPECT_LE(loss.x.size(), 1000u);
  EXPECT_EQ(*std::max_element(loss.y.begin(), loss.y.end()), 50);
  EXPECT_TRUE(std::is_sorted(loss.x.begin(), loss.x.end()));
}

TEST(Plot, HostileNumbersLeaveAPicture) {
  for (const auto& rows : hostile_runs()) {
    const std::string svg = plot_svg(rows, "");
    expect_well_formed(svg);
    EXPECT_EQ(svg.find("nan"), std::string::npos);
    EXPECT_EQ(svg.find("inf"), std::string::npos);
    for (const bool unicode : {false, true}) {
      const std::string text = plot_text(rows, {.columns = 60, .unicode = unicode});
      EXPECT_EQ(text.find("nan"), std::string::npos);
      std::stringstream lines(text);
      for (std::string line; std::getline(lines, line);) EXPECT_LE(width_of(line), 60u) << line;
    }
  }
}

TEST(Plot, AGapIsAGapAndALonePointIsSeen) {
  const std::vector<LossRow> rows = {
      {.step = 1, .loss = 1}, {.step = 2}, {.step = 3, .loss = 2}, {.step = 4, .loss = 3}};
  const std::string svg = plot_svg(rows, "");
  size_t moves = 0;
  const size_t path = svg.find("<path class=\"s0 curve\" d=\"");
  for (size_t at = path; svg[at] != '/'; ++at) moves += svg[at] == 'M' ? 1 : 0;
  EXPECT_EQ(moves, 2u);
  EXPECT_NE(svg.find("<circle class=\"p0\""), std::string::npos);
}

TEST(PlotText, FitsTheTerminal) {
  for (const int columns : {1, 40, 80, 200, 5000}) {
    for (const bool unicode : {false, true}) {
      const std::string text = plot_text(run_of(100), {.columns = columns, .unicode = unicode});
      std::stringstream lines(text);
      size_t widest = 0;
      for (std::string line; std::getline(lines, line);) widest = std::max(widest, width_of(line));
      EXPECT_LE(widest, static_cast<size_t>(std::clamp(columns, 40, 1000)));
      EXPECT_GE(widest, static_cast<size_t>(std::clamp(columns, 40, 1000)) - 1);
      const bool ascii = std::all_of(text.begin(), text.end(), [](char c) { return static_cast<uint8_t>(c) < 0x7f; });
      EXPECT_EQ(ascii, !unicode);
      EXPECT_NE(text.find("o held-out loss"), std::string::npos);
    }
  }
}

// A falling line, dot by dot.
TEST(PlotText, DrawsFromTopLeftToBottomRight) {
  const std::vector<LossRow> rows = {{.step = 0, .loss = 1}, {.step = 10, .loss = 0}};
  const std::string text = plot_text(rows, {.columns = 40, .unicode = false});
  std::stringstream lines(text);
  std::string line;
  std::getline(lines, line);
  size_t last = 0;
  for (int row = 0; row < 12; ++row) {
    std::getline(lines, line);
    const size_t first = line.find('*'), end = line.rfind('*');
    ASSERT_NE(first, std::string::npos) << text;
    EXPECT_GE(first, last) << text;
    last = end;
  }
}

TEST(AxisTicks, AreRound) {
  EXPECT_EQ(axis_ticks(0, 1, 5), (std::vector<double>{0, 0.2, 0.4, 0.6000000000000001, 0.8, 1}));
  EXPECT_EQ(axis_ticks(1.9, 4.1, 5), (std::vector<double>{2, 2.5, 3, 3.5, 4}));
  EXPECT_EQ(axis_ticks(-3, 3, 3), (std::vector<double>{-2, 0, 2}));
  EXPECT_EQ(axis_ticks(1, 10000, 4), (std::vector<double>{5000, 10000}));
  for (const double low : {-1e10, -1.0, 0.0, 1e-12, 3.7, 1e10}) {
    for (const double size : {1e-3, 1.0, 7.3, 1e9}) {
      for (int wanted = 2; wanted <= 8; ++wanted) {
        const auto ticks = axis_ticks(low, low + size, wanted);
        EXPECT_GE(ticks.size(), 1u) << low << " " << size;
        EXPECT_LE(ticks.size(), static_cast<size_t>(wanted) + 1) << low << " " << size;
      }
    }
  }
}

TEST(TickText, IsShort) {
  EXPECT_EQ(tick_text(0, 1), "0");
  EXPECT_EQ(tick_text(2.5, 0.5), "2.5");
  EXPECT_EQ(tick_text(0.6000000000000001, 0.2), "0.6");
  EXPECT_EQ(tick_text(2e-4, 1e-4), "2e-4");
  EXPECT_EQ(tick_text(1.5e-4, 5e-5), "1.5e-4");
  EXPECT_EQ(tick_text(15000, 5000), "15k");
  EXPECT_EQ(tick_text(2500, 500), "2.5k");
  EXPECT_EQ(tick_text(1234, 1), "1234");
  EXPECT_EQ(tick_text(2e9, 1e9), "2e9");
  EXPECT_EQ(tick_text(-20, 10), "-20");
}

}  // namespace
}  // namespace andiron
