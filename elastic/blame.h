// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_ELASTIC_BLAME_H_
#define LOCKSTEP_ELASTIC_BLAME_H_

#include "elastic/gang_state.h"

/// Which of two failures of a round broke it, from how ranks ended and when. Pure functions, for
/// any thread.
namespace lockstep::elastic {

/// Whether the failure says little about its own rank: a rank whose peer vanished exits with a
/// code, or throws (SIGABRT), or writes into a closed socket (SIGPIPE). Nothing a peer does brings
/// it another signal, takes its memory or its node, or keeps it from being launched.
bool IsWeak(const RankRecord& rank);

/// Whatever the two clocks did.
bool CertainlyBefore(const RankRecord& one, const RankRecord& other);

/// Whether the rank's failure says more than that of the culprit so far; of equals the first stays,
/// unless the other one was certainly before it.
bool IsRatherTheCulprit(const RankRecord& rank, const RankRecord& culprit);

}  // namespace lockstep::elastic

#endif  // LOCKSTEP_ELASTIC_BLAME_H_
