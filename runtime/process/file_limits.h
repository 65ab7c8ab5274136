// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_PROCESS_FILE_LIMITS_H_
#define LOCKSTEP_RUNTIME_PROCESS_FILE_LIMITS_H_

#include <cstdint>
#include <string>

#include "runtime/base/status.h"

namespace lockstep::process {

/// How much of ranks' output is kept in files.
struct FileLimits {
  uint64_t file_bytes_max = 0;   // a file is rotated before it grows beyond this; 0: never
  int old_files_max = 1;         // of each rotated file, at least 1
  uint64_t total_bytes_max = 0;  // of all files together, the old ones too; 0: no limit
};

/// What became of them because of that. Output goes on.
struct FileNotice {
  enum class Kind : uint8_t {
    kNotRotated,     // a file could not be rotated and grows on
    kFolderRemoved,  // the files of an older folder had to make room
    kFull,           // nothing more is written into the files of this folder
  };
  Kind kind = Kind::kNotRotated;
  std::string path;  // of the file, or of the folder
  base::Status why;  // of kNotRotated
};

}  // namespace lockstep::process

#endif  // LOCKSTEP_RUNTIME_PROCESS_FILE_LIMITS_H_
