// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_NCCL_TESTING_FAKE_NCCL_COMM_H_
#define LOCKSTEP_COLLECTIVES_NCCL_TESTING_FAKE_NCCL_COMM_H_

#include <atomic>
#include <functional>
#include <map>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "collectives/nccl/nccl_abi.h"
#include "collectives/nccl/testing/fake_nccl_faults.h"
#include "collectives/nccl/testing/fake_nccl_kernels.h"
#include "collectives/nccl/testing/fake_nccl_world.h"

namespace lockstep::collectives {

/// A communicator of the fake: what NCCL's callers hold as an opaque pointer. Made by the library's
/// calls, deleted by its destroy or abort. Atomics are of any thread, what is said to be the
/// caller's of the one thread that may call.
struct NcclCommTag {
  NcclCommTag(std::string its_name, int its_rank, int its_size, bool its_calls_block = false);
  ~NcclCommTag();
  /// That exist in this library.
  static int count();

  /// Whether that fault is this communicator's now.
  bool Strikes(testing::FakeFault testing::FakeFaults::* fault) const;
  /// Its init: in progress until all ranks have come.
  void Begin();
  /// Of one that blocks: until its init or its split is over. How that ended.
  NcclResult AwaitState() const;
  void AwaitKernels() const;
  /// Puts a launch on the stream.
  void Put(CudaStream stream, std::vector<testing::FakeCall> calls);

  const std::string name;
  const int rank;
  const bool blocks;
  testing::FakeNcclWorld world;
  std::atomic<NcclResult> state{kNcclInProgress};
  std::atomic<bool> stop{false};
  std::atomic<int> kernels{0};
  std::atomic<bool> in_call{false};
  std::thread helper;  // of init, or of the making of a child
  // Of the one thread that may call:
  int launches = 0;
  int children = 0;  // of splits
  /// By whom they leave out: as in NCCL, who is left out of one need not know of it.
  std::map<std::string, int> shrinks;
  bool revoked = false;
  bool connected = false;
  int polls_left = 0;             // until what is pending gets on the stream
  std::function<void()> pending;  // may be empty
  std::vector<std::pair<NcclDtype, double>> reductions;
};

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_NCCL_TESTING_FAKE_NCCL_COMM_H_
