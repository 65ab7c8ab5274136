// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/config/job_nodes.h"

#include <utility>

#include "launcher/config/ssh_hosts.h"

namespace lockstep::launcher {
namespace {

using proto::Problem;

constexpr char kPerNode[] = "spec.gang.processesPerNode";
constexpr char kTotal[] = "spec.gang.totalProcesses";
constexpr char kHosts[] = "spec.placement.ssh.hosts";

}  // namespace

void JobNodes::ApplyHosts(const Command& command, const std::optional<JobFile>& host_file) {
  std::string list;
  for (const GivenFlag& given : command.flags) {
    if (given.flag->effect != FlagEffect::kHosts) continue;
    list += (list.empty() ? "" : ",") + given.value;
    hosts_source_ = "flag " + given.spelling;
  }
  if (host_file) {
    if (!hosts_source_.empty()) {
      draft_.AddProblem("", "", "contradicts " + hosts_source_.substr(5) + "; give one of the two",
                        "flag --hostfile");
    }
    hosts_source_ = host_file->name;
  }
  if (hosts_source_.empty()) return;
  const bool is_file = host_file.has_value();
  Take(ReadSshHosts(is_file ? host_file->text : list, is_file, draft_.spec().mutable_placement()),
       hosts_source_);
  draft_.sources()[kHosts] = hosts_source_;
  draft_.set_placement_source(hosts_source_);
}

void JobNodes::Take(SshHostsReading reading, const std::string& source) {
  for (Problem& problem : reading.problems) {
    if (problem.source.empty())
      problem.source = source.empty() ? draft_.SourceOf(problem.path) : source;
    draft_.AddProblem(std::move(problem));
  }
  for (std::string& note : reading.notes) draft_.AddNote(std::move(note));
}

void JobNodes::KeepJoinFlag(GivenJoinFlag given) {
  const std::string_view name = given.flag->name;
  join_flags_[name] = std::move(given);
}

ThisNode JobNodes::CompleteMeeting() {
  JoinReading reading = ReadJoinFlags(
      join_flags_, draft_.spec(), {placement_layer_, draft_.placement_source(), draft_.sources()});
  if (!reading.is_meant) draft_.spec().mutable_placement()->clear_join();
  for (const JoinReading::Field& field : reading.fields)
    draft_.Set(field.path, field.text, field.source);
  for (Problem& problem : reading.problems) draft_.AddProblem(std::move(problem));
  for (std::string& note : reading.notes) draft_.AddNote(std::move(note));
  return std::move(reading.this_node);
}

void JobNodes::CompleteHosts() {
  if (!draft_.spec().placement().has_ssh()) {
    if (!hosts_source_.empty())
      draft_.AddProblem("", "", "contradicts another placement of the nodes; give one of the two",
                        hosts_source_);
    return;
  }
  const bool total = draft_.spec().gang().has_total_processes();
  Take(CompleteSshHosts(&draft_.spec()), "");
  const std::string source = draft_.SourceOf(kHosts);
  for (const char* path : {"spec.gang.nodes", "spec.gang.minNodes", "spec.gang.maxNodes"})
    draft_.sources().try_emplace(path, "from " + source);
  if (!total) draft_.sources()[kTotal] = "from " + source;
  draft_.sources().try_emplace(kPerNode, "from " + source);
}

base::Status JobNodes::Check() const {
  const proto::Gang& gang = draft_.spec().gang();
  if (gang.max_nodes() == 1) return base::OkStatus();
  if (draft_.spec().placement().has_local()) {
    return base::InvalidArgumentError(
        std::to_string(gang.max_nodes()) +
        " nodes (--nnodes, spec.gang.nodes) need machines: name them (--host a:4,b:4), start the "
        "same line on each (--rdzv-endpoint HOST:PORT), or let this one play them "
        "(--simulate-hosts)");
  }
  if (gang.min_nodes() != gang.max_nodes()) {
    return base::UnimplementedError(
        "the number of nodes cannot change while a job runs yet: write --nnodes=" +
        std::to_string(gang.max_nodes()));
  }
  return base::OkStatus();
}

}  // namespace lockstep::launcher
