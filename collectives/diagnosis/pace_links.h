// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_DIAGNOSIS_PACE_LINKS_H_
#define LOCKSTEP_COLLECTIVES_DIAGNOSIS_PACE_LINKS_H_

#include <vector>

#include "collectives/diagnosis/pace.h"

namespace lockstep::collectives {

/// The part of JudgePace that is about links: fills in `links`, `slow_links` and `links_unknown` of
/// `pace`. A matrix of senders and receivers: a hot cell is a link, a hot row its sender, a hot
/// column its receiver. Links within a host are compared with each other, and so are those between
/// hosts. Pure; any thread.
void JudgeLinks(const std::vector<PaceWindow>& windows, const PaceOptions& options, Pace& pace);

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_DIAGNOSIS_PACE_LINKS_H_
