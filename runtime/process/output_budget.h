// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_PROCESS_OUTPUT_BUDGET_H_
#define LOCKSTEP_RUNTIME_PROCESS_OUTPUT_BUDGET_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <set>
#include <string>
#include <string_view>

#include "runtime/process/file_limits.h"
#include "runtime/process/rotation_ledger.h"

namespace lockstep::process {

/// The cap of all files that the ranks' output of one job goes to, on one node. Each round has a
/// folder. One rule:
///
///   a write that would go beyond the cap first removes the files of older folders, the oldest
///   first, one folder at a time; when there is none any more, the file gets the lines that fit,
///   and no file of its folder gets anything from then on.
///
/// So the newest round has files, and they begin at its beginning and hold no gaps. Only files that
/// Enter() was told of are counted and removed: other nodes may have theirs in the same folders.
/// One per OutputWriter, owned by it; confined to its thread. Removing blocks.
class OutputBudget {
 public:
  struct Folder {
    std::string path;
    std::set<std::string> names;  // of the files in it, without the numbers of rotated ones
    bool closed = false;          // nothing more is written into its files
  };

  /// `on_notice` is told of folders that are removed or full. Reads total_bytes_max and
  /// old_files_max. `ledger` may be null.
  OutputBudget(FileLimits limits, RotationLedger* ledger,
               std::function<void(const FileNotice&)> on_notice);
  OutputBudget(const OutputBudget&) = delete;
  OutputBudget& operator=(const OutputBudget&) = delete;

  /// A file is about to be made. Its folder is newer than all that came before it; lives as long as
  /// the budget.
  Folder& Enter(const std::string& path);
  /// How many of `bytes`, from their beginning, may be written into a file of the folder now: all,
  /// or fewer when that closes it. They count as written.
  size_t Admit(Folder& folder, std::string_view bytes);
  /// So many bytes of what was written are on no disk any more.
  void Release(uint64_t bytes);
  /// So many bytes were not written, because a folder is closed.
  void CountUnwritten(uint64_t bytes) { unwritten_bytes_ += bytes; }

  uint64_t used_bytes() const { return used_bytes_; }
  uint64_t unwritten_bytes() const { return unwritten_bytes_; }

 private:
  bool Fits(uint64_t bytes) const;
  void RemoveFiles(Folder& folder);
  void RemoveFile(const std::string& path);

  const FileLimits limits_;
  RotationLedger* const ledger_;
  const std::function<void(const FileNotice&)> on_notice_;
  std::deque<Folder> folders_;  // in the order of their first files
  uint64_t used_bytes_ = 0;
  uint64_t unwritten_bytes_ = 0;
};

}  // namespace lockstep::process

#endif  // LOCKSTEP_RUNTIME_PROCESS_OUTPUT_BUDGET_H_
