// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_TORCH_AGREEMENT_H_
#define LOCKSTEP_RUNTIME_TORCH_AGREEMENT_H_

#include <cstddef>

#include "collectives/group.h"
#include "runtime/base/ids.h"
#include "runtime/base/status.h"

namespace lockstep::train {

/// This rank's own error, or Aborted where only others have one, with the first of them as its
/// subject: for what may fail on one rank alone, which the others would wait for until the timeout.
/// Collective. Blocks, at most the group's timeout. Errors: the group's too.
base::Status Agree(collectives::Group& group, const base::Status& mine);

/// The place in the world, by which people know it, of the group's member number `member`.
base::Rank WorldRankOf(const collectives::Group& group, size_t member);

}  // namespace lockstep::train

#endif  // LOCKSTEP_RUNTIME_TORCH_AGREEMENT_H_
