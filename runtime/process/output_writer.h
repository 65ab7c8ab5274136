// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_PROCESS_OUTPUT_WRITER_H_
#define LOCKSTEP_RUNTIME_PROCESS_OUTPUT_WRITER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <thread>

#include "runtime/base/result.h"
#include "runtime/base/sequence.h"
#include "runtime/base/strong_int.h"
#include "runtime/base/thread_annotations.h"
#include "runtime/base/unique_fd.h"
#include "runtime/event/loop.h"
#include "runtime/process/file_limits.h"
#include "runtime/process/rotation_ledger.h"

namespace lockstep::process {

/// A named thread that writes to descriptors and files which may block (a stopped terminal, a slow
/// disk), so that the loop never does. Bytes are written in the order of Append(), over all
/// targets. Owned and called by the loop's thread. The thread starts with the first bytes; where no
/// thread can be made (a limit on processes), they wait until one can.
///
/// A target that fails is reported once, and what comes for it later is dropped. Files are rotated
/// and have a cap as FileLimits say (rotating_file.h, output_budget.h).
class OutputWriter {
 public:
  using TargetId = base::StrongInt<struct OutputTargetTag, uint32_t>;

  struct Options {
    std::string name;            // of the thread, at most 15 characters
    size_t queue_bytes_max = 0;  // at this the queue counts as full
    FileLimits files;
    /// Where rotations are written down; null: nowhere. Shared: the thread may outlive all else.
    std::shared_ptr<RotationLedger> ledger;
  };
  struct Handlers {  // on the loop's thread, never inside a call, none after destruction
    std::function<void(TargetId, base::Status)> on_failed;
    std::function<void()> on_space;  // the queue was full and is half empty again
    /// Of the first file that could not be rotated, and of each folder.
    std::function<void(const FileNotice&)> on_file_notice;
  };

  OutputWriter(Options options, Handlers handlers, event::Loop& loop);
  /// Drops what is queued. Waits at most 100 ms for the write under way, then leaves the thread to
  /// itself: it holds nothing but its own state, and ends when the write does.
  ~OutputWriter();
  OutputWriter(const OutputWriter&) = delete;
  OutputWriter& operator=(const OutputWriter&) = delete;

  /// A duplicate of `fd`; its flags stay as they are. Errors: errno's code.
  base::Result<TargetId> AddFd(int fd);
  /// A file that the thread makes (mode 0600) or appends to when the first bytes come.
  TargetId AddFile(std::string path);

  /// Queues bytes. Takes them even when full(): the caller stops its source.
  void Append(TargetId target, std::string_view bytes);
  /// Closes the target after what is queued for it.
  void Remove(TargetId target);
  /// Runs `done` when all that was queued before has been written or dropped. Not after
  /// destruction.
  void Flush(std::function<void()> done);

  /// The queue is at its limit; on_space will follow.
  bool full();
  size_t queued_bytes() const;
  /// Bytes that FileLimits::total_bytes_max kept out of the files so far.
  uint64_t unwritten_bytes() const;

 private:
  struct Shared;

  TargetId AddTarget(base::UniqueFd fd, std::string path) REQUIRES(seq_);
  void EnsureThread() REQUIRES(seq_);

  base::Sequence seq_;
  TargetId next_target_ GUARDED_BY(seq_){1};
  std::shared_ptr<Shared>
      shared_;  // shared: the thread may outlive us when its write never returns
  std::thread thread_ GUARDED_BY(seq_);
  bool thread_wanted_ GUARDED_BY(seq_) = false;  // bytes have come
  event::Registration thread_retry_ GUARDED_BY(seq_);
  event::Registration wake_ GUARDED_BY(seq_);  // of a thread that sleeps while bytes are queued
};

}  // namespace lockstep::process

#endif  // LOCKSTEP_RUNTIME_PROCESS_OUTPUT_WRITER_H_
