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

void GoneList::Add(const std::vector<elastic::GoneRank>& gone) {
  for (const elastic::GoneRank& one : gone) {
    lockstep_attach_gone& entry = entries_.emplace_back();
    entry.rank = one.rank.value();
    CopyText(one.why, entry.why, sizeof entry.why);
  }
  file_.reset();
}

base::Result<int> GoneList::File() {
  if (entries_.empty() || file_.valid()) return file_.get();
  const size_t bytes = entries_.size() * sizeof(lockstep_attach_gone);
  base::UniqueFd file(lockstep_shared_memory_create("lockstep-gone", bytes));
  if (!file.valid() ||
      ::pwrite(file.get(), entries_.data(), bytes, 0) != static_cast<ssize_t>(bytes)) {
    return base::ErrnoStatus(
        errno, "making the list of " + std::to_string(entries_.size()) + " ranks that are gone");
  }
  file_ = std::move(file);
  return file_.get();
}

void GoneList::Clear() {
  entries_.clear();
  file_.reset();
}

}  // namespace lockstep::launcher
