// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_TOPOLOGY_ENVIRONMENT_H_
#define LOCKSTEP_RUNTIME_TOPOLOGY_ENVIRONMENT_H_

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/clock.h"
#include "runtime/base/ids.h"
#include "runtime/topology/world.h"

/// The one place where the environment of ranks is made; that of ranks which another launcher has
/// started stands beside it (adopted_environment.h). Pure functions, for any thread.
namespace lockstep::topology {

/// What a dump of PyTorch's flight recorder is called in a round's folder; the rank follows.
inline constexpr const char* kFlightDumpPrefix = "torch_trace_rank_";
/// And the named pipe there by which a rank is asked for it; the rank and ".pipe" follow.
inline constexpr const char* kFlightPipePrefix = "torch_ask_rank_";

/// Name to value; ordered, so that a block is the same each time it is made.
using Environment = std::map<std::string, std::string>;

/// What the ranks of a job have in common in one round.
struct JobFacts {
  std::string job_id;
  base::Round round;
  int restart_count = 0;
  int max_restarts = 0;
  std::string checkpoint_directory;  // LOCKSTEP_JOB_CHECKPOINT_DIR; "" = the job names none
  std::string backend;  // LOCKSTEP_JOB_BACKEND: "mpi", "nccl"; "" = the host's, which needs no word
  bool check_calls = false;      // LOCKSTEP_JOB_CHECK=strict
  bool encrypts_data = false;    // LOCKSTEP_JOB_ENCRYPT_DATA=1
  int tcp_flows = 1;             // LOCKSTEP_JOB_TCP_FLOWS, above 1
  std::string tcp_link;          // LOCKSTEP_JOB_TCP_LINK; "" = the ranks measure it
  base::Duration stop_grace{0};  // TERM to KILL when the user stops the job
  int node_cores = 1;            // in the affinity mask of this node's agent
  std::string home;  // of the user as the user database has it, for when HOME is not inherited
};

/// What is one rank's own.
struct RankFacts {
  RankPlace place;  // PlaceRanks(world)[rank], which the caller asks for once a round
  base::Incarnation incarnation;
  std::string socket_path;  // where it attaches to its agent; "" = nowhere
  std::string cookie;       // what it proves itself with there: a secret, redacted in every dump
  std::string error_file;   // where a Python program leaves its error: TORCHELASTIC_ERROR_FILE
};

/// The complete environment of one rank. Later sources win over earlier ones:
///   1. `inherited`, the environment of `lockstep run` less what configured it;
///   2. defaults: OMP_NUM_THREADS (the node's cores over its ranks, at least 1), HOME,
///      TORCH_NCCL_ASYNC_ERROR_HANDLING and its older name, TORCH_FR_BUFFER_SIZE and, beside the
///      rank's error file, TORCH_FR_DUMP_TEMP_FILE, by these and their older names,
///      TORCH_NCCL_DEBUG_INFO_PIPE_FILE and TORCH_NCCL_DUMP_ON_TIMEOUT;
///   3. `from_spec`, the job's own variables;
///   4. the world's variables (IsWorldVariable): RANK, WORLD_SIZE, MASTER_ADDR, TORCHELASTIC_*,
///      LOCKSTEP_* and the like. None of them is one that `lockstep run` reads, so that a run
///      inside a rank takes nothing of the outer job for its own. They win over the job's own,
///      since ranks that disagree on who they are meet nobody, or another job's ranks; one that
///      this world leaves unset (no socket) is taken out, whoever set it.
/// An inherited LOCKSTEP_MARK stays, and the process runner appends to it. PYTHONUNBUFFERED is left
/// alone: Python is started with -u.
Environment MakeRankEnvironment(const WorldSpec& world, const JobFacts& job, const RankFacts& rank,
                                const Environment& inherited, const Environment& from_spec);

/// Where PyTorch's ProcessGroupNCCL listens in a rank that has this environment, and where it
/// answers.
struct FlightFiles {
  std::string pipe;  // a FIFO, which it makes and reads once a second; what is written is no matter
  std::string dump;  // of its flight recorder, written anew for each time it is asked
};
/// Both empty: it cannot be told, since somebody has named them relative to some folder, or there
/// was no place for them.
FlightFiles FlightFilesOf(const Environment& environment, base::Rank rank);

/// True for the variables that say who a rank is and whom it meets, which Lockstep alone sets.
bool IsWorldVariable(std::string_view name);

/// Splits "NAME=VALUE" strings, as environ has them; what holds no '=' or no name is dropped, of
/// equal names the first stays (as getenv sees it).
Environment ParseEnvironment(const std::vector<std::string>& block);
/// "NAME=VALUE" strings, as execve wants them.
std::vector<std::string> ToBlock(const Environment& environment);

}  // namespace lockstep::topology

#endif  // LOCKSTEP_RUNTIME_TOPOLOGY_ENVIRONMENT_H_
