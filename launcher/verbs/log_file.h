// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_VERBS_LOG_FILE_H_
#define LOCKSTEP_LAUNCHER_VERBS_LOG_FILE_H_

#include <sys/types.h>

#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>

#include "runtime/base/ids.h"
#include "runtime/base/result.h"
#include "runtime/process/output_lines.h"

namespace lockstep::launcher {

/// What a file of a round's folder holds, by its name ("rank-3.stderr").
struct LogFileName {
  base::Rank rank;
  bool is_stderr = false;

  friend auto operator<=>(const LogFileName&, const LogFileName&) = default;
};
/// nullopt for a file that is no rank's output.
std::optional<LogFileName> ParseLogFileName(std::string_view name);

/// Where the last `lines` lines of the first `size` bytes of an open file begin. Reads backwards no
/// further than it must.
off_t TailOffset(int fd, off_t size, uint64_t lines);

/// One output file of a rank on its way to the screen, from where it stands on. Keeps no file open
/// between two calls, so thousands may be followed. Confined to one thread.
class LogFile {
 public:
  /// Prints to `sink`. Without `prefix` the bytes come as they are, else as OutputLines.
  LogFile(std::string path, std::FILE* sink, std::optional<std::string> prefix);

  /// Moves to before the last `lines` lines. A file that is not there is empty.
  base::Status SkipToTail(uint64_t lines);
  /// Prints what has been written since. Blocks: on the disk and on `sink`. Errors: errno's code.
  base::Status PrintNew();
  /// Prints a last line that has no end.
  base::Status Finish();

 private:
  base::Status Print(std::string_view bytes);
  base::Status Write(std::string_view text);

  const std::string path_;
  std::FILE* const sink_;
  std::optional<process::OutputLines> lines_;
  off_t offset_ = 0;
};

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_VERBS_LOG_FILE_H_
