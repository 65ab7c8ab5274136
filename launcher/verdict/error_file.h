// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_VERDICT_ERROR_FILE_H_
#define LOCKSTEP_LAUNCHER_VERDICT_ERROR_FILE_H_

#include <string>
#include <string_view>

#include "runtime/base/result.h"

/// What torch's @record decorator leaves in TORCHELASTIC_ERROR_FILE. Written by the rank, so
/// trusted in nothing. Free functions, for any thread.
namespace lockstep::launcher {

struct ErrorFile {
  std::string message;    // "ValueError: bad shape"; one line
  std::string traceback;  // py_callstack, as Python prints it; may be empty
  int64_t timestamp = 0;  // seconds of the rank's wall clock; 0 = not told
};

inline constexpr size_t kErrorFileBytes = 1 << 20;

/// Reads {"message": {"message": M, "extraInfo": {"py_callstack": T, "timestamp": S}}} or
/// {"message": M, "timestamp": S}. Text that is no UTF-8 or holds control characters comes out with
/// '?' in their place. Errors: InvalidArgument - no JSON, or of another shape; OutOfRange - longer
/// than kErrorFileBytes.
base::Result<ErrorFile> ParseErrorFile(std::string_view text);

/// Reads the file at `path`; a link, a device or a fifo in its place is refused, since the rank
/// chose what lies there. Errors: as above; NotFound - the rank left none (or an empty one); else
/// errno's code.
base::Result<ErrorFile> ReadErrorFile(const std::string& path);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_VERDICT_ERROR_FILE_H_
