// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_AGENT_FILE_READER_H_
#define LOCKSTEP_LAUNCHER_AGENT_FILE_READER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "runtime/base/result.h"
#include "runtime/base/sequence.h"
#include "runtime/event/loop.h"
#include "runtime/process/rotation_ledger.h"

namespace lockstep::launcher {

/// Reads parts of streams, out of the files that they were rotated into, on a thread of its own
/// ("log-reader", made for the first request). Not on the loop, although a part is small: the
/// folder may be on a server or a disk that hangs, and the loop holds the node's lease. One per
/// agent. Confined to the loop's thread.
///
/// Deadlines are the caller's. A read that hangs holds up the others, until they are refused, and
/// outlives this object without touching anything of it.
class FileReader {
 public:
  struct Part {
    std::string path;     // of the file that grows
    uint64_t offset = 0;  // in the stream
  };
  struct Piece {
    std::string content;
    uint64_t offset = 0;      // of the content: later than asked for where files were given up
    uint64_t file_bytes = 0;  // of the stream, when it was read; 0 = there is no such file
  };
  using Done = std::function<void(base::Result<std::vector<Piece>>)>;

  static constexpr size_t kWaitingMax = 16;  // requests

  /// `ledger`: of the rotations; shared with the thread.
  FileReader(std::shared_ptr<const process::RotationLedger> ledger, event::Loop& loop);
  ~FileReader();
  FileReader(const FileReader&) = delete;
  FileReader& operator=(const FileReader&) = delete;

  /// One piece for each part; all contents together have at most `bytes_max` bytes, and the first
  /// parts come first. Never calls `done` inside the call, nor after destruction. Errors:
  /// ResourceExhausted - kWaitingMax requests wait, no thread could be made, or a stream is rotated
  /// faster than its files can be opened; FailedPrecondition - not a regular file; else errno's
  /// code.
  void Read(std::vector<Part> parts, size_t bytes_max, Done done);

 private:
  struct Shared;

  bool EnsureThread();
  void OnRead(uint64_t id, base::Result<std::vector<Piece>> pieces);

  event::Loop& loop_;
  base::Sequence seq_;
  const std::shared_ptr<Shared> shared_;  // with the thread, which may have to be left behind
  bool has_thread_ = false;
  uint64_t next_id_ = 0;
  std::map<uint64_t, Done> waiting_;
};

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_AGENT_FILE_READER_H_
