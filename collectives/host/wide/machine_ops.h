// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_HOST_WIDE_MACHINE_OPS_H_
#define LOCKSTEP_COLLECTIVES_HOST_WIDE_MACHINE_OPS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "collectives/engine/backend.h"
#include "collectives/engine/op.h"
#include "collectives/host/tcp/tcp_seat.h"
#include "collectives/host/tcp/tcp_wait.h"
#include "collectives/host/wide/placement.h"
#include "runtime/base/result.h"

namespace lockstep::collectives {

/// A reduction in two steps, of this machine's inputs and of what machines make of theirs. The
/// scales are those of a premultiplied sum.
struct WideSteps {
  Reduction within = Reduction::kNone;
  double scale_within = 1;
  Reduction between = Reduction::kNone;
  double scale_between = 1;
};
/// An average is a sum within, and still to be divided. In 16 bits, where a sum might overflow,
/// that sum is scaled by a power of two, so that it is no larger than the largest input and loses
/// no bits (but of subnormals), and dividing is part of the second step.
WideSteps WideStepsOf(const Op& op, const Placement& placement);

/// What the members of one machine do of a wide op, in a group of their own over shared memory,
/// whose members are numbered by their places there (Placement). It judges nobody: how the others
/// are is for the whole group to find out, which is looked at while a wait is long (TcpWait::Tend);
/// and what fails in it is the whole group's error.
///
/// A member that is alone on its machine has no such group; each op is then what it is among one.
///
/// Owned by a WideBackend. Run() and Alone() confined to the thread that runs collectives; the rest
/// callable from any.
class MachineOps {
 public:
  /// `memory`: null when alone. `seat` and `placement` outlive this.
  MachineOps(std::unique_ptr<Backend> memory, const Placement& placement, TcpSeat& seat)
      : memory_(std::move(memory)), placement_(placement), seat_(seat) {}

  bool alone() const { return memory_ == nullptr; }
  int count() const { return static_cast<int>(placement_.neighbors().size()); }
  int self() const { return placement_.index(); }

  /// Runs `op` among the members of the machine; all of them call it alike. False: the wide op is
  /// over.
  bool Run(Op op, TcpWait::Phase phase, TcpWait& wait);

  // --- ops with data, also when alone
  /// This machine's inputs of `count` elements, combined: on all, or on `root` alone; `out` is not
  /// looked at elsewhere. It is the first of WideSteps.
  bool AllReduce(const Op& op, const std::byte* in, std::byte* out, size_t count, TcpWait& wait);
  bool Reduce(const Op& op, const std::byte* in, std::byte* out, size_t count, int root,
              TcpWait& wait);
  /// Of parts that follow each other in `in`; this member's to `out`.
  bool ReduceScatter(const Op& op, const std::byte* in, std::byte* out,
                     const std::vector<size_t>& counts, TcpWait& wait);
  /// Of parts that follow each other in `out`, where each member's own lies already.
  bool AllGather(Dtype dtype, std::byte* out, const std::vector<size_t>& counts, TcpWait& wait);
  bool Broadcast(Dtype dtype, std::byte* data, size_t count, int root, TcpWait& wait,
                 TcpWait::Phase phase = TcpWait::Phase::kData);

  void Interrupt();
  base::Result<std::shared_ptr<SharedBuffer>> AllocBuffer(size_t bytes, const OpDeadline& deadline);
  /// Of an op of this kind, for people.
  std::string Explain(OpKind kind, Dtype dtype, size_t count) const;

 private:
  void Fail(const base::Status& error);
  /// Runs an op that reduces.
  bool RunFirstStep(const Op& op, Op part, TcpWait& wait);
  /// The same of one member.
  void Scale(const Op& op, const std::byte* in, std::byte* out, size_t count) const;

  const std::unique_ptr<Backend> memory_;
  const Placement& placement_;
  TcpSeat& seat_;
  uint64_t seq_ = 0;  // of ops among the members of the machine
};

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_HOST_WIDE_MACHINE_OPS_H_
