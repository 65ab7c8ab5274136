// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_DIAGNOSIS_IMPORTS_FLIGHT_EXPORT_H_
#define LOCKSTEP_COLLECTIVES_DIAGNOSIS_IMPORTS_FLIGHT_EXPORT_H_

#include <map>
#include <vector>

#include "collectives/diagnosis/imports/tree.h"
#include "collectives/recorder/ring_reader.h"
#include "runtime/base/ids.h"

namespace lockstep::collectives {

/// Rings of the ranks of one round as dumps of PyTorch's flight recorder, version 2.10, by rank: as
/// JSON what torch 2.11 writes, as pickles what its analyzer (torch.distributed.flight_recorder)
/// reads. Each has the key "rank" beside torch's own. Ops are named as NCCL's, since the analyzer
/// knows no other; those that it does not know (making a group, batches, another library's calls)
/// are left out. A group whose members a seat does not tell has those whose rings name it. Of two
/// rings of one rank the first counts. Pure; any thread; any rings that the reader gave.
std::map<base::Rank, TreePtr> ExportFlightDumps(const std::vector<RingContent>& rings);

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_DIAGNOSIS_IMPORTS_FLIGHT_EXPORT_H_
