// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_ATTACH_GONE_LIST_H_
#define LOCKSTEP_LAUNCHER_ATTACH_GONE_LIST_H_

#include <cstdint>
#include <vector>

#include "elastic/gang_state.h"
#include "runtime/attach/attach_wire.h"
#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"

namespace lockstep::launcher {

/// The ranks that are members no more, as the file that ROUND brings (attach_wire.h): a new one for
/// each round, since ranks may still read the one before. One per AttachServer, confined to its
/// loop.
class GoneList {
 public:
  /// Behind those that are on it.
  void Add(const std::vector<elastic::GoneRank>& gone);
  void Clear();

  /// Ours; -1 for an empty list. Made when it is first wanted. Errors: errno's code; it may be
  /// tried again.
  base::Result<int> File();
  uint32_t count() const { return static_cast<uint32_t>(entries_.size()); }

 private:
  std::vector<lockstep_attach_gone> entries_;
  base::UniqueFd file_;
};

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_ATTACH_GONE_LIST_H_
