// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_NCCL_NCCL_GROUP_H_
#define LOCKSTEP_COLLECTIVES_NCCL_NCCL_GROUP_H_

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "collectives/engine/backend.h"
#include "collectives/group.h"
#include "collectives/nccl/nccl_engine.h"
#include "collectives/nccl/nccl_runtime.h"
#include "collectives/recorder/recorder.h"
#include "runtime/attach/fork_guard.h"
#include "runtime/base/result.h"

namespace lockstep::collectives {

/// The Group over NCCL, for buffers on a GPU. Ops go on streams of the group's own, behind what
/// OpOptions::stream has at the call; a Work ends when its op has left the stream, and waiting for
/// it is a wait of the host. Any number may exist; a process may hold several members of one group
/// (tests run ranks as threads). In a forked child every op is FailedPrecondition and destruction
/// touches nothing.
///
/// What differs from host backends: unless `check_calls` members do not compare their calls, so
/// that calls that differ end as NCCL makes them end, mostly at their deadline. A split that fails
/// inside of NCCL ends this group, too. No AllocBuffer. Members of different groups on one GPU
/// share it: NCCL wants all ranks to call on them in one order.
///
///   ASSIGN_OR_RETURN(auto libraries, GpuLibraries::Load({}));
///   auto runtime = std::make_shared<NcclRuntime>(NcclRuntime::Config{libraries, boards});
///   ASSIGN_OR_RETURN(auto group, NcclGroup::Create({.spec = {...}, .device = 0}, runtime));
///   const Device gpu{Device::Kind::kCuda, 0};
///   RETURN_IF_ERROR(group->AllReduce({in, n, Dtype::kBf16, gpu}, {out, n, Dtype::kBf16, gpu},
///                                    Reduction::kSum, {.stream = mine})->Wait());
class NcclGroup final : public Group {
 public:
  struct Config {
    GroupSpec spec;
    int device = 0;                                      // of CUDA, in this process
    base::Duration timeout = std::chrono::seconds(300);  // of ops that name none
    base::Duration join_timeout = std::chrono::seconds(120);
    std::shared_ptr<Recorder> recorder;  // null records nothing
    /// Of the groups that come of this one; null: its own.
    std::shared_ptr<DerivedSpecs> derived;
    /// Members compare each collective before it goes to NCCL, on their board: an op then starts
    /// once all have called it, so that the CPU no longer runs ahead of the GPU by more than the
    /// others do. The same on all members.
    bool check_calls = false;
  };

  /// Collective: every member calls it. Blocks until all have come. Errors: InvalidArgument - rank
  /// outside of the members; FailedPrecondition - no such device; DeadlineExceeded - names the
  /// members that never came; those of NcclStatus.
  static base::Result<std::unique_ptr<NcclGroup>> Create(Config config,
                                                         std::shared_ptr<NcclRuntime> runtime);
  ~NcclGroup() override;

  const GroupInfo& info() const override { return info_; }
  const Capabilities& capabilities() const override { return capabilities_; }
  base::Result<std::shared_ptr<SharedBuffer>> AllocBuffer(size_t bytes,
                                                          OpOptions options = {}) override;
  base::Result<std::unique_ptr<Registration>> RegisterBuffer(Buffer buffer) override;
  std::string Explain(OpKind kind, Dtype dtype, size_t count) const override;
  base::Duration timeout() const override {
    return base::Duration(timeout_ns_.load(std::memory_order_relaxed));
  }
  void SetTimeout(base::Duration timeout) override {
    timeout_ns_.store(timeout.count(), std::memory_order_relaxed);
  }
  void Abort(base::Status reason) override;

 protected:
  std::shared_ptr<Work> Submit(Op&& op, base::Status valid) override;
  std::shared_ptr<Work> SubmitTransfers(std::vector<Op> transfers, Op batch,
                                        base::Status valid) override;
  base::Result<std::shared_ptr<Group>> Derive(Derivation derivation,
                                              const OpDeadline& deadline) override;
  base::Status GatherNumbers(std::span<const int32_t> mine, std::span<int32_t> all,
                             OpOptions options, OwnDeadline& own) override;
  void DeclareLongPhase(base::Duration at_most) override;

 private:
  NcclGroup(Config config, std::shared_ptr<NcclRuntime> runtime, Recorder::Seat seat,
            std::unique_ptr<GroupBoard> board, std::shared_ptr<Communicator> communicator);

  static base::Status Check(const Config& config, const NcclRuntime& runtime);
  static Communicator::Config CommunicatorConfig(const Config& config,
                                                 std::shared_ptr<NcclRuntime> runtime);
  static Capabilities CapabilitiesOn(int device, Capabilities of_library);
  Config DerivedConfig(Derivation derivation);
  base::Result<std::shared_ptr<Communicator>> MeetAgain(const Config& config, GroupBoard& board,
                                                        const OpDeadline& deadline,
                                                        const Derivation& derivation);
  std::shared_ptr<Work> RefuseInChild(Op op) const;
  base::Status ForkedError() const;
  bool owner() const { return lockstep_fork_guard_is_owner(&guard_); }

  const Config config_;
  const std::shared_ptr<NcclRuntime> runtime_;
  const GroupInfo info_;
  const Capabilities capabilities_;
  lockstep_fork_guard guard_;
  std::atomic<int64_t> timeout_ns_;
  std::shared_ptr<NcclEngine> engine_;  // with its Works and the runtime's threads
};

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_NCCL_NCCL_GROUP_H_
