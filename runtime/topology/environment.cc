// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/topology/environment.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <initializer_list>

#include "runtime/base/check.h"

namespace lockstep::topology {

namespace {

constexpr auto kWorldVariables = std::to_array<std::string_view>({
    "RANK",
    "LOCAL_RANK",
    "GROUP_RANK",
    "ROLE_RANK",
    "ROLE_NAME",
    "WORLD_SIZE",
    "LOCAL_WORLD_SIZE",
    "GROUP_WORLD_SIZE",
    "ROLE_WORLD_SIZE",
    "MASTER_ADDR",
    "MASTER_PORT",
    "TORCHELASTIC_RESTART_COUNT",
    "TORCHELASTIC_MAX_RESTARTS",
    "TORCHELASTIC_RUN_ID",
    "TORCHELASTIC_USE_AGENT_STORE",
    "TORCHELASTIC_ERROR_FILE",
    "LOCKSTEP_JOB_ID",
    "LOCKSTEP_ROUND",
    "LOCKSTEP_INCARNATION",
    "LOCKSTEP_SOCKET",
    "LOCKSTEP_COOKIE",
    "LOCKSTEP_JOB_CHECKPOINT_DIR",
    "LOCKSTEP_JOB_BACKEND",
    "LOCKSTEP_JOB_CHECK",
    "LOCKSTEP_JOB_ENCRYPT_DATA",
    "LOCKSTEP_JOB_TCP_FLOWS",
    "LOCKSTEP_JOB_TCP_LINK",
    "LOCKSTEP_STOP_GRACE_MS",
    "LOCKSTEP_MARK",
});

void SetWorld(const WorldSpec& world, const JobFacts& job, const RankFacts& rank,
              Environment& environment) {
  const RankPlace& place = rank.place;
  const std::string world_size = std::to_string(WorldSize(world));
  environment["RANK"] = place.rank.ToString();
  environment["LOCAL_RANK"] = place.local_rank.ToString();
  environment["WORLD_SIZE"] = world_size;
  environment["LOCAL_WORLD_SIZE"] = std::to_string(place.local_world_size);
  // torchrun's word "group" means the agents of a job.
  environment["GROUP_RANK"] = place.node.ToString();
  environment["GROUP_WORLD_SIZE"] = std::to_string(world.nodes.size());
  environment["ROLE_NAME"] = world.role;
  environment["ROLE_RANK"] = place.rank.ToString();  // a job has one role
  environment["ROLE_WORLD_SIZE"] = world_size;
  environment["MASTER_ADDR"] = world.master_address;
  environment["MASTER_PORT"] = std::to_string(world.master_port);
  environment["TORCHELASTIC_RESTART_COUNT"] = std::to_string(job.restart_count);
  environment["TORCHELASTIC_MAX_RESTARTS"] = std::to_string(job.max_restarts);
  environment["TORCHELASTIC_RUN_ID"] = job.job_id;
  // Rank 0 hosts the store itself: the agent keeps none.
  environment["TORCHELASTIC_USE_AGENT_STORE"] = "False";
  if (!rank.error_file.empty()) environment["TORCHELASTIC_ERROR_FILE"] = rank.error_file;
  environment["LOCKSTEP_JOB_ID"] = job.job_id;
  environment["LOCKSTEP_ROUND"] = job.round.ToString();
  environment["LOCKSTEP_INCARNATION"] = rank.incarnation.ToString();
  environment["LOCKSTEP_STOP_GRACE_MS"] =
      std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(job.stop_grace).count());
  if (!rank.socket_path.empty()) {
    environment["LOCKSTEP_SOCKET"] = rank.socket_path;
    environment["LOCKSTEP_COOKIE"] = rank.cookie;
  }
  if (!job.checkpoint_directory.empty()) {
    environment["LOCKSTEP_JOB_CHECKPOINT_DIR"] = job.checkpoint_directory;
  }
  if (!job.backend.empty()) environment["LOCKSTEP_JOB_BACKEND"] = job.backend;
  if (job.check_calls) environment["LOCKSTEP_JOB_CHECK"] = "strict";
  if (job.encrypts_data) environment["LOCKSTEP_JOB_ENCRYPT_DATA"] = "1";
  if (job.tcp_flows > 1) environment["LOCKSTEP_JOB_TCP_FLOWS"] = std::to_string(job.tcp_flows);
  if (!job.tcp_link.empty()) environment["LOCKSTEP_JOB_TCP_LINK"] = job.tcp_link;
}

/// What torch takes of a name that it opens; the rank and ".pipe" follow.
constexpr size_t kFlightPathMax = 1024;

/// PyTorch's own recorder, for the agent and for `lockstep diagnose`: on, which it is by itself in
/// 2.11, and into the round's folder, whatever ends the job or asks for it. Each thing has a name
/// of before 2.8, which ProcessGroupNCCL alone still goes by: up to 2.10 it does not listen without
/// TORCH_NCCL_TRACE_BUFFER_SIZE. Who has set a thing by one of its names has set it.
void RecordFlights(const RankFacts& rank, Environment& environment) {
  const auto set_either = [&](const char* now, const char* before, const std::string& value) {
    if (environment.contains(now) || environment.contains(before)) return;
    environment[now] = environment[before] = value;
  };
  set_either("TORCH_FR_BUFFER_SIZE", "TORCH_NCCL_TRACE_BUFFER_SIZE", "2000");
  const size_t slash = rank.error_file.rfind('/');
  if (slash == std::string::npos || slash > kFlightPathMax) return;
  const std::string folder = rank.error_file.substr(0, slash + 1);
  // torch adds the rank.
  set_either("TORCH_FR_DUMP_TEMP_FILE", "TORCH_NCCL_DEBUG_INFO_TEMP_FILE",
             folder + kFlightDumpPrefix);
  environment.try_emplace("TORCH_NCCL_DEBUG_INFO_PIPE_FILE", folder + kFlightPipePrefix);
  // Without, it looks into the pipe every eight minutes, and not every second.
  environment.try_emplace("TORCH_NCCL_DUMP_ON_TIMEOUT", "1");
}

/// Of the first of these that is set; "" where none is.
std::string FirstOf(const Environment& environment, std::initializer_list<const char*> names) {
  for (const char* const name : names) {
    if (const auto found = environment.find(name); found != environment.end()) return found->second;
  }
  return "";
}

}  // namespace

bool IsWorldVariable(std::string_view name) {
  return std::find(kWorldVariables.begin(), kWorldVariables.end(), name) != kWorldVariables.end();
}

Environment MakeRankEnvironment(const WorldSpec& world, const JobFacts& job, const RankFacts& rank,
                                const Environment& inherited, const Environment& from_spec) {
  LOCKSTEP_CHECK(rank.place.local_world_size >= 1, "the rank has a place");
  Environment environment = inherited;
  // Also what this world leaves unset: a rank must not find another job's socket. The mark stays,
  // since the process runner appends to it: an agent above us still has to find what runs below.
  std::erase_if(environment, [](const auto& variable) {
    return IsWorldVariable(variable.first) && variable.first != "LOCKSTEP_MARK";
  });
  if (std::string& home = environment["HOME"]; home.empty()) {
    home = job.home.empty() ? "/" : job.home;
  }
  const int threads = std::max(1, job.node_cores / rank.place.local_world_size);
  environment.try_emplace("OMP_NUM_THREADS", std::to_string(threads));
  // An error on a communicator ends its process instead of hanging it; torch renamed the variable
  // in 2.2.
  environment.try_emplace("TORCH_NCCL_ASYNC_ERROR_HANDLING", "1");
  environment.try_emplace("NCCL_ASYNC_ERROR_HANDLING", "1");
  for (const auto& [name, value] : from_spec) {
    if (!IsWorldVariable(name)) environment[name] = value;
  }
  RecordFlights(rank, environment);
  SetWorld(world, job, rank, environment);
  return environment;
}

FlightFiles FlightFilesOf(const Environment& environment, base::Rank rank) {
  const std::string pipe = FirstOf(environment, {"TORCH_NCCL_DEBUG_INFO_PIPE_FILE"});
  const std::string dump =
      FirstOf(environment, {"TORCH_FR_DUMP_TEMP_FILE", "TORCH_NCCL_DEBUG_INFO_TEMP_FILE"});
  // A relative name is below a folder that the program may have left.
  if (!pipe.starts_with('/') || !dump.starts_with('/')) return {};
  return {.pipe = pipe + rank.ToString() + ".pipe", .dump = dump + rank.ToString()};
}

Environment ParseEnvironment(const std::vector<std::string>& block) {
  Environment environment;
  for (const std::string& entry : block) {
    const size_t equals = entry.find('=');
    if (equals == std::string::npos || equals == 0) continue;
    environment.try_emplace(entry.substr(0, equals), entry.substr(equals + 1));
  }
  return environment;
}

std::vector<std::string> ToBlock(const Environment& environment) {
  std::vector<std::string> block;
  block.reserve(environment.size());
  for (const auto& [name, value] : environment) block.push_back(name + "=" + value);
  return block;
}

}  // namespace lockstep::topology
