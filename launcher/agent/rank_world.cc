// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/agent/rank_world.h"

#include <pwd.h>
#include <unistd.h>

#include <utility>

#include "runtime/proto/duration_text.h"
#include "runtime/topology/cpu_count.h"

namespace lockstep::launcher {
namespace {

std::string HomeOfUser() {
  const passwd* user = ::getpwuid(::getuid());
  return user != nullptr ? user->pw_dir : "";
}

/// As ranks read it; "" of the default.
std::string BackendWord(proto::CollectivesBackend backend) {
  switch (backend) {
    case proto::COLLECTIVES_BACKEND_MPI: return "mpi";
    case proto::COLLECTIVES_BACKEND_NCCL: return "nccl";
    default: return "";
  }
}

}  // namespace

topology::WorldSpec WorldOf(const proto::Gang& gang, std::vector<topology::Node> nodes,
                            const MeetingPoint& meeting_point) {
  topology::WorldSpec world;
  world.nodes = std::move(nodes);
  world.role = gang.role();
  world.master_address = gang.has_master_address() ? gang.master_address() : meeting_point.address;
  world.master_port = gang.has_master_port() ? gang.master_port() : meeting_point.port;
  return world;
}

topology::JobFacts JobFactsOf(const proto::JobSpec& spec, std::string job_id,
                              const topology::Environment& inherited) {
  topology::JobFacts facts;
  facts.job_id = std::move(job_id);
  facts.max_restarts = spec.restart().max_restarts();
  facts.checkpoint_directory = spec.checkpoint().directory();
  facts.backend = BackendWord(spec.collectives().backend());
  facts.check_calls = spec.collectives().check() == proto::COLLECTIVES_CHECK_STRICT;
  facts.encrypts_data = spec.collectives().encrypt_data();
  facts.tcp_flows = spec.collectives().tcp_flows();
  facts.tcp_link = spec.collectives().tcp_link();
  facts.stop_grace = proto::FromProto(spec.grace().user_stop());
  facts.node_cores = topology::CpuCount();
  if (!inherited.contains("HOME")) facts.home = HomeOfUser();
  return facts;
}

}  // namespace lockstep::launcher
