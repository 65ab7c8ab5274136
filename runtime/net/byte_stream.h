// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_NET_BYTE_STREAM_H_
#define LOCKSTEP_RUNTIME_NET_BYTE_STREAM_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "runtime/base/status.h"

namespace lockstep::net {

/// What a Channel's bytes go through: a socket (SocketStream), or TLS over one (TlsStream). Owns
/// its descriptor; destroying it closes. No call blocks. Confined to one thread.
class ByteStream {
 public:
  /// What an attempt came to. Blocked: try again when the descriptor has become what is named.
  struct Outcome {
    enum class Kind : uint8_t {
      kDone,
      kNeedsReadable,
      kNeedsWritable,
      kEnd,     // reading: the peer has closed (`why` is OK), or the connection just ended
      kBroken,  // nothing can be read or written any more
    };
    Kind kind = Kind::kDone;
    size_t bytes = 0;  // read or written, at least 1; 0 for a handshake
    /// Reading: the stream may hold more that the descriptor does not show; read again.
    bool may_hold_more = false;
    base::Status why;

    bool done() const { return kind == Kind::kDone; }
    bool blocked() const { return kind == Kind::kNeedsReadable || kind == Kind::kNeedsWritable; }

    static Outcome Bytes(size_t bytes, bool may_hold_more = false) {
      return {.bytes = bytes, .may_hold_more = may_hold_more};
    }
    static Outcome NeedsReadable() { return {.kind = Kind::kNeedsReadable}; }
    static Outcome NeedsWritable() { return {.kind = Kind::kNeedsWritable}; }
    static Outcome End(base::Status why = base::OkStatus()) {
      return {.kind = Kind::kEnd, .why = std::move(why)};
    }
    static Outcome Broken(base::Status why) {
      return {.kind = Kind::kBroken, .why = std::move(why)};
    }
  };

  virtual ~ByteStream() = default;

  /// To be watched; stays this stream's.
  virtual int fd() const = 0;
  /// Until it is done (or has failed) nothing may be read or written. kEnd does not come from here.
  virtual Outcome Handshake() { return {}; }
  /// After the handshake: what the peer has proved to be called, "" = nothing.
  virtual const std::string& peer_name() const = 0;
  virtual Outcome Read(char* buffer, size_t size) = 0;
  /// `bytes` is not empty. After it blocked, the next attempt begins with the same bytes.
  virtual Outcome Write(std::string_view bytes) = 0;
};

}  // namespace lockstep::net

#endif  // LOCKSTEP_RUNTIME_NET_BYTE_STREAM_H_
