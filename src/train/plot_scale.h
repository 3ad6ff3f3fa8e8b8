// What both kinds of picture share: what is drawn, between which bounds, with which marks on the axes.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "train/loss_log.h"

namespace andiron {

// One curve. Points are ascending in x; a y that is not finite is a gap.
struct PlotSeries {
  std::string_view name;
  bool sparse = false;  // measured now and then: its points are marked and joined across steps without one
  std::vector<double> x, y;
};

struct PlotPanel {
  std::string_view title;
  std::vector<PlotSeries> series;
  double low = 0, high = 1;  // of y, low < high
  std::vector<double> ticks;
};

struct PlotLayout {
  double first = 0, last = 1;  // of x, first < last
  std::vector<double> ticks;
  std::vector<PlotPanel> panels;
};

// Loss, learning rate and tokens a second. Of runs longer than `points_max` steps, each stretch keeps its lowest and
// its highest number, so that no spike is lost.
PlotLayout plot_layout(std::span<const LossRow> rows, size_t points_max, int x_ticks, int y_ticks);

// Round numbers (1, 2 or 5 times a power of ten) in [low, high], about `wanted` of them, ascending; both finite and low
// < high.
std::vector<double> axis_ticks(double low, double high, int wanted);
// A tick as text: as many digits as the distance between ticks needs; "2e-4", "15k" where that is shorter.
std::string tick_text(double tick, double distance);

}  // namespace andiron
