// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_HOST_TCP_TCP_STREAMS_H_
#define LOCKSTEP_COLLECTIVES_HOST_TCP_TCP_STREAMS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "collectives/engine/reduce_kernels.h"
#include "collectives/host/tcp/tcp_end.h"
#include "collectives/host/tcp/tcp_flows.h"
#include "collectives/host/tcp/tcp_frames.h"
#include "collectives/host/tcp/tcp_plan.h"
#include "collectives/host/tcp/tcp_wait.h"

namespace lockstep::collectives {

/// Moves the streams of one op: from and to the callers' buffers without copies between, but for
/// what is combined, which passes through a window that stays in cache, or through one for each
/// stream where inputs are joined. One in each TcpBackend,
/// which owns it. Confined to the thread that runs collectives.
class TcpStreams {
 public:
  /// How what comes is combined; unset where ops only move.
  struct Combining {
    ReduceKernel kernel = nullptr;
    DivideKernel divide = nullptr;   // ends an average
    const double* scales = nullptr;  // by member, of a premultiplied sum
    size_t unit = 1;                 // bytes of an element
  };

  /// `flows` outlives this.
  TcpStreams(std::shared_ptr<TcpEnd> end, TcpFlows& flows);

  /// Takes up an op. Its buffers must live until Move() returns.
  void Begin(TcpPlan plan, uint64_t fingerprint, uint64_t seq);
  /// Sends what needs nothing from others and goes without waiting.
  void SendAtOnce(TcpWait& wait);
  /// Everything else. False: the op is over.
  bool Move(const Combining& combining, TcpWait& wait);
  /// What of it goes without waiting. False: the op is over.
  bool MoveWhatGoes(const Combining& combining, TcpWait& wait);

 private:
  struct In {
    InStream stream;
    FrameHeader header;
    size_t header_bytes = 0;  // that have come
    size_t piece = 0;
    std::array<std::byte, 8> begun;  // the beginning of an element that is not whole
    size_t received = 0;             // of the piece
    size_t combined = 0;             // of it
    uint64_t aside = 0;              // of the stream, for the join
    uint64_t processed = 0;          // of the stream
    uint64_t total = 0;
    bool done() const { return header_bytes == sizeof(FrameHeader) && processed == total; }
  };
  struct Out {
    OutStream stream;
    FrameHeader header;
    size_t header_bytes = 0;  // that are out
    size_t piece = 0;
    size_t sent = 0;  // of the piece
    bool done() const {
      return header_bytes == sizeof(FrameHeader) && piece == stream.pieces.size();
    }
  };
  enum class Outcome : uint8_t { kNothing, kMoved, kFailed };
  enum class Turn : uint8_t { kNothing, kMoved, kFailed, kDone };

  Turn TakeTurn(const Combining& combining, TcpWait& wait);

  Outcome Receive(In& in, const Combining& combining, TcpWait& wait);
  Outcome ReceivePiece(In& in, TcpFlow& flow, const Combining& combining, TcpWait& wait);
  Outcome ReceiveHeader(In& in, TcpFlow& flow, TcpWait& wait);
  Outcome Store(In& in, TcpFlow& flow, TcpWait& wait);
  Outcome PutAside(In& in, TcpFlow& flow, TcpWait& wait);
  size_t RoomAside(const In& in) const;
  /// What all have aside. Whether that was anything.
  bool Join(const Combining& combining);
  bool JoinSome(const Combining& combining, size_t bytes);
  Outcome Combine(In& in, TcpFlow& flow, const Combining& combining, TcpWait& wait);
  void CombineBytes(In& in, std::byte* came, size_t bytes, const Combining& combining) const;
  Outcome Send(Out& out, TcpWait& wait);
  size_t Ready(const OutPiece& piece) const;
  size_t WindowRoom() const;
  size_t Combinable(const InPiece& piece) const;
  bool Waits(const In& in) const;
  void Sent(Out& out, size_t bytes);
  void EndPieces(In& in) const;
  void Fill(TcpWait::Wants& wants);

  const std::shared_ptr<TcpEnd> end_;
  TcpFlows& flows_;
  std::vector<In> ins_;
  std::vector<Out> outs_;
  // A ring of bytes that come in, are combined, and go out; `landing_` is for those that do not go
  // out.
  std::vector<std::byte> window_;
  std::vector<std::byte> landing_;
  uint64_t window_in_ = 0;   // bytes of this op that have come into it
  uint64_t window_out_ = 0;  // that have gone
  TcpJoin join_;
  uint64_t joined_ = 0;            // bytes of it that are done
  std::vector<std::byte> asides_;  // for each stream that comes in, a ring of aside_bytes_
  size_t aside_bytes_ = 0;
  std::vector<const std::byte*> inputs_;  // of a step of the join, with their scales
  std::vector<double> scales_;
};

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_HOST_TCP_TCP_STREAMS_H_
