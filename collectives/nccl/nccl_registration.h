// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_NCCL_NCCL_REGISTRATION_H_
#define LOCKSTEP_COLLECTIVES_NCCL_NCCL_REGISTRATION_H_

#include <cstddef>
#include <memory>

#include "collectives/group.h"
#include "collectives/nccl/communicator.h"
#include "runtime/base/clock.h"
#include "runtime/base/result.h"

namespace lockstep::collectives {

/// Memory that NCCL knows: it keeps what it has found out about it, and its ops go without copies
/// through buffers of its own where it can. Thread-safe.
class NcclRegistration final : public Registration {
 public:
  /// Local. Blocks: while another thread is in the communicator, at most `timeout`. Errors:
  /// Unimplemented - before NCCL 2.19; DeadlineExceeded; those of NcclStatus; FailedPrecondition -
  /// the communicator is dead.
  static base::Result<std::unique_ptr<Registration>> Make(
      std::shared_ptr<Communicator> communicator, void* memory, size_t bytes,
      base::Duration timeout);
  /// Blocks: at most a second while another thread is in the communicator, which frees it when it
  /// ends.
  ~NcclRegistration() override;

 private:
  NcclRegistration(std::shared_ptr<Communicator> communicator, void* handle)
      : communicator_(std::move(communicator)), handle_(handle) {}

  const std::shared_ptr<Communicator> communicator_;
  void* const handle_;
};

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_NCCL_NCCL_REGISTRATION_H_
