// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_AGENT_METRICS_FILE_H_
#define LOCKSTEP_LAUNCHER_AGENT_METRICS_FILE_H_

#include <memory>
#include <string>
#include <string_view>

#include "runtime/base/clock.h"
#include "runtime/base/status.h"
#include "runtime/storage/file_system.h"

namespace lockstep::launcher {

/// The file that node_exporter's textfile collector reads: a reader sees the old text or the new
/// one, never a part, and nothing once the job is over. Readable for all whom the umask lets. It is
/// written on a thread of its own ("metrics"), one text at a time: the folder may be on a server
/// that hangs, and the loop holds the node's lease. Nothing is replaced but metrics of Lockstep's,
/// and nothing removed but those of this job.
///
/// Of one writer; confined to its thread. `files` outlives it. A call that hangs is left behind: of
/// a file system that hangs at the job's end the file may stay.
class MetricsFile {
 public:
  MetricsFile(std::string path, std::string job_id, storage::FileSystem& files);
  /// Removes the file; waits for that, a second at most.
  ~MetricsFile();
  MetricsFile(const MetricsFile&) = delete;
  MetricsFile& operator=(const MetricsFile&) = delete;

  /// Once, before the other calls: writes the first text, within the call. Errors:
  /// FailedPrecondition - there is a file that is no metrics of a job; else errno's code, of the
  /// folder or the disk.
  base::Status Open(std::string_view text);
  /// Has the thread write it, from Open() to Remove(). Errors: of the writing before, after which
  /// there is no file, errno's code; DeadlineExceeded - that has not ended, and this text is
  /// dropped; ResourceExhausted - no thread could be made.
  base::Status Write(std::string text);
  /// Has the thread remove it.
  void Remove();
  /// Waits until what was asked for is done. Whether it is, in that time.
  bool Await(base::Duration at_most);

 private:
  struct Shared;

  bool EnsureThread();

  const std::shared_ptr<Shared> shared_;  // with the thread, which may have to be left behind
  bool is_open_ = false;
  bool has_thread_ = false;
};

/// Removes the metrics file, and what an agent that was killed left of one half written, if they
/// are that job's. Any thread. Blocks.
void RemoveMetricsOf(const std::string& job_id, const std::string& path,
                     storage::FileSystem& files);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_AGENT_METRICS_FILE_H_
