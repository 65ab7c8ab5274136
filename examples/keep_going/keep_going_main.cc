// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
//
// Ranks that go on without one that dies, in the same processes. Rank 1 kills itself in step 30:
//   lockstep run -np 4 --on-rank-failure keep bazel-bin/examples/keep_going/keep_going
#include <signal.h>

#include <cstdio>
#include <memory>

#include "collectives/group.h"
#include "collectives/work.h"
#include "runtime/base/result.h"
#include "runtime/rank/session.h"

namespace {

using lockstep::base::Status;
using lockstep::collectives::Dtype;
using lockstep::collectives::Group;
using lockstep::collectives::Reduction;

constexpr double kSteps = 100;

Status Run() {
  ASSIGN_OR_RETURN(const auto session, lockstep::rank::Session::Create());
  ASSIGN_OR_RETURN(std::shared_ptr<Group> group, session->WorldGroup());
  const int rank = session->world().rank.value();
  double done = 0;  // the state of the training: the same on all ranks after each step
  while (done < kSteps) {
    if (rank == 1 && done == 30) ::raise(SIGKILL);
    double next = done + 1;
    const Status status =
        group->AllReduce({&next, 1, Dtype::kF64}, {&next, 1, Dtype::kF64}, Reduction::kAverage)
            ->Wait();
    if (status.ok()) {
      done = next;
      continue;
    }
    std::printf("rank %d: %s\n", rank, status.ToString().c_str());
    ASSIGN_OR_RETURN(group, group->ShrinkToSurvivors());
    // Some may have ended the step well before it failed for others: all take the least that any
    // has.
    RETURN_IF_ERROR(
        group->AllReduce({&done, 1, Dtype::kF64}, {&done, 1, Dtype::kF64}, Reduction::kMin)
            ->Wait());
  }
  std::printf("rank %d: %.0f steps, the last with %d ranks\n", rank, done, group->size());
  return group->Barrier()->Wait();  // nobody leaves while another still needs it
}

}  // namespace

int main() {
  const Status status = Run();
  if (status.ok()) return 0;
  std::fprintf(stderr, "%s\n", status.ToString().c_str());
  return 1;
}
