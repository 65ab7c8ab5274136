// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_HOST_TCP_SEALED_STREAM_H_
#define LOCKSTEP_COLLECTIVES_HOST_TCP_SEALED_STREAM_H_

#include <sys/types.h>
#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "runtime/base/status.h"
#include "runtime/net/record_cipher.h"
#include "runtime/net/secret.h"

namespace lockstep::collectives {

/// The most that a record holds: few calls of the kernel and of OpenSSL, and what is decrypted is
/// still in the second-level cache.
inline constexpr size_t kSealedRecordBytes = size_t{64} << 10;
inline constexpr size_t kSealedOverheadBytes = sizeof(uint32_t) + net::RecordCipher::kTagBytes;

/// What both directions of one connection are encrypted with (tcp_handshake.h), seen from one end.
struct SealKeys {
  net::Secret out;
  net::Secret in;
};

/// The encrypted bytes of one connection, both ways:
///
///   stream := record*
///   record := length (4 bytes, little endian, 1 to kSealedRecordBytes), that many encrypted bytes,
///             tag (16)
///
/// Records are sealed as net::RecordCipher has it, the length shown. Of one that was changed, left
/// out, repeated or moved, or that comes behind such a one, no byte is delivered; a connection that
/// is cut delivers no part of a record. Example: an op of 4 bytes sends its 148 in 168.
///
/// One for each connection of a job whose data is encrypted; its owner has the descriptor too.
/// Confined to one thread at a time.
class SealedStream {
 public:
  explicit SealedStream(SealKeys keys);
  SealedStream(const SealedStream&) = delete;
  SealedStream& operator=(const SealedStream&) = delete;

  /// As SendSome (flow_io.h), but that bytes count when the kernel has their whole record: until
  /// then the same bytes must be offered again, others may follow them.
  ssize_t Send(int fd, std::span<const iovec> pieces);
  /// As ReceiveSome. 0: all that was delivered by now has been asked for, and the socket is empty,
  /// so that it can be waited for.
  ssize_t Receive(int fd, std::byte* to, size_t bytes);
  /// Bytes that have come and can be delivered without looking at the socket.
  bool holds_bytes() const;
  /// Why Receive() delivers no more: DataLoss - what came is not what the other end sealed.
  const base::Status& fault() const { return fault_; }

 private:
  enum class Fill : uint8_t { kNothing, kSome, kClosed };

  void SealNext(std::span<const iovec> pieces, size_t skip, size_t bytes);
  Fill FillFrom(int fd);
  size_t NextRecordBytes() const;
  size_t OpenNext(std::byte* to, size_t room);
  void Refuse(const std::string& what);

  net::RecordCipher seals_;
  net::RecordCipher opens_;
  base::Status fault_;
  // Going out, one record:
  const std::unique_ptr<std::byte[]> out_;
  size_t out_bytes_ = 0;
  size_t out_sent_ = 0;
  size_t out_plain_ = 0;  // bytes of it that are to be counted when it is out
  // Coming in, as it came, and what of a record is decrypted and was not asked for yet:
  const std::unique_ptr<std::byte[]> in_;
  size_t in_begin_ = 0;
  size_t in_end_ = 0;
  bool drained_ = false;  // the socket gave less than there was room for
  const std::unique_ptr<std::byte[]> plain_;
  size_t plain_begin_ = 0;
  size_t plain_end_ = 0;
  uint64_t opened_total_ = 0;
};

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_HOST_TCP_SEALED_STREAM_H_
