// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_DIAGNOSIS_PACE_MESSAGES_H_
#define LOCKSTEP_LAUNCHER_DIAGNOSIS_PACE_MESSAGES_H_

#include <cstddef>
#include <string>
#include <vector>

#include "collectives/diagnosis/pace.h"
#include "runtime/base/clock.h"
#include "runtime/base/ids.h"
#include "runtime/proto/pace.pb.h"
#include "runtime/proto/verdict.pb.h"

/// How fast ranks go, as agents tell each other, verbs and the event log. Any thread.
namespace lockstep::launcher {

proto::NodePace ToProto(const std::vector<collectives::PaceWindow>& windows);
/// The same, packed, of so many bytes at most: what does not fit is left out, of all ranks alike,
/// first their links and then the earlier ops of groups, and is_cut says so. "": not even the rest.
std::string PackPaces(std::vector<collectives::PaceWindow> windows, size_t bytes_max);
/// Of anything: lists that are too long or do not fit together are left out.
std::vector<collectives::PaceWindow> WindowsOf(const proto::NodePace& told);

/// `length`: of the window; `age`: how long ago it ended.
proto::JobPace ToProto(const collectives::Pace& pace, base::Duration length, base::Duration age);

/// Where a rank runs.
struct PacedProcess {
  base::Rank rank;
  std::string host;
  int64_t pid = 0;
};
/// STRAGGLER and SLOW_LINK as a verdict has them; nothing is done about either. `processes`: by
/// rank.
proto::Verdict PaceVerdict(const collectives::Straggler& slow, const collectives::Pace& pace,
                           const std::vector<PacedProcess>& processes);
proto::Verdict PaceVerdict(const collectives::SlowLink& slow, const collectives::Pace& pace,
                           const std::vector<PacedProcess>& processes);
/// One line: "rank 3 (node-a, pid 4711) is slow: ...; others wait for it".
std::string PaceNotice(const proto::Verdict& verdict);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_DIAGNOSIS_PACE_MESSAGES_H_
