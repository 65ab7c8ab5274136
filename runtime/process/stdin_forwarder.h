// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_PROCESS_STDIN_FORWARDER_H_
#define LOCKSTEP_RUNTIME_PROCESS_STDIN_FORWARDER_H_

#include <cstddef>
#include <cstdint>
#include <memory>

#include "runtime/base/result.h"
#include "runtime/base/sequence.h"
#include "runtime/base/thread_annotations.h"
#include "runtime/base/unique_fd.h"
#include "runtime/event/loop.h"

namespace lockstep::process {

/// Copies our standard input to one rank: `--stdin RANK`. One at most per agent, owned by it.
///
/// A file, folder or device that never blocks is handed to the rank itself. From a terminal, pipe
/// or socket it copies at most 64 KiB ahead of the rank: a rank that does not read stops the
/// reading. The source's flags are not touched (others share the open file). A restarted rank goes
/// on where the last one stopped; bytes copied into the old pipe are lost.
///
/// Confined to the loop's thread. The process must ignore SIGPIPE.
class StdinForwarder {
 public:
  /// `source_fd` stays the caller's and must stay open. Errors: errno's code.
  static base::Result<std::unique_ptr<StdinForwarder>> Create(int source_fd, event::Loop& loop);
  ~StdinForwarder();
  StdinForwarder(const StdinForwarder&) = delete;
  StdinForwarder& operator=(const StdinForwarder&) = delete;

  /// The descriptor for the child's standard input; ends the copying to an earlier child. Close it
  /// when the child has it. Errors: ResourceExhausted - descriptor limit.
  base::Result<base::UniqueFd> Open();
  /// Reads nothing from now on, or goes on. At first it reads.
  void SetPaused(bool paused);
  /// Stops copying: the rank has ended, or will see the end of its input.
  void Close();

  uint64_t bytes_forwarded_total() const {
    seq_.AssertHeld();
    return bytes_forwarded_total_;
  }

 private:
  StdinForwarder(int source_fd, base::UniqueFd own_source, bool direct, event::Loop& loop);
  void ReadSome();
  void WriteSome();

  event::Loop& loop_;
  const int source_fd_;
  const base::UniqueFd
      own_source_;     // the source opened anew, non-blocking; invalid where that is not possible
  const bool direct_;  // never blocks: the child reads it by itself

  base::Sequence seq_;
  base::UniqueFd sink_ GUARDED_BY(seq_);
  std::unique_ptr<char[]> buffer_ GUARDED_BY(seq_);
  size_t begin_ GUARDED_BY(seq_) = 0;  // unwritten bytes of buffer_
  size_t end_ GUARDED_BY(seq_) = 0;
  bool source_ended_ GUARDED_BY(seq_) = false;
  bool paused_ GUARDED_BY(seq_) = false;
  uint64_t bytes_forwarded_total_ GUARDED_BY(seq_) = 0;
  event::Registration source_watch_ GUARDED_BY(seq_);
  event::Registration sink_watch_ GUARDED_BY(seq_);
};

}  // namespace lockstep::process

#endif  // LOCKSTEP_RUNTIME_PROCESS_STDIN_FORWARDER_H_
