// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/process/rotation_ledger.h"

#include <algorithm>

namespace lockstep::process {

RotationLedger::Stream RotationLedger::Find(const std::string& path) const {
  std::lock_guard lock(mutex_);
  const auto found = streams_.find(path);
  return found == streams_.end() ? Stream() : found->second;
}

void RotationLedger::Change(const std::string& path, const std::function<void(Stream&)>& change) {
  std::lock_guard lock(mutex_);
  change(streams_[path]);
}

bool RotationLedger::HasGivenUp() const {
  const std::lock_guard lock(mutex_);
  return std::any_of(streams_.begin(), streams_.end(),
                     [](const auto& named) { return named.second.given_up_bytes > 0; });
}

void RotationLedger::Forget(const std::string& path) {
  std::lock_guard lock(mutex_);
  streams_.erase(path);
}

}  // namespace lockstep::process
