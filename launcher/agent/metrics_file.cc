// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/agent/metrics_file.h"

#include <cstddef>
#include <span>

namespace lockstep::launcher {

base::Status MetricsFile::Write(std::string_view text) {
  // The collector takes what ends with .prom, and nothing else.
  const std::string new_path = path_ + ".tmp";
  const std::span<const std::byte> bytes = std::as_bytes(std::span(text));
  base::Status written = files_.WriteFile(new_path, {&bytes, 1}, {.mode = 0644});
  if (written.ok()) written = files_.Rename(new_path, path_);
  if (written.ok()) {
    is_there_ = true;
    return written;
  }
  (void)files_.RemoveFile(new_path);
  return written.WithFrame("write the metrics file " + path_);
}

void MetricsFile::Remove() {
  if (is_there_) (void)files_.RemoveFile(path_);
  is_there_ = false;
}

}  // namespace lockstep::launcher
