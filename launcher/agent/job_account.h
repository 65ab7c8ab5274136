// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_AGENT_JOB_ACCOUNT_H_
#define LOCKSTEP_LAUNCHER_AGENT_JOB_ACCOUNT_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "collectives/diagnosis/evidence.h"
#include "collectives/diagnosis/finding.h"
#include "elastic/gang.h"
#include "launcher/agent/agent_config.h"
#include "launcher/agent/gang_watch.h"
#include "launcher/agent/job_record.h"
#include "launcher/agent/node_runtime.h"
#include "launcher/verdict/root_cause.h"
#include "runtime/base/clock.h"
#include "runtime/base/ids.h"
#include "runtime/base/status.h"
#include "runtime/proto/verdict.pb.h"

namespace lockstep::launcher {

/// Who asks for the job's end by Ctrl-C, as the source of a stop.
inline constexpr const char* kTerminal = "the terminal";

/// What is said of a job while it runs and when it ends: on the console, in the node's event log
/// and as verdicts in the job directory. Decides nothing. One per agent of `lockstep run`, owned by
/// it. Confined to the loop's thread; `config` and `record` outlive it.
class JobAccount final : public HangNews {
 public:
  JobAccount(const AgentConfig& config, JobRecord& record, const base::Clock& clock)
      : config_(config), record_(record), clock_(clock) {}
  JobAccount(const JobAccount&) = delete;
  JobAccount& operator=(const JobAccount&) = delete;

  /// Whose console and event log it uses; null: there is none yet, or no more.
  void SetNode(NodeRuntime* node) { node_ = node; }
  /// Of a job of several nodes.
  void SetHosts(std::vector<std::string> host_of_rank) { host_of_rank_ = std::move(host_of_rank); }
  /// That of the news that come now: the gang may be in the next one.
  base::Round round() const { return round_; }
  /// Verdicts up to now, by the name of their class; of a gang that stands still also where nothing
  /// is done about it.
  const std::map<std::string, uint64_t>& verdict_counts() const { return verdict_counts_; }

  void OnJobStarted(int master_port);
  void OnRoundBegins(const elastic::SpawnRanks& round);
  void OnNotice(const elastic::Notice& notice);
  void OnHangNotice(const collectives::Finding& finding,
                    const collectives::Evidence& evidence) override;
  void OnHangVerdict(const collectives::Finding& finding, const collectives::Evidence& evidence,
                     const std::vector<proto::Evidence>& stacks, Fate fate) override;
  void OnPace(proto::Verdict verdict) override;
  void OnWatchTrouble(const std::string& text) override;
  void OnLastLook(const collectives::Finding& finding,
                  const collectives::Evidence& evidence) override;
  /// `source` is who asked, in words. Verdicts name the first who was not the user at the terminal.
  void OnStop(int signal, bool at_once, const std::string& source, const std::string& reason);
  void OnRoundEnded(const elastic::RoundOutcome& outcome,
                    std::map<base::Rank, RankEvidence> evidence);
  void OnSurvivorsGoOn(const elastic::RoundOutcome& outcome,
                       const std::vector<elastic::GoneRank>& gone,
                       std::map<base::Rank, RankEvidence> evidence);
  /// Returns the job's verdict; none of a job that has succeeded.
  std::optional<proto::Verdict> OnJobEnded(const elastic::JobOutcome& outcome);
  /// The nodes did not come together.
  proto::Verdict OnNeverFormed(const base::Status& why, int exit_status);
  /// The agent could not be opened: says it in the places where one looks for the end of a job.
  void OnNeverOpened(const base::Status& why, int exit_status);

 private:
  RoundFacts Facts() const;
  void Count(const proto::Verdict& verdict);
  void Complete(proto::Verdict& verdict) const;
  void SayOfHang(const std::string& text, const collectives::Finding& finding,
                 const std::optional<proto::Verdict>& verdict);
  proto::Verdict LaunchVerdict(int exit_status, const std::string& text) const;

  const AgentConfig& config_;
  JobRecord& record_;
  const base::Clock& clock_;
  NodeRuntime* node_ = nullptr;
  base::Round round_;
  std::vector<std::string> host_of_rank_;
  std::optional<proto::Verdict> hang_;          // of the round that runs, once it ends for that
  std::optional<proto::Verdict> last_look_;     // of a round that ends
  std::optional<proto::Verdict> last_verdict_;  // of the round that ended last
  std::string stopped_by_;                      // as RoundFacts has it
  std::map<std::string, uint64_t> verdict_counts_;
};

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_AGENT_JOB_ACCOUNT_H_
