// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_ATTACH_GROUP_SEGMENTS_H_
#define LOCKSTEP_LAUNCHER_ATTACH_GROUP_SEGMENTS_H_

#include <cstdint>
#include <map>
#include <set>

#include "runtime/attach/attach_wire.h"
#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"

namespace lockstep::launcher {

/// The memory that groups of ranks share, from the first member's request until each of its members
/// has it. Bounded. One per AttachServer, confined to its loop.
class GroupSegments {
 public:
  struct Limits {
    int held = 1024;
    uint64_t bytes_held = uint64_t{16} << 30;  // virtual: pages count when they are touched
  };

  explicit GroupSegments(Limits limits) : limits_(limits) {}

  /// The memory that `request`'s group shares, made if need be; ours. Errors: FailedPrecondition -
  /// another member asked for another size or number of members; ResourceExhausted - a limit;
  /// errno's code.
  base::Result<int> Find(const lockstep_attach_segment_request& request);
  /// The member of `request`, which Find has served, has got the memory.
  void Fetched(const lockstep_attach_segment_request& request);
  void Clear();

 private:
  struct Key {
    uint64_t group_id;
    uint32_t epoch;
    auto operator<=>(const Key&) const = default;
  };
  struct Segment {
    uint64_t bytes;
    uint32_t member_count;
    base::UniqueFd memory;
    std::set<uint32_t> fetched;  // by these members
  };

  const Limits limits_;
  std::map<Key, Segment> segments_;
  uint64_t bytes_ = 0;
};

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_ATTACH_GROUP_SEGMENTS_H_
