// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/engine/op.h"

#include <numeric>

namespace lockstep::collectives {
namespace {

uint64_t Mix(uint64_t hash, uint64_t value) {
  uint64_t z = (hash ^ value) + 0x9e3779b97f4a7c15u;  // splitmix64, as base::Random
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

}  // namespace

std::string DescribeOp(OpKind kind, Dtype dtype, Reduction reduction, int peer, uint64_t count) {
  std::string text(OpKindName(kind));
  if (kind == OpKind::kBarrier) return text;
  text += "(" + std::string(DtypeName(dtype));
  if (reduction != Reduction::kNone) text += ", " + std::string(ReductionName(reduction));
  if (peer >= 0) {
    const char* const role = kind == OpKind::kSend   ? ", to "
                             : kind == OpKind::kRecv ? ", from "
                                                     : ", root ";
    text += role + std::to_string(peer);
  }
  return text + ", " + std::to_string(count) + ")";
}

size_t InCount(const Op& op, int rank, int size) {
  if (!op.refusal.ok()) return op.count;  // its shape may be nonsense
  const auto n = static_cast<size_t>(size);
  switch (op.kind) {
    case OpKind::kAllReduce:
    case OpKind::kReduce:
    case OpKind::kAllGather:
    case OpKind::kGather:
    case OpKind::kSend: return op.count;
    case OpKind::kBroadcast: return rank == op.peer ? op.count : 0;
    case OpKind::kAllGatherV: return op.counts[static_cast<size_t>(rank)];
    case OpKind::kReduceScatter:
    case OpKind::kAllToAll: return n * op.count;
    case OpKind::kReduceScatterV:
    case OpKind::kAllToAllV: return std::accumulate(op.counts.begin(), op.counts.end(), size_t{0});
    case OpKind::kScatter: return rank == op.peer ? n * op.count : 0;
    default: return 0;
  }
}

size_t OutCount(const Op& op, int rank, int size) {
  if (!op.refusal.ok()) return op.count;
  const auto n = static_cast<size_t>(size);
  switch (op.kind) {
    case OpKind::kAllReduce:
    case OpKind::kBroadcast:
    case OpKind::kReduceScatter:
    case OpKind::kScatter:
    case OpKind::kRecv: return op.count;
    case OpKind::kReduce: return rank == op.peer ? op.count : 0;
    case OpKind::kAllGather:
    case OpKind::kAllToAll: return n * op.count;
    case OpKind::kAllGatherV: return std::accumulate(op.counts.begin(), op.counts.end(), size_t{0});
    case OpKind::kReduceScatterV: return op.counts[static_cast<size_t>(rank)];
    case OpKind::kAllToAllV:
      return std::accumulate(op.out_counts.begin(), op.out_counts.end(), size_t{0});
    case OpKind::kGather: return rank == op.peer ? n * op.count : 0;
    default: return 0;
  }
}

uint64_t FingerprintOf(const Op& op, base::GroupId group, base::Round epoch, base::OpSeq seq) {
  const uint64_t words = static_cast<uint64_t>(op.kind) | static_cast<uint64_t>(op.dtype) << 8 |
                         static_cast<uint64_t>(op.reduction) << 16 |
                         static_cast<uint64_t>(static_cast<uint32_t>(op.peer)) << 32;
  uint64_t hash = Mix(Mix(Mix(group.value(), epoch.value()), seq.value()), words);
  if (op.kind == OpKind::kAllToAllV) {
    hash = Mix(hash, 0);
  } else {
    hash = Mix(hash, op.count);
    for (const size_t count : op.counts) hash = Mix(hash, count);
  }
  return hash == kRefusedFingerprint ? 0 : hash;
}

}  // namespace lockstep::collectives
