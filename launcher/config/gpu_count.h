// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_CONFIG_GPU_COUNT_H_
#define LOCKSTEP_LAUNCHER_CONFIG_GPU_COUNT_H_

#include <string>

#include "runtime/topology/environment.h"

namespace lockstep::launcher {

/// GPUs that a program started here would see: the device nodes nvidia0, nvidia1 ... in
/// `device_folder` (/dev), or what CUDA_VISIBLE_DEVICES leaves of them. Needs no driver library.
/// Any thread; blocks on one small folder.
int GpuCount(const std::string& device_folder, const topology::Environment& environment);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_CONFIG_GPU_COUNT_H_
