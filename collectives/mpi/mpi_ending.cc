// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/mpi/mpi_ending.h"

#include <stdlib.h>
#include <unistd.h>

#include <cstdio>
#include <utility>

namespace lockstep::collectives {
namespace {

/// Never freed: it may be looked at any time.
struct ExitNotice {
  std::shared_ptr<const MpiEnding> ending;
  pid_t pid;
};

void EndProcess(int status, void* argument) {
  const auto* const notice = static_cast<const ExitNotice*>(argument);
  // A forked child has its own end.
  if (!notice->ending->left_open.load() || notice->pid != getpid()) return;
  std::fflush(nullptr);
  _exit(status == 0 && !notice->ending->outlived.load() ? kMpiLeftOpenExitCode : status);
}

}  // namespace

void EndProcessBy(std::shared_ptr<const MpiEnding> ending) {
  on_exit(&EndProcess, new ExitNotice{std::move(ending), getpid()});
}

}  // namespace lockstep::collectives
