// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_NCCL_NCCL_RUNTIME_H_
#define LOCKSTEP_COLLECTIVES_NCCL_NCCL_RUNTIME_H_

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "collectives/nccl/gpu_libraries.h"
#include "collectives/nccl/group_board.h"
#include "runtime/base/clock.h"
#include "runtime/base/status.h"

namespace lockstep::collectives {

/// How a process ends whose communicators did not: NCCL's abort hung, and with it every way out
/// that runs destructors of CUDA. Documented in docs/errors.md.
inline constexpr int kNcclStuckExitCode = 76;

/// What the runtime's threads look after: a group with ops in flight. Thread-safe.
class NcclWatched {
 public:
  virtual ~NcclWatched() = default;
  /// Gets on with what is in flight; calls into NCCL and CUDA. When an op was last called or ended;
  /// nullopt: nothing is in flight, and it is not to be called before the next Activate().
  virtual std::optional<base::SteadyTime> Progress() = 0;
  /// Looks at deadlines and at what the others say; never calls into NCCL or CUDA.
  virtual void Watch() = 0;
};

/// A call into NCCL that may never return, on a thread of its own. Thread-safe.
class NcclBoundedCall {
 public:
  /// Blocks: until the call has returned, at most `at_most`. Whether it has.
  bool WaitFor(base::Duration at_most);
  bool ended();

 private:
  friend class NcclRuntime;
  struct State;
  std::shared_ptr<State> state_;
};

/// What all NCCL groups of a process share: the libraries, the events, and two threads that work
/// while an op is in flight and sleep otherwise. One gets the groups on (progress) and may hang
/// with NCCL; the other (watch) calls no library and so keeps every deadline. Calls that are known
/// to hang, init and abort, get threads of their own; when such a call outlasts its limit the
/// process ends (Config::on_stuck), since nothing else ends a GPU's kernel that waits for ever.
///
/// Make one a process, and keep it as long as it has groups. Thread-safe.
class NcclRuntime {
 public:
  struct Config {
    std::shared_ptr<const GpuLibraries> libraries;
    std::shared_ptr<BoardSource> boards;
    /// Of an abort. Longer than a healthy one with thousands of connections; well below the 60 s
    /// after which an operator stops believing.
    base::Duration abort_limit = std::chrono::seconds(10);
    /// Called on the watch thread when an abort has outlasted its limit, with what was attempted.
    /// Default: says so on standard error and ends the process with kNcclStuckExitCode.
    std::function<void(const base::Status&)> on_stuck;
  };

  explicit NcclRuntime(Config config);
  /// The groups are gone. Does not wait for calls that hang.
  ~NcclRuntime();
  NcclRuntime(const NcclRuntime&) = delete;
  NcclRuntime& operator=(const NcclRuntime&) = delete;

  const GpuLibraries& libraries() const { return *config_.libraries; }
  BoardSource& boards() const { return *config_.boards; }
  base::Duration abort_limit() const { return config_.abort_limit; }

  /// Has the threads look after `watched` until its Progress() is false.
  void Activate(std::shared_ptr<NcclWatched> watched);

  enum class Limit { kNone, kAbort };
  /// Starts `call`; `what` is for the error when it outlasts the limit. What `call` holds lives
  /// until it returns, which may be never.
  NcclBoundedCall Start(std::string what, Limit limit, std::function<void()> call);
  /// Whether, after `at_most`, none of them is left nor a group that the threads look after: a
  /// process that ends earlier takes CUDA away under them. Blocks until then.
  bool AwaitIdle(base::Duration at_most);

  /// An event of `device`, which is current; null when CUDA has none left. Reused.
  CudaEvent TakeEvent(int device);
  void GiveEvent(int device, CudaEvent event);

 private:
  struct Shared;

  const Config config_;
  const std::shared_ptr<Shared> shared_;  // with the threads, one of which may be the last owner
};

/// Makes `device` the calling thread's for a scope, as every call of CUDA and NCCL wants.
class CudaDeviceScope {
 public:
  CudaDeviceScope(const GpuLibraries& libraries, int device);
  ~CudaDeviceScope();
  CudaDeviceScope(const CudaDeviceScope&) = delete;
  CudaDeviceScope& operator=(const CudaDeviceScope&) = delete;

 private:
  const GpuLibraries& libraries_;
  int before_ = -1;  // to be set again; -1 = nothing to do
};

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_NCCL_NCCL_RUNTIME_H_
