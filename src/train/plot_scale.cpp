#include "train/plot_scale.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/strings.h"

namespace andiron {

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
// Beyond these a difference of two numbers could overflow, and no run has them but by a mistake.
constexpr double kDrawable = 1e300;

bool drawable(double value) { return std::fabs(value) <= kDrawable; }

PlotSeries series_of(std::span<const LossRow> rows, std::string_view name, double LossRow::*member, bool sparse) {
  PlotSeries series{name, sparse, {}, {}};
  for (const LossRow& row : rows) {
    const double value = row.*member;
    if (sparse && !drawable(value)) continue;
    series.x.push_back(static_cast<double>(row.step));
    series.y.push_back(drawable(value) ? value : kNotMeasured);
  }
  return series;
}

// Keeps of each stretch of points its lowest and its highest, in their order, and a gap where there is one.
void thin(PlotSeries& series, size_t points_max) {
  const size_t count = series.x.size();
  if (count <= points_max) return;
  const size_t stretches = std::max<size_t>(points_max / 2, 1);
  PlotSeries out{series.name, series.sparse, {}, {}};
  for (size_t s = 0; s < stretches; ++s) {
    const size_t begin = s * count / stretches, end = (s + 1) * count / stretches;
    if (begin == end) continue;
    size_t low = begin, high = begin;
    for (size_t i = begin; i < end; ++i) {
      if (!(series.y[low] <= series.y[i])) low = i;
      if (!(series.y[high] >= series.y[i])) high = i;
    }
    for (const size_t i : {std::min(low, high), std::max(low, high)}) {
      if (!out.x.empty() && out.x.back() == series.x[i]) continue;
      out.x.push_back(series.x[i]);
      out.y.push_back(series.y[i]);
    }
  }
  series = std::move(out);
}

// Bounds that hold all of them, with a little air; never empty.
void bounds_of(std::span<const PlotSeries> all, bool from_zero, double& low, double& high) {
  low = from_zero ? 0 : kInfinity;
  high = from_zero ? 0 : -kInfinity;
  for (const PlotSeries& series : all) {
    for (const double y : series.y) {
      if (std::isnan(y)) continue;
      low = std::min(low, y);
      high = std::max(high, y);
    }
  }
  if (low > high) low = high = 0;
  const double air = 0.04 * (high - low);
  if (low < 0 || !from_zero) low -= air;
  high += air;
  // One number alone, or numbers too close to tell apart.
  const double least = std::max(1e-9 * std::max(std::fabs(low), std::fabs(high)), 1e-12);
  if (high - low >= least) return;
  const double middle = low;
  const double half = std::fabs(middle) < least ? 0.5 : 0.1 * std::fabs(middle);
  low = from_zero && middle >= 0 ? 0 : middle - half;
  high = middle + half;
}

PlotPanel panel_of(std::string_view title, std::vector<PlotSeries> series, bool from_zero, size_t points_max,
                   int y_ticks) {
  PlotPanel panel{title, std::move(series), 0, 1, {}};
  bounds_of(panel.series, from_zero, panel.low, panel.high);
  for (PlotSeries& one : panel.series) thin(one, points_max);
  panel.ticks = axis_ticks(panel.low, panel.high, y_ticks);
  return panel;
}

}  // namespace

std::vector<double> axis_ticks(double low, double high, int wanted) {
  const double rough = (high - low) / std::max(wanted, 1);
  const double power = std::pow(10.0, std::floor(std::log10(rough)));
  const double share = rough / power;
  const double distance = power * (share <= 1 ? 1 : share <= 2 ? 2 : share <= 5 ? 5 : 10);
  std::vector<double> ticks;
  // Multiples, not sums: 0.1 added thirty times is not 3. A sliver of slack keeps a bound that is itself round.
  const double first = std::ceil(low / distance - 1e-9);
  for (int i = 0; i <= 2 * wanted + 2; ++i) {
    const double tick = (first + i) * distance;
    if (tick > high + 1e-9 * distance) break;
    ticks.push_back(tick == 0 ? 0.0 : tick);  // no -0
  }
  return ticks;
}

std::string tick_text(double tick, double distance) {
  if (tick == 0) return "0";
  const double size = std::fabs(tick);
  if (size >= 1e6 || distance < 1e-3) {  // "2e-4": two digits more than the distance tells apart neighbours
    const double digits = std::floor(std::log10(size)) - std::floor(std::log10(std::max(distance, 1e-15 * size)));
    const std::string text = format("{:.{}e}", tick, static_cast<int>(std::clamp(digits, 0.0, 15.0)));
    const size_t e = text.find('e');
    std::string exponent = text.substr(e + 1);
    const bool negative = exponent.front() == '-';
    exponent.erase(0, exponent.find_first_not_of("+-0"));
    return text.substr(0, e) + (exponent.empty() ? "" : "e") + (negative && !exponent.empty() ? "-" : "") + exponent;
  }
  if (size >= 1000 && distance >= 100 && std::fmod(size, 100) == 0) return format("{:g}k", tick / 1000);
  const double decimals = distance >= 1 ? 0 : std::ceil(-std::log10(distance) - 1e-9);
  return format("{:.{}f}", tick, static_cast<int>(std::clamp(decimals, 0.0, 6.0)));
}

PlotLayout plot_layout(std::span<const LossRow> rows, size_t points_max, int x_ticks, int y_ticks) {
  PlotLayout layout;
  if (!rows.empty()) {
    layout.first = static_cast<double>(rows.front().step);
    layout.last = static_cast<double>(rows.back().step);
  }
  if (!(layout.first < layout.last)) {
    layout.first -= 0.5;
    layout.last = layout.first + 1;
  }
  layout.ticks = axis_ticks(layout.first, layout.last, x_ticks);
  std::erase_if(layout.ticks, [](double tick) { return tick != std::floor(tick); });  // steps are whole
  layout.panels.push_back(panel_of(
      "loss",
      {series_of(rows, "loss", &LossRow::loss, false), series_of(rows, "held-out loss", &LossRow::held_out_loss, true)},
      false, points_max, y_ticks));
  layout.panels.push_back(panel_of("learning rate", {series_of(rows, "learning rate", &LossRow::learning_rate, false)},
                                   true, points_max, std::max(2, y_ticks / 2)));
  layout.panels.push_back(panel_of("tokens/s", {series_of(rows, "tokens/s", &LossRow::tokens_per_s, false)}, true,
                                   points_max, std::max(2, y_ticks / 2)));
  return layout;
}

}  // namespace andiron
