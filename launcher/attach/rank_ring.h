// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_ATTACH_RANK_RING_H_
#define LOCKSTEP_LAUNCHER_ATTACH_RANK_RING_H_

#include "collectives/recorder/recorder.h"
#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"

namespace lockstep::launcher {

/// An empty recorder ring for the rank that `facts` name, in memory of its own. Errors: errno's
/// code. Any thread.
base::Result<base::UniqueFd> MakeRing(const collectives::RingIdentity& facts);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_ATTACH_RANK_RING_H_
