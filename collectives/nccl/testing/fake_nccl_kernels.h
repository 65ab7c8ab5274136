// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_NCCL_TESTING_FAKE_NCCL_KERNELS_H_
#define LOCKSTEP_COLLECTIVES_NCCL_TESTING_FAKE_NCCL_KERNELS_H_

#include <atomic>
#include <cstddef>
#include <optional>
#include <vector>

#include "collectives/nccl/nccl_abi.h"
#include "collectives/nccl/testing/fake_nccl_world.h"
#include "collectives/types.h"

namespace lockstep::collectives::testing {

/// One call of NCCL, as its kernel sees it.
struct FakeCall {
  OpKind kind = OpKind::kNone;
  const std::byte* in = nullptr;
  std::byte* out = nullptr;
  size_t count = 0;  // as in NCCL's call
  Dtype dtype = Dtype::kU8;
  Reduction reduction = Reduction::kNone;
  double scale = 1;
  int peer = -1;  // root or other end
};

/// Runs the calls of one launch, which all ranks make alike: the collectives one after the other,
/// then the sends and receives all at once. Returns early when `stop` is set.
void RunFakeKernel(FakeNcclWorld& world, int rank, const std::vector<FakeCall>& calls,
                   const std::atomic<bool>& stop);

/// Null of what the fake does not know.
std::optional<Dtype> FakeDtype(NcclDtype dtype);

}  // namespace lockstep::collectives::testing

#endif  // LOCKSTEP_COLLECTIVES_NCCL_TESTING_FAKE_NCCL_KERNELS_H_
