// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/bench/cpu_pressure.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

namespace lockstep::launcher {

namespace {

std::string ReadAll(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

/// The blank-separated numbers of `text`, as many as are asked for; nullopt when there are fewer.
std::optional<std::vector<int64_t>> Numbers(std::string_view text, size_t count) {
  std::vector<int64_t> numbers;
  while (numbers.size() < count) {
    text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
    int64_t value = -1;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || value < 0) return std::nullopt;
    numbers.push_back(value);
    text.remove_prefix(static_cast<size_t>(end - text.data()));
  }
  return numbers;
}

}  // namespace

std::optional<int64_t> ParseBusyTicks(std::string_view stat, const std::vector<int>& cpus) {
  std::vector<std::string> fronts;
  for (const int cpu : cpus) fronts.push_back("cpu" + std::to_string(cpu) + " ");
  if (cpus.empty()) fronts.push_back("cpu ");
  int64_t busy = 0;
  size_t found = 0;
  for (size_t begin = 0; begin < stat.size();) {
    const size_t end = std::min(stat.find('\n', begin), stat.size());
    const std::string_view line = stat.substr(begin, end - begin);
    begin = end + 1;
    const auto front = std::find_if(fronts.begin(), fronts.end(),
                                    [&](const auto& name) { return line.starts_with(name); });
    if (front == fronts.end()) continue;
    // user nice system idle iowait irq softirq steal
    const auto numbers = Numbers(line.substr(front->size()), 8);
    if (!numbers) return std::nullopt;
    busy += (*numbers)[0] + (*numbers)[1] + (*numbers)[2] + (*numbers)[7];
    ++found;
  }
  return found == fronts.size() ? std::optional(busy) : std::nullopt;
}

std::optional<int64_t> ParseProcessTicks(std::string_view stat) {
  // The name, in parentheses, may hold anything.
  const size_t name_end = stat.rfind(") ");
  if (name_end == std::string_view::npos || name_end + 4 > stat.size()) return std::nullopt;
  stat.remove_prefix(name_end + 4);  // and the state
  constexpr size_t kUserTime = 10, kSystemTime = 11;
  for (size_t field = 0; field < kUserTime; ++field) {  // some of these are negative
    stat.remove_prefix(std::min(stat.find_first_not_of(' '), stat.size()));
    stat.remove_prefix(std::min(stat.find(' '), stat.size()));
  }
  const auto numbers = Numbers(stat, kSystemTime - kUserTime + 1);
  if (!numbers) return std::nullopt;
  return (*numbers)[0] + (*numbers)[1];
}

std::optional<base::Duration> ProcCpuPressure::UsedByOthers() {
  const std::optional<int64_t> busy = ParseBusyTicks(ReadAll("/proc/stat"), cpus_);
  if (!busy) return std::nullopt;
  int64_t ticks = *busy;
  for (const pid_t pid : ours_())
    ticks -= ParseProcessTicks(ReadAll("/proc/" + std::to_string(pid) + "/stat")).value_or(0);
  return ticks * (std::chrono::nanoseconds(std::chrono::seconds(1)) / ::sysconf(_SC_CLK_TCK));
}

PressureWatch::PressureWatch(const base::Clock& clock, CpuPressure& pressure)
    : clock_(clock), pressure_(pressure) {
  const auto used = pressure.UsedByOthers();
  works_ = used.has_value();
  if (works_) marks_.push_back({clock.Now(), *used});
}

std::optional<double> PressureWatch::TakeShare() {
  const auto used = pressure_.UsedByOthers();
  if (!works_ || !used) return std::nullopt;
  const Mark now{clock_.Now(), *used};
  // The begin of the stretch of time: the last mark, or an older one when that is too close.
  while (marks_.size() > 1 && now.at - marks_[1].at >= kPressureWindow) marks_.pop_front();
  const Mark begin = now.at - marks_.back().at >= kPressureWindow ? marks_.back() : marks_.front();
  marks_.push_back(now);
  if (now.at <= begin.at) return std::nullopt;
  return std::chrono::duration<double>(now.used - begin.used) /
         std::chrono::duration<double>(now.at - begin.at);
}

}  // namespace lockstep::launcher
