// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/run_agent_of_node.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include <cstdio>
#include <string>
#include <string_view>
#include <utility>

#include "launcher/agent/member_agent.h"
#include "launcher/guard_member.h"
#include "launcher/jobs/job_addresses.h"
#include "launcher/jobs/jobs_root.h"
#include "launcher/jobs/process_identity.h"
#include "runtime/base/clock.h"
#include "runtime/base/errno_status.h"
#include "runtime/net/frame.h"
#include "runtime/net/socket_directory.h"

namespace lockstep::launcher {
namespace {

using namespace std::chrono_literals;

constexpr base::Duration kBootstrapTime = 30s;

base::Result<proto::Bootstrap> ReadBootstrap(const base::Clock& clock) {
  net::FrameDecoder decoder;
  proto::Bootstrap bootstrap;
  bool complete = false;
  bool readable = false;
  const base::SteadyTime deadline = clock.Now() + kBootstrapTime;
  while (!complete) {
    pollfd input{STDIN_FILENO, POLLIN, 0};
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - clock.Now());
    const int ready = left > 0ms ? ::poll(&input, 1, static_cast<int>(left.count())) : 0;
    if (ready == 0) return base::DeadlineExceededError("no bootstrap came on standard input");
    char bytes[4096];
    const ssize_t size = ready > 0 ? ::read(STDIN_FILENO, bytes, sizeof bytes) : -1;
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return base::ErrnoStatus(errno, "read the bootstrap");
    if (size == 0) {
      return base::InvalidArgumentError(
          "`lockstep agent` is started by `lockstep run`, which hands it a bootstrap on its "
          "standard input");
    }
    RETURN_IF_ERROR(decoder.Feed({bytes, static_cast<size_t>(size)}, [&](std::string_view frame) {
      complete = true;
      readable = bootstrap.ParseFromArray(frame.data(), static_cast<int>(frame.size()));
      return false;
    }));
    ::explicit_bzero(bytes, sizeof bytes);
  }
  if (!readable) return base::InvalidArgumentError("standard input holds no bootstrap");
  return bootstrap;
}

std::string Get(const topology::Environment& environment, const char* name) {
  const auto found = environment.find(name);
  return found == environment.end() ? "" : found->second;
}

/// Those of the bootstrap, else this machine's own.
base::Status FindFolders(MemberAgentConfig* config) {
  config->jobs_root = config->bootstrap.jobs_root();
  config->socket_directory = config->bootstrap.socket_directory();
  const topology::Environment& environment = config->environment;
  if (config->jobs_root.empty()) {
    ASSIGN_OR_RETURN(JobsRoot root,
                     FindJobsRoot({.lockstep_home = Get(environment, "LOCKSTEP_HOME"),
                                   .xdg_state_home = Get(environment, "XDG_STATE_HOME"),
                                   .home = Get(environment, "HOME")},
                                  ::getuid()));
    if (!root.note.empty()) std::fprintf(stderr, "lockstep: %s\n", root.note.c_str());
    config->jobs_root = std::move(root.path);
  }
  if (!config->socket_directory.empty()) return base::OkStatus();
  // Not XDG_RUNTIME_DIR: it goes when the log-in does that we came by.
  ASSIGN_OR_RETURN(config->socket_directory,
                   net::SocketDirectory("", ::getuid(), kSocketNameBytesMax));
  return base::OkStatus();
}

}  // namespace

base::Result<int> RunAgentOfNode(topology::Environment environment) {
  const base::RealClock clock;
  MemberAgentConfig config;
  ASSIGN_OR_RETURN(config.bootstrap, ReadBootstrap(clock));
  config.environment = std::move(environment);
  config.here = ThisHost();
  if (!config.bootstrap.host().empty()) config.here.host = config.bootstrap.host();
  RETURN_IF_ERROR(FindFolders(&config));
  return GuardMember(std::move(config), {});
}

}  // namespace lockstep::launcher
