// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/cluster/welcome_check.h"

#include <limits.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <string_view>

#include "runtime/base/clock.h"
#include "runtime/proto/job_checks.h"

namespace lockstep::launcher {
namespace {

using namespace std::chrono_literals;

constexpr size_t kJobIdBytesMax = 70;  // a name of 63, a hyphen, and six that tell jobs of it apart
constexpr int kArgumentsMax = 2 * 4096 + 3;  // command and args (job.proto), python and its flags
constexpr size_t kArgumentBytesMax = 128 << 10;  // as the kernel: with its end
// As job.proto has them.
constexpr base::Duration kHeartbeatMin = 10ms;
constexpr base::Duration kHeartbeatMax = 10min;
constexpr base::Duration kLeaseMin = 100ms;
constexpr base::Duration kLeaseMax = 1h;

bool IsJobId(std::string_view text) {
  const auto is_plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
  };
  return !text.empty() && text.size() <= kJobIdBytesMax && text.front() != '-' &&
         std::all_of(text.begin(), text.end(), is_plain);
}

bool IsWord(std::string_view text, size_t bytes_max) {
  return text.size() < bytes_max && text.find('\0') == text.npos;
}

bool IsWithin(int64_t nanoseconds, base::Duration min, base::Duration max) {
  return nanoseconds >= min.count() && nanoseconds <= max.count();
}

base::Status Bad(const std::string& field) {
  return base::InvalidArgumentError("the coordinator's welcome is not believed: its " + field +
                                    " cannot be; install the same lockstep on all nodes");
}

}  // namespace

base::Status CheckWelcome(const proto::Welcome& welcome) {
  if (!IsJobId(welcome.job_id())) return Bad("job id");
  if (!proto::IsJobName(welcome.job_name())) return Bad("job name");
  if (!IsWithin(welcome.heartbeat_ns(), kHeartbeatMin, kHeartbeatMax)) return Bad("heartbeat");
  if (!IsWithin(welcome.lease_ns(), kLeaseMin, kLeaseMax)) return Bad("lease");
  if (!IsWord(welcome.working_directory(), PATH_MAX)) return Bad("working directory");
  const int count = welcome.arguments_size();
  if (count < 1 || count > kArgumentsMax) return Bad("number of arguments");
  for (const std::string& word : welcome.arguments()) {
    if (!IsWord(word, kArgumentBytesMax)) return Bad("arguments");
  }
  if (const auto problems = proto::Validate(welcome.job()); !problems.empty()) {
    return Bad("job (" + problems.front().path + ")");
  }
  return base::OkStatus();
}

}  // namespace lockstep::launcher
