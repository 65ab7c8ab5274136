// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_HOST_TCP_TCP_FLAT_OPS_H_
#define LOCKSTEP_COLLECTIVES_HOST_TCP_TCP_FLAT_OPS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "collectives/engine/op.h"
#include "collectives/host/tcp/tcp_calls.h"
#include "collectives/host/tcp/tcp_choice.h"
#include "collectives/host/tcp/tcp_circle.h"
#include "collectives/host/tcp/tcp_flows.h"
#include "collectives/host/tcp/tcp_plan.h"
#include "collectives/host/tcp/tcp_seat.h"
#include "collectives/host/tcp/tcp_streams.h"
#include "collectives/host/tcp/tcp_wait.h"

namespace lockstep::collectives {

/// Whether ops of that kind move anything.
bool HasData(OpKind kind);
/// How what comes is combined. `scales`: by member, where inputs are still to be multiplied.
TcpStreams::Combining CombiningOf(const Op& op, const double* scales);

/// Collectives between members that are all reached the same way, by TCP. An op is: the exchange of
/// calls (TcpCalls), which carries inputs up to kSmallOpBytes in all; the comparison of the calls,
/// on every member with the same outcome; then, for more data, streams (TcpStreams). Whoever waits
/// for an op moves its bytes itself; connections are made by the process's TcpService when they are
/// first wanted.
///
/// Owned by a backend; confined to the thread that runs collectives.
class TcpFlatOps {
 public:
  /// `seat` outlives this.
  explicit TcpFlatOps(TcpSeat& seat);

  /// All of `op`. False: it is over before its end.
  bool Run(const Op& op, TcpWait& wait);
  /// The streams of an op whose calls agree. Not of an all_to_all_v, of which the exchange compares
  /// more. `scales`: by member, of a premultiplied sum.
  bool Move(const Op& op, uint64_t fingerprint, const double* scales, TcpWait& wait);
  /// Others, among some of the members, of a plan by position there, one at a time: what goes
  /// without waiting is on its way while the caller does something else, and End() moves the rest.
  void Begin(const TcpCircle& circle, TcpPlan plan, uint64_t fingerprint, TcpWait& wait);
  bool Continue(const TcpStreams::Combining& combining, TcpWait& wait) {
    return streams_.MoveWhatGoes(combining, wait);
  }
  bool End(const TcpStreams::Combining& combining, TcpWait& wait) {
    return streams_.Move(combining, wait);
  }
  TcpCalls& calls() { return calls_; }
  /// The same on all members, as is TcpSeat::link().
  TcpPaths paths() const { return {.link = seat_.link(), .flows = flows_most_}; }
  int size() const { return seat_.size(); }

  std::string Explain(OpKind kind, Dtype dtype, size_t count) const;
  /// "; encrypted (--encrypt-data)": how large data goes, where it is not the usual way.
  std::string ExplainPath() const;

 private:
  std::vector<uint64_t> CountsOf(const Op& op) const;
  bool CallsAgree(TcpWait& wait);
  bool CountsAgree(TcpWait& wait);
  void FinishSmall(const Op& op);
  const double* Scales(const Op& op);
  int self() const { return seat_.self(); }

  TcpSeat& seat_;
  const TcpCircle whole_;
  const int flows_most_;
  TcpFlows flows_;
  TcpCalls calls_;
  TcpStreams streams_;
  std::vector<double> scales_;
};

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_HOST_TCP_TCP_FLAT_OPS_H_
