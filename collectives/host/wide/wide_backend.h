// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_HOST_WIDE_WIDE_BACKEND_H_
#define LOCKSTEP_COLLECTIVES_HOST_WIDE_WIDE_BACKEND_H_

#include <memory>
#include <optional>
#include <string>

#include "collectives/engine/backend.h"
#include "collectives/host/tcp/tcp_circle.h"
#include "collectives/host/tcp/tcp_end.h"
#include "collectives/host/tcp/tcp_flat_ops.h"
#include "collectives/host/tcp/tcp_seated_backend.h"
#include "collectives/host/tcp/tcp_service.h"
#include "collectives/host/wide/machine_ops.h"
#include "collectives/host/wide/placement.h"
#include "collectives/host/wide/wide_calls.h"
#include "collectives/host/wide/wide_moves.h"
#include "runtime/base/result.h"

namespace lockstep::collectives {

/// One member's end of a group whose members live on several machines, several on some: its
/// collectives go through shared memory within a machine and by TCP between machines. They are the
/// exchange of calls (WideCalls), which carries small inputs; their comparison, on every member
/// with the same outcome; then, for more data, WideMoves. Failures are as in a group over TCP
/// (TcpSeat), and so are sends and receives.
///
/// Reductions go in rank order up to kWideInlineBytes; above, in rank order within each machine
/// first, then over the machines: in their order up to kWideCarriedBytes, above as WideMoves says.
/// That is the same on every member, but another order than in other placements:
/// bitwise_reproducible is false.
///
/// Threads: as Backend.
class WideBackend final : public TcpSeatedBackend {
 public:
  /// `memory`: this machine's members' (Placement::neighbors) end of their group over shared
  /// memory; null when this one is alone there.
  WideBackend(const std::shared_ptr<TcpService>& service, const std::shared_ptr<TcpEnd>& end,
              Placement placement, std::unique_ptr<Backend> memory);
  /// Its end tells the others that this member is gone; those that need it fail at once.
  ~WideBackend() override;

  base::Status Run(const Op& op, base::OpSeq seq, const OpWatch& watch) override;
  void Interrupt() override;
  /// Memory that the members of this machine reach.
  base::Result<std::shared_ptr<SharedBuffer>> AllocBuffer(size_t bytes,
                                                          const OpDeadline& deadline) override {
    return machine_.AllocBuffer(bytes, deadline);
  }
  std::string Explain(OpKind kind, Dtype dtype, size_t count) const override;

 private:
  bool RunValid(const Op& op, TcpWait& wait);
  void FinishCarried(const Op& op);

  const Placement placement_;
  // Of the thread that runs collectives:
  TcpFlatOps flat_;
  MachineOps machine_;
  const std::optional<TcpCircle> across_;  // when this member takes part between machines
  WideCalls calls_;
  WideMoves moves_;
};

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_HOST_WIDE_WIDE_BACKEND_H_
