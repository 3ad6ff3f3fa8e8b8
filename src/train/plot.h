// The course of a run as pictures: an SVG for a browser, and characters for a terminal.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "train/loss_log.h"

namespace andiron {

// A picture of its own: no scripts, no references; readable on dark and on light. Three panels: loss and held-out loss,
// learning rate, tokens a second. Numbers that are not finite leave gaps. `title` may be any text.
std::string plot_svg(std::span<const LossRow> rows, std::string_view title);

struct TerminalPlot {
  int columns = 80;     // at least 40 are used
  bool unicode = true;  // braille dots, else plain ASCII
};
// The same panels; every line ends with a newline and is no wider than `columns`.
std::string plot_text(std::span<const LossRow> rows, const TerminalPlot& options);

}  // namespace andiron
