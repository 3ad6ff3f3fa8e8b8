#include <algorithm>
#include <cmath>

#include "base/strings.h"
#include "train/plot.h"
#include "train/plot_scale.h"

namespace andiron {

namespace {

// Of the whole picture and of the parts of it that curves are drawn in.
constexpr double kWidth = 800, kLeft = 64, kRight = 784, kTop = 56, kGap = 44, kBottom = 36;
constexpr double kHeights[] = {260, 90, 90};
constexpr size_t kPointsMax = 1440;  // two a unit of width

// Colours that tell apart with every common kind of colour blindness (Okabe and Ito), with a stronger form on white.
constexpr std::string_view kStyle =
    "<style>"
    "svg{background:#fff;color:#222;font:12px system-ui,sans-serif}"
    ".grid{stroke:#ddd;stroke-width:1}.frame{stroke:#888;fill:none}"
    "text{fill:currentColor}.title{font-size:16px;font-weight:600}.dim{fill:#666}"
    ".curve{fill:none;stroke-width:1.5;stroke-linejoin:round}"
    ".s0{stroke:#0072b2}.s1{stroke:#d55e00}.p0{fill:#0072b2}.p1{fill:#d55e00}"
    "@media (prefers-color-scheme:dark){svg{background:#161616;color:#eee}.grid{stroke:#333}.dim{fill:#aaa}"
    ".s0{stroke:#56b4e9}.s1{stroke:#e69f00}.p0{fill:#56b4e9}.p1{fill:#e69f00}}"
    "</style>\n";

// Text between tags and in attributes. Control characters, which XML 1.0 does not allow, become U+FFFD.
std::string escaped(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    bool valid = true;
    const uint32_t c = next_code_point(text, at, &valid);
    const bool refused = !valid || (c < 0x20 && c != '\t') || (c >= 0x7f && c < 0xa0) || c == 0xfffe || c == 0xffff;
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      case '\'': out += "&#39;"; break;
      default: append_utf8(out, refused ? 0xfffd : c);
    }
  }
  return out;
}

class Svg {
 public:
  explicit Svg(const PlotLayout& layout) : layout_(layout) {}

  std::string draw(std::string_view title) {
    double height = kTop + kBottom;
    for (size_t i = 0; i < layout_.panels.size(); ++i) height += kHeights[i] + (i > 0 ? kGap : 0);
    out_ = format(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0} {1}\" width=\"{0}\" height=\"{1}\" role=\"img\" "
        "aria-label=\"{2}\">\n",
        kWidth, height, escaped(title));
    out_ += kStyle;
    text(kLeft, 24, "title", "start", title);
    double top = kTop;
    for (size_t i = 0; i < layout_.panels.size(); ++i) {
      panel(layout_.panels[i], top, kHeights[i], i + 1 == layout_.panels.size());
      top += kHeights[i] + kGap;
    }
    out_ += "</svg>\n";
    return std::move(out_);
  }

 private:
  double x_of(double x) const {
    return kLeft + (kRight - kLeft) * (x - layout_.first) / (layout_.last - layout_.first);
  }

  void text(double x, double y, std::string_view kind, std::string_view anchor, std::string_view what) {
    out_ += format("<text x=\"{:.1f}\" y=\"{:.1f}\" class=\"{}\" text-anchor=\"{}\">{}</text>\n", x, y, kind, anchor,
                   escaped(what));
  }
  void line(double x1, double y1, double x2, double y2) {
    out_ += format("<line class=\"grid\" x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\"/>\n", x1, y1, x2, y2);
  }

  void panel(const PlotPanel& panel, double top, double height, bool names_steps) {
    const auto y_of = [&](double y) { return top + height * (1 - (y - panel.low) / (panel.high - panel.low)); };
    const auto distance = [](const std::vector<double>& ticks) { return ticks.size() > 1 ? ticks[1] - ticks[0] : 1.0; };
    for (const double tick : panel.ticks) {
      line(kLeft, y_of(tick), kRight, y_of(tick));
      text(kLeft - 6, y_of(tick) + 4, "dim", "end", tick_text(tick, distance(panel.ticks)));
    }
    for (const double tick : layout_.ticks) {
      line(x_of(tick), top, x_of(tick), top + height);
      if (names_steps) {
        text(x_of(tick), top + height + 16, "dim", "middle", tick_text(tick, distance(layout_.ticks)));
      }
    }
    out_ += format("<rect class=\"frame\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"/>\n", kLeft, top, kRight - kLeft,
                   height);
    double legend = kLeft;
    for (size_t i = 0; i < panel.series.size(); ++i) {
      curve(panel.series[i], i, y_of);
      if (panel.series[i].y.empty()) continue;
      out_ += format("<line class=\"s{} curve\" x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\"/>\n", i, legend, top - 12,
                     legend + 18, top - 12);
      text(legend + 24, top - 8, "dim", "start", panel.series[i].name);
      legend += 120;
    }
    if (names_steps) text(kRight, top + height + 32, "dim", "end", "step");
  }

  template <typename YOf>
  void curve(const PlotSeries& series, size_t index, YOf&& y_of) {
    std::string path, points;
    bool pen_down = false;
    for (size_t i = 0; i < series.x.size(); ++i) {
      if (std::isnan(series.y[i])) {
        pen_down = false;
        continue;
      }
      const double x = x_of(series.x[i]), y = y_of(series.y[i]);
      const bool goes_on = i + 1 < series.x.size() && !std::isnan(series.y[i + 1]);
      path += format("{}{:.1f} {:.1f}", pen_down ? "L" : "M", x, y);
      // A point that no line reaches would not be seen.
      if (series.sparse || (!pen_down && !goes_on)) {
        points += format("<circle class=\"p{}\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"2.5\"/>\n", index, x, y);
      }
      pen_down = true;
    }
    if (!path.empty()) out_ += format("<path class=\"s{} curve\" d=\"{}\"/>\n", index, path);
    out_ += points;
  }

  const PlotLayout& layout_;
  std::string out_;
};

}  // namespace

std::string plot_svg(std::span<const LossRow> rows, std::string_view title) {
  const PlotLayout layout = plot_layout(rows, kPointsMax, 8, 6);
  return Svg(layout).draw(title);
}

}  // namespace andiron
