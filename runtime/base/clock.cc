// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/base/clock.h"

#include <cstdio>
#include <ctime>

#include "runtime/base/check.h"

namespace lockstep::base {

SteadyTime RealClock::Now() const { return std::chrono::steady_clock::now(); }

WallTime RealClock::WallNow() const { return std::chrono::system_clock::now(); }

void SimClock::AdvanceTo(SteadyTime time) {
  LOCKSTEP_CHECK(time >= now_, "simulated time never runs backwards");
  now_ = time;
}

std::string FormatUtc(WallTime time) {
  const auto micros =
      std::chrono::duration_cast<std::chrono::microseconds>(time.time_since_epoch()).count();
  const time_t seconds = static_cast<time_t>(micros / 1'000'000);
  tm parts{};
  ::gmtime_r(&seconds, &parts);
  char text[96];
  std::snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02d.%06dZ", parts.tm_year + 1900,
                parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec,
                static_cast<int>(micros % 1'000'000));
  return text;
}

std::string FormatDuration(Duration duration) {
  // What would be written as 1000 of a unit is 1 of the next.
  constexpr double kMost = 0.9995;
  const double seconds = std::chrono::duration<double>(duration).count();
  char text[48];
  if (seconds < 0) return "-" + FormatDuration(-duration);
  if (seconds < 1e-6 * kMost) {
    std::snprintf(text, sizeof text, "%.0fns", seconds * 1e9);
  } else if (seconds < 1e-3 * kMost) {
    std::snprintf(text, sizeof text, "%.3gus", seconds * 1e6);
  } else if (seconds < 1 * kMost) {
    std::snprintf(text, sizeof text, "%.3gms", seconds * 1e3);
  } else if (seconds < 60) {
    std::snprintf(text, sizeof text, "%.3gs", seconds);
  } else if (seconds < 3600) {
    std::snprintf(text, sizeof text, "%dm%02ds", static_cast<int>(seconds) / 60,
                  static_cast<int>(seconds) % 60);
  } else {
    std::snprintf(text, sizeof text, "%dh%02dm", static_cast<int>(seconds) / 3600,
                  static_cast<int>(seconds) % 3600 / 60);
  }
  return text;
}

}  // namespace lockstep::base
