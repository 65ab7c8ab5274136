// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_AGREEMENT_H_
#define LOCKSTEP_COLLECTIVES_AGREEMENT_H_

#include "collectives/group.h"
#include "runtime/base/status.h"

namespace lockstep::collectives {

/// Finds silent divergence: whether `buffer`, which is to be the same on all members (what an
/// AllReduce gave, parameters after a step), is so bit by bit. Collective: every member calls it;
/// ordered with the group's other collectives. Of buffers in main memory. Blocks: for one pass over
/// the buffer and one small op; where members differ, for a few more.
///
/// Errors, the same on all members, after which the group goes on: DataLoss - names the members
/// that are not with the majority as subjects, and the first element that differs (all members
/// where no value has a majority); FailedPrecondition - buffers of different sizes. Those of
/// Group's ops too. On this member alone, before anything is done: as CanCheckAgreement.
base::Status CheckAgreement(Group& group, ConstBuffer buffer, OpOptions options = {});

/// A pure function. Errors: Unimplemented - the buffer, or what the group's ops take, is in a GPU's
/// memory; says what to do instead.
base::Status CanCheckAgreement(const Group& group, const ConstBuffer& buffer);

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_AGREEMENT_H_
