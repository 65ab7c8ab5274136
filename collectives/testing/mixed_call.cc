// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/testing/mixed_call.h"

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

MixedCall::MixedCall(Group& group, OpKind kind, size_t count)
    : kind_(kind),
      count_(count),
      rank_(group.rank().value()),
      size_(group.size()),
      device_(group.capabilities().host_memory
                  ? Device{}
                  : Device{Device::Kind::kCuda, group.capabilities().cuda_device}),
      counts_(CountsOf(count, size_)),
      work_(Call(group)) {}

std::shared_ptr<Work> MixedCall::Call(Group& group) {
  const size_t n = static_cast<size_t>(size_), own = counts_[static_cast<size_t>(rank_)];
  const auto in = [this](size_t count) -> ConstBuffer {
    in_.assign(count, rank_ + 1);
    return {in_.data(), count, Dtype::kI32, device_};
  };
  const auto out = [this](size_t count) -> Buffer {
    out_.assign(count, 0);
    return {out_.data(), count, Dtype::kI32, device_};
  };
  const bool root = group.rank() == kRoot;
  const Buffer nothing{.dtype = Dtype::kI32, .device = device_};
  switch (kind_) {
    case OpKind::kAllReduce: return group.AllReduce(in(count_), out(count_), Reduction::kSum);
    case OpKind::kReduce:
      return group.Reduce(in(count_), root ? out(count_) : nothing, Reduction::kSum, kRoot);
    case OpKind::kBroadcast:
      out_.assign(count_, rank_ + 1);
      return group.Broadcast({out_.data(), count_, Dtype::kI32, device_}, kRoot);
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
  for (size_t i = 0; i < out_.size(); ++i) {
    if (out_[i] == Expected(i)) continue;
    return std::string(OpKindName(kind_)) + ": element " + std::to_string(i) + " of " +
           std::to_string(out_.size()) + " is " + std::to_string(out_[i]) + " instead of " +
           std::to_string(Expected(i));
  }
  return "";
}

}  // namespace lockstep::collectives::testing
