// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_VERBS_LOG_FILE_H_
#define LOCKSTEP_LAUNCHER_VERBS_LOG_FILE_H_

#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>

#include "launcher/jobs/log_pieces.h"
#include "runtime/base/ids.h"
#include "runtime/base/result.h"
#include "runtime/process/output_lines.h"

namespace lockstep::launcher {

/// Whose output a file of a round's folder holds, by its name ("rank-3.stderr").
struct LogFileName {
  base::Rank rank;
  bool is_stderr = false;

  friend auto operator<=>(const LogFileName&, const LogFileName&) = default;
};

struct ParsedLogName {
  LogFileName name;
  int number = 0;  // of a rotated file: "rank-3.stderr.2"

  friend bool operator==(const ParsedLogName&, const ParsedLogName&) = default;
};
/// nullopt for a file that is no rank's output.
std::optional<ParsedLogName> ParseLogFileName(std::string_view name);

/// One stream of a rank on its way to the screen, from where it stands on, over all the files that
/// it was rotated into. Keeps no file open between two calls, so thousands may be followed.
/// Confined to one thread.
class LogFile {
 public:
  /// `path`: of the file that grows. Prints to `sink`; without `prefix` the bytes come as they are,
  /// else as OutputLines. To `notes` it says what was removed before it could be printed.
  LogFile(std::string path, std::FILE* sink, std::FILE* notes, std::optional<std::string> prefix);

  /// A rotated file of this number was seen; the numbers of others are near it.
  void NoteNumber(int number);
  /// Moves to before the last `lines` lines. A file that is not there is empty.
  base::Status SkipToTail(uint64_t lines);
  /// Prints what has been written since. Blocks: on the disk and on `sink`. Errors: errno's code.
  base::Status PrintNew();
  /// Prints a last line that has no end.
  base::Status Finish();

 private:
  base::Status PrintPieces();
  base::Status PrintFrom(int fd, uint64_t* offset);
  base::Status Print(std::string_view bytes);
  base::Status Write(std::string_view text);

  const std::string path_;
  std::FILE* const sink_;
  std::FILE* const notes_;
  std::optional<process::OutputLines> lines_;
  int highest_number_ = 0;
  /// The file that was printed last, and how much of it; none yet: nothing was there.
  std::optional<FileIdentity> current_;
  uint64_t offset_ = 0;
};

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_VERBS_LOG_FILE_H_
