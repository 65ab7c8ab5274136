// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_JOBS_LOG_PIECES_H_
#define LOCKSTEP_LAUNCHER_JOBS_LOG_PIECES_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"

/// The files that one rotated file consists of (process::RotatingFile), which may be rotated on
/// while they are read. Functions, for any thread.
namespace lockstep::launcher {

/// Which file it is, whatever it is called by now. The kernel may give the number of a file that is
/// gone to a new one, hence the time of its birth; a file system that does not tell it can fool us
/// when so many rotations lie between two looks that the old file is gone, and its rest with it.
struct FileIdentity {
  uint64_t device = 0;
  uint64_t number = 0;
  int64_t born_ns = 0;

  friend bool operator==(const FileIdentity&, const FileIdentity&) = default;
};

struct LogPiece {
  base::UniqueFd fd;
  FileIdentity identity;
  uint64_t bytes = 0;  // when it was opened
};

/// Opens the file at `path`; nullopt when there is none. Whatever a rank has put in its place
/// neither blocks us nor leads elsewhere. Errors: FailedPrecondition - not a regular file; else
/// errno's code.
base::Result<std::optional<LogPiece>> OpenLogPiece(const std::string& path);

/// All files of the stream whose file grows at `path`, the oldest first, each once and none left
/// out between two others. `highest_number`: of those that a list of the folder has shown. Errors:
/// ResourceExhausted - they are rotated faster than they can be opened; else as OpenLogPiece.
base::Result<std::vector<LogPiece>> OpenLogPieces(const std::string& path, int highest_number);

/// Where in these files, taken as one, a byte is.
struct LogPosition {
  size_t piece = 0;
  uint64_t offset = 0;

  friend bool operator==(const LogPosition&, const LogPosition&) = default;
};

/// Where the last `lines` lines begin, of `bytes` of each file. Reads backwards no further than it
/// must. With no pieces: the beginning.
LogPosition FindTail(std::span<const LogPiece> pieces, uint64_t lines);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_JOBS_LOG_PIECES_H_
