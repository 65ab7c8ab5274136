// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// A rank that reports steps and then fails: progress_rank STEPS STEPS... says for each round how
// many steps it completes (the last number holds for all further rounds); a round with a negative
// number reports that many, less the sign, and exits 0.
#include <cstdio>
#include <cstdlib>

#include "runtime/rank/session.h"

int main(int argc, char** argv) {
  const auto session = lockstep::rank::Session::Create();
  if (!session.ok() || argc < 2) return 100;
  const int round = (*session)->world().restart_count;
  const long steps = std::atol(argv[round + 1 < argc ? round + 1 : argc - 1]);
  (*session)->ReportProgress(std::labs(steps));
  if (steps < 0) return 0;
  std::fprintf(stderr, "ValueError: shapes do not match in step %ld\n", steps);
  return 1;
}
