// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/engine/cpu_share.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string_view>
#include <system_error>

namespace lockstep::collectives {
namespace {

/// The first line, or "" where there is none to be had.
std::string FirstLine(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

/// What follows `key` in a line of its own; 0 where that is missing.
int64_t NumberAfter(const std::string& path, const std::string& key) {
  std::ifstream file(path);
  for (std::string word; file >> word;) {
    int64_t value = 0;
    if (word == key && file >> value) return value;
  }
  return 0;
}

double QuotaOf(const std::string& folder, bool new_hierarchy) {
  std::istringstream words(new_hierarchy ? FirstLine(folder + "/cpu.max")
                                         : FirstLine(folder + "/cpu.cfs_quota_us") + " " +
                                               FirstLine(folder + "/cpu.cfs_period_us"));
  double quota_us = -1, period_us = 0;
  words >> quota_us >> period_us;  // "max" is no number: no limit
  return words && quota_us > 0 && period_us > 0 ? quota_us / period_us : CpuShare::kNoQuota;
}

/// Of the line "some avg10=12.34 ..."; 0 where the kernel does not count it.
double PressureOf(const std::string& path) {
  const std::string line = FirstLine(path);
  constexpr std::string_view kKey = "avg10=";
  const size_t at = line.find(kKey);
  if (at == std::string::npos) return 0;
  double percent = 0;
  std::istringstream(line.substr(at + kKey.size())) >> percent;
  return percent;
}

/// `path` below `root` and all above it up to `root`. A container that sees its own part of the
/// hierarchy alone may name a path that is not there: then the root is its cgroup.
std::vector<std::string> FoldersOf(const std::string& root, const std::string& path) {
  std::vector<std::string> folders;
  for (std::filesystem::path part = path; !part.empty() && part != "/"; part = part.parent_path()) {
    std::error_code error;
    if (std::filesystem::is_directory(root + part.string(), error))
      folders.push_back(root + part.string());
  }
  folders.push_back(root);
  return folders;
}

}  // namespace

void CpuShare::FindFolders() {
  std::ifstream membership(files_.membership);
  for (std::string line; std::getline(membership, line);) {  // "4:cpu,cpuacct:/path" or "0::/path"
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
    const std::string path = line.substr(second + 1);
    if (controllers.find(",cpu,") != std::string::npos) {
      new_hierarchy_ = false;
      folders_ = FoldersOf(files_.hierarchy + "/cpu", path);
      return;  // where both are there, the older has the processors
    }
    if (controllers == ",,") {
      new_hierarchy_ = true;
      folders_ = FoldersOf(files_.hierarchy, path);
    }
  }
}

void CpuShare::Look() {
  if (!throttled_total_.has_value()) FindFolders();
  quota_ = kNoQuota;
  for (const std::string& folder : folders_)
    quota_ = std::min(quota_, QuotaOf(folder, new_hierarchy_));
  const int64_t total = ThrottledTotal();
  throttled_ = total > throttled_total_.value_or(total);
  throttled_total_ = total;
  // That of the own cgroup counts who waits in it, whoever makes it wait.
  const std::string own = folders_.empty() ? "" : folders_.front() + "/cpu.pressure";
  std::error_code error;
  pressed_ = PressureOf(!own.empty() && std::filesystem::exists(own, error)
                            ? own
                            : files_.machine_pressure) >= kPressure;
}

int64_t CpuShare::ThrottledTotal() const {
  int64_t total = 0;
  for (const std::string& folder : folders_)
    total += NumberAfter(folder + "/cpu.stat", "nr_throttled");
  return total;
}

}  // namespace lockstep::collectives
