// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/mpi/mpi_rounds.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "collectives/engine/reduce_kernels.h"
#include "runtime/base/check.h"

namespace lockstep::collectives {
namespace {

bool IsOfOnePart(OpKind kind) {
  return kind == OpKind::kAllReduce || kind == OpKind::kReduce || kind == OpKind::kBroadcast;
}

/// Where each part begins when they lie one after the other; returns where the last one ends.
size_t Lay(const std::vector<int>& counts, std::vector<int>& offsets) {
  offsets.resize(counts.size());
  size_t end = 0;
  for (size_t i = 0; i < counts.size(); ++i) {
    offsets[i] = static_cast<int>(end);
    end += static_cast<size_t>(counts[i]);
  }
  return end;
}

}  // namespace

MpiRounds::MpiRounds(const Op& op, int self, int size, size_t longest)
    : op_(op),
      self_(self),
      size_(static_cast<size_t>(size)),
      unit_(DtypeBytes(op.dtype)),
      parts_(op, size) {
  const size_t parts = IsOfOnePart(op.kind) ? 1 : size_;
  chunk_ = std::max<size_t>(1, kRoundBytes / unit_ / parts);
  count_ = op.kind == OpKind::kBarrier ? 1 : (longest + chunk_ - 1) / chunk_;
}

size_t MpiRounds::Length(size_t part_count, size_t round) const {
  const size_t begin = round * chunk_;
  return part_count <= begin ? 0 : std::min(chunk_, part_count - begin);
}

void MpiRounds::CopyIn(std::byte* to, size_t first, size_t count) const {
  if (count == 0) return;
  const std::byte* const from = op_.in + first * unit_;
  if (op_.reduction == Reduction::kPremultipliedSum) {
    FindReduceKernel(op_.dtype, op_.reduction)(to, &from, &op_.scale, 1, count);
  } else {
    std::memcpy(to, from, count * unit_);
  }
}

void MpiRounds::CopyOut(size_t first, const std::byte* from, size_t count) const {
  if (count == 0) return;
  std::byte* const to = op_.out + first * unit_;
  if (op_.reduction == Reduction::kAverage) {
    // The average of the sum and of nothing else from the others: the kernel divides as it should.
    static constexpr size_t kBlock = 1024;
    alignas(8) static constexpr std::byte kZeros[kBlock * 8] = {};
    std::vector<const std::byte*> sources(size_, kZeros);
    const ReduceKernel kernel = FindReduceKernel(op_.dtype, op_.reduction);
    for (size_t begin = 0; begin < count; begin += kBlock) {
      sources[0] = from + begin * unit_;
      kernel(to + begin * unit_, sources.data(), nullptr, static_cast<int>(size_),
             std::min(kBlock, count - begin));
    }
  } else {
    std::memcpy(to, from, count * unit_);
  }
}

void MpiRounds::Fill(size_t round, MpiCall& call) const {
  call.peer = op_.peer;
  call.dtype = op_.dtype;
  const bool sums =
      op_.reduction == Reduction::kAverage || op_.reduction == Reduction::kPremultipliedSum;
  call.reduction = sums ? Reduction::kSum : op_.reduction;
  for (std::vector<int>* array :
       {&call.in_counts, &call.in_offsets, &call.out_counts, &call.out_offsets})
    array->clear();
  switch (op_.kind) {
    case OpKind::kBarrier: call.kind = LOCKSTEP_MPI_BARRIER; return;
    case OpKind::kAllReduce:
    case OpKind::kReduce:
    case OpKind::kBroadcast: FillReduce(round, call); return;
    case OpKind::kReduceScatter:
    case OpKind::kReduceScatterV: FillReduceScatter(round, call); return;
    case OpKind::kAllGather:
    case OpKind::kAllGatherV:
    case OpKind::kGather: FillGathers(round, call); return;
    case OpKind::kScatter:
    case OpKind::kAllToAll:
    case OpKind::kAllToAllV: FillDeals(round, call); return;
    default: LOCKSTEP_CHECK(false, "Group makes no other op with data");
  }
}

void MpiRounds::FillReduce(size_t round, MpiCall& call) const {
  const bool broadcasts = op_.kind == OpKind::kBroadcast;
  call.kind = broadcasts                       ? LOCKSTEP_MPI_BROADCAST
              : op_.kind == OpKind::kAllReduce ? LOCKSTEP_MPI_ALL_REDUCE
                                               : LOCKSTEP_MPI_REDUCE;
  const size_t length = Length(op_.count, round);
  std::byte* const to = call.out.Reserve(length * unit_);
  if (!broadcasts || op_.peer == self_) CopyIn(to, round * chunk_, length);
  call.count = static_cast<int>(broadcasts ? length * unit_ : length);
}

void MpiRounds::FillReduceScatter(size_t round, MpiCall& call) const {
  call.kind = LOCKSTEP_MPI_REDUCE_SCATTER;
  size_t total = 0;
  for (size_t member = 0; member < size_; ++member) {
    call.out_counts.push_back(static_cast<int>(Length(parts_.count(member), round)));
    total += static_cast<size_t>(call.out_counts.back());
  }
  std::byte* to = call.in.Reserve(total * unit_);
  for (size_t member = 0; member < size_; ++member) {
    const auto length = static_cast<size_t>(call.out_counts[member]);
    CopyIn(to, parts_.offset(member) + round * chunk_, length);
    to += length * unit_;
  }
  call.out.Reserve(static_cast<size_t>(call.out_counts[static_cast<size_t>(self_)]) * unit_);
}

// In bytes, as everything that only moves.
void MpiRounds::FillGathers(size_t round, MpiCall& call) const {
  const auto self = static_cast<size_t>(self_);
  for (size_t member = 0; member < size_; ++member)
    call.out_counts.push_back(static_cast<int>(Length(parts_.count(member), round) * unit_));
  const size_t total = Lay(call.out_counts, call.out_offsets);
  const size_t length = Length(parts_.count(self), round);
  const size_t from = round * chunk_;
  if (op_.kind == OpKind::kGather) {
    call.kind = LOCKSTEP_MPI_GATHER;
    call.count = static_cast<int>(length * unit_);
    CopyIn(call.in.Reserve(length * unit_), from, length);
    if (op_.peer == self_) call.out.Reserve(total);
  } else {
    call.kind = LOCKSTEP_MPI_ALL_GATHER;
    CopyIn(call.out.Reserve(total) + call.out_offsets[self], from, length);
  }
}

void MpiRounds::FillDeals(size_t round, MpiCall& call) const {
  const bool scatters = op_.kind == OpKind::kScatter;
  call.kind = scatters ? LOCKSTEP_MPI_SCATTER : LOCKSTEP_MPI_ALL_TO_ALL;
  for (size_t member = 0; member < size_; ++member) {
    call.in_counts.push_back(static_cast<int>(Length(parts_.count(member), round) * unit_));
    if (scatters) continue;
    call.out_counts.push_back(
        static_cast<int>(Length(parts_.out_count(static_cast<int>(member)), round) * unit_));
  }
  const size_t total_in = Lay(call.in_counts, call.in_offsets);
  if (scatters) {
    call.count = call.in_counts[static_cast<size_t>(self_)];
    call.out.Reserve(static_cast<size_t>(call.count));
    if (op_.peer != self_) return;
  } else {
    call.out.Reserve(Lay(call.out_counts, call.out_offsets));
  }
  std::byte* const to = call.in.Reserve(total_in);
  for (size_t member = 0; member < size_; ++member) {
    CopyIn(to + call.in_offsets[member], parts_.offset(member) + round * chunk_,
           static_cast<size_t>(call.in_counts[member]) / unit_);
  }
}

void MpiRounds::Drain(size_t round, const MpiCall& call) const {
  const std::byte* const from = call.out.data();
  const size_t skipped = round * chunk_;
  switch (op_.kind) {
    case OpKind::kReduce:
    case OpKind::kBroadcast:
      if ((op_.kind == OpKind::kReduce) != (op_.peer == self_)) return;
      [[fallthrough]];
    case OpKind::kAllReduce: CopyOut(skipped, from, Length(op_.count, round)); return;
    case OpKind::kReduceScatter:
    case OpKind::kReduceScatterV:
      CopyOut(skipped, from, Length(parts_.count(static_cast<size_t>(self_)), round));
      return;
    case OpKind::kScatter: CopyOut(skipped, from, Length(op_.count, round)); return;
    case OpKind::kGather:
      if (op_.peer != self_) return;
      [[fallthrough]];
    case OpKind::kAllGather:
    case OpKind::kAllGatherV:
    case OpKind::kAllToAll:
    case OpKind::kAllToAllV:
      for (size_t member = 0; member < size_; ++member) {
        CopyOut(parts_.out_offset(static_cast<int>(member)) + skipped,
                from + call.out_offsets[member],
                static_cast<size_t>(call.out_counts[member]) / unit_);
      }
      return;
    default: return;  // a barrier leaves nothing
  }
}

}  // namespace lockstep::collectives
