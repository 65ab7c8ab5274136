// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_DIAGNOSIS_STACKS_GPU_LOOKS_H_
#define LOCKSTEP_LAUNCHER_DIAGNOSIS_STACKS_GPU_LOOKS_H_

#include <string>
#include <vector>

#include "runtime/proto/stacks.pb.h"

namespace lockstep::launcher {

/// Where NVML is found: as the NVIDIA driver installs it.
inline constexpr char kNvmlFile[] = "libnvidia-ml.so.1";

/// Adds to each what NVML says of the GPUs that it computes on, and of those that have a fault
/// whoever uses them; at most 64. Nothing where no NVML is, where it does not start, and in a
/// program that is linked statically. Blocks: NVML has no deadlines, and takes a second to start
/// where no other program keeps the driver awake; whoever calls ends the process when its time is
/// over. Any thread.
void AddGpus(std::vector<proto::ProcessStacks>& seen, const std::string& nvml_file = kNvmlFile);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_DIAGNOSIS_STACKS_GPU_LOOKS_H_
