// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_HOST_TCP_TCP_FLOW_H_
#define LOCKSTEP_COLLECTIVES_HOST_TCP_TCP_FLOW_H_

#include <sys/types.h>
#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "collectives/host/tcp/flow_io.h"
#include "collectives/host/tcp/tcp_end.h"
#include "collectives/host/tcp/tcp_line.h"
#include "collectives/host/tcp/tcp_service.h"
#include "runtime/base/status.h"

namespace lockstep::collectives {

/// How much goes over one connection before it is the next one's turn: enough for few calls of the
/// kernel, and so little that what the kernel keeps for a connection holds one or more, for all of
/// them to be busy while each is written and read in turn.
inline constexpr size_t kStripeBytes = size_t{64} << 10;

/// The bytes of one purpose between this member and another one, of one direction or both, over a
/// connection that is made when it is first wanted, or over several. One end makes them, the other
/// one finds them in its TcpEnd. One in TcpFlows for each; confined to its thread.
///
/// With n connections the i-th kStripeBytes of a direction go over connection i mod n, and both
/// ends write and read them in that order. So bytes come from the socket into place, nothing is put
/// together, and what comes early waits in the kernel. The first one is made at once, the others
/// when the first stripe is through. Whichever of them ends, the flow has ended.
class TcpFlow {
 public:
  struct Place {
    int member = 0;  // the other one
    FlowPurpose purpose = FlowPurpose::kCalls;
    bool makes = false;  // this end makes the connections
    int lines = 1;       // equal on both ends
  };

  TcpFlow(std::shared_ptr<TcpService> service, std::shared_ptr<TcpEnd> end, Place place);

  /// Whether there is a first connection by now; asks for it when it is this end's to make.
  bool IsOpen() { return lines_[0].line.valid() || Find(0); }
  /// As TcpLine's. Of an open one.
  ssize_t Receive(std::byte* to, size_t bytes) {
    return lines_.size() == 1 ? lines_[0].line.Receive(to, bytes) : ReceiveInTurn(to, bytes);
  }
  ssize_t Send(std::span<const iovec> pieces) {
    return lines_.size() == 1 ? lines_[0].line.Send(pieces) : SendInTurn(pieces);
  }
  /// Why one of them brings no more, if it is not that the other end is gone.
  base::Status fault() const;
  /// What Receive() and Send() wait for; -1 = a connection that is being made.
  int in_fd() const { return lines_[TurnAt(received_)].line.fd(); }
  int out_fd() const { return lines_[TurnAt(sent_)].line.fd(); }

 private:
  struct Line {
    TcpLine line;
    uint64_t news = UINT64_MAX;  // that were known when it was last looked for
    bool asked = false;
  };

  size_t TurnAt(uint64_t position) const { return position / kStripeBytes % lines_.size(); }
  /// Null while it is being made.
  TcpLine* LineAt(uint64_t position);
  bool Find(size_t index);
  ssize_t ReceiveInTurn(std::byte* to, size_t bytes);
  ssize_t SendInTurn(std::span<const iovec> pieces);

  const std::shared_ptr<TcpService> service_;
  const std::shared_ptr<TcpEnd> end_;
  const Place place_;
  std::vector<Line> lines_;
  uint64_t received_ = 0;  // with several lines
  uint64_t sent_ = 0;
};

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_HOST_TCP_TCP_FLOW_H_
