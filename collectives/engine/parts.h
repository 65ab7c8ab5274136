// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_ENGINE_PARTS_H_
#define LOCKSTEP_COLLECTIVES_ENGINE_PARTS_H_

#include <algorithm>
#include <cstddef>
#include <vector>

#include "collectives/engine/op.h"

namespace lockstep::collectives {

/// Where the parts of an op's buffers lie (the table in op.h), in elements: what this member sends
/// or contributes, by member, and where what it gets goes in its output. Borrows the op.
class Parts {
 public:
  Parts(const Op& op, int size)
      : op_(op), offsets_(PrefixSums(op.counts)), out_offsets_(PrefixSums(op.out_counts)) {
    for (size_t member = 0; member < static_cast<size_t>(size); ++member)
      longest_ = std::max(longest_, count(member));
  }

  /// Of the part of, or for, `member`.
  size_t count(size_t member) const { return op_.counts.empty() ? op_.count : op_.counts[member]; }
  size_t offset(size_t member) const {
    return op_.counts.empty() ? member * op_.count : offsets_[member];
  }
  size_t longest() const { return longest_; }

  /// Of the part that comes from `member`.
  size_t out_count(int member) const {
    return op_.out_counts.empty() ? count(static_cast<size_t>(member))
                                  : op_.out_counts[static_cast<size_t>(member)];
  }
  size_t out_offset(int member) const {
    if (op_.kind == OpKind::kBroadcast || op_.kind == OpKind::kScatter) return 0;
    return op_.out_counts.empty() ? offset(static_cast<size_t>(member))
                                  : out_offsets_[static_cast<size_t>(member)];
  }

 private:
  static std::vector<size_t> PrefixSums(const std::vector<size_t>& counts) {
    std::vector<size_t> offsets(counts.size());
    for (size_t i = 1; i < counts.size(); ++i) offsets[i] = offsets[i - 1] + counts[i - 1];
    return offsets;
  }

  const Op& op_;
  const std::vector<size_t> offsets_;
  const std::vector<size_t> out_offsets_;
  size_t longest_ = 0;
};

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_ENGINE_PARTS_H_
