// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_TESTS_FAULTS_JOB_FACTS_H_
#define LOCKSTEP_TESTS_FAULTS_JOB_FACTS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "runtime/proto/event.pb.h"
#include "runtime/proto/verdict.pb.h"

namespace lockstep::e2e {

// What a job's folder, or that of one of its rounds, says of it when it is over.

/// The text of verdict.json. An empty Verdict where it cannot be read as one.
proto::Verdict VerdictOfJson(const std::string& json);
/// That file of a folder.
proto::Verdict VerdictIn(const std::string& folder);
/// "MISSING_RANK"
std::string ClassOf(const proto::Verdict& verdict);
/// Who is blamed, and nobody else: in rising order.
std::vector<int> CulpritsOf(const proto::Verdict& verdict);
/// What is said of them, in the verdict's order.
std::vector<std::string> ReasonsOf(const proto::Verdict& verdict);

/// All that its evidence of a kind says.
std::vector<std::string> LinesOf(const proto::Verdict& verdict, proto::Evidence::Kind kind);

/// Of all agents' event logs in a job's folder, by the monotonic clock that they share here.
std::vector<proto::Event> EventsIn(const std::string& folder);
/// The first line that says who is waited for, and nothing follows from.
std::optional<proto::Event> FirstWaitingNotice(const std::vector<proto::Event>& events);
/// When ranks of these agents' nodes were first told to end, as a round comes down for a verdict.
std::optional<int64_t> FirstSignal(const std::vector<proto::Event>& events);
/// When the first round was over, and all that it had started.
std::optional<int64_t> FirstRoundEnd(const std::vector<proto::Event>& events);

}  // namespace lockstep::e2e

#endif  // LOCKSTEP_TESTS_FAULTS_JOB_FACTS_H_
