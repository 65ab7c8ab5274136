// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_NET_NETWORK_H_
#define LOCKSTEP_RUNTIME_NET_NETWORK_H_

#include <google/protobuf/message_lite.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/clock.h"
#include "runtime/base/result.h"
#include "runtime/base/status.h"
#include "runtime/net/endpoint.h"
#include "runtime/net/port_claim.h"

/// Connections between the agents of a job: messages in order, over a transport that has proved who
/// is on the other side. Two implementations keep one contract (network_contract_test.cc):
/// TcpNetwork (TLS over TCP, v4 and v6) in life, SimNetwork in tests.
///
/// Threads: everything, the callbacks too, on the loop's thread; a callback never runs inside the
/// call that led to it, may destroy any object of this header, and never runs after the object that
/// it belongs to is gone.
namespace lockstep::net {

/// Who is on the other side.
struct Peer {
  /// Proved by its certificate ("node-3"); "" when all that was proved is knowledge of the job's
  /// token, or nothing (a job that was allowed plain connections).
  std::string name;
  std::string address;  // for people: "10.0.0.7:51712"
  /// This side's, as an address without a port ("10.0.0.2"): what the other reaches us by.
  std::string own_host;
};

/// One end of a connection between two agents. Owned by whoever speaks on it; destroying it closes.
///
///   made --Start()--> open --peer closes, error, limit, Close()--> closed (on_closed has run or
///   will)
class Connection {
 public:
  struct Handlers {
    /// One payload; the view is valid during the call.
    std::function<void(std::string_view)> on_message;
    /// Once. OK - the peer closed between two messages; DataLoss - it, or somebody between us,
    /// ended the connection within one; ResourceExhausted - a message of the peer, or the queue,
    /// went over its limit; InvalidArgument - a message of ours did; Cancelled - Close();
    /// Unavailable - the connection broke.
    std::function<void(base::Status)> on_closed;
  };

  virtual ~Connection() = default;

  /// Once, before anything is sent. Until then nothing is delivered, and what comes waits in the
  /// kernel.
  virtual void Start(Handlers handlers) = 0;

  /// Sends or queues one message. Never blocks.
  /// Errors, each of which closes the connection with it: InvalidArgument - longer than the limit
  /// (frame.h); ResourceExhausted - the queue would go over its limit: the peer does not read.
  /// FailedPrecondition - closed already.
  virtual base::Status Send(const google::protobuf::MessageLite& message) = 0;
  /// Closes at once; unsent bytes are dropped. on_closed(Cancelled) follows.
  virtual void Close() = 0;

  virtual bool closed() const = 0;
  /// Unsent ones. A sender of much waits until they are few.
  virtual size_t queued_bytes() const = 0;
  virtual const Peer& peer() const = 0;
};

/// Accepts connections until it is destroyed; those it has handed out live on.
class Listener {
 public:
  virtual ~Listener() = default;
  /// Where it listens: the port is the one that was found free.
  virtual Endpoint endpoint() const = 0;
  /// Turned away so far: failed or late handshakes, and those over a limit.
  virtual uint64_t refused_total() const = 0;
};

/// An attempt to connect; destroying it gives up, and then its callback never runs.
class Connecting {
 public:
  virtual ~Connecting() = default;
};

class Network {
 public:
  struct ListenOptions {
    std::string host;       // name or address; "" = every address of this machine, v4 and v6
    PortRange ports{0, 0};  // the first free one; {0, 0} = any
    /// Handed out and not yet destroyed; one more is closed at once. 0 = no limit of its own.
    size_t connections_max = 0;
    size_t handshakes_max = 256;  // at once; the oldest makes room for one more
    base::Duration handshake_timeout = std::chrono::seconds(5);
  };
  /// Gets each peer that has proved itself.
  using OnConnection = std::function<void(std::unique_ptr<Connection>)>;
  using OnConnected = std::function<void(base::Result<std::unique_ptr<Connection>>)>;

  virtual ~Network() = default;

  /// Errors: InvalidArgument - `host` is no name or address of this machine; ResourceExhausted - no
  /// port of the range is free; else errno's code.
  virtual base::Result<std::unique_ptr<Listener>> Listen(const ListenOptions& options,
                                                         OnConnection on_connection) = 0;

  /// Looks up and tries the endpoints in turn, all addresses of each, over and over with pauses (a
  /// peer may not be up yet), until one has answered and proved itself; calls `done` once.
  /// Errors: PermissionDenied - one answered and is not of our job, and the others have had their
  /// turn: at once; Unavailable - after `timeout`: nobody listens anywhere; DeadlineExceeded -
  /// after `timeout`: at least one gave no answer, or has no address, with what each said last;
  /// InvalidArgument - no endpoints.
  [[nodiscard]] virtual std::unique_ptr<Connecting> Connect(std::vector<Endpoint> endpoints,
                                                            base::Duration timeout,
                                                            OnConnected done) = 0;
};

}  // namespace lockstep::net

#endif  // LOCKSTEP_RUNTIME_NET_NETWORK_H_
