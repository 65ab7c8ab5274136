// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_HOST_SHM_SEGMENT_H_
#define LOCKSTEP_COLLECTIVES_HOST_SHM_SEGMENT_H_

#include <cstddef>
#include <memory>

#include "runtime/base/clock.h"
#include "runtime/base/ids.h"
#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"

namespace lockstep::collectives {

/// Shared memory that the members of one group on one machine map, zeroed when made. Left out of
/// forked children (MADV_DONTFORK): a data loader can never write its parent's group. Thread-safe:
/// it only holds a place and a size.
class Segment {
 public:
  /// Maps `bytes` of `fd`, which may be closed afterwards. Errors: DataLoss - it has fewer; mmap's.
  static base::Result<std::shared_ptr<Segment>> Map(const base::UniqueFd& fd, size_t bytes);
  /// Memory without a name, for members that are threads of one process.
  static base::Result<std::shared_ptr<Segment>> Anonymous(size_t bytes);
  ~Segment();

  /// Brings the whole huge pages of the range [offset, offset + bytes) into memory, as such where
  /// the kernel has them. A hint: it changes no contents, and fails silently. Blocks: 0.5 ms a MiB.
  void UseHugePages(size_t offset, size_t bytes);

  /// Brings the pages of the range into memory at once. A hint, as above. Blocks: 0.5 to 1 ms a
  /// MiB, as long as one fault after the other would take.
  void Populate(size_t offset, size_t bytes);

  /// Aligned to a page; from kHugePageBytes on, to a huge one.
  std::byte* data() const { return data_; }
  size_t bytes() const { return bytes_; }

 private:
  Segment(void* data, size_t bytes) : data_(static_cast<std::byte*>(data)), bytes_(bytes) {}
  static base::Result<std::shared_ptr<Segment>> MapMemory(int fd, int flags, size_t bytes);

  std::byte* const data_;
  const size_t bytes_;
};

inline constexpr size_t kHugePageBytes = size_t{2} << 20;

/// What a member asks for. All members of a group name the same group, epoch, size and bytes and
/// get the same memory.
struct SegmentRequest {
  base::GroupId group;
  base::Round epoch;
  int member_count = 0;
  int member_index = 0;
  size_t bytes = 0;
};

/// Where groups get their memory: from the agent in life, from LocalSegments when ranks are
/// threads.
class SegmentSource {
 public:
  virtual ~SegmentSource() = default;

  /// Does not wait for the other members. The segment is shared, since thread members map it once
  /// together. Once every member has it the source forgets it: who asks then gets another.
  /// Blocks: at most `timeout`. Errors: FailedPrecondition - another epoch, or other members asked
  /// for another size; AlreadyExists - another process asks for this rank; ResourceExhausted - too
  /// many or too large; Unavailable - no answer.
  virtual base::Result<std::shared_ptr<Segment>> Open(const SegmentRequest& request,
                                                      base::Duration timeout) = 0;
};

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_HOST_SHM_SEGMENT_H_
