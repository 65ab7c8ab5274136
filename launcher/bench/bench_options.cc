// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/bench/bench_options.h"

namespace lockstep::launcher {

std::string BenchBackendName(BenchBackend backend) {
  switch (backend) {
    case BenchBackend::kHost: return "host";
    case BenchBackend::kTcp: return "tcp";
    case BenchBackend::kMpi: return "mpi";
    case BenchBackend::kNccl: return "nccl";
    case BenchBackend::kWide: return "wide";
    case BenchBackend::kOpenMpi: return "openmpi";
    case BenchBackend::kMpich: return "mpich";
    case BenchBackend::kGloo: return "gloo";
    case BenchBackend::kFloor: return "floor";
  }
  return "";
}

}  // namespace lockstep::launcher
