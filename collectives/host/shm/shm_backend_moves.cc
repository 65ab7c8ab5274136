// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// ShmBackend: which way an op's data goes, and the ways.
#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "collectives/engine/small_op.h"
#include "collectives/host/shm/shm_backend.h"
#include "collectives/recorder/recorder.h"
#include "runtime/base/check.h"

namespace lockstep::collectives {
namespace {

// Up to here a copy through the segment costs less than the barrier that it saves.
constexpr size_t kMappedBytes = 1024;
// Where members share processors each wait for a window costs a switch between them, and fetching
// by process_vm_readv has fewer: between these sizes what is only copied is faster so. Of all else
// it is measured which costs less (WaysOfOps).
constexpr size_t kFetchedBytes = size_t{512} << 10;
constexpr size_t kFetchedBytesEnd = size_t{8} << 20;

/// Whether members may work in each other's buffers of AllocBuffer.
bool MayBeMapped(OpKind kind) {
  return kind != OpKind::kReduce && kind != OpKind::kScatter && kind != OpKind::kAllToAllV;
}

}  // namespace

bool ShmBackend::MoveStaged(const Running& run, const WindowCounters::AwaitPeers& await) {
  const Op& op = run.op;
  std::array<double, kMaxShmMembers> scales;
  switch (op.kind) {
    case OpKind::kAllReduce:
    case OpKind::kReduce:
    case OpKind::kReduceScatter:
    case OpKind::kReduceScatterV:
      return windows_.Reduce(op, run.kernels, Scales(run, scales.data()), await);
    case OpKind::kAllGather:
    case OpKind::kAllGatherV:
    case OpKind::kBroadcast:
    case OpKind::kGather: return windows_.Spread(op, await);
    case OpKind::kAllToAll:
    case OpKind::kScatter: return windows_.Deal(op, op.bytes(), await);
    case OpKind::kAllToAllV: {
      size_t longest = 0;
      return CountsAgree(run, longest) && windows_.Deal(op, longest * DtypeBytes(op.dtype), await);
    }
    default: LOCKSTEP_CHECK(false, "Group makes no other op with data");
  }
}

const BufferRefs& ShmBackend::refs(const Running& run, int member) const {
  return *reinterpret_cast<const BufferRefs*>(members_.page(member).arrival[run.seq & 1].payload);
}

BufferRefs ShmBackend::RefsOf(const Running& run) {
  const Op& op = run.op;
  const size_t unit = DtypeBytes(op.dtype);
  const int self = members_.self();
  const SharedBuffers::Place in =
      op.in == nullptr ? SharedBuffers::Place{}
                       : shared_.Find(op.in, InCount(op, self, members_.count()) * unit);
  SharedBuffers::Place out;
  if (op.kind == OpKind::kBroadcast) out = in;
  if ((op.kind == OpKind::kAllReduce || op.kind == OpKind::kAllGather) && in.number != 0)
    out = shared_.Find(op.out, OutCount(op, self, members_.count()) * unit);
  return {
      .in_shared = in.number,
      .out_shared = out.number,
      .in_offset = in.offset,
      .out_offset = out.offset,
      .in_address = reinterpret_cast<uint64_t>(op.in),
      .out_address = reinterpret_cast<uint64_t>(op.out),
      .way_of_moving = run.largest >= kMinRotatedBytes
                           ? ways_.Next(op.kind, op.bytes(), IsLargeInPlace(run))
                           : WayOfMoving::kThroughCaches,
      .is_readable = run.largest >= WaysOfOps::kFetchedBytes && IsReadableByOthers(op) ? 1u : 0u};
}

bool ShmBackend::IsLargeInPlace(const Running& run) const {
  return run.largest > members_.layout().small_bytes() && run.op.in == run.op.out;
}

/// Programs use the same buffers again and again.
bool ShmBackend::IsReadableByOthers(const Op& op) {
  if (!may_fetch_ || !DirectMoves::MayFetch(op.kind)) return false;
  const size_t unit = DtypeBytes(op.dtype);
  const int self = members_.self();
  const ReadableBuffers buffers{
      .in = op.in,
      .in_bytes = op.in == nullptr ? 0 : InCount(op, self, members_.count()) * unit,
      .out = op.out,
      .out_bytes = op.out == nullptr ? 0 : OutCount(op, self, members_.count()) * unit};
  for (const ReadableBuffers& known : readable_) {
    if (known == buffers) return true;
  }
  if (!IsReadable(buffers.in, buffers.in_bytes) || !IsReadable(buffers.out, buffers.out_bytes))
    return false;
  readable_[readable_next_++ % readable_.size()] = buffers;
  return true;
}

bool ShmBackend::AsksForMapping(OpKind kind, size_t largest, const BufferRefs& refs) const {
  const bool can = kind == OpKind::kAllReduce ? refs.out_shared != 0 : MayBeMapped(kind);
  return can && refs.in_shared != 0 && largest > kMappedBytes;
}

WayOfMoving::Way ShmBackend::WayOf(const Running& run) const {
  const uint32_t said = refs(run, 0).way_of_moving;
  return said < WayOfMoving::kWays ? static_cast<WayOfMoving::Way>(said)
                                   : WayOfMoving::kThroughCaches;
}

// Mapped, when all name the same buffers: then all have them. (Of an all_gather the outputs need
// not be: what all do then without is to write into the others'.)
ShmBackend::Route ShmBackend::RouteOf(const Running& run) const {
  if (run.largest <= kInlineBytes) return Route::kSmall;
  const OpKind kind = run.op.kind;
  const BufferRefs& own = refs(run, members_.self());
  bool any_asks = false, all_agree = AsksForMapping(kind, run.largest, own), all_readable = true;
  for (int member = 0; member < members_.count(); ++member) {
    const BufferRefs& theirs = refs(run, member);
    any_asks = any_asks || AsksForMapping(kind, run.largest, theirs);
    all_readable = all_readable && theirs.is_readable == 1;
    all_agree = all_agree && theirs.in_shared == own.in_shared &&
                (kind == OpKind::kAllGather || theirs.out_shared == own.out_shared);
  }
  if (all_agree) return Route::kMapped;
  if (run.largest <= members_.layout().small_bytes())
    return any_asks ? Route::kStaged : Route::kSmall;
  const bool may_be_fetched = may_fetch_ && DirectMoves::MayFetch(kind) && all_readable;
  const bool is_cheaper = WayOf(run) == WayOfMoving::kFetched;
  return may_be_fetched && (is_cheaper || Fetches(kind, run.largest)) ? Route::kFetched
                                                                      : Route::kStaged;
}

bool ShmBackend::Fetches(OpKind kind, size_t bytes) const {
  return may_fetch_ && DirectMoves::MayFetch(kind) && kind != OpKind::kAllReduce &&
         spin_limit_ == 0 && bytes >= kFetchedBytes && bytes < kFetchedBytesEnd;
}

bool ShmBackend::MoveDirectly(const Running& run, bool mapped,
                              const WindowCounters::AwaitPeers& await) {
  PeerBuffers buffers;
  buffers.mapped = mapped;
  const BufferRefs& own = refs(run, members_.self());
  bool outs_agree = own.out_shared != 0;
  for (int member = 0; member < members_.count(); ++member)
    outs_agree = outs_agree && refs(run, member).out_shared == own.out_shared;
  SharedBuffers::Parts in, out;  // all name the same
  if (mapped) in = shared_.PartsOf(own.in_shared);
  if (mapped && outs_agree)
    out = own.out_shared == own.in_shared ? in : shared_.PartsOf(own.out_shared);
  for (int member = 0; member < members_.count(); ++member) {
    const BufferRefs& theirs = refs(run, member);
    const auto index = static_cast<size_t>(member);
    if (mapped) {
      buffers.in[index] = in.of(member) + theirs.in_offset;
      buffers.out[index] = outs_agree ? out.of(member) + theirs.out_offset : nullptr;
    } else {
      buffers.in[index] = reinterpret_cast<const std::byte*>(theirs.in_address);
      buffers.out[index] = reinterpret_cast<std::byte*>(theirs.out_address);
    }
  }
  std::array<double, kMaxShmMembers> scales;
  switch (direct_.Run(run.op, buffers, run.kernels, Scales(run, scales.data()), await)) {
    case DirectMoves::Outcome::kDone: return true;
    case DirectMoves::Outcome::kEnded: return false;
    case DirectMoves::Outcome::kUnreadable: break;
  }
  failures_.CannotBeRead(run.call(), direct_.unreadable_member(), direct_.unreadable_error());
  return false;
}

/// By member, into `scales`; null where the reduction has none.
const double* ShmBackend::Scales(const Running& run, double* scales) const {
  if (run.op.reduction != Reduction::kPremultipliedSum) return nullptr;
  for (int member = 0; member < members_.count(); ++member)
    scales[member] = members_.page(member).ops[run.seq & 1].scale;
  return scales;
}

void ShmBackend::FinishSmall(const Running& run) {
  const bool rotated = IsRotated(run);
  const uint64_t begun = rotated ? Ticks() : 0;
  std::array<const std::byte*, kMaxShmMembers> inputs;
  std::array<double, kMaxShmMembers> scales;
  for (int member = 0; member < members_.count(); ++member)
    inputs[static_cast<size_t>(member)] = small_input(run, member);
  const Op& op = run.op;
  FinishSmallOp(op, members_.self(), members_.count(), inputs.data(), Scales(run, scales.data()));
  if (!rotated) return;
  // Writing mine and reading the others', but not the wait for them between.
  if (members_.self() == 0) {
    ways_.Record(op.kind, op.bytes(), false, ways_.agreed(op.kind, op.bytes()),
                 small_ticks_ + (Ticks() - begun));
  }
  ways_.Agree(op.kind, op.bytes(), WayOf(run));
}

bool ShmBackend::CountsAgree(const Running& run, size_t& longest) {
  longest = 0;
  for (int from = 0; from < members_.count(); ++from) {
    for (int to = 0; to < members_.count(); ++to) {
      const uint64_t sent = members_.counts(from, run.seq).in[to];
      const uint64_t expected = members_.counts(to, run.seq).out[from];
      longest = std::max(longest, static_cast<size_t>(sent));
      if (sent == expected) continue;
      failures_.CountsDiffer(run.call(), from, to, sent, expected);
      return false;
    }
  }
  return true;
}

base::Result<std::shared_ptr<SharedBuffer>> ShmBackend::AllocBuffer(size_t bytes,
                                                                    const OpDeadline& deadline) {
  const ShmMembers::Config& config = members_.config();
  // A group of its own to the source of segments.
  const base::GroupId id(config.group.value() ^ (0x9e3779b97f4a7c15u * shared_.next_number()));
  ASSIGN_OR_RETURN(std::shared_ptr<Segment> segment,
                   segments_->Open({.group = id,
                                    .epoch = config.epoch,
                                    .member_count = members_.count(),
                                    .member_index = members_.self(),
                                    .bytes = SharedBuffers::PartBytes(bytes) *
                                             static_cast<size_t>(members_.count())},
                                   deadline.Left()));
  segment->UseHugePages(SharedBuffers::PartBytes(bytes) * static_cast<size_t>(members_.self()),
                        bytes);
  return shared_.Add(std::move(segment), bytes);
}

std::string ShmBackend::Explain(OpKind kind, Dtype dtype, size_t count) const {
  const size_t bytes = count * DtypeBytes(dtype);
  std::string text = DescribeOp(kind, dtype, Reduction::kNone, -1, count) + ": ";
  if (kind == OpKind::kSend || kind == OpKind::kRecv || kind == OpKind::kBatch)
    return text + "through the lane of each pair, in pieces; nobody else is waited for";
  const bool may_be_small = kind != OpKind::kAllToAllV;  // its members know only their own counts
  if (kind == OpKind::kBarrier || (may_be_small && bytes <= kInlineBytes))
    return text + "inline in the arrival line (one barrier)";
  const std::string mapped =
      MayBeMapped(kind) && bytes > kMappedBytes ? "; between buffers of AllocBuffer: direct" : "";
  if (may_be_small && bytes <= members_.layout().small_bytes())
    return text + "small: everyone writes its input and reads all (one barrier)" + mapped;
  if (Fetches(kind, bytes)) {
    return text +
           "fetched from the others' memory by process_vm_readv, since members share processors" +
           mapped;
  }
  const std::string way = windows_.ReducesByEach(kind, bytes)
                              ? "staged, whole inputs that both combine: a pipeline of windows of "
                              : "staged: a pipeline of windows of ";
  const bool or_fetched =
      may_fetch_ && DirectMoves::MayFetch(kind) && bytes >= WaysOfOps::kFetchedBytes;
  return text + way + std::to_string(members_.layout().stage_bytes()) + " bytes a member" +
         (or_fetched ? ", or fetched by process_vm_readv, by what takes less time here" : "") +
         mapped;
}

}  // namespace lockstep::collectives
