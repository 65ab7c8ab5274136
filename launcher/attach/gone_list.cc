// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/attach/gone_list.h"

#include <unistd.h>

#include <cerrno>
#include <string>
#include <utility>

#include "launcher/attach/packet.h"
#include "runtime/attach/shared_memory.h"
#include "runtime/base/errno_status.h"

namespace lockstep::launcher {

base::Status GoneList::Add(const std::vector<elastic::GoneRank>& gone) {
  std::vector<lockstep_attach_gone> entries = entries_;
  for (const elastic::GoneRank& one : gone) {
    lockstep_attach_gone& entry = entries.emplace_back();
    entry.rank = one.rank.value();
    CopyText(one.why, entry.why, sizeof entry.why);
  }
  const size_t bytes = entries.size() * sizeof(lockstep_attach_gone);
  base::UniqueFd file(lockstep_shared_memory_create("lockstep-gone", bytes));
  if (!file.valid() ||
      ::pwrite(file.get(), entries.data(), bytes, 0) != static_cast<ssize_t>(bytes)) {
    return base::ErrnoStatus(
        errno, "making the list of " + std::to_string(entries.size()) + " ranks that are gone");
  }
  entries_ = std::move(entries);
  file_ = std::move(file);
  return base::OkStatus();
}

void GoneList::Clear() {
  entries_.clear();
  file_.reset();
}

}  // namespace lockstep::launcher
