// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_HOST_TCP_TCP_BACKEND_H_
#define LOCKSTEP_COLLECTIVES_HOST_TCP_TCP_BACKEND_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "collectives/engine/backend.h"
#include "collectives/engine/cpu_share.h"
#include "collectives/host/tcp/tcp_calls.h"
#include "collectives/host/tcp/tcp_end.h"
#include "collectives/host/tcp/tcp_flows.h"
#include "collectives/host/tcp/tcp_service.h"
#include "collectives/host/tcp/tcp_streams.h"
#include "collectives/host/tcp/tcp_transfers.h"
#include "collectives/host/tcp/tcp_wait.h"
#include "runtime/base/result.h"

namespace lockstep::collectives {

/// One member's end of a group over TCP. A collective is: the exchange of calls (TcpCalls), which
/// carries inputs up to kSmallOpBytes in all; the comparison of the calls, on every member with the
/// same outcome; then, for more data, streams (TcpStreams). Whoever waits for an op moves its bytes
/// itself; connections are made by the process's TcpService when they are first wanted.
///
/// Reductions of small ops go in rank order; those of larger ones in ring or chain order, which is
/// the same on every member and in every run of as many members, but another one:
/// bitwise_reproducible is false.
///
/// Messages take time, so members may differ about the op in which a deadline passed: one that came
/// late, when the others' calls had reached it and their error had not, ends it well, with the right
/// result, and fails in the next.
///
/// Threads: as Backend.
class TcpBackend final : public Backend {
 public:
  TcpBackend(std::shared_ptr<TcpService> service, std::shared_ptr<TcpEnd> end);
  /// Its end tells the others that this member is gone; those that need it fail at once.
  ~TcpBackend() override;
  TcpBackend(const TcpBackend&) = delete;
  TcpBackend& operator=(const TcpBackend&) = delete;

  const Capabilities& capabilities() const override { return capabilities_; }
  base::Status Run(const Op& op, base::OpSeq seq, const OpWatch& watch) override;
  bool Advance(Moving& moving) override { return transfers_.Advance(moving); }
  void AwaitTransfers(base::Duration at_most) override { transfers_.Await(at_most); }
  base::Status Fail(const base::Status& error, const std::vector<int>& blamed) override;
  void Poison(const base::Status& reason) override;
  void Interrupt() override;
  void DeclareLongPhase(base::Duration at_most) override;
  base::Result<std::shared_ptr<SharedBuffer>> AllocBuffer(size_t bytes,
                                                          const OpDeadline& deadline) override;
  std::string Explain(OpKind kind, Dtype dtype, size_t count) const override;

 private:
  base::Status LateError(const Op& op, uint64_t seq);
  base::Status Refuse(const Op& op, uint64_t seq);
  bool RunValid(const Op& op, uint64_t seq, TcpWait& wait);
  CallEntry EntryOf(const Op& op, uint64_t seq) const;
  std::vector<uint64_t> CountsOf(const Op& op) const;
  bool CallsAgree(TcpWait& wait);
  bool CountsAgree(TcpWait& wait);
  void FailMismatch(TcpWait& wait);
  void FinishSmall(const Op& op);
  TcpStreams::Combining CombiningOf(const Op& op);
  const double* Scales(const Op& op);
  int size() const { return end_->members().count(); }
  int self() const { return end_->members().self(); }

  Capabilities capabilities_;
  const std::shared_ptr<TcpService> service_;
  const std::shared_ptr<TcpEnd> end_;
  const int members_here_;  // on this machine, this one too
  const bool oversubscribed_;
  std::atomic<bool> interrupted_{false};
  // Of the thread that runs collectives:
  CpuShare cpu_share_;
  TcpFlows flows_;
  TcpCalls calls_;
  TcpStreams streams_;
  std::vector<double> scales_;
  bool ended_ = false;  // an op failed here
  // Of the one that moves transfers:
  TcpTransfers transfers_;
};

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_HOST_TCP_TCP_BACKEND_H_
