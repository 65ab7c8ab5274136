// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/host/tcp/tcp_flow.h"

#include <algorithm>
#include <array>
#include <utility>

namespace lockstep::collectives {
namespace {

// Of one call; a caller's list is longer only where its pieces are small.
constexpr size_t kPiecesMax = 64;

}  // namespace

TcpFlow::TcpFlow(std::shared_ptr<TcpService> service, std::shared_ptr<TcpEnd> end, Place place)
    : service_(std::move(service)),
      end_(std::move(end)),
      place_(place),
      lines_(static_cast<size_t>(place.lines)) {}

bool TcpFlow::Find(size_t index) {
  Line& line = lines_[index];
  const TcpEnd::Flow flow{place_.member, place_.purpose, static_cast<int>(index)};
  if (place_.makes && !std::exchange(line.asked, true)) service_->OpenFlow(end_, flow);
  const uint64_t news = end_->news();
  if (std::exchange(line.news, news) == news) return false;
  line.line = place_.makes ? end_->TakeOutgoing(flow) : end_->TakeIncoming(flow);
  return line.line.valid();
}

// All others are asked for with the second one: what is large needs them all soon.
TcpLine* TcpFlow::LineAt(uint64_t position) {
  const size_t index = TurnAt(position);
  if (lines_[index].line.valid()) return &lines_[index].line;
  if (place_.makes && !lines_[index].asked) {
    for (size_t other = index + 1; other < lines_.size(); ++other) (void)Find(other);
  }
  return Find(index) ? &lines_[index].line : nullptr;
}

base::Status TcpFlow::fault() const {
  for (const Line& line : lines_) {
    if (!line.line.fault().ok()) return line.line.fault();
  }
  return base::OkStatus();
}

ssize_t TcpFlow::ReceiveInTurn(std::byte* to, size_t bytes) {
  size_t total = 0;
  while (total < bytes) {
    TcpLine* const line = LineAt(received_);
    if (line == nullptr) break;
    const size_t stripe = kStripeBytes - received_ % kStripeBytes;
    const ssize_t got = line->Receive(to + total, std::min(bytes - total, stripe));
    if (got < 0 && total == 0) return got;
    if (got <= 0) break;
    total += static_cast<size_t>(got);
    received_ += static_cast<uint64_t>(got);
  }
  return static_cast<ssize_t>(total);
}

ssize_t TcpFlow::SendInTurn(std::span<const iovec> pieces) {
  size_t total = 0, piece = 0, skip = 0;  // of the first piece that is not through
  while (piece < pieces.size()) {
    TcpLine* const line = LineAt(sent_);
    if (line == nullptr) break;
    size_t stripe = kStripeBytes - sent_ % kStripeBytes;
    std::array<iovec, kPiecesMax> now;
    size_t count = 0;
    for (size_t i = piece, from = skip; i < pieces.size() && count < now.size() && stripe > 0;
         ++i) {
      const size_t length = std::min(pieces[i].iov_len - from, stripe);
      if (length > 0) now[count++] = {static_cast<std::byte*>(pieces[i].iov_base) + from, length};
      stripe -= length;
      from = 0;
    }
    if (count == 0) break;
    const ssize_t sent = line->Send({now.data(), count});
    if (sent < 0 && total == 0) return sent;
    if (sent <= 0) break;
    total += static_cast<size_t>(sent);
    sent_ += static_cast<uint64_t>(sent);
    for (size_t left = static_cast<size_t>(sent); piece < pieces.size();) {
      const size_t passed = std::min(left, pieces[piece].iov_len - skip);
      left -= passed;
      skip += passed;
      if (skip < pieces[piece].iov_len) break;
      ++piece;
      skip = 0;
    }
  }
  return static_cast<ssize_t>(total);
}

}  // namespace lockstep::collectives
