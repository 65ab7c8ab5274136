// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/host/shm/direct_moves.h"

#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "collectives/engine/parts.h"
#include "collectives/host/shm/stream_copy.h"

namespace lockstep::collectives {
namespace {

// Reduced at a time: stays in the first-level cache with its sources.
constexpr size_t kBlockBytes = size_t{8} << 10;

/// The element range of member `index` when `count` is shared out evenly, in whole cache lines.
struct Share {
  size_t begin;
  size_t count;
};
Share ShareOf(size_t count, size_t unit, size_t members, size_t index) {
  const size_t line = kCacheLine / unit;
  const size_t lines = (count + line - 1) / line;
  const size_t each = (lines + members - 1) / members * line;
  const size_t begin = std::min(count, index * each);
  return {begin, std::min(each, count - begin)};
}

// Less is there sooner when the others fetch all of it: who is one of many reads lines that others
// read at the same time, and a half costs the root a wait for each of them.
size_t SharedBroadcastBytes(int members) {
  return members == 2 ? size_t{64} << 10 : size_t{1} << 20;
}

// Of an all_gather's output of two. Each reads its own part once, for both outputs, by pieces that
// stay in the first-level cache; below, what is written waits in the wrong core's cache for who
// reads it.
constexpr size_t kWrittenBytes = size_t{4} << 20;
constexpr size_t kPieceBytes = size_t{4} << 10;

// Fetched at a time, of all others together: stays in the second-level cache until it is reduced.
constexpr size_t kFetchedBytes = size_t{256} << 10;

bool ReadMemory(int64_t pid, const void* from, void* to, size_t bytes) {
  auto* at = static_cast<std::byte*>(to);
  const auto* source = static_cast<const std::byte*>(from);
  while (bytes > 0) {
    iovec local{at, bytes};
    iovec remote{const_cast<std::byte*>(source), bytes};
    const ssize_t got = process_vm_readv(static_cast<pid_t>(pid), &local, 1, &remote, 1, 0);
    if (got <= 0) {
      if (got == 0) errno = EFAULT;
      return false;
    }
    at += got;
    source += got;
    bytes -= static_cast<size_t>(got);
  }
  return true;
}

}  // namespace

bool IsReadable(const std::byte* data, size_t bytes) {
  std::byte byte;
  return bytes == 0 || (ReadMemory(::getpid(), data, &byte, 1) &&
                        ReadMemory(::getpid(), data + bytes - 1, &byte, 1));
}

bool MayRead(const ShmMembers& members, int member) {
  const MemberCard& card = members.page(member).card;
  uint64_t value = 0;
  return card.probe_value != 0 &&
         ReadMemory(card.pid, reinterpret_cast<const void*>(card.probe_address), &value,
                    sizeof value) &&
         value == card.probe_value;
}

bool DirectMoves::MayFetch(OpKind kind) {
  return kind == OpKind::kAllReduce || kind == OpKind::kAllGather || kind == OpKind::kAllGatherV ||
         kind == OpKind::kGather || kind == OpKind::kScatter || kind == OpKind::kAllToAll;
}

struct DirectMoves::Call {
  const Op& op;
  const PeerBuffers& buffers;
  const ReduceKernels kernels;
  const double* const scales;
  const AwaitPeers& await;
  const size_t unit;
  const Parts parts;
  const bool past_caches;  // copies go there
};

DirectMoves::Outcome DirectMoves::Run(const Op& op, const PeerBuffers& buffers,
                                      ReduceKernels kernels, const double* scales,
                                      const AwaitPeers& await) {
  unreadable_member_ = -1;
  const size_t unit = DtypeBytes(op.dtype);
  const auto n = static_cast<size_t>(members_.count());
  // At the caches' size most of it would not be found there the next time.
  const size_t footprint = n * unit *
                           (InCount(op, members_.self(), members_.count()) +
                            OutCount(op, members_.self(), members_.count()));
  const Call call{op,
                  buffers,
                  kernels,
                  scales,
                  await,
                  unit,
                  Parts(op, members_.count()),
                  footprint >= LastCacheBytes()};
  bool done = false;
  switch (op.kind) {
    case OpKind::kAllReduce:
      done = buffers.mapped ? ReduceMapped(call) : ReduceFetched(call);
      break;
    case OpKind::kReduceScatter:
    case OpKind::kReduceScatterV: done = ReducePart(call); break;
    case OpKind::kBroadcast:
      done = buffers.mapped && op.bytes() >= SharedBroadcastBytes(members_.count())
                 ? BroadcastMapped(call)
                 : FetchParts(call);
      break;
    case OpKind::kAllGather:
      done =
          n == 2 && buffers.mapped && buffers.out[0] != nullptr && n * op.bytes() >= kWrittenBytes
              ? WriteParts(call)
              : FetchParts(call);
      break;
    default: done = FetchParts(call); break;
  }
  if (done) return Outcome::kDone;
  return unreadable_member_ >= 0 ? Outcome::kUnreadable : Outcome::kEnded;
}

/// Nobody's buffers are touched any more once all have come here.
bool DirectMoves::EndTogether(const Call& call, uint64_t number) {
  if (call.past_caches) FenceStreamCopies();
  counters_.PublishAll(number + 1);
  return call.await(&ProgressLine::gathered, number + 1, 0, members_.count());
}

bool DirectMoves::Fetch(const Call& call, int member, const std::byte* from, std::byte* to,
                        size_t bytes) {
  if (bytes == 0) return true;
  if (call.buffers.mapped || member == members_.self()) {
    if (from == to) return true;  // in another process the same address is another place
    if (call.past_caches) {
      StreamCopy(to, from, bytes);
    } else {
      std::memcpy(to, from, bytes);
    }
    return true;
  }
  if (ReadMemory(members_.page(member).card.pid, from, to, bytes)) return true;
  unreadable_error_ = errno;
  unreadable_member_ = member;
  return false;
}

// In place too: of a share's inputs all were read before its outputs are written, element by
// element, and nobody else reads them.
bool DirectMoves::ReduceMapped(const Call& call) {
  const Op& op = call.op;
  const uint64_t number = counters_.Take(1);
  const auto n = static_cast<size_t>(members_.count());
  const Share share = ShareOf(op.count, call.unit, n, static_cast<size_t>(members_.self()));
  const size_t offset = share.begin * call.unit;
  std::array<const std::byte*, kMaxShmMembers> inputs;
  std::array<std::byte*, kMaxShmMembers> outputs;
  for (size_t member = 0; member < n; ++member) {
    inputs[member] = call.buffers.in[member] + offset;
    outputs[member] = call.buffers.out[member] + offset;
  }
  // In place the lines have just been read.
  const bool past_caches = op.in != op.out && 2 * op.bytes() * n > LastCacheBytes();
  call.kernels.to_all(outputs.data(), members_.count(), past_caches, inputs.data(), call.scales,
                      members_.count(), share.count);
  return EndTogether(call, number);
}

// In place too: what others fetch of my input is not my share, and comes into my buffer when all
// have fetched.
bool DirectMoves::ReduceFetched(const Call& call) {
  const Op& op = call.op;
  const uint64_t number = counters_.Take(1);
  const auto n = static_cast<size_t>(members_.count());
  const auto self = static_cast<size_t>(members_.self());
  const Share share = ShareOf(op.count, call.unit, n, self);
  const size_t pages = (share.count * call.unit + kPieceBytes - 1) / kPieceBytes;
  const size_t piece =
      kPieceBytes * std::clamp(kFetchedBytes / (n - 1) / kPieceBytes, size_t{1}, pages + 1);
  if (fetched_.size() < piece * (n - 1)) fetched_.resize(piece * (n - 1));
  std::array<const std::byte*, kMaxShmMembers> inputs;
  for (size_t begin = 0; begin < share.count; begin += piece / call.unit) {
    const size_t count = std::min(piece / call.unit, share.count - begin);
    const size_t offset = (share.begin + begin) * call.unit;
    std::byte* next = fetched_.data();
    for (size_t member = 0; member < n; ++member) {
      inputs[member] = member == self ? op.in + offset : next;
      if (member == self) continue;
      if (!Fetch(call, static_cast<int>(member), call.buffers.in[member] + offset, next,
                 count * call.unit))
        return false;
      next += piece;
    }
    call.kernels.to_one(op.out + offset, inputs.data(), call.scales, members_.count(), count);
  }
  counters_.Publish(&ProgressLine::reduced, number + 1);
  if (!call.await(&ProgressLine::reduced, number + 1, 0, members_.count())) return false;
  // Each begins with the one behind it, so that not all read from one.
  for (size_t step = 1; step < n; ++step) {
    const size_t member = (self + step) % n;
    const Share theirs = ShareOf(op.count, call.unit, n, member);
    const size_t offset = theirs.begin * call.unit;
    if (!Fetch(call, static_cast<int>(member), call.buffers.out[member] + offset, op.out + offset,
               theirs.count * call.unit))
      return false;
  }
  return EndTogether(call, number);
}

bool DirectMoves::ReducePart(const Call& call) {
  const auto self = static_cast<size_t>(members_.self());
  const uint64_t number = counters_.Take(1);
  const size_t block = kBlockBytes / call.unit;
  std::array<const std::byte*, kMaxShmMembers> inputs;
  for (size_t begin = 0; begin < call.parts.count(self); begin += block) {
    const size_t count = std::min(block, call.parts.count(self) - begin);
    const size_t offset = (call.parts.offset(self) + begin) * call.unit;
    for (int member = 0; member < members_.count(); ++member) {
      const auto index = static_cast<size_t>(member);
      inputs[index] = call.buffers.in[index] + offset;
    }
    call.kernels.to_one(call.op.out + begin * call.unit, inputs.data(), call.scales,
                        members_.count(), count);
  }
  return EndTogether(call, number);
}

// While the root was idle between two members so was half of what writes memory. There are as many
// copies to be made as there are others, and all write equally much of them; the root past the
// caches, since in them the lines would have to be taken away from the others.
bool DirectMoves::BroadcastMapped(const Call& call) {
  const Op& op = call.op;
  const int self = members_.self();
  const uint64_t number = counters_.Take(1);
  const auto n = static_cast<size_t>(members_.count());
  const Share of_root = ShareOf(op.count, call.unit, n, n - 1);
  const size_t offset = of_root.begin * call.unit;
  if (self != op.peer) {
    if (!Fetch(call, op.peer, call.buffers.in[static_cast<size_t>(op.peer)], op.out, offset))
      return false;
    return EndTogether(call, number);
  }
  for (int member = 0; member < members_.count(); ++member) {
    if (member == self) continue;
    StreamCopy(call.buffers.out[static_cast<size_t>(member)] + offset, op.in + offset,
               of_root.count * call.unit);
  }
  FenceStreamCopies();
  return EndTogether(call, number);
}

bool DirectMoves::WriteParts(const Call& call) {
  const Op& op = call.op;
  const int self = members_.self();
  const uint64_t number = counters_.Take(1);
  const size_t place = call.parts.out_offset(self) * call.unit;
  for (size_t begin = 0; begin < op.bytes(); begin += kPieceBytes) {
    const size_t bytes = std::min(kPieceBytes, op.bytes() - begin);
    for (const int member : {self, 1 - self}) {
      std::byte* const to = call.buffers.out[static_cast<size_t>(member)] + place + begin;
      if (to != op.in + begin) std::memcpy(to, op.in + begin, bytes);
    }
  }
  return EndTogether(call, number);
}

bool DirectMoves::FetchParts(const Call& call) {
  const Op& op = call.op;
  const int self = members_.self();
  const uint64_t number = counters_.Take(1);
  const bool from_one = op.kind == OpKind::kBroadcast || op.kind == OpKind::kScatter;
  const bool takes = op.kind != OpKind::kGather || op.peer == self;
  const bool deals = op.kind == OpKind::kAllToAll || op.kind == OpKind::kScatter;
  // Each begins with another member, so that not all read from one.
  for (int step = 0; takes && step < members_.count(); ++step) {
    const int member = (self + step) % members_.count();
    if (from_one && member != op.peer) continue;
    const size_t offset = deals ? call.parts.offset(static_cast<size_t>(self)) : 0;
    if (!Fetch(call, member, call.buffers.in[static_cast<size_t>(member)] + offset * call.unit,
               op.out + call.parts.out_offset(member) * call.unit,
               call.parts.out_count(member) * call.unit)) {
      return false;
    }
  }
  return EndTogether(call, number);
}

}  // namespace lockstep::collectives
