// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_HOST_WIDE_WIDE_CALLS_H_
#define LOCKSTEP_COLLECTIVES_HOST_WIDE_WIDE_CALLS_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "collectives/engine/op.h"
#include "collectives/host/tcp/tcp_calls.h"
#include "collectives/host/tcp/tcp_circle.h"
#include "collectives/host/tcp/tcp_frames.h"
#include "collectives/host/tcp/tcp_seat.h"
#include "collectives/host/tcp/tcp_wait.h"
#include "collectives/host/wide/machine_ops.h"
#include "collectives/host/wide/placement.h"

namespace lockstep::collectives {

/// Inputs up to here each go with the calls, all to all.
inline constexpr size_t kWideInlineBytes = 256;
/// Inputs up to here, combined within a machine or put together over all, go with the calls between
/// machines. Each member of a machine carries them, so that it is for all of these together: what
/// passes while two messages do.
inline constexpr size_t kWideCarriedBytes = size_t{32} << 10;
/// Of a bundle with as many calls there is still room for what is carried.
inline constexpr int kMaxMachineMembers = 64;

/// How an op's data gets to where it is wanted; equal on all members.
enum class WideRoute : uint8_t {
  kNothing,  // it has none
  kInline,   // all inputs with the calls
  kCarried,  // each machine's inputs with its calls
  kMoved,    // after the calls
};
/// Of a valid op of a group of `size`, of which the fullest machine has `largest`.
WideRoute WideRouteOf(const Op& op, int size, int largest);

/// The exchange that every wide collective begins with: within each machine through shared memory,
/// then between machines by TCP in bundles of a machine's calls, so that every member has every
/// member's call before a byte is reduced. Small inputs travel with them.
///
///   bundle := WideBundle, (CallEntry, input)[members of the machine], what is carried
///
/// Where machines have equally many members, each of them takes part between machines, among those
/// with its place on their machines, and nothing need be handed on; otherwise the first of each
/// machine does, and hands on what came.
///
/// One in each WideBackend, which owns it. Confined to the thread that runs collectives.
class WideCalls {
 public:
  /// All outlive this; `across` has this member when it takes part between machines.
  WideCalls(TcpSeat& seat, TcpCalls& between, MachineOps& machine, const Placement& placement,
            const TcpCircle* across);

  /// False: the op is over. True: all members call alike.
  bool Exchange(const Op& op, TcpWait& wait);

  // --- after an Exchange(), until the next
  WideRoute route() const { return route_; }
  uint64_t fingerprint() const { return mine().call.fingerprint; }
  const CallEntry& call(int member) const { return calls_[static_cast<size_t>(member)]; }
  /// The inputs of all members, by member, of an op on the routes kInline and kCarried that only
  /// moves, and on kInline; null of those that have none.
  std::vector<const std::byte*> Inputs(const Op& op) const;
  /// What each machine's inputs make together, of an op on the route kCarried that reduces.
  std::vector<const std::byte*> Sums() const;
  /// By member, of a premultiplied sum; else null.
  const double* Scales(const Op& op);

 private:
  /// What a member shows to those of its machine.
  struct Slot {
    CallEntry call;
    std::byte input[kWideInlineBytes];
  };

  const Slot& mine() const { return slots_[static_cast<size_t>(machine_.self())]; }
  bool ShowNeighbors(const Op& op, TcpWait& wait);
  bool NeighborsAgree() const;
  bool GatherCarried(const Op& op, TcpWait& wait);
  void ComposeBundle();
  bool TradeBundles(TcpWait& wait);
  bool ParseBundle(int machine, std::span<const std::byte> bundle, TcpWait& wait);
  bool HandOnCalls(TcpWait& wait);
  bool SizesFit(const Op& op, TcpWait& wait);
  bool HandOnData(const Op& op, TcpWait& wait);
  size_t InputBytes(const Op& op, int member) const;
  size_t CarriedBytes(const Op& op, int machine) const;
  bool FirstOfMachine() const { return machine_.self() == 0; }

  TcpSeat& seat_;
  TcpCalls& between_;
  MachineOps& machine_;
  const Placement& placement_;
  const TcpCircle* const across_;  // null: it does not take part
  WideRoute route_ = WideRoute::kNothing;
  std::vector<Slot> slots_;        // by place on this machine
  std::vector<std::byte> bundle_;  // that goes out
  std::vector<std::byte> carried_;
  std::vector<std::byte> handed_on_;
  std::vector<double> scales_;
  std::vector<CallEntry> calls_;                           // by member
  std::vector<std::span<const std::byte>> inputs_;         // by member, of kInline
  std::vector<std::span<const std::byte>> machine_input_;  // by machine, of kCarried
};

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_HOST_WIDE_WIDE_CALLS_H_
