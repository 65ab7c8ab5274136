// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_VERDICT_HANG_VERDICT_H_
#define LOCKSTEP_LAUNCHER_VERDICT_HANG_VERDICT_H_

#include <string>

#include "collectives/diagnosis/evidence.h"
#include "collectives/diagnosis/finding.h"
#include "runtime/proto/verdict.pb.h"

namespace lockstep::launcher {

/// What of a verdict is known while the gang still stands: class, culprits, victims, group, seq,
/// op, confidence, evidence, advice. `host` is where ranks are that do not say. Pure; any thread.
proto::Verdict HangVerdict(const collectives::Finding& finding,
                           const collectives::Evidence& evidence, const std::string& host);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_VERDICT_HANG_VERDICT_H_
