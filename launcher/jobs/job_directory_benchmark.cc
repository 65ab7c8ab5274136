// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include <benchmark/benchmark.h>
#include <stdlib.h>
#include <unistd.h>

#include <string>

#include "launcher/jobs/job_directory.h"
#include "launcher/jobs/jobs_root.h"

namespace lockstep::launcher {
namespace {

/// What `lockstep run` pays for its job directory before the first rank: root, folder, state, spec,
/// first round.
void BM_JobDirectory_Create(benchmark::State& state) {
  const char* temporary = ::getenv("TEST_TMPDIR");
  std::string home =
      std::string(temporary != nullptr ? temporary : "/tmp") + "/job_directory_XXXXXX";
  if (::mkdtemp(home.data()) == nullptr) ::abort();
  storage::RealFileSystem files;
  JobDirectory::NewJob job{.name = "bench", .name_is_users = true};
  job.state.set_command("./train --lr 0.1");
  const std::string spec(4096, 's');
  for ([[maybe_unused]] auto iteration : state) {
    const auto root = FindJobsRoot({.lockstep_home = home}, ::geteuid());
    const HostIdentity here = ThisHost();
    const auto self = IdentifyProcess(here, ::getpid());
    if (!root.ok() || !self.ok()) ::abort();
    *job.state.mutable_front() = *self;
    auto directory = JobDirectory::Create(root->path, job, here, files);
    if (!directory.ok() || !directory->WriteSpec(spec).ok() ||
        !directory->MakeRound(base::Round(0)).ok())
      ::abort();
    state.PauseTiming();
    if (!files.RemoveTree(directory->path()).ok()) ::abort();
    state.ResumeTiming();
  }
  (void)files.RemoveTree(home);
}
BENCHMARK(BM_JobDirectory_Create)->Unit(benchmark::kMicrosecond)->UseRealTime();

}  // namespace
}  // namespace lockstep::launcher

BENCHMARK_MAIN();
