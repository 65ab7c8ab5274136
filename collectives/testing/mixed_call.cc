// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/testing/mixed_call.h"

#include <bit>
#include <cstring>

namespace lockstep::collectives::testing {
namespace {

constexpr base::GroupRank kRoot(0);

std::vector<size_t> CountsOf(size_t count, int size) {
  std::vector<size_t> counts(static_cast<size_t>(size), count);
  counts[0] = count / 2;
  return counts;
}

size_t Sum(const std::vector<size_t>& counts) {
  size_t sum = 0;
  for (const size_t count : counts) sum += count;
  return sum;
}

}  // namespace

MixedCall::MixedCall(Group& group, OpKind kind, size_t count, Dtype dtype)
    : kind_(kind),
      count_(count),
      dtype_(dtype),
      rank_(group.rank().value()),
      size_(group.size()),
      device_(group.capabilities().host_memory
                  ? Device{}
                  : Device{Device::Kind::kCuda, group.capabilities().cuda_device}),
      counts_(CountsOf(count, size_)),
      work_(Call(group)) {}

Buffer MixedCall::Filled(std::vector<std::byte>& memory, size_t count, int32_t value) const {
  const size_t unit = DtypeBytes(dtype_);
  // Of bf16 the upper half is what it has of f32.
  const uint32_t bits = dtype_ == Dtype::kI32
                            ? static_cast<uint32_t>(value)
                            : std::bit_cast<uint32_t>(static_cast<float>(value)) >> 16;
  memory.resize(count * unit);
  for (size_t i = 0; i < count; ++i) std::memcpy(memory.data() + i * unit, &bits, unit);
  return {memory.data(), count, dtype_, device_};
}

int32_t MixedCall::Value(size_t index) const {
  const size_t unit = DtypeBytes(dtype_);
  uint32_t bits = 0;
  std::memcpy(&bits, out_.data() + index * unit, unit);
  return dtype_ == Dtype::kI32 ? static_cast<int32_t>(bits)
                               : static_cast<int32_t>(std::bit_cast<float>(bits << 16));
}

std::shared_ptr<Work> MixedCall::Call(Group& group) {
  const size_t n = static_cast<size_t>(size_), own = counts_[static_cast<size_t>(rank_)];
  const auto in = [this](size_t count) -> ConstBuffer { return Filled(in_, count, rank_ + 1); };
  const auto out = [this](size_t count) { return Filled(out_, count, 0); };
  const bool root = group.rank() == kRoot;
  const Buffer nothing{.dtype = dtype_, .device = device_};
  switch (kind_) {
    case OpKind::kAllReduce: return group.AllReduce(in(count_), out(count_), Reduction::kSum);
    case OpKind::kReduce:
      return group.Reduce(in(count_), root ? out(count_) : nothing, Reduction::kSum, kRoot);
    case OpKind::kBroadcast: return group.Broadcast(Filled(out_, count_, rank_ + 1), kRoot);
    case OpKind::kAllGather: return group.AllGather(in(count_), out(count_ * n));
    case OpKind::kAllGatherV: return group.AllGatherV(in(own), out(Sum(counts_)), counts_);
    case OpKind::kGather: return group.Gather(in(count_), root ? out(count_ * n) : nothing, kRoot);
    case OpKind::kScatter:
      return group.Scatter(root ? in(count_ * n) : ConstBuffer(nothing), out(count_), kRoot);
    case OpKind::kReduceScatter:
      return group.ReduceScatter(in(count_ * n), out(count_), Reduction::kSum);
    case OpKind::kReduceScatterV:
      return group.ReduceScatterV(in(Sum(counts_)), out(own), counts_, Reduction::kSum);
    case OpKind::kAllToAll: return group.AllToAll(in(count_ * n), out(count_ * n));
    case OpKind::kAllToAllV: {  // as much from each as it has of its own
      const std::vector<size_t> sent(n, own);
      return group.AllToAllV(in(own * n), sent, out(Sum(counts_)), counts_);
    }
    case OpKind::kBatch: {
      const Transfer both[] = {
          Transfer::Send(in(count_), base::GroupRank((rank_ + 1) % size_)),
          Transfer::Recv(out(count_), base::GroupRank((rank_ + size_ - 1) % size_))};
      return group.Batch(both);
    }
    default: return group.Barrier();
  }
}

int32_t MixedCall::Expected(size_t index) const {
  switch (kind_) {
    case OpKind::kBroadcast:
    case OpKind::kScatter: return 1;
    case OpKind::kAllGather:
    case OpKind::kGather:
    case OpKind::kAllToAll: return static_cast<int32_t>(index / count_) + 1;
    case OpKind::kAllGatherV:
    case OpKind::kAllToAllV: {
      int32_t rank = 0;
      for (size_t end = counts_[0]; end <= index; end += counts_[static_cast<size_t>(rank)]) ++rank;
      return rank + 1;
    }
    case OpKind::kBatch: return (rank_ + size_ - 1) % size_ + 1;
    default: return size_ * (size_ + 1) / 2;
  }
}

std::string MixedCall::Wrong() const {
  const size_t count = out_.size() / DtypeBytes(dtype_);
  for (size_t i = 0; i < count; ++i) {
    if (Value(i) == Expected(i)) continue;
    return std::string(OpKindName(kind_)) + ": element " + std::to_string(i) + " of " +
           std::to_string(count) + " is " + std::to_string(Value(i)) + " instead of " +
           std::to_string(Expected(i));
  }
  return "";
}

}  // namespace lockstep::collectives::testing
