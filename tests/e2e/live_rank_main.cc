// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// A rank that trains in step with the others, reports steps and samples, and after STEPS of them
// waits for rank 1, which is in a phase that does not end: live_rank STEPS.
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

#include "collectives/group.h"
#include "collectives/work.h"
#include "runtime/base/result.h"
#include "runtime/rank/session.h"

namespace {

using namespace lockstep;

base::Status Run(int64_t steps) {
  ASSIGN_OR_RETURN(const auto session, rank::Session::Create());
  ASSIGN_OR_RETURN(const auto group, session->WorldGroup());
  std::vector<float> values(1000, 1.0f);
  for (int64_t step = 1;; ++step) {
    if (step > steps && session->world().rank == base::Rank(1)) {
      const rank::Phase phase(*session, "checkpoint");
      while (!session->stop_requested())
        std::this_thread::sleep_for(std::chrono::milliseconds(50));  // tidy:allow sleep: the phase
      return base::OkStatus();
    }
    RETURN_IF_ERROR(group
                        ->AllReduce({values.data(), values.size()}, {values.data(), values.size()},
                                    collectives::Reduction::kSum)
                        ->Wait());
    session->ReportSamples(32);
    session->ReportProgress(step);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) return 100;
  const base::Status status = Run(std::atol(argv[1]));
  if (status.ok()) return 0;
  std::fprintf(stderr, "%s\n", status.ToString().c_str());
  return 1;
}
