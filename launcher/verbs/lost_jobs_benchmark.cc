// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include <benchmark/benchmark.h>
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "launcher/jobs/job_directory.h"
#include "launcher/verbs/lost_jobs.h"

namespace lockstep::launcher {
namespace {

/// What each `lockstep` command pays while `range(0)` jobs run.
void BM_SweepLostJobs_NothingLost(benchmark::State& state) {
  std::string folder = "/tmp/lockstep-sweep-XXXXXX";
  if (::mkdtemp(folder.data()) == nullptr) ::abort();
  storage::RealFileSystem files;
  const base::RealClock clock;
  const VerbContext context{.jobs_root = folder,
                            .socket_directory = folder,
                            .here = ThisHost(),
                            .clock = clock,
                            .files = files,
                            .out = stdout,
                            .err = stderr};
  const auto self = IdentifyProcess(context.here, ::getpid());
  if (!self.ok()) ::abort();
  JobDirectory::NewJob job{.name = "job"};
  job.state.set_phase(proto::JOB_PHASE_RUNNING);
  *job.state.mutable_front() = *self;
  for (int i = 0; i < state.range(0); ++i) {
    job.seed = static_cast<uint64_t>(i);
    if (!JobDirectory::Create(folder, job, context.here, files).ok()) ::abort();
  }
  for ([[maybe_unused]] auto iteration : state) SweepLostJobs(context);
  std::filesystem::remove_all(folder);
}
BENCHMARK(BM_SweepLostJobs_NothingLost)->Arg(0)->Arg(1)->Arg(8);

}  // namespace
}  // namespace lockstep::launcher

BENCHMARK_MAIN();
