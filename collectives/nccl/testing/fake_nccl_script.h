// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_NCCL_TESTING_FAKE_NCCL_SCRIPT_H_
#define LOCKSTEP_COLLECTIVES_NCCL_TESTING_FAKE_NCCL_SCRIPT_H_

#include <mutex>

#include "collectives/nccl/testing/fake_nccl_faults.h"

namespace lockstep::collectives::testing {

/// The faults in force in one fake library: the last script that it was told, at first that of the
/// environment. Each library has its own. Thread-safe.
class FakeScript {
 public:
  static FakeScript& Get();
  void Set(const char* text);
  FakeFaults faults();

 private:
  FakeScript();
  std::mutex mutex_;
  FakeFaults faults_;  // guarded by mutex_
};

/// Ends the process: its caller did what NCCL forbids.
[[noreturn]] void FakeDie(const char* what);

}  // namespace lockstep::collectives::testing

#endif  // LOCKSTEP_COLLECTIVES_NCCL_TESTING_FAKE_NCCL_SCRIPT_H_
