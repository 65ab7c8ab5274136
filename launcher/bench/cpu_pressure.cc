// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/bench/cpu_pressure.h"

#include <charconv>
#include <chrono>
#include <cstdint>
#include <fstream>
#include <iterator>

namespace lockstep::launcher {

std::optional<base::Duration> ParseCpuPressure(std::string_view text) {
  if (!text.starts_with("some ")) return std::nullopt;
  constexpr std::string_view kTotal = " total=";
  const std::string_view line = text.substr(0, text.find('\n'));
  const size_t at = line.find(kTotal);
  if (at == std::string_view::npos) return std::nullopt;
  const std::string_view number = line.substr(at + kTotal.size());
  int64_t microseconds = -1;
  const auto [end, error] =
      std::from_chars(number.data(), number.data() + number.size(), microseconds);
  if (error != std::errc() || end != number.data() + number.size() || microseconds < 0)
    return std::nullopt;
  return std::chrono::microseconds(microseconds);
}

std::optional<base::Duration> ProcCpuPressure::Waited() {
  std::ifstream file("/proc/pressure/cpu");
  const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  return ParseCpuPressure(text);
}

PressureWatch::PressureWatch(const base::Clock& clock, CpuPressure& pressure)
    : clock_(clock), pressure_(pressure) {
  const auto waited = pressure.Waited();
  works_ = waited.has_value();
  if (works_) marks_.push_back({clock.Now(), *waited});
}

std::optional<double> PressureWatch::TakeShare() {
  const auto waited = pressure_.Waited();
  if (!works_ || !waited) return std::nullopt;
  const Mark now{clock_.Now(), *waited};
  // The begin of the stretch of time: the last mark, or an older one when that is too close.
  while (marks_.size() > 1 && now.at - marks_[1].at >= kPressureWindow) marks_.pop_front();
  const Mark begin = now.at - marks_.back().at >= kPressureWindow ? marks_.back() : marks_.front();
  marks_.push_back(now);
  if (now.at <= begin.at) return std::nullopt;
  return std::chrono::duration<double>(now.waited - begin.waited) /
         std::chrono::duration<double>(now.at - begin.at);
}

}  // namespace lockstep::launcher
