// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_PROCESS_ROTATING_FILE_H_
#define LOCKSTEP_RUNTIME_PROCESS_ROTATING_FILE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "runtime/base/status.h"
#include "runtime/base/unique_fd.h"
#include "runtime/process/file_limits.h"
#include "runtime/process/output_budget.h"
#include "runtime/process/rotation_ledger.h"

namespace lockstep::process {

/// One stream's file, which is cut into several by size:
///
///   rank-3.stdout     grows
///   rank-3.stdout.1   what it was until the last rotation; never written again
///   rank-3.stdout.2   ... until the one before; and so on to old_files_max
///
/// A rotation renames, from the oldest to the youngest, each to the next number, the oldest over
/// the one that is given up; the next bytes make a new file. So whatever moment its process dies
/// at, each byte but of that one is in one file, and the numbers tell the order; one of them may be
/// missing.
///
/// Files end with whole lines. A line that does not fit begins the next file; one that is longer
/// than a file, or of which a part was written already, makes its file longer, by kLineBytesMax at
/// most, and is cut there.
///
/// Names that cannot be changed are told; the file grows on, and that is tried again after as many
/// bytes more. A file that was taken away is begun anew, as long as its folder is there. One per
/// target of an OutputWriter, owned by its thread and confined to it.
class RotatingFile {
 public:
  static constexpr size_t kLineBytesMax = size_t{64} << 10;

  struct Deps {
    OutputBudget* budget = nullptr;    // null: no cap; outlives the file
    RotationLedger* ledger = nullptr;  // null: nobody reads by offsets; outlives the file
    std::function<void(const FileNotice&)> on_notice;
  };

  /// Made (mode 0600) or appended to when the first bytes come.
  RotatingFile(std::string path, FileLimits limits, Deps deps);

  /// Appends as many of the bytes as the budget admits. Blocks: on the disk. Errors: errno's code -
  /// the file cannot be made or written; a part may be there then.
  base::Status Write(std::string_view bytes);

 private:
  base::Status Open();
  base::Status WritePiece(std::string_view piece);
  size_t FitsNow(std::string_view bytes) const;
  void Rotate();
  base::Status RenameAll(RotationLedger::Stream& stream);
  void GiveUp(uint64_t bytes, RotationLedger::Stream& stream);

  const std::string path_;
  const FileLimits limits_;
  const Deps deps_;
  OutputBudget::Folder* folder_ = nullptr;  // null: no budget, or nothing written yet
  base::UniqueFd fd_;
  uint64_t size_ = 0;
  uint64_t begun_at_ = 0;      // its size when it could not be rotated last; 0 of a new file
  bool at_line_begin_ = true;  // what was written last ended a line
};

}  // namespace lockstep::process

#endif  // LOCKSTEP_RUNTIME_PROCESS_ROTATING_FILE_H_
