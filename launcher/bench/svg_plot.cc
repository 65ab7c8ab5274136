// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/bench/svg_plot.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdarg>
#include <cstdio>
#include <string_view>

namespace lockstep::launcher {
namespace {

constexpr double kWidth = 860;
constexpr double kHeight = 520;
constexpr double kLeft = 70;
constexpr double kRight = 210;  // the legend
constexpr double kTop = 40;
constexpr double kBottom = 50;

// Told apart by most colour-blind readers too (Okabe and Ito, 2008); marks differ besides.
constexpr std::array<std::string_view, 7> kColors = {"#0072b2", "#d55e00", "#009e73", "#cc79a7",
                                                     "#e69f00", "#56b4e9", "#000000"};

__attribute__((format(printf, 1, 2))) std::string Format(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  char text[512];
  std::vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  return text;
}

std::string Escaped(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    if (c == '<') {
      escaped += "&lt;";
    } else if (c == '&') {
      escaped += "&amp;";
    } else {
      escaped += c;
    }
  }
  return escaped;
}

std::string BytesText(double bytes) {
  constexpr std::array<std::string_view, 5> kUnits = {"B", "KiB", "MiB", "GiB", "TiB"};
  size_t unit = 0;
  for (; bytes >= 1024 && unit + 1 < kUnits.size(); ++unit) bytes /= 1024;
  return Format("%g %s", bytes, std::string(kUnits[unit]).c_str());
}

std::string TimeText(double us) {
  if (us >= 1e6) return Format("%g s", us / 1e6);
  if (us >= 1e3) return Format("%g ms", us / 1e3);
  return Format("%g us", us);
}

/// Such that `base` to that power is `value`. In long double: glibc's functions of double are
/// chosen by processor when a program is loaded, which does not work where libm alone is linked
/// statically (cc_app).
long double PowerOf(double base, double value) {
  return std::log(static_cast<long double>(value)) / std::log(static_cast<long double>(base));
}

/// From a value to a place on the picture, by powers of `base`.
struct LogAxis {
  double base;
  int first;  // powers at the ends
  int last;
  double from;  // places of them
  double to;

  double Place(double value) const {
    const double power = static_cast<double>(PowerOf(base, value));
    return from + (to - from) * (power - first) / (last - first);
  }
  double Value(int power) const {
    double value = 1;
    for (int i = 0; i < power; ++i) value *= base;
    for (int i = 0; i > power; --i) value /= base;
    return value;
  }
};

LogAxis AxisOf(double base, double least, double greatest, double from, double to) {
  constexpr long double kRounding = 1e-9L;
  const int first = static_cast<int>(std::floor(PowerOf(base, least) + kRounding));
  const int last = static_cast<int>(std::ceil(PowerOf(base, greatest) - kRounding));
  return {.base = base, .first = first, .last = std::max(last, first + 1), .from = from, .to = to};
}

std::string Grid(const LogAxis& x, const LogAxis& y) {
  std::string text;
  const int step = std::max(1, (x.last - x.first + 7) / 8);
  for (int power = x.first; power <= x.last; power += step) {
    const double at = x.Place(x.Value(power));
    text += Format("<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" class=\"grid\"/>\n", at,
                   y.from, at, y.to);
    text += Format("<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%s</text>\n", at,
                   y.from + 18, BytesText(x.Value(power)).c_str());
  }
  for (int power = y.first; power <= y.last; ++power) {
    const double at = y.Place(y.Value(power));
    text += Format("<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" class=\"grid\"/>\n",
                   x.from, at, x.to, at);
    text += Format("<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">%s</text>\n", x.from - 6,
                   at + 4, TimeText(y.Value(power)).c_str());
  }
  return text;
}

std::string Mark(size_t index, double x, double y, std::string_view color) {
  const std::string fill(color);
  switch (index % 3) {
    case 0:
      return Format("<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3.5\" fill=\"%s\"/>\n", x, y,
                    fill.c_str());
    case 1:
      return Format("<rect x=\"%.1f\" y=\"%.1f\" width=\"7\" height=\"7\" fill=\"%s\"/>\n", x - 3.5,
                    y - 3.5, fill.c_str());
    default:
      return Format("<path d=\"M%.1f %.1f l4.5 8 h-9 z\" fill=\"%s\"/>\n", x, y - 5, fill.c_str());
  }
}

std::string Line(const PlotSeries& series, size_t index, const LogAxis& x, const LogAxis& y) {
  const std::string_view color = kColors[index % kColors.size()];
  std::string points;
  std::string marks;
  for (const auto& [bytes, us] : series.points) {
    points += Format("%.1f,%.1f ", x.Place(bytes), y.Place(us));
    marks += Mark(index, x.Place(bytes), y.Place(us), color);
  }
  if (!points.empty()) points.pop_back();
  return "<polyline points=\"" + points + "\" fill=\"none\" stroke-width=\"2\" stroke=\"" +
         std::string(color) + "\"/>\n" + marks;
}

std::string Legend(const std::vector<PlotSeries>& series) {
  std::string text;
  for (size_t i = 0; i < series.size(); ++i) {
    const double x = kWidth - kRight + 24;
    const double y = kTop + 14 + 20 * static_cast<double>(i);
    text += Mark(i, x, y - 4, kColors[i % kColors.size()]);
    text +=
        Format("<text x=\"%.1f\" y=\"%.1f\">", x + 12, y) + Escaped(series[i].name) + "</text>\n";
  }
  return text;
}

std::string Frame(const std::string& title) {
  return Format(
             "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" height=\"%.0f\" "
             "viewBox=\"0 0 %.0f %.0f\">\n",
             kWidth, kHeight, kWidth, kHeight) +
         "<style>text{font:12px sans-serif;fill:#222}.grid{stroke:#ddd}</style>\n"
         "<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n" +
         Format("<text x=\"%.1f\" y=\"24\" style=\"font-size:15px\">", kLeft) + Escaped(title) +
         "</text>\n";
}

}  // namespace

std::string SvgPlot(const std::string& title, const std::vector<PlotSeries>& series) {
  std::vector<double> bytes;
  std::vector<double> times;
  for (const PlotSeries& one : series) {
    for (const auto& [x, y] : one.points) {
      bytes.push_back(x);
      times.push_back(y);
    }
  }
  std::string text = Frame(title);
  if (bytes.empty()) {
    return text + Format("<text x=\"%.1f\" y=\"%.1f\">no times</text>\n</svg>\n", kLeft, kTop + 30);
  }
  const auto [least_x, most_x] = std::minmax_element(bytes.begin(), bytes.end());
  const auto [least_y, most_y] = std::minmax_element(times.begin(), times.end());
  const LogAxis x = AxisOf(2, *least_x, *most_x, kLeft, kWidth - kRight);
  const LogAxis y = AxisOf(10, *least_y, *most_y, kHeight - kBottom, kTop);
  text += Grid(x, y);
  text += Format("<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">size</text>\n",
                 (x.from + x.to) / 2, kHeight - 10);
  for (size_t i = 0; i < series.size(); ++i) text += Line(series[i], i, x, y);
  return text + Legend(series) + "</svg>\n";
}

std::vector<PlotSeries> SeriesOf(const BenchResult& result) {
  std::vector<PlotSeries> all;
  std::vector<std::string> taken;
  for (const Contender& first : result.contenders) {
    const std::string& name = first.peer.empty() ? first.name : first.peer;
    if (std::find(taken.begin(), taken.end(), name) != taken.end()) continue;
    taken.push_back(name);
    PlotSeries series{.name = first.peer.empty() ? name : name + ", best knobs", .points = {}};
    for (const SizeResult& size : result.sizes) {
      double best = 0;
      for (size_t i = 0; i < result.contenders.size(); ++i) {
        const Contender& one = result.contenders[i];
        if ((one.peer.empty() ? one.name : one.peer) != name) continue;
        const Cell& cell = size.cells[i][static_cast<size_t>(BenchMode::kOutOfPlace)];
        if (cell.time_us && (best == 0 || *cell.time_us < best)) best = *cell.time_us;
      }
      if (best > 0 && size.bytes > 0)
        series.points.emplace_back(static_cast<double>(size.bytes), best);
    }
    all.push_back(std::move(series));
  }
  return all;
}

}  // namespace lockstep::launcher
