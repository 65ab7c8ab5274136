// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_NET_TRANSPORT_H_
#define LOCKSTEP_RUNTIME_NET_TRANSPORT_H_

#include <cstdint>
#include <memory>
#include <utility>

#include "runtime/base/unique_fd.h"
#include "runtime/net/byte_stream.h"
#include "runtime/net/socket_stream.h"

namespace lockstep::net {

/// How the connections of a job are protected: TlsTransport, or PlainTransport where a user has
/// asked for that. One per job and process. Immutable; callable from any thread.
class Transport {
 public:
  enum class Side : uint8_t { kClient, kServer };

  virtual ~Transport() = default;
  /// `fd` is a connected, non-blocking socket.
  virtual std::unique_ptr<ByteStream> Wrap(base::UniqueFd fd, Side side) const = 0;
};

/// No protection: everybody who reaches the port is let in, and everybody in between reads along.
class PlainTransport final : public Transport {
 public:
  std::unique_ptr<ByteStream> Wrap(base::UniqueFd fd, Side) const override {
    return std::make_unique<SocketStream>(std::move(fd));
  }
};

}  // namespace lockstep::net

#endif  // LOCKSTEP_RUNTIME_NET_TRANSPORT_H_
