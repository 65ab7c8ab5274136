// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_HOST_TCP_TCP_FLOWS_H_
#define LOCKSTEP_COLLECTIVES_HOST_TCP_TCP_FLOWS_H_

#include <array>
#include <memory>
#include <vector>

#include "collectives/host/tcp/tcp_end.h"
#include "collectives/host/tcp/tcp_flow.h"
#include "collectives/host/tcp/tcp_service.h"

namespace lockstep::collectives {

/// The flows of one thread of a TcpBackend, by member, purpose and direction: made when they are
/// first wanted. Confined to that thread.
///
/// Calls and data of a pair share one flow both ways, since in every op that has a stream one way
/// the other end waits for it: acknowledgements then ride on what goes back, where each is a packet
/// of its own otherwise (an op of 4 bytes took 9.1 us, against 7.6). Data and transfers are divided
/// over as many connections as both ends want (AddressCard::flows).
class TcpFlows {
 public:
  TcpFlows(std::shared_ptr<TcpService> service, std::shared_ptr<TcpEnd> end);

  /// What carries frames of `member` to this one; null while it is not open.
  TcpFlow* In(int member, FlowPurpose purpose) { return Open(InPlace(member, purpose)); }
  /// What carries frames to `member`; null while it is being made, which the first call starts.
  TcpFlow* Out(int member, FlowPurpose purpose) { return Open(OutPlace(member, purpose)); }
  /// The same flows' descriptors, for poll(); -1 while there are none.
  int in_fd(int member, FlowPurpose purpose);
  int out_fd(int member, FlowPurpose purpose);

 private:
  using Slots = std::vector<std::array<std::unique_ptr<TcpFlow>, kFlowPurposeLimit>>;  // by member

  /// Whether this member makes a flow that is shared with `member`; nobody else's choice.
  bool MakesShared(int member) const { return end_->members().self() < member; }
  int LinesOf(int member, FlowPurpose purpose) const;
  TcpFlow::Place InPlace(int member, FlowPurpose purpose) const;
  TcpFlow::Place OutPlace(int member, FlowPurpose purpose) const;
  TcpFlow* Open(const TcpFlow::Place& place);

  const std::shared_ptr<TcpService> service_;
  const std::shared_ptr<TcpEnd> end_;
  Slots accepted_;
  Slots made_;
};

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_HOST_TCP_TCP_FLOWS_H_
