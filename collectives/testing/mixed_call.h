// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_TESTING_MIXED_CALL_H_
#define LOCKSTEP_COLLECTIVES_TESTING_MIXED_CALL_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "collectives/group.h"

namespace lockstep::collectives::testing {

/// One op of any kind, with buffers of its own, for tests that care how ops end and not what they
/// are. Each rank puts in its number and one, so that what comes out is easily told. The buffers
/// are this process's memory: of groups on GPUs only the fake one reaches it. Outlives its work, or
/// the group does not.
class MixedCall {
 public:
  /// kBatch: each sends to the next rank and receives from the one before it.
  static constexpr std::array kKinds = {
      OpKind::kAllReduce,  OpKind::kReduce,  OpKind::kBroadcast,     OpKind::kAllGather,
      OpKind::kAllGatherV, OpKind::kGather,  OpKind::kReduceScatter, OpKind::kReduceScatterV,
      OpKind::kAllToAll,   OpKind::kScatter, OpKind::kAllToAllV,     OpKind::kBarrier,
      OpKind::kBatch,
  };

  /// Calls it, with parts of `count` elements, kI32 or kBf16. The root is rank 0.
  MixedCall(Group& group, OpKind kind, size_t count, Dtype dtype = Dtype::kI32);
  MixedCall(const MixedCall&) = delete;
  MixedCall& operator=(const MixedCall&) = delete;

  OpKind kind() const { return kind_; }
  Work& work() const { return *work_; }
  /// Of one that has ended well: what is wrong with its output, "" for nothing.
  std::string Wrong() const;

 private:
  std::shared_ptr<Work> Call(Group& group);
  Buffer Filled(std::vector<std::byte>& memory, size_t count, int32_t value) const;
  int32_t Value(size_t index) const;
  int32_t Expected(size_t index) const;

  const OpKind kind_;
  const size_t count_;
  const Dtype dtype_;
  const int rank_, size_;
  const Device device_;
  const std::vector<size_t> counts_;  // of those ops that take them: all the same but for rank 0's
  std::vector<std::byte> in_, out_;
  std::shared_ptr<Work> work_;
};

}  // namespace lockstep::collectives::testing

#endif  // LOCKSTEP_COLLECTIVES_TESTING_MIXED_CALL_H_
