// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/process/oom_counter.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <string>
#include <string_view>

#include "runtime/process/cgroup.h"

namespace lockstep::process {
namespace {

base::UniqueFd OpenCounter(std::string_view controller, const char* file) {
  const std::optional<std::string> folder = OwnCgroupFolder(controller);
  return base::UniqueFd(folder ? ::open((*folder + file).c_str(), O_RDONLY | O_CLOEXEC) : -1);
}

}  // namespace

OomCounter::OomCounter() : file_(OpenCounter("memory", "/memory.oom_control")) {
  if (!file_.valid()) file_ = OpenCounter("", "/memory.events");
  attributed_ = Read();
}

uint64_t OomCounter::Read() const {
  char bytes[512];
  const ssize_t size = file_.valid() ? ::pread(file_.get(), bytes, sizeof(bytes), 0) : 0;
  const std::string_view text(bytes, size > 0 ? static_cast<size_t>(size) : 0);
  // "oom_kill 3" in both files; v1 also has "oom_kill_disable 0".
  constexpr std::string_view kKey = "oom_kill ";
  const size_t at = text.find(kKey);
  uint64_t count = 0;
  if (at != text.npos)
    std::from_chars(text.data() + at + kKey.size(), text.data() + text.size(), count);
  return count;
}

bool OomCounter::Attribute(uint64_t count_at_spawn) {
  const uint64_t known = std::max(attributed_, count_at_spawn);
  if (Read() <= known) return false;
  attributed_ = known + 1;
  return true;
}

}  // namespace lockstep::process
