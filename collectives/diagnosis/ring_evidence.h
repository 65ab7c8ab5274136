// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_DIAGNOSIS_RING_EVIDENCE_H_
#define LOCKSTEP_COLLECTIVES_DIAGNOSIS_RING_EVIDENCE_H_

#include <cstdint>

#include "collectives/diagnosis/evidence.h"
#include "collectives/recorder/ring_reader.h"

namespace lockstep::collectives {

/// What a ring says of its rank at `now_ns` of its machine's monotonic clock; of its process only
/// host and pid. Pure; any thread.
SeenRank FromRing(const RingContent& ring, uint64_t now_ns);

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_DIAGNOSIS_RING_EVIDENCE_H_
