// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/jobs/job_addresses.h"

#include <string_view>

namespace lockstep::launcher {
namespace {

constexpr std::string_view kControlSuffix = ".sock";
constexpr std::string_view kAttachSuffix = ".attach";

}  // namespace

std::string ControlSocketPath(const std::string& socket_directory, const std::string& job_id) {
  return socket_directory + "/" + job_id + std::string(kControlSuffix);
}

std::string AttachSocketPath(const std::string& socket_directory, const std::string& job_id) {
  return socket_directory + "/" + job_id + std::string(kAttachSuffix);
}

std::string JobMark(const std::string& job_id) { return job_id; }

// RealProcesses appends a slash and the name of the process.
std::string JobMarkPrefix(const std::string& job_id) { return JobMark(job_id) + "/"; }

}  // namespace lockstep::launcher
