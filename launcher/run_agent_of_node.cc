// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/run_agent_of_node.h"

#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <string>
#include <utility>

#include "launcher/agent/member_agent.h"
#include "launcher/agent/read_bootstrap.h"
#include "launcher/guard_member.h"
#include "launcher/jobs/job_addresses.h"
#include "launcher/jobs/jobs_root.h"
#include "launcher/jobs/process_identity.h"
#include "runtime/base/clock.h"
#include "runtime/net/socket_directory.h"

namespace lockstep::launcher {
namespace {

using namespace std::chrono_literals;

constexpr base::Duration kBootstrapTime = 30s;

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
  ASSIGN_OR_RETURN(config.bootstrap, ReadBootstrap(STDIN_FILENO, kBootstrapTime, clock));
  config.environment = std::move(environment);
  config.here = ThisHost();
  if (!config.bootstrap.host().empty()) config.here.host = config.bootstrap.host();
  RETURN_IF_ERROR(FindFolders(&config));
  return GuardMember(std::move(config), {});
}

}  // namespace lockstep::launcher
