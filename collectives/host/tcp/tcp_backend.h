// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_HOST_TCP_TCP_BACKEND_H_
#define LOCKSTEP_COLLECTIVES_HOST_TCP_TCP_BACKEND_H_

#include <cstddef>
#include <memory>
#include <string>

#include "collectives/engine/backend.h"
#include "collectives/host/tcp/tcp_end.h"
#include "collectives/host/tcp/tcp_flat_ops.h"
#include "collectives/host/tcp/tcp_seated_backend.h"
#include "collectives/host/tcp/tcp_service.h"
#include "runtime/base/result.h"

namespace lockstep::collectives {

/// One member's end of a group over TCP: its seat there (TcpSeat), its collectives (TcpFlatOps),
/// its sends and receives (TcpTransfers).
///
/// Reductions of small ops go in rank order; those of larger ones in ring or chain order, which is
/// the same on every member and in every run of as many members, but another one:
/// bitwise_reproducible is false. What is rounded in 16 bits (RoundsEachStep) is combined in one
/// step, in rank order.
///
/// Threads: as Backend.
class TcpBackend final : public TcpSeatedBackend {
 public:
  /// `why`: what Explain() adds on collectives of a group that is over TCP also within machines;
  /// "" where nothing is to be said.
  TcpBackend(const std::shared_ptr<TcpService>& service, const std::shared_ptr<TcpEnd>& end,
             std::string why = "");
  /// Its end tells the others that this member is gone; those that need it fail at once.
  ~TcpBackend() override;

  base::Status Run(const Op& op, base::OpSeq seq, const OpWatch& watch) override;
  base::Result<std::shared_ptr<SharedBuffer>> AllocBuffer(size_t bytes,
                                                          const OpDeadline& deadline) override;
  std::string Explain(OpKind kind, Dtype dtype, size_t count) const override;

 private:
  const std::string why_;
  TcpFlatOps ops_;  // of the thread that runs collectives
};

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_HOST_TCP_TCP_BACKEND_H_
