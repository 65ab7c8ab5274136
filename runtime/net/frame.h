// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_NET_FRAME_H_
#define LOCKSTEP_RUNTIME_NET_FRAME_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "runtime/base/status.h"

/// A stream of bytes cut into messages. Each frame is
///
///   offset 0  u32, little endian   length of the payload in bytes, 0 to the limit
///   offset 4  payload              one serialized protobuf envelope
///
/// Example: a payload of three bytes "abc" travels as 03 00 00 00 61 62 63. Both sides of a
/// connection use one limit; a frame that says more is an error of the peer, after which the stream
/// cannot be read on.
namespace lockstep::net {

inline constexpr size_t kFrameHeaderBytes = 4;
inline constexpr size_t kFramePayloadBytesMax = size_t{1} << 20;

/// Appends the header of a payload of `payload_bytes` to `out`; the caller appends the payload.
void AppendFrameHeader(size_t payload_bytes, std::string* out);

/// Cuts arriving bytes into payloads. Holds at most one unfinished frame, and never more bytes than
/// the peer has sent: a length alone makes it allocate nothing. Confined to one thread.
class FrameDecoder {
 public:
  explicit FrameDecoder(size_t payload_bytes_max = kFramePayloadBytesMax)
      : payload_bytes_max_(payload_bytes_max) {}

  /// Calls `on_payload` for each frame that `bytes` completes, in order; the view is valid during
  /// the call only. `on_payload` returns false to stop (it may then have destroyed this); what
  /// follows in `bytes` is dropped. Errors: ResourceExhausted - a frame is longer than the limit;
  /// this and every later call fail.
  base::Status Feed(std::string_view bytes,
                    const std::function<bool(std::string_view)>& on_payload);

  /// Whether the stream stands at the end of a frame, so that closing it here loses nothing.
  bool at_boundary() const { return unfinished_.empty(); }
  /// Bytes held: below kFrameHeaderBytes + the limit.
  size_t held_bytes() const { return unfinished_.size(); }

 private:
  const size_t payload_bytes_max_;
  std::string unfinished_;
  base::Status failure_;
};

}  // namespace lockstep::net

#endif  // LOCKSTEP_RUNTIME_NET_FRAME_H_
