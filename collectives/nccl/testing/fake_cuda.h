// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_NCCL_TESTING_FAKE_CUDA_H_
#define LOCKSTEP_COLLECTIVES_NCCL_TESTING_FAKE_CUDA_H_

#include <functional>

#include "collectives/nccl/nccl_abi.h"

namespace lockstep::collectives::testing {

/// The half of the fake GPU that the fake NCCL stands on. Streams are queues that a thread each
/// works off in order; the memory of the eight devices is main memory. Thread-safe.

/// Puts `kernel` on `stream`, as a launch does.
void LaunchFakeKernel(CudaStream stream, std::function<void()> kernel);

/// Of streams, events and allocations that were made and not given back.
int FakeCudaObjects();

}  // namespace lockstep::collectives::testing

#endif  // LOCKSTEP_COLLECTIVES_NCCL_TESTING_FAKE_CUDA_H_
