#include <algorithm>
#include <cmath>

#include "base/strings.h"
#include "train/plot.h"
#include "train/plot_scale.h"

namespace andiron {

namespace {

constexpr int kLabel = 9;  // columns left of a panel: a tick's text and the frame
constexpr int kRows[] = {12, 4, 4};

// Dots two to a column and four to a row, as braille has them (Unicode 15, U+2800: bit i is dot i + 1), or one to a
// character. Measured points are letters over the dots.
class Canvas {
 public:
  Canvas(int columns, int rows, bool unicode)
      : columns_(columns), rows_(rows), unicode_(unicode), cells_(static_cast<size_t>(columns) * rows) {}

  int dots_wide() const { return unicode_ ? 2 * columns_ : columns_; }
  int dots_high() const { return unicode_ ? 4 * rows_ : rows_; }

  void dot(int x, int y) {
    // Dots of the left column are bits 0, 1, 2 and 6 from above, of the right one 3, 4, 5 and 7.
    static constexpr uint8_t kBits[2][4] = {{0x01, 0x02, 0x04, 0x40}, {0x08, 0x10, 0x20, 0x80}};
    if (unicode_) {
      cell(x / 2, y / 4).dots |= kBits[x % 2][y % 4];
    } else {
      cell(x, y).dots = 1;
    }
  }
  // A line from one dot to the next column's, without its first dot.
  void join(int x0, int y0, int x1, int y1) {
    const int steps = std::max({std::abs(x1 - x0), std::abs(y1 - y0), 1});
    for (int i = 1; i <= steps; ++i) {
      dot(x0 + static_cast<int>(std::lround(static_cast<double>(x1 - x0) * i / steps)),
          y0 + static_cast<int>(std::lround(static_cast<double>(y1 - y0) * i / steps)));
    }
  }
  void mark(int x, int y) {
    if (unicode_) {
      cell(x / 2, y / 4).mark = 'o';
    } else {
      cell(x, y).mark = 'o';
    }
  }

  std::string row(int r) const {
    std::string out;
    for (int c = 0; c < columns_; ++c) {
      const Cell& at = cells_[static_cast<size_t>(r) * columns_ + c];
      if (at.mark != 0) {
        out += at.mark;
      } else if (at.dots == 0) {
        out += ' ';
      } else if (unicode_) {
        append_utf8(out, 0x2800u + at.dots);
      } else {
        out += '*';
      }
    }
    out.erase(out.find_last_not_of(' ') + 1);
    return out;
  }

 private:
  struct Cell {
    uint8_t dots = 0;
    char mark = 0;
  };
  Cell& cell(int column, int row) { return cells_[static_cast<size_t>(row) * columns_ + column]; }

  int columns_, rows_;
  bool unicode_;
  std::vector<Cell> cells_;
};

class TextPlot {
 public:
  TextPlot(const PlotLayout& layout, int columns, bool unicode)
      : layout_(layout), width_(columns - kLabel - 1), unicode_(unicode) {}

  std::string draw() {
    for (size_t i = 0; i < layout_.panels.size(); ++i) panel(layout_.panels[i], kRows[i]);
    steps();
    return std::move(out_);
  }

 private:
  static int place(double share, int dots) {
    return std::clamp(static_cast<int>(std::lround(share * (dots - 1))), 0, dots - 1);
  }
  double x_share(double x) const { return (x - layout_.first) / (layout_.last - layout_.first); }

  void panel(const PlotPanel& panel, int rows) {
    Canvas canvas(width_, rows, unicode_);
    const auto y_share = [&](double y) { return 1 - (y - panel.low) / (panel.high - panel.low); };
    std::string legend = std::string(panel.title);
    for (const PlotSeries& series : panel.series) {
      if (series.sparse && !series.y.empty()) legend += format("    o {}", series.name);
      int x0 = -1, y0 = 0;
      for (size_t i = 0; i < series.x.size(); ++i) {
        if (std::isnan(series.y[i])) {
          x0 = -1;
          continue;
        }
        const int x = place(x_share(series.x[i]), canvas.dots_wide());
        const int y = place(y_share(series.y[i]), canvas.dots_high());
        if (series.sparse) {
          canvas.mark(x, y);
          continue;
        }
        if (x0 < 0) {
          canvas.dot(x, y);
        } else {
          canvas.join(x0, y0, x, y);
        }
        x0 = x;
        y0 = y;
      }
    }
    out_ += std::string(kLabel + 1, ' ') + legend + "\n";
    std::vector<std::string> labels(static_cast<size_t>(rows));
    const double distance = panel.ticks.size() > 1 ? panel.ticks[1] - panel.ticks[0] : 1.0;
    for (const double tick : panel.ticks) {
      const std::string label = tick_text(tick, distance);
      if (label.size() < kLabel) labels[static_cast<size_t>(place(y_share(tick), rows))] = label;
    }
    for (int r = 0; r < rows; ++r) {
      const std::string& label = labels[static_cast<size_t>(r)];
      out_ += format("{:>{}} {}{}\n", label, kLabel - 1, frame(label.empty() ? "│" : "┤", label.empty() ? "|" : "+"),
                     canvas.row(r));
    }
  }

  // The axis of steps under the last panel, its labels where they do not meet.
  void steps() {
    std::string marks, labels(static_cast<size_t>(kLabel + 1 + width_), ' ');
    const double distance = layout_.ticks.size() > 1 ? layout_.ticks[1] - layout_.ticks[0] : 1.0;
    std::vector<bool> marked(static_cast<size_t>(width_), false);
    size_t free_from = 0;
    for (const double tick : layout_.ticks) {
      const int at = place(x_share(tick), width_);
      const std::string label = tick_text(tick, distance);
      const size_t middle = kLabel + 1 + static_cast<size_t>(at), half = label.size() / 2;
      const size_t begin =
          std::min(middle - std::min(middle, half), labels.size() - std::min(labels.size(), label.size()));
      if (begin < free_from) continue;
      marked[static_cast<size_t>(at)] = true;
      labels.replace(begin, label.size(), label);
      free_from = begin + label.size() + 1;
    }
    for (int c = 0; c < width_; ++c) {
      marks += marked[static_cast<size_t>(c)] ? frame("┬", "+") : frame("─", "-");
    }
    out_ += std::string(kLabel, ' ') + std::string(frame("└", "+")) + marks + "\n";
    labels.erase(labels.find_last_not_of(' ') + 1);
    out_ += labels + "\n" + std::string(kLabel + 1, ' ') + "step\n";
  }

  std::string_view frame(std::string_view unicode, std::string_view ascii) const { return unicode_ ? unicode : ascii; }

  const PlotLayout& layout_;
  int width_;
  bool unicode_;
  std::string out_;
};

}  // namespace

std::string plot_text(std::span<const LossRow> rows, const TerminalPlot& options) {
  const int columns = std::clamp(options.columns, 40, 1000);
  const PlotLayout layout = plot_layout(rows, 4 * static_cast<size_t>(columns), columns / 12, 5);
  return TextPlot(layout, columns, options.unicode).draw();
}

}  // namespace andiron
