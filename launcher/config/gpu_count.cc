// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/config/gpu_count.h"

#include <dirent.h>

#include <algorithm>
#include <string_view>

namespace lockstep::launcher {
namespace {

// "nvidia0", but not "nvidiactl" or "nvidia-uvm".
bool IsGpuNode(std::string_view name) {
  constexpr std::string_view kPrefix = "nvidia";
  if (!name.starts_with(kPrefix) || name.size() == kPrefix.size()) return false;
  name.remove_prefix(kPrefix.size());
  return std::all_of(name.begin(), name.end(), [](char c) { return c >= '0' && c <= '9'; });
}

int NodesIn(const std::string& folder) {
  DIR* stream = opendir(folder.c_str());
  if (stream == nullptr) return 0;
  int count = 0;
  while (const dirent* entry = readdir(stream)) count += IsGpuNode(entry->d_name) ? 1 : 0;
  closedir(stream);
  return count;
}

// Entries up to the first that names nothing, as CUDA reads the list: "0,1" 2, "0,-1,1" 1, "" and
// "none" 0.
int EntriesOf(std::string_view list) {
  int count = 0;
  while (!list.empty()) {
    const size_t comma = std::min(list.find(','), list.size());
    const std::string_view entry = list.substr(0, comma);
    if (entry.empty() || entry.starts_with('-') || entry == "none" || entry == "NoDevFiles") break;
    ++count;
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
  return count;
}

}  // namespace

int GpuCount(const std::string& device_folder, const topology::Environment& environment) {
  const int nodes = NodesIn(device_folder);
  const auto visible = environment.find("CUDA_VISIBLE_DEVICES");
  return visible == environment.end() ? nodes : std::min(nodes, EntriesOf(visible->second));
}

}  // namespace lockstep::launcher
