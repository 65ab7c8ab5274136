// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/jobs/job_addresses.h"

#include <algorithm>
#include <cstddef>
#include <string_view>

namespace lockstep::launcher {
namespace {

constexpr std::string_view kControlSuffix = ".sock";
constexpr std::string_view kAttachSuffix = ".attach";
constexpr size_t kIdTail = 6;  // random characters of a job id

}  // namespace

std::string ControlSocketPath(const std::string& socket_directory, const std::string& job_id) {
  return socket_directory + "/" + job_id + std::string(kControlSuffix);
}

std::string AttachSocketPath(const std::string& socket_directory, const std::string& job_id) {
  return socket_directory + "/" + job_id + std::string(kAttachSuffix);
}

std::string SimulatedSocketFolder(const std::string& socket_directory, const std::string& job_id,
                                  base::NodeIndex node) {
  return socket_directory + "/" + SimulatedSocketPrefix(job_id) + node.ToString();
}

std::string SimulatedSocketPrefix(const std::string& job_id) {
  return job_id.substr(job_id.size() - std::min(job_id.size(), kIdTail)) + ".n";
}

std::string MpiFolder(uid_t user, const std::string& job_id) {
  return "/dev/shm/lockstep-" + std::to_string(user) + "-" + job_id + ".mpi";
}

std::string JobMark(const std::string& job_id) { return job_id; }

// RealProcesses appends a slash and the name of the process.
std::string JobMarkPrefix(const std::string& job_id) { return JobMark(job_id) + "/"; }

}  // namespace lockstep::launcher
