// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/nccl/testing/fake_nccl_kernels.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <thread>

#include "collectives/engine/reduce_kernels.h"
#include "collectives/testing/float8.h"

namespace lockstep::collectives::testing {
namespace {

/// A range of bytes of a buffer.
struct Range {
  size_t begin;
  size_t end;
  bool empty() const { return begin >= end; }
};

Range Both(Range a, Range b) { return {std::max(a.begin, b.begin), std::min(a.end, b.end)}; }

/// Of numbers of 8 bits, which processors do not combine: wide, and rounded once.
void ReduceFloat8(Dtype dtype, Reduction reduction, const std::byte* const* sources, size_t ranks,
                  size_t count, std::byte* to) {
  const auto load = [&](size_t rank, size_t i) {
    return LoadFloat8(dtype, static_cast<uint8_t>(sources[rank][i]));
  };
  for (size_t i = 0; i < count; ++i) {
    double value = load(0, i);
    for (size_t rank = 1; rank < ranks; ++rank) {
      const double next = load(rank, i);
      switch (reduction) {
        case Reduction::kProduct: value *= next; break;
        case Reduction::kMin: value = std::min(value, next); break;
        case Reduction::kMax: value = std::max(value, next); break;
        default: value += next; break;
      }
    }
    if (reduction == Reduction::kAverage) value /= static_cast<double>(ranks);
    to[i] = static_cast<std::byte>(StoreFloat8(dtype, value));
  }
}

class Collective {
 public:
  Collective(FakeNcclWorld& world, int rank, const FakeCall& call, const std::atomic<bool>& stop)
      : world_(world),
        rank_(static_cast<size_t>(rank)),
        size_(static_cast<size_t>(world.size())),
        call_(call),
        stop_(stop),
        width_(DtypeBytes(call.dtype)),
        bytes_(call.count * width_) {}

  /// Every rank shows its input in pieces; each takes from them what it wants.
  bool Run() {
    const bool parts_in = call_.kind == OpKind::kReduceScatter || call_.kind == OpKind::kAllToAll ||
                          call_.kind == OpKind::kScatter;
    const size_t total = parts_in ? size_ * bytes_ : bytes_;
    const bool from_root = call_.kind == OpKind::kBroadcast || call_.kind == OpKind::kScatter;
    const bool shows = !from_root || is_root();
    for (size_t offset = 0; offset < total; offset += FakeNcclWorld::kSlotBytes) {
      const Range piece{offset, std::min(total, offset + FakeNcclWorld::kSlotBytes)};
      if (shows) Show(piece);
      if (!world_.Barrier(static_cast<int>(rank_), stop_)) return false;
      Take(piece);
      if (!world_.Barrier(static_cast<int>(rank_), stop_)) return false;
    }
    return true;
  }

 private:
  bool is_root() const { return call_.peer == static_cast<int>(rank_); }
  std::byte* slot(size_t rank) const { return world_.slot(static_cast<int>(rank)).data; }
  Range part(size_t index) const { return {index * bytes_, (index + 1) * bytes_}; }

  void Show(Range piece) {
    const std::byte* const from = call_.in + piece.begin;
    const size_t count = (piece.end - piece.begin) / width_;
    if (call_.reduction == Reduction::kPremultipliedSum) {
      FindReduceKernel(call_.dtype, call_.reduction)(slot(rank_), &from, &call_.scale, 1, count);
    } else {
      std::memcpy(slot(rank_), from, piece.end - piece.begin);
    }
  }

  void Take(Range piece) {
    switch (call_.kind) {
      case OpKind::kAllReduce: return Reduce(piece, piece, call_.out + piece.begin);
      case OpKind::kReduce:
        if (is_root()) Reduce(piece, piece, call_.out + piece.begin);
        return;
      case OpKind::kReduceScatter: {
        const Range mine = Both(piece, part(rank_));
        if (!mine.empty()) Reduce(piece, mine, call_.out + (mine.begin - part(rank_).begin));
        return;
      }
      case OpKind::kBroadcast:
        return Copy(static_cast<size_t>(call_.peer), piece, piece, call_.out + piece.begin);
      case OpKind::kAllGather:
      case OpKind::kGather:
        if (call_.kind == OpKind::kGather && !is_root()) return;
        for (size_t r = 0; r < size_; ++r)
          Copy(r, piece, piece, call_.out + part(r).begin + piece.begin);
        return;
      case OpKind::kAllToAll: {
        const Range mine = Both(piece, part(rank_));
        for (size_t r = 0; r < size_ && !mine.empty(); ++r)
          Copy(r, piece, mine, call_.out + part(r).begin + (mine.begin - part(rank_).begin));
        return;
      }
      case OpKind::kScatter: {
        const Range mine = Both(piece, part(rank_));
        if (!mine.empty())
          Copy(static_cast<size_t>(call_.peer), piece, mine,
               call_.out + (mine.begin - part(rank_).begin));
        return;
      }
      default: return;
    }
  }

  void Copy(size_t from, Range piece, Range wanted, std::byte* to) {
    std::memcpy(to, slot(from) + (wanted.begin - piece.begin), wanted.end - wanted.begin);
  }

  void Reduce(Range piece, Range wanted, std::byte* to) {
    const std::byte* sources[FakeNcclWorld::kMaxRanks];
    double scales[FakeNcclWorld::kMaxRanks];
    for (size_t r = 0; r < size_; ++r) {
      sources[r] = slot(r) + (wanted.begin - piece.begin);
      scales[r] = 1;
    }
    const Reduction reduction =
        call_.reduction == Reduction::kPremultipliedSum ? Reduction::kSum : call_.reduction;
    const size_t count = (wanted.end - wanted.begin) / width_;
    if (IsFloat8(call_.dtype))
      return ReduceFloat8(call_.dtype, reduction, sources, size_, count, to);
    FindReduceKernel(call_.dtype, reduction)(to, sources, scales, static_cast<int>(size_), count);
  }

  FakeNcclWorld& world_;
  const size_t rank_;
  const size_t size_;
  const FakeCall& call_;
  const std::atomic<bool>& stop_;
  const size_t width_;
  const size_t bytes_;
};

/// A send or receive on its way.
struct Moving {
  const FakeCall& call;
  size_t moved = 0;

  size_t bytes() const { return call.count * DtypeBytes(call.dtype); }
  bool done() const { return moved == bytes(); }
  /// Whether a piece went through.
  bool Advance(FakeNcclWorld& world, int rank) {
    const bool sends = call.kind == OpKind::kSend;
    auto& mail = sends ? world.mail(rank, call.peer) : world.mail(call.peer, rank);
    const bool full =
        mail.written.load(std::memory_order_acquire) != mail.taken.load(std::memory_order_acquire);
    if (done() || full == sends) return false;
    const size_t piece = std::min(bytes() - moved, FakeNcclWorld::kMailBytes);
    if (sends) {
      std::memcpy(mail.data, call.in + moved, piece);
      mail.written.fetch_add(1, std::memory_order_release);
    } else {
      std::memcpy(call.out + moved, mail.data, piece);
      mail.taken.fetch_add(1, std::memory_order_release);
    }
    moved += piece;
    return true;
  }
};

}  // namespace

void RunFakeKernel(FakeNcclWorld& world, int rank, const std::vector<FakeCall>& calls,
                   const std::atomic<bool>& stop) {
  std::vector<Moving> moving;
  for (const FakeCall& call : calls) {
    if (call.kind == OpKind::kSend || call.kind == OpKind::kRecv) {
      moving.push_back({call});
    } else if (!Collective(world, rank, call, stop).Run()) {
      return;
    }
  }
  const auto done = [](const Moving& one) { return one.done(); };
  int fruitless = 0;
  while (!std::all_of(moving.begin(), moving.end(), done) && !stop.load()) {
    bool any = false;
    for (Moving& one : moving) any = one.Advance(world, rank) || any;
    if (any) {
      fruitless = 0;
    } else if (++fruitless < 100) {
      std::this_thread::yield();
    } else {
      std::this_thread::sleep_for(std::chrono::microseconds(50));
    }
  }
}

std::optional<Dtype> FakeDtype(NcclDtype dtype) {
  switch (dtype) {
    case kNcclInt8: return Dtype::kI8;
    case kNcclUint8: return Dtype::kU8;
    case kNcclInt32: return Dtype::kI32;
    case kNcclUint32: return Dtype::kU32;
    case kNcclInt64: return Dtype::kI64;
    case kNcclUint64: return Dtype::kU64;
    case kNcclFloat16: return Dtype::kF16;
    case kNcclFloat32: return Dtype::kF32;
    case kNcclFloat64: return Dtype::kF64;
    case kNcclBfloat16: return Dtype::kBf16;
    case kNcclFloat8e4m3: return Dtype::kF8E4m3;
    case kNcclFloat8e5m2: return Dtype::kF8E5m2;
  }
  return std::nullopt;
}

}  // namespace lockstep::collectives::testing
