// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/host/tcp/tcp_streams.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace lockstep::collectives {
namespace {

// Room for a slice that waits to go out and for the next ones to come in: with less, members of a
// ring could wait for each other.
constexpr size_t kWindowBytes = 4 * kRingSliceBytes;
// Received at once before it is combined: in the first caches when it is.
constexpr size_t kLandingBytes = size_t{128} << 10;
// Sent at once before what has come is looked at again.
constexpr size_t kSendBytesMax = size_t{256} << 10;
constexpr size_t kReceiveBytesMax = size_t{1} << 20;
constexpr size_t kPiecesAtOnce = 8;
// Of all streams together, which stays in the second-level cache where there are few of them; with
// many, each has what is worth a system call.
constexpr size_t kAsideBytes = size_t{1} << 20;
constexpr size_t kStreamAsideBytesMin = size_t{16} << 10;
constexpr size_t kStreamAsideBytesMax = size_t{256} << 10;

size_t StreamAsideBytes(size_t streams) {
  const size_t each = kAsideBytes / std::max(streams, size_t{1}) / 64 * 64;
  return std::clamp(each, kStreamAsideBytesMin, kStreamAsideBytesMax);
}

}  // namespace

TcpStreams::TcpStreams(std::shared_ptr<TcpEnd> end, TcpFlows& flows)
    : end_(std::move(end)), flows_(flows) {}

void TcpStreams::Begin(TcpPlan plan, uint64_t fingerprint, uint64_t seq) {
  ins_.clear();
  outs_.clear();
  window_in_ = window_out_ = joined_ = 0;
  join_ = plan.join;
  for (InStream& stream : plan.ins) {
    In in{.stream = std::move(stream)};
    for (const InPiece& piece : in.stream.pieces) in.total += piece.bytes;
    ins_.push_back(std::move(in));
  }
  for (OutStream& stream : plan.outs) {
    Out out{.stream = std::move(stream), .header = end_->members().Header(FrameKind::kData)};
    out.header.seq = seq;
    out.header.fingerprint = fingerprint;
    for (const OutPiece& piece : out.stream.pieces) out.header.bytes += piece.bytes;
    outs_.push_back(std::move(out));
  }
  aside_bytes_ = join_.bytes > 0 ? StreamAsideBytes(ins_.size()) : 0;
}

void TcpStreams::SendAtOnce(TcpWait& wait) {
  for (Out& out : outs_) {
    if (flows_.Out(out.stream.to, FlowPurpose::kData) != nullptr) (void)Send(out, wait);
  }
}

bool TcpStreams::Move(const Combining& combining, TcpWait& wait) {
  while (true) {
    const Turn turn = TakeTurn(combining, wait);
    if (turn == Turn::kFailed) return false;
    if (turn == Turn::kDone) return true;
    if (turn == Turn::kMoved) {
      wait.Moved();
    } else if (!wait.Idle(TcpWait::Phase::kData, [this](TcpWait::Wants& wants) { Fill(wants); })) {
      return false;
    }
  }
}

bool TcpStreams::MoveWhatGoes(const Combining& combining, TcpWait& wait) {
  Turn turn;
  do {
    turn = TakeTurn(combining, wait);
  } while (turn == Turn::kMoved);
  return turn != Turn::kFailed;
}

TcpStreams::Turn TcpStreams::TakeTurn(const Combining& combining, TcpWait& wait) {
  bool moved = false, done = true;
  for (In& in : ins_) {
    if (in.done()) continue;
    const Outcome outcome = Receive(in, combining, wait);
    if (outcome == Outcome::kFailed) return Turn::kFailed;
    moved |= outcome == Outcome::kMoved;
    done &= in.done();
  }
  moved |= Join(combining);
  done &= joined_ == join_.bytes;
  for (Out& out : outs_) {
    if (out.done()) continue;
    moved |= Send(out, wait) == Outcome::kMoved;
    done &= out.done();
  }
  return done ? Turn::kDone : moved ? Turn::kMoved : Turn::kNothing;
}

void TcpStreams::Fill(TcpWait::Wants& wants) {
  for (const In& in : ins_) {
    if (in.done() || Waits(in)) continue;
    wants.fds.push_back({flows_.in_fd(in.stream.from, FlowPurpose::kData), POLLIN, 0});
    wants.missing.push_back(in.stream.from);
  }
  for (const Out& out : outs_) {
    if (out.done()) continue;
    const bool blocked =
        out.header_bytes < sizeof(FrameHeader) || Ready(out.stream.pieces[out.piece]) > out.sent;
    if (!blocked) continue;  // it waits for what comes
    wants.fds.push_back({flows_.out_fd(out.stream.to, FlowPurpose::kData), POLLOUT, 0});
    if (std::find(wants.missing.begin(), wants.missing.end(), out.stream.to) == wants.missing.end())
      wants.missing.push_back(out.stream.to);
  }
  wants.direct = wants.missing;
}

// --------------------------------------------------------------------------------------- coming in

TcpStreams::Outcome TcpStreams::Receive(In& in, const Combining& combining, TcpWait& wait) {
  TcpFlow* const flow = flows_.In(in.stream.from, FlowPurpose::kData);
  if (flow == nullptr) return Outcome::kNothing;
  if (in.header_bytes < sizeof(FrameHeader)) {
    const Outcome outcome = ReceiveHeader(in, *flow, wait);
    if (outcome != Outcome::kMoved || in.header_bytes < sizeof(FrameHeader)) return outcome;
  }
  EndPieces(in);
  if (in.done()) return Outcome::kMoved;
  const Outcome outcome = ReceivePiece(in, *flow, combining, wait);
  EndPieces(in);
  return outcome;
}

TcpStreams::Outcome TcpStreams::ReceivePiece(In& in, TcpFlow& flow, const Combining& combining,
                                             TcpWait& wait) {
  switch (in.stream.pieces[in.piece].kind) {
    case InPiece::Kind::kStore: return Store(in, flow, wait);
    case InPiece::Kind::kAside: return PutAside(in, flow, wait);
    default: return Combine(in, flow, combining, wait);
  }
}

TcpStreams::Outcome TcpStreams::ReceiveHeader(In& in, TcpFlow& flow, TcpWait& wait) {
  auto* const bytes = reinterpret_cast<std::byte*>(&in.header);
  const ssize_t got = flow.Receive(bytes + in.header_bytes, sizeof(FrameHeader) - in.header_bytes);
  if (got == kFlowClosed) wait.Closed(in.stream.from, flow.fault());
  if (got <= 0) return Outcome::kNothing;
  in.header_bytes += static_cast<size_t>(got);
  if (in.header_bytes < sizeof(FrameHeader)) return Outcome::kMoved;
  const auto header = ParseFrameHeader({bytes, sizeof(FrameHeader)},
                                       end_->members().SourceOf(in.stream.from), in.total);
  base::Status finding = header.status();
  if (header.ok() && (header->kind != FrameKind::kData || header->seq != wait.seq() ||
                      header->bytes != in.total)) {
    finding = base::DataLossError(std::to_string(header->bytes) + " bytes of op " +
                                  std::to_string(header->seq) + " came where " +
                                  std::to_string(in.total) + " of this one should");
  }
  if (finding.ok()) return Outcome::kMoved;
  wait.FailProtocol(in.stream.from, finding);
  return Outcome::kFailed;
}

TcpStreams::Outcome TcpStreams::Store(In& in, TcpFlow& flow, TcpWait& wait) {
  const InPiece& piece = in.stream.pieces[in.piece];
  const ssize_t got =
      flow.Receive(piece.to + in.received, std::min(piece.bytes - in.received, kReceiveBytesMax));
  if (got == kFlowClosed) wait.Closed(in.stream.from, flow.fault());
  if (got <= 0) return Outcome::kNothing;
  in.received += static_cast<size_t>(got);
  in.combined = in.received;
  in.processed += static_cast<uint64_t>(got);
  return Outcome::kMoved;
}

TcpStreams::Outcome TcpStreams::PutAside(In& in, TcpFlow& flow, TcpWait& wait) {
  if (asides_.size() < ins_.size() * aside_bytes_) asides_.resize(ins_.size() * aside_bytes_);
  const InPiece& piece = in.stream.pieces[in.piece];
  const size_t at = in.aside % aside_bytes_;
  const size_t room = std::min({RoomAside(in), piece.bytes - in.received, aside_bytes_ - at});
  if (room == 0) return Outcome::kNothing;
  std::byte* const own = asides_.data() + static_cast<size_t>(&in - ins_.data()) * aside_bytes_;
  const ssize_t got = flow.Receive(own + at, room);
  if (got == kFlowClosed) wait.Closed(in.stream.from, flow.fault());
  if (got <= 0) return Outcome::kNothing;
  in.received += static_cast<size_t>(got);
  in.combined = in.received;
  in.processed += static_cast<uint64_t>(got);
  in.aside += static_cast<uint64_t>(got);
  return Outcome::kMoved;
}

size_t TcpStreams::RoomAside(const In& in) const {
  return aside_bytes_ - static_cast<size_t>(in.aside - joined_);
}

bool TcpStreams::Join(const Combining& combining) {
  if (joined_ == join_.bytes) return false;
  uint64_t aside = join_.bytes;
  for (const In& in : ins_) aside = std::min(aside, in.aside);
  bool any = false;
  while (const auto bytes =
             static_cast<size_t>(aside - joined_) / combining.unit * combining.unit) {
    if (!JoinSome(combining, bytes)) break;
    any = true;
  }
  return any;
}

/// Up to the end of a ring. False: the window is full.
bool TcpStreams::JoinSome(const Combining& combining, size_t bytes) {
  const size_t at = joined_ % aside_bytes_;  // of an element, whose size divides the ring
  bytes = std::min(bytes, aside_bytes_ - at);
  std::byte* to;
  if (join_.to != nullptr) {
    to = join_.to + joined_;
  } else {
    if (window_.empty()) window_.resize(kWindowBytes);
    const size_t window_at = window_in_ % kWindowBytes;
    to = window_.data() + window_at;
    bytes = std::min({bytes, kWindowBytes - window_at, WindowRoom()});
    bytes = bytes / combining.unit * combining.unit;
    if (bytes == 0) return false;
    window_in_ += bytes;
  }
  inputs_.clear();
  scales_.clear();
  const auto add = [&](const std::byte* input, int member) {
    inputs_.push_back(input);
    scales_.push_back(combining.scales == nullptr ? 1 : combining.scales[member]);
  };
  const auto add_mine = [&] { add(join_.mine + joined_, end_->members().self()); };
  for (size_t i = 0; i < ins_.size(); ++i) {
    if (i == join_.place) add_mine();
    add(asides_.data() + i * aside_bytes_ + at, ins_[i].stream.from);
  }
  if (join_.place == ins_.size()) add_mine();
  combining.kernel(to, inputs_.data(), scales_.data(), static_cast<int>(inputs_.size()),
                   bytes / combining.unit);
  joined_ += bytes;
  return true;
}

size_t TcpStreams::WindowRoom() const {
  return kWindowBytes - static_cast<size_t>(window_in_ - window_out_);
}

TcpStreams::Outcome TcpStreams::Combine(In& in, TcpFlow& flow, const Combining& combining,
                                        TcpWait& wait) {
  const InPiece& piece = in.stream.pieces[in.piece];
  const bool forwards = piece.kind == InPiece::Kind::kForward;
  const size_t pending = in.received - in.combined;  // the beginning of an element
  std::byte* came;
  const size_t combinable = Combinable(piece);
  size_t room = std::min(combinable - std::min(in.received, combinable), kLandingBytes - pending);
  if (forwards) {
    if (window_.empty()) window_.resize(kWindowBytes);
    const size_t at = window_in_ % kWindowBytes;  // of the element, whose size divides the window
    came = window_.data() + at;
    room = std::min({room, kWindowBytes - at - pending, WindowRoom() - pending});
  } else {
    if (landing_.empty()) landing_.resize(kLandingBytes);
    came = landing_.data();
    std::memcpy(came, in.begun.data(), pending);
  }
  if (room == 0) return Outcome::kNothing;
  const ssize_t got = flow.Receive(came + pending, room);
  if (got == kFlowClosed) wait.Closed(in.stream.from, flow.fault());
  if (got <= 0) return Outcome::kNothing;
  in.received += static_cast<size_t>(got);
  const size_t held = pending + static_cast<size_t>(got);
  const size_t whole = held / combining.unit * combining.unit;
  if (whole > 0) CombineBytes(in, came, whole, combining);
  if (!forwards) std::memcpy(in.begun.data(), came + whole, held - whole);
  if (forwards) window_in_ += whole;
  in.combined += whole;
  in.processed += whole;
  return Outcome::kMoved;
}

/// Bytes of the piece that there is something to combine with by now.
size_t TcpStreams::Combinable(const InPiece& piece) const {
  if (piece.behind < 0) return piece.bytes;
  const uint64_t processed = ins_[static_cast<size_t>(piece.behind)].processed;
  if (processed <= piece.after) return 0;
  return static_cast<size_t>(std::min<uint64_t>(piece.bytes, processed - piece.after));
}

/// For another stream that comes in, and not for the network.
bool TcpStreams::Waits(const In& in) const {
  if (in.header_bytes < sizeof(FrameHeader) || in.piece == in.stream.pieces.size()) return false;
  const InPiece& piece = in.stream.pieces[in.piece];
  if (piece.kind == InPiece::Kind::kAside) return RoomAside(in) == 0;
  return piece.behind >= 0 && Combinable(piece) <= in.received;
}

void TcpStreams::CombineBytes(In& in, std::byte* came, size_t bytes,
                              const Combining& combining) const {
  const InPiece& piece = in.stream.pieces[in.piece];
  std::byte* const to = piece.kind == InPiece::Kind::kForward ? came : piece.to + in.combined;
  const std::byte* const sources[] = {came, piece.mine + in.combined};
  const size_t count = bytes / combining.unit;
  double scales[2] = {1, 1};
  if (combining.scales != nullptr) {
    if (piece.first) scales[0] = combining.scales[in.stream.from];
    if (piece.input) scales[1] = combining.scales[end_->members().self()];
  }
  combining.kernel(to, sources, scales, 2, count);
  if (combining.divide != nullptr && piece.kind == InPiece::Kind::kFinish)
    combining.divide(to, end_->members().count(), count);
}

void TcpStreams::EndPieces(In& in) const {
  while (in.piece < in.stream.pieces.size() && in.combined == in.stream.pieces[in.piece].bytes) {
    ++in.piece;
    in.received = in.combined = 0;
  }
}

// --------------------------------------------------------------------------------------- going out

/// Bytes of the piece that may have gone by now.
size_t TcpStreams::Ready(const OutPiece& piece) const {
  if (piece.after == OutPiece::kAtOnce) return piece.bytes;
  const uint64_t processed =
      piece.in == OutPiece::kJoined ? joined_ : ins_[static_cast<size_t>(piece.in)].processed;
  if (processed <= piece.after) return 0;
  return static_cast<size_t>(std::min<uint64_t>(piece.bytes, processed - piece.after));
}

TcpStreams::Outcome TcpStreams::Send(Out& out, TcpWait& wait) {
  iovec pieces[kPiecesAtOnce + 2];
  size_t count = 0, bytes = 0;
  const auto add = [&](const std::byte* from, size_t length) {
    pieces[count++] = {const_cast<std::byte*>(from), length};
    bytes += length;
  };
  if (out.header_bytes < sizeof(FrameHeader)) {
    add(reinterpret_cast<const std::byte*>(&out.header) + out.header_bytes,
        sizeof(FrameHeader) - out.header_bytes);
  }
  uint64_t window_at = window_out_;
  size_t skip = out.sent;
  for (size_t i = out.piece; i < out.stream.pieces.size() && count < kPiecesAtOnce; ++i) {
    const OutPiece& piece = out.stream.pieces[i];
    const size_t ready = Ready(piece);
    size_t length =
        std::min(ready - std::min(skip, ready), kSendBytesMax - std::min(bytes, kSendBytesMax));
    const bool whole = skip + length == piece.bytes;
    if (piece.from != nullptr) {
      if (length > 0) add(piece.from + skip, length);
    } else {
      while (length > 0 && count < kPiecesAtOnce + 2) {
        const size_t at = window_at % kWindowBytes;
        const size_t run = std::min(length, kWindowBytes - at);
        add(window_.data() + at, run);
        window_at += run;
        length -= run;
      }
    }
    skip = 0;
    if (!whole) break;
  }
  if (bytes == 0) {
    Sent(out, 0);
    return Outcome::kNothing;
  }
  TcpFlow* const flow = flows_.Out(out.stream.to, FlowPurpose::kData);
  if (flow == nullptr) return Outcome::kNothing;
  const ssize_t sent = flow->Send({pieces, count});
  if (sent == kFlowClosed) wait.Closed(out.stream.to, flow->fault());
  if (sent <= 0) return Outcome::kNothing;
  Sent(out, static_cast<size_t>(sent));
  return Outcome::kMoved;
}

void TcpStreams::Sent(Out& out, size_t bytes) {
  const size_t header = std::min(bytes, sizeof(FrameHeader) - out.header_bytes);
  out.header_bytes += header;
  bytes -= header;
  if (out.header_bytes < sizeof(FrameHeader)) return;
  while (out.piece < out.stream.pieces.size()) {
    const OutPiece& piece = out.stream.pieces[out.piece];
    const size_t length = std::min(bytes, piece.bytes - out.sent);
    out.sent += length;
    bytes -= length;
    if (piece.from == nullptr) window_out_ += length;
    if (out.sent < piece.bytes) return;
    ++out.piece;
    out.sent = 0;
  }
}

}  // namespace lockstep::collectives
