// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_ENGINE_SMALL_OP_H_
#define LOCKSTEP_COLLECTIVES_ENGINE_SMALL_OP_H_

#include <cstddef>

#include "collectives/engine/op.h"

namespace lockstep::collectives {

/// Ends a collective with data on a member that has everybody's whole input at hand: `inputs` and
/// `scales` by member, in rank order; of those that have none, null. `scales` may be null where the
/// reduction has none.
void FinishSmallOp(const Op& op, int self, int size, const std::byte* const* inputs,
                   const double* scales);

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_ENGINE_SMALL_OP_H_
