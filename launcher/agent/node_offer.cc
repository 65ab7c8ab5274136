// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/agent/node_offer.h"

#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <system_error>
#include <utility>

#include "launcher/agent/program_file.h"
#include "launcher/cluster/protocol.h"
#include "launcher/version.h"

namespace lockstep::launcher {
namespace {

/// Two agents of one job on one machine would have the same sockets and files.
base::Status CheckMachine(const MemberAgentConfig& config) {
  if (config.bootstrap.launcher_host() != config.here.host ||
      config.bootstrap.launcher_boot_id() != config.here.boot_id) {
    return base::OkStatus();
  }
  return base::FailedPreconditionError(
      "it is the machine that lockstep run is on, under another name; write " + config.here.host +
      " or localhost in the list of hosts");
}

base::Result<std::string> ChooseFolder(const proto::Bootstrap& bootstrap) {
  const std::string& wanted = bootstrap.working_directory();
  std::error_code error;
  if (wanted.empty() || std::filesystem::is_directory(wanted, error)) {
    return wanted;
  }
  if (bootstrap.working_directory_is_wanted()) {
    return base::NotFoundError("the working directory " + wanted +
                               " is not there; make it, or name another one (--working-dir)");
  }
  std::string folder = std::filesystem::current_path(error).string();
  std::fprintf(stderr, "lockstep: the folder %s is not there; ranks start in %s\n", wanted.c_str(),
               folder.c_str());
  return folder;
}

/// Of the file that the ranks execute; "" = it is not compared.
base::Result<std::string> HashOfProgram(const MemberAgentConfig& config,
                                        const std::string& folder) {
  const proto::Bootstrap& bootstrap = config.bootstrap;
  if (bootstrap.program().empty()) return std::string();
  ProgramFile program{bootstrap.program(), bootstrap.program_word() > 0};
  if (!bootstrap.staged_program().empty()) program.name = bootstrap.staged_program();
  ASSIGN_OR_RETURN(const std::string path, FindProgram(program, config.environment, folder));
  return HashProgram(path);
}

}  // namespace

base::Result<NodeOffer> MakeNodeOffer(const MemberAgentConfig& config) {
  RETURN_IF_ERROR(CheckMachine(config));
  NodeOffer offer;
  ASSIGN_OR_RETURN(offer.folder, ChooseFolder(config.bootstrap));
  ASSIGN_OR_RETURN(offer.program_hash, HashOfProgram(config, offer.folder));
  return offer;
}

proto::Hello HelloOf(const MemberAgentConfig& config, const NodeOffer& offer, int master_port) {
  const proto::Bootstrap& bootstrap = config.bootstrap;
  proto::Hello hello;
  hello.set_protocol(kAgentProtocol);
  hello.set_lockstep_version(std::string(kVersion));
  hello.set_job_id(bootstrap.job_id());
  hello.set_host(config.here.host);
  hello.set_boot_id(config.here.boot_id);
  hello.set_pid(::getpid());
  hello.set_slots(bootstrap.slots());
  hello.set_wanted_node(bootstrap.node());
  hello.set_master_port(master_port);
  hello.set_program_hash(offer.program_hash);
  hello.set_jobs_root(config.jobs_root);
  if (config.own_line) {
    hello.set_node_count(config.own_line->spec.gang().max_nodes());
    if (!config.own_line->address.empty()) hello.add_addresses(config.own_line->address);
  }
  return hello;
}

}  // namespace lockstep::launcher
