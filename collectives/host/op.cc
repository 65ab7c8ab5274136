// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/host/op.h"

namespace lockstep::collectives {
namespace {

uint64_t Mix(uint64_t hash, uint64_t value) {
  uint64_t z = (hash ^ value) + 0x9e3779b97f4a7c15u;  // splitmix64, as base::Random
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

}  // namespace

std::string DescribeOp(OpKind kind, Dtype dtype, Reduction reduction, int root, uint64_t count) {
  std::string text(OpKindName(kind));
  if (kind == OpKind::kBarrier) return text;
  text += "(" + std::string(DtypeName(dtype));
  if (reduction != Reduction::kNone) text += ", " + std::string(ReductionName(reduction));
  if (root >= 0) text += ", root " + std::to_string(root);
  return text + ", " + std::to_string(count) + ")";
}

uint64_t FingerprintOf(const Op& op, base::GroupId group, base::Round epoch, base::OpSeq seq) {
  const uint64_t words = static_cast<uint64_t>(op.kind) | static_cast<uint64_t>(op.dtype) << 8 |
                         static_cast<uint64_t>(op.reduction) << 16 |
                         static_cast<uint64_t>(static_cast<uint32_t>(op.root)) << 32;
  const uint64_t hash =
      Mix(Mix(Mix(Mix(group.value(), epoch.value()), seq.value()), words), op.count);
  return hash == kRefusedFingerprint ? 0 : hash;
}

}  // namespace lockstep::collectives
