// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/host/tcp/tcp_plan.h"

#include <algorithm>

#include "collectives/engine/parts.h"
#include "collectives/engine/reduce_kernels.h"
#include "collectives/host/tcp/tcp_choice.h"
#include "collectives/host/tcp/tcp_direct.h"
#include "collectives/host/tcp/tcp_halving.h"
#include "runtime/base/check.h"

namespace lockstep::collectives {
namespace {

/// What of a block goes round together in pass `pass`.
TcpBlock Slice(const TcpBlock& block, size_t pass) {
  const size_t begin = std::min(pass * kRingSliceBytes, block.bytes);
  return {block.offset + begin, std::min(kRingSliceBytes, block.bytes - begin)};
}

class Ring {
 public:
  Ring(const std::byte* in, std::byte* out, int self, std::vector<TcpBlock> blocks)
      : in_(in),
        out_(out),
        self_(self),
        size_(static_cast<int>(blocks.size())),
        blocks_(std::move(blocks)) {
    plan_.ins.push_back({.from = (self + size_ - 1) % size_, .pieces = {}});
    plan_.outs.push_back({.to = (self + 1) % size_, .pieces = {}});
    size_t longest = 0;
    for (const TcpBlock& block : blocks_) longest = std::max(longest, block.bytes);
    passes_ = (longest + kRingSliceBytes - 1) / kRingSliceBytes;
  }

  // Block b starts at member b and ends, combined, at b - 1, which spreads it.
  TcpPlan AllReduce() {
    for (size_t pass = 0; pass < passes_; ++pass) {
      Own(self_, pass);
      for (int step = 1; step < size_ - 1; ++step) Forward(self_ - step, pass, step == 1);
      Finish(self_ + 1, pass, out_ + At(self_ + 1, pass).offset, true);
      for (int step = 1; step < size_ - 1; ++step) Relay(self_ + 1 - step, pass);
      Store(self_ + 2, pass);
    }
    return std::move(plan_);
  }

  // Block b starts at member b + 1 and ends at b.
  TcpPlan ReduceScatter() {
    for (size_t pass = 0; pass < passes_; ++pass) {
      Own(self_ - 1, pass);
      for (int step = 2; step < size_; ++step) Forward(self_ - step, pass, step == 2);
      std::byte* const to = out_ + (At(self_, pass).offset - blocks_[Index(self_)].offset);
      Finish(self_, pass, to, false);
    }
    return std::move(plan_);
  }

  // The input is this member's own block, which lies in its place of the output or outside of it.
  TcpPlan AllGather() {
    const TcpBlock mine = blocks_[Index(self_)];
    plan_.outs[0].pieces.push_back({.from = in_, .bytes = mine.bytes});
    for (int step = 1; step < size_; ++step) {
      const TcpBlock block = blocks_[Index(self_ - step)];
      const uint64_t after = in_bytes_;
      AddIn({.bytes = block.bytes, .to = out_ + block.offset});
      if (step + 1 < size_)
        plan_.outs[0].pieces.push_back(
            {.from = out_ + block.offset, .bytes = block.bytes, .after = after});
    }
    return std::move(plan_);
  }

 private:
  size_t Index(int block) const { return static_cast<size_t>((block + 2 * size_) % size_); }
  TcpBlock At(int block, size_t pass) const { return Slice(blocks_[Index(block)], pass); }

  void AddIn(const InPiece& piece) {
    plan_.ins[0].pieces.push_back(piece);
    in_bytes_ += piece.bytes;
  }
  void Own(int block, size_t pass) {
    const TcpBlock slice = At(block, pass);
    plan_.outs[0].pieces.push_back({.from = in_ + slice.offset, .bytes = slice.bytes});
  }
  void Forward(int block, size_t pass, bool first) {
    const TcpBlock slice = At(block, pass);
    plan_.outs[0].pieces.push_back({.bytes = slice.bytes, .after = in_bytes_});
    AddIn({.kind = InPiece::Kind::kForward,
           .first = first,
           .bytes = slice.bytes,
           .mine = in_ + slice.offset});
  }
  void Finish(int block, size_t pass, std::byte* to, bool goes_on) {
    const TcpBlock slice = At(block, pass);
    if (goes_on)
      plan_.outs[0].pieces.push_back({.from = to, .bytes = slice.bytes, .after = in_bytes_});
    AddIn({.kind = InPiece::Kind::kFinish,
           .first = size_ == 2,
           .bytes = slice.bytes,
           .to = to,
           .mine = in_ + slice.offset});
  }
  void Relay(int block, size_t pass) {
    const TcpBlock slice = At(block, pass);
    plan_.outs[0].pieces.push_back(
        {.from = out_ + slice.offset, .bytes = slice.bytes, .after = in_bytes_});
    Store(block, pass);
  }
  void Store(int block, size_t pass) {
    const TcpBlock slice = At(block, pass);
    AddIn({.bytes = slice.bytes, .to = out_ + slice.offset});
  }

  const std::byte* const in_;
  std::byte* const out_;
  const int self_;
  const int size_;
  const std::vector<TcpBlock> blocks_;  // by member
  size_t passes_ = 0;
  uint64_t in_bytes_ = 0;
  TcpPlan plan_;
};

std::vector<TcpBlock> PartBlocks(const Op& op, int size) {
  const Parts parts(op, size);
  const size_t unit = DtypeBytes(op.dtype);
  std::vector<TcpBlock> blocks;
  for (size_t member = 0; member < static_cast<size_t>(size); ++member)
    blocks.push_back({parts.offset(member) * unit, parts.count(member) * unit});
  return blocks;
}

/// `op.count` elements in blocks that differ by one at most, of those members who have a share.
template <class HasShare>
std::vector<TcpBlock> EvenBlocks(const Op& op, int size, const HasShare& has_share) {
  size_t shares = 0, place = 0, offset = 0;
  for (int member = 0; member < size; ++member) shares += has_share(member) ? 1 : 0;
  const size_t unit = DtypeBytes(op.dtype);
  std::vector<TcpBlock> blocks;
  for (int member = 0; member < size; ++member) {
    size_t count = 0;
    if (has_share(member)) count = op.count / shares + (place++ < op.count % shares ? 1 : 0);
    blocks.push_back({offset, count * unit});
    offset += count * unit;
  }
  return blocks;
}

std::vector<TcpBlock> EvenBlocks(const Op& op, int size) {
  return EvenBlocks(op, size, [](int) { return true; });
}

/// Of who combines for the root, which gets no more than the result then, as from a chain. Of two
/// it is the root itself.
std::vector<TcpBlock> BlocksForRoot(const Op& op, int size) {
  return EvenBlocks(op, size, [&](int member) { return (member == op.peer) == (size == 2); });
}

/// From the member behind the root, by way of all, to the root.
TcpPlan ReduceChain(const Op& op, int self, int size) {
  TcpPlan plan;
  const int place = (self - op.peer + size) % size;  // 0 = root; the chain begins at 1
  const size_t bytes = op.bytes();
  if (place == 1) {
    plan.outs.push_back({.to = (self + 1) % size, .pieces = {{.from = op.in, .bytes = bytes}}});
    return plan;
  }
  InPiece piece{.kind = place == 0 ? InPiece::Kind::kFinish : InPiece::Kind::kForward,
                .first = place == 2 || (place == 0 && size == 2),
                .bytes = bytes,
                .to = place == 0 ? op.out : nullptr,
                .mine = op.in};
  plan.ins.push_back({.from = (self + size - 1) % size, .pieces = {piece}});
  if (place != 0)
    plan.outs.push_back({.to = (self + 1) % size, .pieces = {{.bytes = bytes, .after = 0}}});
  return plan;
}

TcpWay FastestWay(OpKind kind, size_t bytes, int size, TcpLink link) {
  return EstimatesOf(kind, bytes, size, link).front().way;
}

int ParentOf(int place, TcpWay way) {
  if (way == TcpWay::kBinomialTree) return place & (place - 1);
  return way == TcpWay::kTwoWayTree ? (place - 1) / 2 : place - 1;
}

std::vector<int> ChildrenOf(int place, int size, TcpWay way) {
  std::vector<int> children;
  const auto add = [&](int child) {
    if (child < size) children.push_back(child);
  };
  if (way == TcpWay::kChain) {
    add(place + 1);
  } else if (way == TcpWay::kTwoWayTree) {
    add(2 * place + 1);
    add(2 * place + 2);
  } else {
    int top = 1;  // of the bits that children may set, the highest first: they have most below them
    while (top < size && (place & top) == 0) top *= 2;
    for (int bit = top / 2; bit > 0; bit /= 2) add(place + bit);
  }
  return children;
}

/// Places count from the root, which is 0.
TcpPlan Broadcast(const Op& op, int self, int size, TcpWay way) {
  TcpPlan plan;
  const int place = (self - op.peer + size) % size;
  const auto member_at = [&](int at) { return (at + op.peer) % size; };
  const auto relay = [&](int to) {
    plan.outs.push_back(
        {.to = member_at(to),
         .pieces = {
             {.from = op.out, .bytes = op.bytes(), .after = place == 0 ? OutPiece::kAtOnce : 0}}});
  };
  if (place != 0) {
    plan.ins.push_back(
        {.from = member_at(ParentOf(place, way)), .pieces = {{.bytes = op.bytes(), .to = op.out}}});
  }
  for (const int child : ChildrenOf(place, size, way)) relay(child);
  return plan;
}

/// Each part straight from the member that has it to the one that wants it.
TcpPlan Pairs(const Op& op, int self, int size) {
  TcpPlan plan;
  const Parts parts(op, size);
  const size_t unit = DtypeBytes(op.dtype);
  const bool rooted = op.kind == OpKind::kGather || op.kind == OpKind::kScatter;
  const bool is_root = rooted && self == op.peer;
  for (int step = 1; step < size; ++step) {
    const int to = (self + step) % size;
    const int from = (self + size - step) % size;
    const size_t out_bytes = parts.count(static_cast<size_t>(to)) * unit;
    const bool sends = !rooted || (op.kind == OpKind::kScatter ? is_root : to == op.peer);
    const bool receives = !rooted || (op.kind == OpKind::kGather ? is_root : from == op.peer);
    const std::byte* const out =
        op.kind == OpKind::kGather ? op.in : op.in + parts.offset(static_cast<size_t>(to)) * unit;
    if (sends && out_bytes > 0)
      plan.outs.push_back({.to = to, .pieces = {{.from = out, .bytes = out_bytes}}});
    const size_t in_bytes = parts.out_count(from) * unit;
    if (receives && in_bytes > 0)
      plan.ins.push_back(
          {.from = from,
           .pieces = {{.bytes = in_bytes, .to = op.out + parts.out_offset(from) * unit}}});
  }
  return plan;
}

}  // namespace

TcpPlan PlanAllGather(std::byte* out, std::vector<TcpBlock> blocks, int self) {
  const std::byte* const own = out + blocks[static_cast<size_t>(self)].offset;
  return Ring(own, out, self, std::move(blocks)).AllGather();
}

TcpPlan PlanReduceScatter(const Op& op, std::vector<TcpBlock> blocks, int self) {
  if (RoundsEachStep(op.dtype, op.reduction)) return PlanDirect(op, blocks, self);
  return Ring(op.in, op.out, self, std::move(blocks)).ReduceScatter();
}

TcpPlan PlanOf(const Op& op, int self, int size, TcpLink link) {
  switch (op.kind) {
    case OpKind::kAllReduce:
      if (RoundsEachStep(op.dtype, op.reduction)) return PlanDirect(op, EvenBlocks(op, size), self);
      if (FastestWay(op.kind, op.bytes(), size, link) == TcpWay::kHalving)
        return PlanHalving(op, self, size);
      return Ring(op.in, op.out, self, EvenBlocks(op, size)).AllReduce();
    case OpKind::kReduceScatter:
    case OpKind::kReduceScatterV: return PlanReduceScatter(op, PartBlocks(op, size), self);
    case OpKind::kAllGather:
    case OpKind::kAllGatherV: return Ring(op.in, op.out, self, PartBlocks(op, size)).AllGather();
    case OpKind::kReduce:
      if (RoundsEachStep(op.dtype, op.reduction))
        return PlanDirect(op, BlocksForRoot(op, size), self);
      return ReduceChain(op, self, size);
    case OpKind::kBroadcast:
      return Broadcast(op, self, size, FastestWay(op.kind, op.bytes(), size, link));
    case OpKind::kAllToAll:
    case OpKind::kAllToAllV:
    case OpKind::kGather:
    case OpKind::kScatter: return Pairs(op, self, size);
    default: LOCKSTEP_CHECK(false, "Group makes no other op with data");
  }
}

std::string ExplainPlan(OpKind kind, Dtype dtype, size_t count, int size, TcpLink link) {
  if (Reduces(kind) && RoundsEachStep(dtype, Reduction::kSum)) {
    return TcpWayName(TcpWay::kDirect) + ": of sums, averages and products of " +
           std::string(DtypeName(dtype)) + " all inputs of a part go to one member, over " +
           std::to_string(size - 1) + (size == 2 ? " connection" : " connections") +
           ", and are combined in f32, rounded once";
  }
  const size_t bytes = count * DtypeBytes(dtype);
  const std::string hops = std::to_string(size - 1);
  switch (kind) {
    case OpKind::kAllReduce:
    case OpKind::kBroadcast: {
      const std::vector<TcpEstimate> estimates = EstimatesOf(kind, bytes, size, link);
      return "a " + TcpWayName(estimates.front().way) + ", pipelined byte by byte, " +
             ExplainEstimates(estimates, link);
    }
    case OpKind::kReduceScatter:
    case OpKind::kReduceScatterV:
    case OpKind::kAllGather:
    case OpKind::kAllGatherV: return "a ring, pipelined byte by byte: " + hops + " hops";
    case OpKind::kReduce: return "a chain to the root, pipelined byte by byte: " + hops + " hops";
    case OpKind::kSend:
    case OpKind::kRecv: return "straight from memory to memory over the pair's connection";
    default: return "each part straight over its pair's connection";
  }
}

}  // namespace lockstep::collectives
