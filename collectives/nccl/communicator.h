// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_NCCL_COMMUNICATOR_H_
#define LOCKSTEP_COLLECTIVES_NCCL_COMMUNICATOR_H_

#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "collectives/engine/op_deadline.h"
#include "collectives/nccl/nccl_runtime.h"
#include "runtime/base/result.h"

namespace lockstep::collectives {

/// One NCCL communicator that does not block, with its stream. Made by Make(), shared by its lane
/// and by the threads that abort or retire it, which may hang. States:
///
///   ready --a call says in progress--> in progress --Poll()--> ready
///   ready, in progress --Abort()--> dead        (Revoke() first, where NCCL has it)
///   ready --Retire()--> dead
///
/// Threads: whoever holds call_mutex(): NCCL wants one thread at a time. Abort() and Retire() take
/// it themselves.
class Communicator {
 public:
  struct Config {
    std::shared_ptr<NcclRuntime> runtime;
    int device = 0;
    std::string name;  // "group world", for errors
    int rank = 0;
    int size = 1;
    size_t scratch_bytes = 0;  // of memory that host and device reach
  };
  /// The NCCL call that makes it. Both may be null in what it is given: a library writes the
  /// communicator when it likes, until it says that it is done.
  using Begin = std::function<NcclResult(NcclComm* made, NcclConfig* config)>;

  /// Runs `begin` and waits until the communicator is ready. NCCL itself has no limit here, and its
  /// environment (NCCL_COMM_BLOCKING=1) can make the call itself block: so it runs on a thread of
  /// its own, which is told to abort when the time is up. `parent`, if not null, is whose
  /// ncclCommGetAsyncError says when the child is there; its call_mutex() is held meanwhile.
  /// `stop` is asked while waiting: an error ends it. Blocks: at most `deadline`. Errors:
  /// DeadlineExceeded; those of NcclStatus; what `stop` said.
  static base::Result<std::shared_ptr<Communicator>> Make(
      const Config& config, const Begin& begin, std::shared_ptr<Communicator> parent,
      const OpDeadline& deadline, const std::function<base::Status()>& stop);
  ~Communicator();
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;

  const Config& config() const { return config_; }
  std::mutex& call_mutex() { return call_mutex_; }

  bool dead() const { return dead_.load(std::memory_order_acquire); }
  /// Until it is dead.
  std::byte* scratch() const { return scratch_; }

  // With call_mutex() held:
  NcclComm comm() const { return comm_; }  // null once dead
  CudaStream stream() const { return stream_; }
  bool revoked() const { return revoked_; }
  /// NCCL's state now: kNcclSuccess, kNcclInProgress or what went wrong.
  NcclResult Poll() const;

  /// Ends what is in flight, for good. Blocks: as long as NCCL does, which may be for ever.
  void Abort();
  /// Ends what is in flight and keeps the communicator for a shrink. Errors: NCCL's; Abort() then.
  base::Status Revoke();
  /// Ends a healthy one that has nothing in flight. Blocks as Abort(), and until the others' ends
  /// of this machine have come, at most `patience`; 0 aborts it.
  void Retire(base::Duration patience);

 private:
  explicit Communicator(const Config& config) : config_(config) {}
  struct Making;
  static void RunMaking(const std::shared_ptr<Making>& making);
  const GpuLibraries& libraries() const { return config_.runtime->libraries(); }
  base::Status Prepare();
  void Release();

  const Config config_;
  std::atomic<bool> dead_{false};
  std::mutex call_mutex_;
  // Guarded by call_mutex_:
  NcclComm comm_ = nullptr;
  CudaStream stream_ = nullptr;
  std::byte* scratch_ = nullptr;  // set before it is ready
  bool revoked_ = false;
  // Children that were given up before the library wrote their pointers, which it may still do.
  std::vector<std::shared_ptr<Communicator>> orphans_;
};

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_NCCL_COMMUNICATOR_H_
