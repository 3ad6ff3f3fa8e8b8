// The course of a run as pictures: an SVG for a browser, and characters for a terminal.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "train/run_record.h"

namespace andiron {

// A picture of its own: no scripts, no references; readable on dark and on light. Three panels: loss and held-out loss,
// learning rate, tokens a second. Numbers that are not finite leave gaps. `title` may be any text.
std::string plot_svg(std::span<const LossRow> rows, std::string_view title);

struct TerminalPlot {
  int columns = 80;     // at least 40 are used
  bool unicode = true;  // braille dots, else plain ASCII
};
// The same panels, lines ended by newlines.
std::string plot_text(std::span<const LossRow> rows, const TerminalPlot& options);

// Round numbers (1, 2 or 5 times a power of ten) between low and high, about `wanted` of them, ascending; both are
// finite and low < high.
std::vector<double> axis_ticks(double low, double high, int wanted);

}  // namespace andiron
