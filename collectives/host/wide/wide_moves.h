// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_HOST_WIDE_WIDE_MOVES_H_
#define LOCKSTEP_COLLECTIVES_HOST_WIDE_WIDE_MOVES_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "collectives/engine/op.h"
#include "collectives/host/tcp/tcp_circle.h"
#include "collectives/host/tcp/tcp_flat_ops.h"
#include "collectives/host/tcp/tcp_plan.h"
#include "collectives/host/tcp/tcp_wait.h"
#include "collectives/host/wide/machine_ops.h"
#include "collectives/host/wide/placement.h"

namespace lockstep::collectives {

/// What of an all_reduce or broadcast is in one stage of its way: little enough that the kernel
/// holds what a member sends of it, and so much that four barriers within the machine cost little
/// beside.
inline constexpr size_t kWideStageBytes = size_t{2} << 20;

/// What a member keeps between ops of the memory that they needed. The pages of more are made anew
/// each time, which costs little beside sending them.
inline constexpr size_t kWideSpaceKeptBytes = size_t{16} << 20;

/// How the data of larger ops goes, once all have called alike: within machines through shared
/// memory, and between them by TCP, once for each machine whatever its number of members.
///
///   slices    machines with equally many members: each member carries a slice of it among those
///             with its place on the other machines (all_reduce, reduce_scatter, broadcast,
///             all_gather). All_reduce and broadcast above kWideStageBytes go in stages: one is
///             between machines while the members combine the next one and spread the one before.
///   gateways  one member of each machine carries all of it (the same with unequal machines,
///             reduce)
///   flat      as over TCP alone: ops in which each pair has something of its own to say, and parts
///             by member that do not lie together by machine
///
/// Reductions go in rank order within a machine, then around the ring of machines, which begins
/// elsewhere for each part, or by halving and doubling (tcp_plan.h). That order depends on where
/// members live and on what was measured between machines, of which all know the same: they have
/// the same bits, and so have runs that choose the same algorithm.
///
/// f16 and bf16 (RoundsEachStep) are combined in f32 and rounded twice, once within each machine,
/// once between machines, whatever their number (tcp_direct.h); partial sums in f32 would be twice
/// the bytes. No average overflows on its way (WideStepsOf).
///
/// One in each WideBackend, which owns it. Confined to the thread that runs collectives.
class WideMoves {
 public:
  enum class Way : uint8_t { kSlices, kGateways, kFlat };

  /// All outlive this.
  WideMoves(TcpFlatOps& flat, MachineOps& machine, const Placement& placement)
      : flat_(flat),
        machine_(machine),
        placement_(placement),
        across_(placement.even() ? TcpCircle(placement.Across(placement.index()), placement.self())
                                 : TcpCircle(placement.Across(0), placement.neighbors().front())) {}

  Way WayOf(OpKind kind) const;
  /// `op`, whose calls agree. `scales` by member, where it has them. False: it is over.
  bool Run(const Op& op, uint64_t fingerprint, const double* scales, TcpWait& wait);
  /// Of an op with `count` elements a part, for people.
  std::string Explain(OpKind kind, Dtype dtype, size_t count) const;

 private:
  struct Running;  // the op being moved
  struct Stage;

  bool MoveOn(Way way, const Running& run);
  bool AllReduceInSlices(const Running& run);
  Stage StageAt(const Running& run, size_t begin, size_t count) const;
  TcpPlan PlanOfStage(const Running& run, const Stage& stage, int root) const;
  bool Spread(const Running& run, const Stage& stage);
  bool AllReduceByGateways(const Running& run);
  bool ReduceByGateways(const Running& run);
  bool BroadcastInSlices(const Running& run);
  bool BroadcastByGateways(const Running& run);
  bool AllGatherInSlices(const Running& run);
  bool AllGatherByGateways(const Running& run);
  bool ReduceScatterInSlices(const Running& run);
  bool ReduceScatterByGateways(const Running& run);
  bool ScatterBetween(const Running& run, const std::byte* in, std::byte* out,
                      std::vector<TcpBlock> blocks);

  /// An op between machines, among `circle`.
  bool Between(const Running& run, const TcpCircle& circle, const Op& part);
  bool Between(const Running& run, const TcpCircle& circle, TcpPlan plan);
  void BeginBetween(const Running& run, const TcpCircle& circle, TcpPlan plan);
  TcpStreams::Combining CombiningBetween(const Running& run) const;
  bool ContinueBetween(const Running& run);
  bool EndBetween(const Running& run);
  /// The members that carry an op with that root.
  TcpCircle Gateways(int root) const;
  int GatewayIndex(int root) const;
  bool FirstOfMachine() const { return machine_.self() == 0; }

  TcpFlatOps& flat_;
  MachineOps& machine_;
  const Placement& placement_;
  const TcpCircle across_;        // of slices; else of the first members of machines
  std::vector<std::byte> space_;  // what is not for the caller's buffers: of the op in progress
  std::vector<double> scales_;    // by member, of its second step
};

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_HOST_WIDE_WIDE_MOVES_H_
