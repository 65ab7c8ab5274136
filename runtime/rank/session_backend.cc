// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/rank/session_backend.h"

#include <link.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <string_view>
#include <system_error>
#include <utility>

#include "collectives/mpi/mpi_backend_maker.h"
#include "collectives/mpi/mpi_engine.h"
#include "collectives/nccl/gpu_libraries.h"
#include "collectives/nccl/nccl_group.h"
#include "collectives/nccl/nccl_runtime.h"
#include "runtime/proto/link_text.h"
#include "runtime/topology/foreign_rank.h"

namespace lockstep::rank {
namespace {

using topology::ForeignLauncher;

constexpr const char* kBackendVariable = "LOCKSTEP_JOB_BACKEND";
constexpr const char* kCheckVariable = "LOCKSTEP_JOB_CHECK";
constexpr const char* kEncryptVariable = "LOCKSTEP_JOB_ENCRYPT_DATA";
constexpr const char* kFlowsVariable = "LOCKSTEP_JOB_TCP_FLOWS";
constexpr const char* kLinkVariable = "LOCKSTEP_JOB_TCP_LINK";
constexpr int kFlowsMax = 16;  // as runtime/proto/job.proto has it
constexpr const char* kMpiLibraryVariable = "LOCKSTEP_MPI_LIBRARY";

/// "MICROSECONDS,GB_PER_SECOND".
base::Result<collectives::TcpLink> LinkOf(const RankEnvironment& environment) {
  const auto variable = environment.find(kLinkVariable);
  if (variable == environment.end() || variable->second.empty()) return collectives::TcpLink();
  const base::Result<proto::LinkFigures> figures = proto::ParseLinkFigures(variable->second);
  if (figures.ok())
    return collectives::TcpLink::Measured(figures->latency_us, figures->bytes_per_us);
  return base::InvalidArgumentError(std::string(kLinkVariable) + "=" + variable->second + " " +
                                    figures.status().message());
}

/// The first object is the program; one that names no interpreter is its own loader.
int FindInterpreter(dl_phdr_info* object, size_t, void* found) {
  for (int i = 0; i < object->dlpi_phnum; ++i) {
    if (object->dlpi_phdr[i].p_type == PT_INTERP) *static_cast<bool*>(found) = true;
  }
  return 1;  // no further object
}

/// Loading an object into a static program would bring a second libc.
base::Status CheckCanLoad(const std::string& what) {
  bool has_interpreter = false;
  ::dl_iterate_phdr(FindInterpreter, &has_interpreter);
  if (has_interpreter) return base::OkStatus();
  return base::FailedPreconditionError(
      what +
      ": this program is linked statically, and such a one can load no library; link it "
      "against glibc's shared objects, or use backend host");
}

std::string ProgramFolder() {
  std::error_code error;
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", error);
  return error ? "." : program.parent_path().string();
}

/// What mpirun or srun has said. `lockstep exec` and torchrun set RANK beside it, which says
/// nothing of an MPI.
base::Result<topology::ForeignRank> RankOfMpisLauncher(const RankEnvironment& environment) {
  if (!topology::HasLaunchersVariables(environment)) {
    return base::FailedPreconditionError(
        "backend mpi: no MPI's launcher has started this process, so its ranks could not meet "
        "there; start it with `lockstep run --backend mpi --mpi=pmix` (Open MPI; MPICH: pmi1), "
        "with "
        "`mpirun -np N lockstep exec --backend mpi -- PROGRAM`, or without an agent with `mpirun "
        "-np N PROGRAM`");
  }
  auto found = topology::FindForeignRank(environment);
  if (found.ok()) return found;
  return base::FailedPreconditionError("backend mpi: " + found.status().message());
}

/// "openmpi", "mpich"; "" where both could be meant.
std::string FamilyOf(ForeignLauncher launcher) {
  switch (launcher) {
    case ForeignLauncher::kOpenMpi:
    case ForeignLauncher::kPmix: return "openmpi";
    case ForeignLauncher::kPmi: return "mpich";
    case ForeignLauncher::kHorovod:
    case ForeignLauncher::kSlurm:
    case ForeignLauncher::kVariables: return "";
  }
  return "";
}

/// The device of a rank, of `count` that its process sees.
base::Result<int> DeviceOf(base::LocalRank local_rank, int count) {
  if (local_rank.value() < count) return static_cast<int>(local_rank.value());
  // One that only this process sees (CUDA_VISIBLE_DEVICES), or that NCCL is told to share.
  if (count == 1) return 0;
  return base::FailedPreconditionError(
      "backend nccl: there is no GPU for local rank " + local_rank.ToString() +
      ": its process sees " + std::to_string(count) +
      "; start at most one rank a GPU (--nproc-per-node gpu), or use backend host");
}

}  // namespace

base::Result<Backend> BackendOf(const SessionOptions& options, const RankEnvironment& environment) {
  if (options.backend) return *options.backend;
  const auto variable = environment.find(kBackendVariable);
  if (variable == environment.end() || variable->second.empty()) return Backend::kHost;
  for (const Backend backend : {Backend::kHost, Backend::kMpi, Backend::kNccl}) {
    if (BackendName(backend) == variable->second) return backend;
  }
  return base::InvalidArgumentError(std::string(kBackendVariable) + "=" + variable->second +
                                    " is no backend; it can be host, mpi or nccl");
}

base::Result<bool> ChecksCalls(const SessionOptions& options, const RankEnvironment& environment) {
  if (options.check_calls) return *options.check_calls;
  const auto variable = environment.find(kCheckVariable);
  if (variable == environment.end() || variable->second.empty()) return false;
  if (variable->second == "strict" || variable->second == "fast")
    return variable->second == "strict";
  return base::InvalidArgumentError(std::string(kCheckVariable) + "=" + variable->second +
                                    " must be fast or strict");
}

base::Result<DataPath> DataPathOf(const RankEnvironment& environment) {
  const auto number = [&](const char* name, int least, int greatest) -> base::Result<int> {
    const auto variable = environment.find(name);
    if (variable == environment.end() || variable->second.empty()) return least;
    const std::string& text = variable->second;
    int value = -1;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error == std::errc() && end == text.data() + text.size() && value >= least &&
        value <= greatest)
      return value;
    return base::InvalidArgumentError(std::string(name) + "=" + text + " must be " +
                                      std::to_string(least) + " to " + std::to_string(greatest));
  };
  ASSIGN_OR_RETURN(const int encrypts, number(kEncryptVariable, 0, 1));
  ASSIGN_OR_RETURN(const int flows, number(kFlowsVariable, 1, kFlowsMax));
  ASSIGN_OR_RETURN(const collectives::TcpLink link, LinkOf(environment));
  return DataPath{.encrypts = encrypts == 1, .flows = flows, .link = link};
}

base::Result<std::string> MpiLibraryOf(const RankEnvironment& environment) {
  const auto given = environment.find(kMpiLibraryVariable);
  if (given != environment.end() && !given->second.empty()) return given->second;
  ASSIGN_OR_RETURN(const topology::ForeignRank rank, RankOfMpisLauncher(environment));
  const std::string family = FamilyOf(rank.launcher);
  if (!family.empty()) return ProgramFolder() + "/liblockstep_mpi_" + family + ".so";
  return base::FailedPreconditionError(
      "backend mpi: " + std::string(ForeignLauncherName(rank.launcher)) +
      " has started this process and does not say for which MPI; set " + kMpiLibraryVariable +
      " to the path of liblockstep_mpi_openmpi.so or liblockstep_mpi_mpich.so");
}

base::Result<World> WorldOfLauncher(const RankEnvironment& environment) {
  ASSIGN_OR_RETURN(const topology::ForeignRank rank, RankOfMpisLauncher(environment));
  World world;
  world.rank = rank.rank;
  world.local_rank = rank.local_rank;
  world.world_size = rank.world_size;
  world.local_world_size = rank.local_world_size;
  return world;
}

base::Result<std::shared_ptr<collectives::BackendMaker>> StartMpi(const std::string& library,
                                                                  bool check_calls,
                                                                  base::Duration timeout) {
  RETURN_IF_ERROR(CheckCanLoad("loading MPI"));
  ASSIGN_OR_RETURN(auto engine,
                   collectives::MpiEngine::Start({.plugin = library, .start_timeout = timeout}));
  return std::shared_ptr<collectives::BackendMaker>(std::make_shared<collectives::MpiBackendMaker>(
      std::move(engine), collectives::MpiBackend::Config{.check_calls = check_calls}));
}

base::Result<std::shared_ptr<collectives::NcclRuntime>> StartNccl(
    std::shared_ptr<collectives::BoardSource> boards) {
  RETURN_IF_ERROR(CheckCanLoad("loading NCCL"));
  ASSIGN_OR_RETURN(auto libraries, collectives::GpuLibraries::Load({}));
  return std::make_shared<collectives::NcclRuntime>(collectives::NcclRuntime::Config{
      .libraries = std::move(libraries), .boards = std::move(boards)});
}

base::Result<std::shared_ptr<collectives::Group>> MakeNcclWorld(
    collectives::QueuedGroup::Config config, base::LocalRank local_rank, bool check_calls,
    std::shared_ptr<collectives::NcclRuntime> runtime) {
  const collectives::CudaFunctions& cuda = runtime->libraries().cuda();
  int count = 0;
  const collectives::CudaResult counted = cuda.get_device_count(&count);
  if (counted != collectives::kCudaSuccess || count == 0) {
    return base::FailedPreconditionError(
        "backend nccl: this machine shows this process no GPU (cudaGetDeviceCount: " +
        std::string(cuda.get_error_string(counted)) +
        "); run it where each rank has one, or use backend host");
  }
  ASSIGN_OR_RETURN(const int device, DeviceOf(local_rank, count));
  ASSIGN_OR_RETURN(auto group,
                   collectives::NcclGroup::Create({.spec = std::move(config.spec),
                                                   .device = device,
                                                   .timeout = config.timeout,
                                                   .join_timeout = config.join_timeout,
                                                   .recorder = std::move(config.recorder),
                                                   .check_calls = check_calls},
                                                  std::move(runtime)));
  return std::shared_ptr<collectives::Group>(std::move(group));
}

}  // namespace lockstep::rank
