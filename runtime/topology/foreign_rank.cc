// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/topology/foreign_rank.h"

#include <charconv>
#include <initializer_list>
#include <vector>

#include "runtime/topology/slurm_tasks.h"

namespace lockstep::topology {
namespace {

/// The names of a launcher that says everything in four variables.
struct VariableSet {
  ForeignLauncher launcher;
  const char* rank;
  const char* size;
  const char* local_rank;
  const char* local_size;
};

constexpr VariableSet kHorovodSet = {ForeignLauncher::kHorovod, "HOROVOD_RANK", "HOROVOD_SIZE",
                                     "HOROVOD_LOCAL_RANK", "HOROVOD_LOCAL_SIZE"};
constexpr VariableSet kOpenMpiSet = {ForeignLauncher::kOpenMpi, "OMPI_COMM_WORLD_RANK",
                                     "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK",
                                     "OMPI_COMM_WORLD_LOCAL_SIZE"};
constexpr VariableSet kPmiSet = {ForeignLauncher::kPmi, "PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID",
                                 "MPI_LOCALNRANKS"};
constexpr VariableSet kVariablesSet = {ForeignLauncher::kVariables, "RANK", "WORLD_SIZE",
                                       "LOCAL_RANK", "LOCAL_WORLD_SIZE"};

/// Slurm's own steps (slurm.h: SLURM_INTERACTIVE_STEP and those above): the shells of salloc and
/// sbatch, which are no ranks.
constexpr uint64_t kFirstSpecialStep = 0xfffffffa;

const std::string* Find(const Environment& environment, const char* name) {
  const auto found = environment.find(name);
  return found == environment.end() ? nullptr : &found->second;
}

std::string Get(const Environment& environment, const char* name) {
  const std::string* value = Find(environment, name);
  return value != nullptr ? *value : "";
}

const char* FirstSet(const Environment& environment, std::initializer_list<const char*> names) {
  for (const char* name : names) {
    if (Find(environment, name) != nullptr) return name;
  }
  return *names.begin();
}

bool IsThere(const VariableSet& set, const Environment& environment) {
  return Find(environment, set.rank) != nullptr || Find(environment, set.size) != nullptr;
}

bool IsInSlurmStep(const Environment& environment) {
  const std::string* step = Find(environment, "SLURM_STEP_ID");
  if (step == nullptr) return false;
  uint64_t number = 0;
  const char* last = step->data() + step->size();
  const auto [end, error] = std::from_chars(step->data(), last, number);
  return error != std::errc() || end != last || number < kFirstSpecialStep;
}

base::Status PlaceError(ForeignLauncher launcher, const std::string& what) {
  return base::InvalidArgumentError("read this rank's place as " +
                                    std::string(ForeignLauncherName(launcher)) +
                                    " has set it: " + what);
}

std::string Shown(const Environment& environment, const char* name) {
  return std::string(name) + "=" + Get(environment, name).substr(0, 60);
}

/// nullopt when it is not set.
base::Result<std::optional<int>> NumberOf(ForeignLauncher launcher, const Environment& environment,
                                          const char* name) {
  const std::string* text = Find(environment, name);
  if (text == nullptr) return std::optional<int>();
  int number = -1;
  const char* last = text->data() + text->size();
  const auto [end, error] = std::from_chars(text->data(), last, number);
  if (error == std::errc() && end == last && number >= 0) return std::optional<int>(number);
  return PlaceError(launcher, Shown(environment, name) + " is no number from 0 up; correct it");
}

base::Status MissingError(ForeignLauncher launcher, const Environment& environment,
                          std::initializer_list<const char*> names) {
  std::string set;
  std::string missing;
  for (const char* name : names) {
    const bool is_set = Find(environment, name) != nullptr;
    std::string& list = is_set ? set : missing;
    if (!list.empty()) list += ", ";
    list += is_set ? Shown(environment, name) : name;
  }
  const std::string cure =
      launcher == ForeignLauncher::kVariables
          ? "; whoever sets RANK sets all of RANK, WORLD_SIZE, LOCAL_RANK and LOCAL_WORLD_SIZE"
          : "; something between has dropped it (env, sudo, ssh, a container): hand it on, or "
            "unset "
            "the others and set RANK, WORLD_SIZE, LOCAL_RANK and LOCAL_WORLD_SIZE";
  return PlaceError(launcher, set + " is there, and not " + missing + cure);
}

base::Status CheckRanges(const ForeignRank& rank) {
  const int place = rank.rank.value();
  const int local_place = rank.local_rank.value();
  const std::string shown =
      "rank " + std::to_string(place) + " of " + std::to_string(rank.world_size) + ", local rank " +
      std::to_string(local_place) + " of " + std::to_string(rank.local_world_size);
  const bool right = place < rank.world_size && local_place < rank.local_world_size &&
                     rank.local_world_size <= rank.world_size;
  if (right) return base::OkStatus();
  return PlaceError(rank.launcher, shown +
                                       ": a rank lies below its count, and a node has no more "
                                       "ranks than the world; correct what sets them");
}

// ----------------------------------------------------------------------------------- each launcher

base::Result<ForeignRank> FromSet(const VariableSet& set, const Environment& environment) {
  ASSIGN_OR_RETURN(const auto rank, NumberOf(set.launcher, environment, set.rank));
  ASSIGN_OR_RETURN(const auto size, NumberOf(set.launcher, environment, set.size));
  ASSIGN_OR_RETURN(const auto local_rank, NumberOf(set.launcher, environment, set.local_rank));
  ASSIGN_OR_RETURN(const auto local_size, NumberOf(set.launcher, environment, set.local_size));
  const bool alone = size == 1 && !local_rank && !local_size;
  if (!rank || !size || (!alone && (!local_rank || !local_size))) {
    return MissingError(set.launcher, environment,
                        {set.rank, set.size, set.local_rank, set.local_size});
  }
  ForeignRank found;
  found.launcher = set.launcher;
  found.rank = base::Rank(*rank);
  found.world_size = *size;
  found.local_rank = base::LocalRank(local_rank.value_or(0));
  found.local_world_size = local_size.value_or(1);
  found.rank_variable = set.rank;
  RETURN_IF_ERROR(CheckRanges(found));
  return found;
}

base::Result<ForeignRank> FromVariables(const Environment& environment) {
  ASSIGN_OR_RETURN(ForeignRank found, FromSet(kVariablesSet, environment));
  // torchrun's names; a loop seldom sets them.
  ASSIGN_OR_RETURN(const auto node, NumberOf(found.launcher, environment, "GROUP_RANK"));
  ASSIGN_OR_RETURN(const auto nodes, NumberOf(found.launcher, environment, "GROUP_WORLD_SIZE"));
  if (node && nodes && *node < *nodes) {
    found.node_index = base::NodeIndex(*node);
    found.node_count = nodes;
  }
  const std::string address = Get(environment, "MASTER_ADDR");
  const std::string port = Get(environment, "MASTER_PORT");
  // Two live jobs cannot have the same place to meet.
  if (!address.empty() && !port.empty()) found.job_key = "master " + address + " " + port;
  return found;
}

base::Result<ForeignRank> FromSlurm(const Environment& environment) {
  constexpr ForeignLauncher kSlurm = ForeignLauncher::kSlurm;
  // The step's own values: those of the job may be a batch script's wish, and wrong here.
  const char* const size_name =
      FirstSet(environment, {"SLURM_STEP_NUM_TASKS", "SLURM_NTASKS", "SLURM_NPROCS"});
  const char* const tasks_name =
      FirstSet(environment, {"SLURM_STEP_TASKS_PER_NODE", "SLURM_TASKS_PER_NODE"});
  ASSIGN_OR_RETURN(const auto rank, NumberOf(kSlurm, environment, "SLURM_PROCID"));
  ASSIGN_OR_RETURN(const auto size, NumberOf(kSlurm, environment, size_name));
  ASSIGN_OR_RETURN(const auto local_rank, NumberOf(kSlurm, environment, "SLURM_LOCALID"));
  ASSIGN_OR_RETURN(const auto node, NumberOf(kSlurm, environment, "SLURM_NODEID"));
  if (!rank || !size || !local_rank || !node || Find(environment, tasks_name) == nullptr) {
    return MissingError(kSlurm, environment,
                        {"SLURM_PROCID", size_name, "SLURM_LOCALID", "SLURM_NODEID", tasks_name});
  }
  const auto tasks = ParseSlurmTasks(Get(environment, tasks_name), *node);
  if (!tasks.ok()) return PlaceError(kSlurm, tasks_name + (": " + tasks.status().message()));
  if (tasks->total != *size) {
    return PlaceError(kSlurm, Shown(environment, tasks_name) + " are " +
                                  std::to_string(tasks->total) + " tasks, and " +
                                  Shown(environment, size_name) +
                                  "; start the ranks with srun, which sets those of its step");
  }
  ForeignRank found;
  found.launcher = kSlurm;
  found.rank = base::Rank(*rank);
  found.world_size = *size;
  found.local_rank = base::LocalRank(*local_rank);
  found.local_world_size = tasks->on_node;
  found.node_index = base::NodeIndex(*node);
  found.node_count = tasks->node_count;
  // With the node, since several of them may be one host (slurmd -N), each with ranks of its own.
  found.job_key = "slurm " + Get(environment, "SLURM_JOB_ID") + "." +
                  Get(environment, "SLURM_STEP_ID") + " node " + found.node_index->ToString();
  found.rank_variable = "SLURM_PROCID";
  RETURN_IF_ERROR(CheckRanges(found));
  return found;
}

base::Status CheckSameRank(const ForeignRank& told, const Environment& environment,
                           const char* name) {
  if (Get(environment, name) == told.rank.ToString()) return base::OkStatus();
  return PlaceError(told.launcher, Shown(environment, name) + ", and " + told.rank_variable + "=" +
                                       told.rank.ToString() +
                                       "; unset the variables that another launcher has left");
}

/// srun --mpi=pmi2 sets two of the four; the others are in the step's variables.
base::Result<ForeignRank> FromPmi(const Environment& environment) {
  const bool has_local = Find(environment, kPmiSet.local_rank) != nullptr;
  if (has_local || !IsInSlurmStep(environment)) return FromSet(kPmiSet, environment);
  ASSIGN_OR_RETURN(ForeignRank found, FromSlurm(environment));
  RETURN_IF_ERROR(CheckSameRank(found, environment, kPmiSet.rank));
  return found;
}

/// What Open MPI's and PRRTE's daemons and Slurm's plug-in call the job, and where the daemon of
/// this node answers: two jobs have one name when their launchers' pids are equal in 16 bits.
std::string PmixKey(const Environment& environment) {
  const std::string name = Get(environment, "PMIX_NAMESPACE");
  if (name.empty()) return "";
  return "pmix " + name + " " +
         Get(environment,
             FirstSet(environment, {"PMIX_SERVER_URI41", "PMIX_SERVER_URI4", "PMIX_SERVER_URI3",
                                    "PMIX_SERVER_URI21", "PMIX_SERVER_URI2"}));
}

base::Result<ForeignRank> FromPmix(const Environment& environment) {
  constexpr const char* kRank = "PMIX_RANK";
  if (!IsInSlurmStep(environment) && !IsThere(kVariablesSet, environment)) {
    return PlaceError(ForeignLauncher::kPmix,
                      Shown(environment, kRank) +
                          " is there, and nothing says of how many; start the ranks with mpirun or "
                          "srun, or set RANK, WORLD_SIZE, LOCAL_RANK and LOCAL_WORLD_SIZE too");
  }
  ASSIGN_OR_RETURN(ForeignRank found, IsInSlurmStep(environment) ? FromSlurm(environment)
                                                                 : FromVariables(environment));
  RETURN_IF_ERROR(CheckSameRank(found, environment, kRank));
  if (const std::string key = PmixKey(environment); !key.empty()) found.job_key = key;
  found.launcher = ForeignLauncher::kPmix;
  found.rank_variable = kRank;
  return found;
}

base::Result<ForeignRank> FromOpenMpi(const Environment& environment) {
  ASSIGN_OR_RETURN(ForeignRank found, FromSet(kOpenMpiSet, environment));
  found.job_key = PmixKey(environment);
  return found;
}

base::Result<ForeignRank> FromHorovod(const Environment& environment) {
  ASSIGN_OR_RETURN(ForeignRank found, FromSet(kHorovodSet, environment));
  const std::string address = Get(environment, "HOROVOD_GLOO_RENDEZVOUS_ADDR");
  const std::string port = Get(environment, "HOROVOD_GLOO_RENDEZVOUS_PORT");
  if (!address.empty() && !port.empty()) found.job_key = "horovod " + address + " " + port;
  return found;
}

base::Status NoLauncherError(const Environment& environment) {
  const bool in_slurm_job = Find(environment, "SLURM_JOB_ID") != nullptr;
  return base::InvalidArgumentError(
      "no launcher has given this process a place: none of HOROVOD_RANK, OMPI_COMM_WORLD_RANK, "
      "PMI_RANK, PMIX_RANK, SLURM_PROCID in a step (SLURM_STEP_ID) and RANK is set; " +
      std::string(in_slurm_job ? "this is the shell of a Slurm job: write srun in front, or "
                               : "start it with mpirun, srun or a loop that sets RANK, WORLD_SIZE, "
                                 "LOCAL_RANK and LOCAL_WORLD_SIZE, or ") +
      "let Lockstep start the ranks: lockstep run -np N PROGRAM");
}

base::Result<ForeignRank> FromFirstSet(const Environment& environment) {
  if (IsThere(kHorovodSet, environment)) return FromHorovod(environment);
  if (IsThere(kOpenMpiSet, environment)) return FromOpenMpi(environment);
  if (IsThere(kPmiSet, environment)) return FromPmi(environment);
  if (Find(environment, "PMIX_RANK") != nullptr) return FromPmix(environment);
  if (IsInSlurmStep(environment)) return FromSlurm(environment);
  if (IsThere(kVariablesSet, environment)) return FromVariables(environment);
  return NoLauncherError(environment);
}

}  // namespace

std::string_view ForeignLauncherName(ForeignLauncher launcher) {
  switch (launcher) {
    case ForeignLauncher::kHorovod: return "horovodrun";
    case ForeignLauncher::kOpenMpi: return "mpirun (Open MPI)";
    case ForeignLauncher::kPmi: return "mpiexec (PMI)";
    case ForeignLauncher::kPmix: return "a PMIx launcher";
    case ForeignLauncher::kSlurm: return "srun";
    case ForeignLauncher::kVariables: return "a launcher that sets RANK";
  }
  return "";
}

base::Result<ForeignRank> FindForeignRank(const Environment& environment) {
  ASSIGN_OR_RETURN(ForeignRank found, FromFirstSet(environment));
  if (found.world_size == 1 && found.launcher != ForeignLauncher::kVariables) {
    const auto others = NumberOf(ForeignLauncher::kVariables, environment, kVariablesSet.size);
    if (others.ok() && others->value_or(1) > 1 &&
        Find(environment, kVariablesSet.rank) != nullptr) {
      return PlaceError(found.launcher,
                        "it is alone, but " + Shown(environment, kVariablesSet.rank) + " and " +
                            Shown(environment, kVariablesSet.size) + "; unset " +
                            found.rank_variable +
                            " and its like, or RANK and WORLD_SIZE, whichever are not meant");
    }
  }
  if (found.is_on_one_node()) {
    found.node_index = base::NodeIndex(0);
    found.node_count = 1;
  }
  return found;
}

bool HasLaunchersVariables(const Environment& environment) {
  return IsThere(kHorovodSet, environment) || IsThere(kOpenMpiSet, environment) ||
         IsThere(kPmiSet, environment) || Find(environment, "PMIX_RANK") != nullptr ||
         IsInSlurmStep(environment);
}

}  // namespace lockstep::topology
