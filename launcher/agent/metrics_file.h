// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_AGENT_METRICS_FILE_H_
#define LOCKSTEP_LAUNCHER_AGENT_METRICS_FILE_H_

#include <string>
#include <string_view>
#include <utility>

#include "runtime/base/status.h"
#include "runtime/storage/file_system.h"

namespace lockstep::launcher {

/// The file that node_exporter's textfile collector reads: a reader sees the old text or the new
/// one, never a part, and nothing once the job is over. Readable for all whom the umask lets. Of
/// one writer; confined to its thread. `files` outlives it.
class MetricsFile {
 public:
  MetricsFile(std::string path, storage::FileSystem& files)
      : path_(std::move(path)), files_(files) {}
  ~MetricsFile() { Remove(); }
  MetricsFile(const MetricsFile&) = delete;
  MetricsFile& operator=(const MetricsFile&) = delete;

  /// Errors: errno's code, of the folder or the disk; the old text stands.
  base::Status Write(std::string_view text);
  /// If it was written. Nothing is left of it.
  void Remove();

 private:
  const std::string path_;
  storage::FileSystem& files_;
  bool is_there_ = false;
};

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_AGENT_METRICS_FILE_H_
