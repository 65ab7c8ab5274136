// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_HOST_TCP_TCP_CONNECTION_H_
#define LOCKSTEP_COLLECTIVES_HOST_TCP_TCP_CONNECTION_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "collectives/host/tcp/sealed_stream.h"
#include "collectives/host/tcp/tcp_end.h"
#include "collectives/host/tcp/tcp_handshake.h"
#include "runtime/base/clock.h"
#include "runtime/base/ids.h"
#include "runtime/base/unique_fd.h"
#include "runtime/net/key_share.h"

namespace lockstep::collectives {

/// What the service knows of one connection, from its first byte until its descriptor is handed to
/// an end or, of control connections, until it closes. The service's own; confined to its thread.
///
///   listening:   kHello -> kProof -> (kParked ->) kControl, or handed over; or kEcho
///   connecting:  (kPausing ->) kConnecting -> kAnswer -> kControl, or handed over
struct TcpConnection {
  enum class State : uint8_t {
    kPausing,     // before another attempt to connect
    kConnecting,  //
    kAnswer,      // waits for it
    kHello,       // waits for it
    kProof,       // waits for it
    kParked,      // authenticated; the group is not complete here yet
    kControl,     // frames pass
    kEcho,        // somebody measures
  };

  uint64_t id = 0;
  base::UniqueFd fd;
  State state = State::kHello;
  bool listens = false;  // came to us
  bool tells = false;    // carries an error that is not to be lost
  bool closing = false;  // ends when `out` is through
  bool again = false;    // was reopened to learn why it ended
  FlowPurpose purpose = FlowPurpose::kControl;
  int line = 0;
  int member = -1;  // the other one
  std::shared_ptr<TcpEnd> end;
  std::tuple<base::GroupId, base::Round, int> key;  // listening: group, epoch, member here
  Hello hello;
  Answer answer;
  std::optional<net::KeyShare> share;  // of this end, while a sealed one is made
  std::unique_ptr<SealedStream> seal;  // null = plain, or not proven yet
  std::vector<std::byte> in;
  std::string out;
  std::string first_frames;  // sent once it is open
  size_t next_address = 0;
  std::string refusal;        // of an address that was tried: its machine's, or the network's
  bool unanswered = false;    // an address said nothing
  base::SteadyTime opened{};  // kControl
  uint64_t question = 0;      // listening, kControl: the last kQuery's time
  base::SteadyTime deadline = base::SteadyTime::max();
  base::SteadyTime next_step = base::SteadyTime::max();  // gives up an address, or tries again

  uint64_t echo_bytes = 0;  // of the question that comes
  uint64_t echo_left = 0;   // of them, still to come

  TcpEnd::Flow flow() const { return {member, purpose, line}; }
  bool InHandshake() const { return state < State::kParked; }
};

/// Of a control frame, with its header.
inline constexpr size_t kControlBytesMax = 4096;

template <class T>
std::string BytesOf(const T& value) {
  return std::string(reinterpret_cast<const char*>(&value), sizeof value);
}

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_HOST_TCP_TCP_CONNECTION_H_
