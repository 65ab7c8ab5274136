// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include <benchmark/benchmark.h>
#include <stdlib.h>

#include <filesystem>
#include <string>
#include <vector>

#include "launcher/jobs/job_addresses.h"
#include "launcher/verbs/lost_jobs.h"
#include "runtime/net/unix_socket.h"

namespace lockstep::launcher {
namespace {

/// What each `lockstep` command pays while `range(0)` jobs run. Nobody accepts the connections
/// here, so the sockets are made anew before their backlogs fill.
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
  std::vector<base::UniqueFd> sockets(static_cast<size_t>(state.range(0)));
  int sweeps = 0;
  for ([[maybe_unused]] auto iteration : state) {
    if (!sockets.empty() && sweeps++ % 32 == 0) {
      state.PauseTiming();
      for (size_t i = 0; i < sockets.size(); ++i) {
        sockets[i].reset();
        auto socket = net::ListenUnix(ControlSocketPath(folder, "job-" + std::to_string(i)));
        if (!socket.ok()) ::abort();
        sockets[i] = *std::move(socket);
      }
      state.ResumeTiming();
    }
    SweepLostJobs(context);
  }
  std::filesystem::remove_all(folder);
}
BENCHMARK(BM_SweepLostJobs_NothingLost)->Arg(0)->Arg(1)->Arg(8);

}  // namespace
}  // namespace lockstep::launcher

BENCHMARK_MAIN();
