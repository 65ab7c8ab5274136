// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/host/tcp/sealed_stream.h"

#include <errno.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <string>
#include <utility>

#include "collectives/host/tcp/flow_io.h"

namespace lockstep::collectives {
namespace {

constexpr size_t kLengthBytes = sizeof(uint32_t);
constexpr size_t kRecordBytesMax = kSealedRecordBytes + kSealedOverheadBytes;
// Several records, so that one that has come in part is seldom moved to the front.
constexpr size_t kInBytes = 4 * kRecordBytesMax;
// Of one record; a caller's list is longer only where its pieces are small.
constexpr size_t kPiecesMax = 64;

}  // namespace

SealedStream::SealedStream(SealKeys keys)
    : seals_(net::RecordCipher::Role::kSeals, std::move(keys.out)),
      opens_(net::RecordCipher::Role::kOpens, std::move(keys.in)),
      out_(std::make_unique_for_overwrite<std::byte[]>(kRecordBytesMax)),
      in_(std::make_unique_for_overwrite<std::byte[]>(kInBytes)),
      plain_(std::make_unique_for_overwrite<std::byte[]>(kSealedRecordBytes)) {}

// --------------------------------------------------------------------------------------- going out

ssize_t SealedStream::Send(int fd, std::span<const iovec> pieces) {
  size_t offered = 0, accepted = 0;
  for (const iovec& piece : pieces) offered += piece.iov_len;
  if (offered < out_plain_) return kFlowClosed;  // an op was given up, and its group with it
  while (true) {
    while (out_sent_ < out_bytes_) {
      const ssize_t sent =
          ::send(fd, out_.get() + out_sent_, out_bytes_ - out_sent_, MSG_DONTWAIT | MSG_NOSIGNAL);
      if (sent < 0 && errno == EINTR) continue;
      if (sent < 0 && errno != EAGAIN) return kFlowClosed;
      if (sent < 0) return static_cast<ssize_t>(accepted);
      out_sent_ += static_cast<size_t>(sent);
    }
    accepted += std::exchange(out_plain_, 0);
    if (accepted == offered) return static_cast<ssize_t>(accepted);
    SealNext(pieces, accepted, std::min(offered - accepted, kSealedRecordBytes));
  }
}

/// A record of up to `bytes` that lie behind `skip` others.
void SealedStream::SealNext(std::span<const iovec> pieces, size_t skip, size_t bytes) {
  std::array<iovec, kPiecesMax> chosen;
  size_t count = 0, length = 0;
  for (const iovec& piece : pieces) {
    const size_t before = std::min(skip, piece.iov_len);
    skip -= before;
    const size_t taken = std::min(piece.iov_len - before, bytes - length);
    if (taken == 0) continue;
    if (count == chosen.size()) break;
    chosen[count++] = {static_cast<std::byte*>(piece.iov_base) + before, taken};
    length += taken;
  }
  const auto shown = static_cast<uint32_t>(length);
  std::memcpy(out_.get(), &shown, sizeof shown);
  seals_.Seal({out_.get(), kLengthBytes}, {chosen.data(), count}, out_.get() + kLengthBytes);
  out_plain_ = length;
  out_bytes_ = length + kSealedOverheadBytes;
  out_sent_ = 0;
}

// --------------------------------------------------------------------------------------- coming in

ssize_t SealedStream::Receive(int fd, std::byte* to, size_t bytes) {
  size_t delivered = 0;
  drained_ = false;
  while (delivered < bytes) {
    if (plain_begin_ < plain_end_) {
      const size_t taken = std::min(bytes - delivered, plain_end_ - plain_begin_);
      std::memcpy(to + delivered, plain_.get() + plain_begin_, taken);
      plain_begin_ += taken;
      delivered += taken;
    } else if (NextRecordBytes() > 0) {
      delivered += OpenNext(to + delivered, bytes - delivered);
      if (!fault_.ok()) break;
    } else {
      const Fill filled = fault_.ok() && !drained_ ? FillFrom(fd) : Fill::kNothing;
      if (filled == Fill::kClosed && delivered == 0) return kFlowClosed;
      if (filled != Fill::kSome) break;
    }
  }
  if (delivered == 0 && !fault_.ok()) return kFlowClosed;
  return static_cast<ssize_t>(delivered);
}

bool SealedStream::holds_bytes() const {
  return fault_.ok() && (plain_begin_ < plain_end_ || NextRecordBytes() > 0);
}

/// Of the record that comes next, all of it being there, or its length, which cannot be; else 0.
size_t SealedStream::NextRecordBytes() const {
  const size_t held = in_end_ - in_begin_;
  if (held < kLengthBytes || !fault_.ok()) return 0;
  uint32_t length;
  std::memcpy(&length, in_.get() + in_begin_, sizeof length);
  if (length == 0 || length > kSealedRecordBytes) return kLengthBytes;
  return held >= length + kSealedOverheadBytes ? length + kSealedOverheadBytes : 0;
}

SealedStream::Fill SealedStream::FillFrom(int fd) {
  if (in_begin_ == in_end_) in_begin_ = in_end_ = 0;
  if (kInBytes - in_end_ < kRecordBytesMax) {
    std::memmove(in_.get(), in_.get() + in_begin_, in_end_ - in_begin_);
    in_end_ -= std::exchange(in_begin_, 0);
  }
  const size_t room = kInBytes - in_end_;
  const ssize_t got = ::recv(fd, in_.get() + in_end_, room, MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return Fill::kNothing;
  if (got <= 0) return Fill::kClosed;
  drained_ = static_cast<size_t>(got) < room;
  in_end_ += static_cast<size_t>(got);
  return Fill::kSome;
}

/// Bytes that went to `to`. Where the record has no room there it is decrypted beside, and waits.
size_t SealedStream::OpenNext(std::byte* to, size_t room) {
  const std::byte* const record = in_.get() + in_begin_;
  uint32_t length;
  std::memcpy(&length, record, sizeof length);
  if (length == 0 || length > kSealedRecordBytes) {
    Refuse("says that it has " + std::to_string(length) + " bytes, of which a record has 1 to " +
           std::to_string(kSealedRecordBytes));
    return 0;
  }
  const bool fits = length <= room;
  const std::span<const std::byte> sealed(record + kLengthBytes, length);
  const bool is_right =
      opens_.Open({record, kLengthBytes}, sealed, sealed.data() + length, fits ? to : plain_.get());
  in_begin_ += length + kSealedOverheadBytes;
  if (!is_right) {
    Refuse("is not what the other end sent as that");
    return 0;
  }
  ++opened_total_;
  if (fits) return length;
  plain_begin_ = 0;
  plain_end_ = length;
  return 0;
}

void SealedStream::Refuse(const std::string& what) {
  fault_ = base::DataLossError(
      "record " + std::to_string(opened_total_ + 1) + " of the encrypted connection " + what +
      ": something on the way changed, dropped, repeated or reordered what was sent; look for what "
      "lies between the two hosts (proxies, middleboxes, a network card that corrupts data)");
}

}  // namespace lockstep::collectives
