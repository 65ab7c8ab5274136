// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// lockstep-bench-nccl SOCKET GANG: a rank that `lockstep bench` measures, started by `lockstep
// run`.
#include <cstdio>
#include <cstdlib>

#include "launcher/bench/ranks/nccl_rank.h"

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: lockstep-bench-nccl SOCKET GANG; lockstep bench starts it\n");
    return 64;
  }
  const lockstep::base::Status served =
      lockstep::launcher::ServeAsNcclRank(argv[1], std::atoi(argv[2]));
  if (served.ok()) return 0;
  std::fprintf(stderr, "lockstep-bench-nccl: %s\n", served.ToString().c_str());
  return 1;
}
