// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_HOST_SHM_SHM_BACKEND_H_
#define LOCKSTEP_COLLECTIVES_HOST_SHM_SHM_BACKEND_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "collectives/engine/backend.h"
#include "collectives/engine/cpu_share.h"
#include "collectives/engine/op.h"
#include "collectives/engine/op_deadline.h"
#include "collectives/engine/reduce_kernels.h"
#include "collectives/host/shm/direct_moves.h"
#include "collectives/host/shm/group_error.h"
#include "collectives/host/shm/op_failures.h"
#include "collectives/host/shm/segment.h"
#include "collectives/host/shm/shared_buffers.h"
#include "collectives/host/shm/shm_layout.h"
#include "collectives/host/shm/shm_members.h"
#include "collectives/host/shm/shm_transfers.h"
#include "collectives/host/shm/stage_writer.h"
#include "collectives/host/shm/staging_windows.h"
#include "collectives/host/shm/window_counters.h"
#include "runtime/base/clock.h"
#include "runtime/base/result.h"

namespace lockstep::collectives {

/// One member's end of a group's shared memory (host_layout.h): joins it, executes one op at a
/// time, and carries the first error to all members. Blocking; knows nothing of queues and threads.
///
/// An op is: look for poison, put the inputs (when small) and the call's fingerprint into my
/// arrival line, wait for everybody's, compare fingerprints, then move data. Larger inputs go
/// through staging windows in a pipeline: a member stages the slices of the others, reduces its own
/// slice in rank order (its own input is never staged), and gathers the other slices' results.
/// Sends and receives pass through a ring of their own for each pair and direction.
///
/// Waiting: spin for some microseconds where every member can have a core of its own, then yield,
/// less long where a cgroup's quota or strangers make processors scarce (CpuShare), then sleep on a
/// futex with a bounded timeout. A wake-up is not made with a full fence (it would
/// cost more than small ops do), so one may be lost in theory; the timeout bounds that to
/// milliseconds, in waits that were already long.
///
/// Threads: as Backend.
class ShmBackend final : public Backend {
 public:
  using Config = ShmMembers::Config;

  /// Maps the group's segment and waits until every member is there.
  /// Errors: DeadlineExceeded - names the members that never came (and poisons the group);
  /// AlreadyExists - another process holds this member's place; FailedPrecondition - this member
  /// was in the group and has left it, or members are of another job, group, epoch or layout; those
  /// of SegmentSource::Open.
  static base::Result<std::unique_ptr<ShmBackend>> Join(Config config,
                                                        std::shared_ptr<SegmentSource> segments,
                                                        const OpDeadline& deadline);
  /// Its end tells the others that this member is gone; those that need it fail at once.
  ~ShmBackend() override = default;
  ShmBackend(const ShmBackend&) = delete;
  ShmBackend& operator=(const ShmBackend&) = delete;

  const Capabilities& capabilities() const override { return capabilities_; }
  base::Status Run(const Op& op, base::OpSeq seq, const OpWatch& watch) override;
  bool Advance(Moving& moving) override;
  void AwaitTransfers(base::Duration at_most) override;
  base::Status Fail(const base::Status& error, const std::vector<int>& blamed) override;
  void Poison(const base::Status& reason) override;
  void Interrupt() override;
  void DeclareLongPhase(base::Duration at_most) override;
  base::Result<std::shared_ptr<SharedBuffer>> AllocBuffer(size_t bytes,
                                                          const OpDeadline& deadline) override;
  std::string Explain(OpKind kind, Dtype dtype, size_t count) const override;

 private:
  using Phase = OpFailures::Phase;
  using Members = ShmMembers::Set;
  /// The op being executed.
  struct Running {
    const Op& op;
    const uint64_t seq;
    const OpWatch& watch;
    const size_t largest;         // bytes: of any member's input, but for all_to_all_v
    const ReduceKernels kernels;  // none for kinds that only copy

    GroupError::Call call() const { return {op, seq}; }
  };
  class Patience;

  ShmBackend(Config config, std::shared_ptr<SegmentSource> segments,
             std::shared_ptr<Segment> segment, ShmLayout layout);

  template <class Reached>
  base::Status AwaitJoining(const OpDeadline& deadline, const Reached& reached);
  base::Status AwaitJoins(const OpDeadline& deadline);
  /// Finds out, together with the others, whether all may read each other's memory.
  base::Status ProbePeers(const OpDeadline& deadline);

  void FillCard(const Running& run);
  void PlaceSmall(const Running& run);
  void WriteSmall(const Running& run, size_t bytes);
  void Arrive(const Running& run, uint64_t fingerprint);
  base::Status Refuse(const Running& run);
  bool AwaitArrivals(const Running& run);
  bool FingerprintsAgree(const Running& run);
  /// False, for FingerprintsAgree.
  bool ExplainDifference(const Running& run);
  /// True when `member`, who has come to the op, refused its own call; that is the group's error
  /// then.
  bool AdoptRefusal(const Running& run, int member);

  bool Move(const Running& run);
  bool MoveStaged(const Running& run, const WindowCounters::AwaitPeers& await);
  /// How an op's data moves; equal on all members, from what all of them see.
  enum class Route : uint8_t { kSmall, kMapped, kFetched, kStaged };
  Route RouteOf(const Running& run) const;
  bool Fetches(OpKind kind, size_t bytes) const;
  /// Whether this call's buffers are such that its member left out the copy of the small route.
  bool AsksForMapping(OpKind kind, size_t largest, const BufferRefs& refs) const;
  BufferRefs RefsOf(const Running& run);
  bool IsReadableByOthers(const Op& op);
  bool IsLargeInPlace(const Running& run) const;
  const BufferRefs& refs(const Running& run, int member) const;
  /// As member 0 says.
  WayOfMoving::Way WayOf(const Running& run) const;
  bool MoveDirectly(const Running& run, bool mapped, const WindowCounters::AwaitPeers& await);
  void FinishSmall(const Running& run);
  /// Whether small inputs of the op are large enough to care how and where they are written.
  bool IsRotated(const Running& run) const;
  /// Whether what each member sends is what the others expect, in an all_to_all_v, and how long the
  /// longest part is.
  bool CountsAgree(const Running& run, size_t& longest);
  const double* Scales(const Running& run, double* scales) const;

  /// Waits until `reached(member)` for each of [begin, end) but myself. False: the group's poison
  /// says why, or this member was interrupted.
  template <class Reached>
  bool Await(const Running& run, Phase phase, int begin, int end, const Reached& reached);
  template <class Reached>
  bool AwaitLong(const Running& run, Phase phase, int begin, int end, const Reached& reached);
  template <class Reached>
  bool AwaitAll(const Running& run, Phase phase, const Reached& reached) {
    return Await(run, phase, 0, members_.count(), reached);
  }
  /// Until somebody is woken, if `needed()` still holds.
  template <class Needed>
  void Sleep(base::Duration at_most, const Needed& needed);

  base::Duration YieldTime() const;
  bool AnyMayBeLate(const Members& members) const;

  base::Status LeavingError() const;

  const std::string& group_name() const { return members_.config().group_name; }
  size_t InBytes(const Op& op, int member) const;
  const std::byte* small_input(const Running& run, int member) const;

  const Capabilities capabilities_;
  const std::shared_ptr<SegmentSource> segments_;
  ShmMembers members_;
  GroupError error_;
  OpFailures failures_;
  SharedBuffers shared_;
  WindowCounters counters_;  // this, windows_ and direct_: confined to whoever is in Run()
  DirectMoves direct_;
  ShmTransfers transfers_;  // confined to whoever is in Advance()
  StagingWindows windows_;
  size_t small_at_ = 0;         // where small inputs of the op lie, in each member's place for them
  uint64_t small_ticks_ = 0;    // that writing my small input took
  size_t small_ring_next_ = 0;  // where the next rotated ones will, in the ring
  WaysOfOps ways_;              // of member 0, who decides for all
  struct ReadableBuffers {
    const std::byte* in = nullptr;
    size_t in_bytes = 0;
    const std::byte* out = nullptr;
    size_t out_bytes = 0;
    bool operator==(const ReadableBuffers&) const = default;
  };
  std::array<ReadableBuffers, 16> readable_;  // the last that IsReadable()
  size_t readable_next_ = 0;
  struct {
    const char* file = nullptr;
    uint32_t line = 0;
  } carded_[2];            // the call sites that my two OpCards name
  base::RealClock clock_;  // waits here are for other processes, which no simulated clock moves
  CpuShare cpu_share_;     // confined to whoever is in Run()
  int spin_limit_ = 0;
  bool may_fetch_ = false;  // every member may read the others' memory
  bool ended_ = false;      // an op failed: none is begun any more, also before the poison shows
  bool refused_ = false;    // it was refused, and my SharedError says why
  std::atomic<bool> interrupted_{false};
};

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_HOST_SHM_SHM_BACKEND_H_
