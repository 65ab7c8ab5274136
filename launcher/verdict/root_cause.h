// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_VERDICT_ROOT_CAUSE_H_
#define LOCKSTEP_LAUNCHER_VERDICT_ROOT_CAUSE_H_

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "elastic/gang.h"
#include "launcher/verdict/error_file.h"
#include "runtime/base/clock.h"
#include "runtime/base/ids.h"
#include "runtime/proto/verdict.pb.h"

/// From what the gang's step function found to the verdict that people, programs and the exit
/// status get. Pure functions, for any thread.
namespace lockstep::launcher {

/// What is known of one rank beside its exit; only the culprit's is used.
struct RankEvidence {
  std::vector<std::string> stderr_lines;  // the last ones, oldest first; at most kStderrLines
  std::optional<ErrorFile> error;         // what a Python program left in TORCHELASTIC_ERROR_FILE
  std::string stderr_path;
};

inline constexpr size_t kStderrLines = 10;
inline constexpr size_t kEvidenceLineColumns = 1000;  // longer lines are cut

/// What surrounds a round.
struct RoundFacts {
  std::string job_id;
  std::string host;
  /// Of a job of several nodes, indexed by rank; empty: all are on `host`.
  std::vector<std::string> host_of_rank;
  std::string log_directory;
  /// Who asked for the stop, when it was not the user at the terminal: "`lockstep stop`".
  std::string stopped_by;
  /// The launch failed before any program could: the round's folder cannot be written.
  bool folder_failed = false;
  /// One instant on both clocks, to turn the round's times into wall time.
  base::SteadyTime steady_now;
  base::WallTime wall_now;
  std::map<base::Rank, RankEvidence> ranks;
  /// Why the gang stood still, where that is what ended the round: class, culprits, evidence and
  /// what else hang_verdict.h fills in.
  std::optional<proto::Verdict> hang;
  /// What the ranks' rings say of a round in which ranks failed: whose fault it was that they did.
  std::optional<proto::Verdict> last_look;
};

/// The verdict on a round; nothing for one that succeeded.
std::optional<proto::Verdict> MakeVerdict(const elastic::RoundOutcome& outcome,
                                          const RoundFacts& facts);

/// The verdict on a job: its last round's, unless the user stopped it after that round had failed
/// (during the pause before a restart, or in place of one). Nothing for a job that succeeded.
std::optional<proto::Verdict> MakeJobVerdict(const elastic::JobOutcome& outcome,
                                             const std::optional<proto::Verdict>& last_round,
                                             const RoundFacts& facts);

/// The verdict on a job that ended for a reason outside its ranks: LAUNCH_FAILED - the agent could
/// not begin; NODE_LOST - the agent was killed. `why` in words.
proto::Verdict MakeVerdictWithoutRanks(proto::Verdict::Class verdict_class, base::Round round,
                                       int exit_code, std::string_view why,
                                       const RoundFacts& facts);

/// The exit status of `lockstep run` (docs/errors.md): 0 without a verdict.
int ExitStatus(const std::optional<proto::Verdict>& job_verdict);

/// How a rank went that is no member of a round any more, in words: "killed by signal 9 (SIGKILL)".
std::string HowItWent(const elastic::RankRecord& rank);

/// What makes a failure the same as another one: elastic::RankExit::fingerprint. The signal and the
/// Python error, else the last stderr line, without the numbers in it. "" for a kill from outside
/// (SIGKILL, SIGTERM ... but not out of memory), which tells nothing about the program, and for an
/// exit code of a rank that said nothing.
std::string Fingerprint(const elastic::RankExit& exit, const RankEvidence& evidence);

/// verdict.json: keys as in verdict.proto, those with default values too.
std::string VerdictJson(const proto::Verdict& verdict);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_VERDICT_ROOT_CAUSE_H_
