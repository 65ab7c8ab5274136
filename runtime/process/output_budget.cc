// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/process/output_budget.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "runtime/process/rotated_name.h"

namespace lockstep::process {

OutputBudget::OutputBudget(FileLimits limits, RotationLedger* ledger,
                           std::function<void(const FileNotice&)> on_notice)
    : limits_(limits), ledger_(ledger), on_notice_(std::move(on_notice)) {}

OutputBudget::Folder& OutputBudget::Enter(const std::string& path) {
  const size_t slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash);
  // From the back: it is the newest, nearly always.
  auto found = std::find_if(folders_.rbegin(), folders_.rend(),
                            [&](const Folder& one) { return one.path == folder; });
  Folder& entered =
      found != folders_.rend() ? *found : folders_.emplace_back(Folder{.path = folder});
  entered.names.insert(path.substr(slash == std::string::npos ? 0 : slash + 1));
  return entered;
}

bool OutputBudget::Fits(uint64_t bytes) const {
  return used_bytes_ + bytes <= limits_.total_bytes_max;
}

size_t OutputBudget::Admit(Folder& folder, std::string_view bytes) {
  if (folder.closed) return 0;
  for (Folder& older : folders_) {
    if (&older == &folder || Fits(bytes.size())) break;
    if (!older.names.empty()) RemoveFiles(older);
  }
  if (Fits(bytes.size())) {
    used_bytes_ += bytes.size();
    return bytes.size();
  }
  folder.closed = true;
  on_notice_({.kind = FileNotice::Kind::kFull, .path = folder.path, .why = {}});
  const uint64_t room = limits_.total_bytes_max - std::min(limits_.total_bytes_max, used_bytes_);
  const size_t whole_lines = PastLastNewline(bytes.substr(0, room));
  used_bytes_ += whole_lines;
  return whole_lines;
}

void OutputBudget::Release(uint64_t bytes) { used_bytes_ -= std::min(bytes, used_bytes_); }

void OutputBudget::RemoveFiles(Folder& folder) {
  const uint64_t used_before = used_bytes_;
  for (const std::string& name : folder.names) {
    const std::string path = folder.path + "/" + name;
    RemoveFile(path);
    for (int number = 1; number <= limits_.old_files_max; ++number) {
      RemoveFile(RotatedName(path, number));
    }
    if (ledger_ != nullptr) ledger_->Forget(path);
  }
  folder.names.clear();
  folder.closed = true;
  if (used_bytes_ == used_before) return;
  on_notice_({.kind = FileNotice::Kind::kFolderRemoved, .path = folder.path, .why = {}});
}

/// One that cannot be removed goes on counting.
void OutputBudget::RemoveFile(const std::string& path) {
  struct stat info{};
  if (::stat(path.c_str(), &info) == 0 && ::unlink(path.c_str()) == 0) {
    Release(static_cast<uint64_t>(info.st_size));
  }
}

}  // namespace lockstep::process
