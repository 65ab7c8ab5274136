// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/bench/all_capabilities.h"

#include "collectives/engine/host_capabilities.h"
#include "collectives/mpi/mpi_capabilities.h"
#include "collectives/nccl/nccl_abi.h"
#include "collectives/nccl/nccl_capabilities.h"

namespace lockstep::launcher {

std::vector<collectives::Capabilities> AllCapabilities() {
  return {collectives::HostCapabilities("shm"), collectives::MessageCapabilities("tcp"),
          collectives::MessageCapabilities("wide"), collectives::MpiCapabilities(false),
          collectives::NcclCapabilities(collectives::kNcclNewest)};
}

}  // namespace lockstep::launcher
