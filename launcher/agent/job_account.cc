// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/agent/job_account.h"

#include <unistd.h>

#include <cstdio>

#include "collectives/diagnosis/words.h"
#include "launcher/agent/job_events.h"
#include "launcher/diagnosis/pace_messages.h"
#include "launcher/verdict/clean_text.h"
#include "launcher/verdict/hang_verdict.h"
#include "launcher/verdict/screen.h"
#include "launcher/version.h"

namespace lockstep::launcher {

RoundFacts JobAccount::Facts() const {
  RoundFacts facts;
  facts.job_id = config_.directory.job_id();
  facts.host = config_.here.host;
  facts.host_of_rank = host_of_rank_;
  facts.log_directory = record_.RoundFolder(round_);
  facts.stopped_by = stopped_by_;
  facts.folder_failed = node_ != nullptr && node_->folder_failed();
  facts.steady_now = clock_.Now();
  facts.wall_now = clock_.WallNow();
  facts.hang = hang_;
  facts.last_look = last_look_;
  return facts;
}

void JobAccount::OnJobStarted(int master_port) {
  proto::Event event;
  proto::JobStarted& started = *event.mutable_job_started();
  started.set_name(config_.state.name());
  for (const std::string& word : config_.arguments) started.add_command(word);
  started.set_rank_count(config_.rank_count);
  started.set_max_restarts(config_.job.spec().restart().max_restarts());
  started.set_lockstep_version(std::string(kVersion));
  started.set_agent_pid(::getpid());
  started.set_containment(node_->containment());
  started.set_master_port(master_port);
  node_->Log(round_, std::move(event));
}

void JobAccount::OnRoundBegins(const elastic::SpawnRanks& round) {
  round_ = round.round;
  hang_.reset();
  last_look_.reset();
  node_->Log(round_, RoundStartedEvent(round));
}

void JobAccount::OnNotice(const elastic::Notice& notice) {
  const std::string text = NoticeText(notice, config_.rank_count, config_.directory.job_id());
  node_->Say(text);
  node_->Log(round_, NoticeEvent(notice, text));
}

void JobAccount::OnHangNotice(const collectives::Finding& finding,
                              const collectives::Evidence& evidence) {
  SayOfHang("waiting: " + collectives::Summary(finding, evidence), finding, std::nullopt);
}

void JobAccount::OnHangVerdict(const collectives::Finding& finding,
                               const collectives::Evidence& evidence,
                               const std::vector<proto::Evidence>& stacks, Fate fate) {
  proto::Verdict verdict = HangVerdict(finding, evidence, config_.here.host);
  for (const proto::Evidence& stack : stacks) *verdict.add_evidence() = stack;
  if (fate == Fate::kRoundEnds) {
    hang_ = std::move(verdict);
    return;
  }
  Complete(verdict);
  Count(verdict);
  verdict.set_action(proto::Verdict::REPORT);
  verdict.set_action_reason(finding.culprits.empty() ? "nobody is named: nothing is done about it"
                                                     : "nothing is done about it (--on-hang)");
  std::string text = "the gang stands still: " + collectives::Summary(finding, evidence);
  if (fate == Fate::kKept) text += "; what was seen is in " + record_.EvidenceFolder(round_);
  if (fate == Fate::kKept) record_.SaveRoundVerdict(round_, verdict);
  SayOfHang(text, finding, verdict);
  if (fate == Fate::kKept) node_->output().Print(RenderVerdict(verdict));
}

void JobAccount::OnLastLook(const collectives::Finding& finding,
                            const collectives::Evidence& evidence) {
  last_look_ = HangVerdict(finding, evidence, config_.here.host);
}

void JobAccount::OnPace(proto::Verdict verdict) {
  Complete(verdict);
  Count(verdict);
  const std::string clean = CleanText(PaceNotice(verdict));
  node_->Say(clean);
  proto::Event event;
  proto::Notice& notice = *event.mutable_notice();
  notice.set_text(clean);
  for (const proto::Culprit& culprit : verdict.culprits()) notice.add_ranks(culprit.rank());
  *notice.mutable_verdict() = std::move(verdict);
  node_->Log(round_, std::move(event));
}

void JobAccount::OnWatchTrouble(const std::string& text) {
  const std::string clean = CleanText(text);
  node_->Say(clean);
  proto::Event event;
  event.mutable_notice()->set_text(clean);
  node_->Log(round_, std::move(event));
}

/// What a verdict says that no round has ended with.
void JobAccount::Complete(proto::Verdict& verdict) const {
  verdict.set_job(config_.directory.job_id());
  verdict.set_round(round_.value());
  verdict.set_world_size(config_.rank_count);
  verdict.set_log_directory(CleanText(record_.RoundFolder(round_)));
  const int64_t wall_ns = clock_.WallNow().time_since_epoch().count();
  verdict.mutable_observed_at()->set_seconds(wall_ns / 1'000'000'000);
  verdict.mutable_observed_at()->set_nanos(static_cast<int32_t>(wall_ns % 1'000'000'000));
}

void JobAccount::Count(const proto::Verdict& verdict) {
  ++verdict_counts_[proto::Verdict::Class_Name(verdict.class_())];
}

/// What ranks wrote into their rings is shown as text and nothing else.
void JobAccount::SayOfHang(const std::string& text, const collectives::Finding& finding,
                           const std::optional<proto::Verdict>& verdict) {
  const std::string clean = CleanText(text);
  node_->Say(clean);
  proto::Event event;
  proto::Notice& notice = *event.mutable_notice();
  notice.set_text(clean);
  for (const collectives::Finding::Culprit& culprit : finding.culprits)
    notice.add_ranks(culprit.rank.value());
  if (verdict.has_value()) *notice.mutable_verdict() = *verdict;
  node_->Log(round_, std::move(event));
}

void JobAccount::OnStop(int signal, bool at_once, const std::string& source,
                        const std::string& reason) {
  node_->Log(round_, StopRequestedEvent(signal, at_once, source, reason));
  if (stopped_by_.empty() && source != kTerminal) stopped_by_ = source;
}

void JobAccount::OnRoundEnded(const elastic::RoundOutcome& outcome,
                              std::map<base::Rank, RankEvidence> evidence) {
  RoundFacts facts = Facts();
  facts.ranks = std::move(evidence);
  last_verdict_ = MakeVerdict(outcome, facts);
  const bool restarts = outcome.decision == elastic::Decision::kRestart;
  node_->Log(round_, RoundEndedEvent(outcome, last_verdict_ ? &*last_verdict_ : nullptr));
  if (restarts) node_->Log(round_, RestartScheduledEvent(outcome));
  if (!last_verdict_) return;
  Count(*last_verdict_);
  record_.SaveRoundVerdict(outcome.round, *last_verdict_);
  if (restarts) node_->output().Print(RenderVerdict(*last_verdict_));
}

/// Nothing has ended, so nothing is kept as the round's verdict; its event says all of it.
void JobAccount::OnSurvivorsGoOn(const elastic::RoundOutcome& outcome,
                                 const std::vector<elastic::GoneRank>& gone,
                                 std::map<base::Rank, RankEvidence> evidence) {
  RoundFacts facts = Facts();
  facts.ranks = std::move(evidence);
  node_->Log(round_, SurvivorsGoOnEvent(outcome, gone));
  if (const auto verdict = MakeVerdict(outcome, facts)) {
    Count(*verdict);
    node_->output().Print(RenderVerdict(*verdict));
  }
}

std::optional<proto::Verdict> JobAccount::OnJobEnded(const elastic::JobOutcome& outcome) {
  std::optional<proto::Verdict> verdict = MakeJobVerdict(outcome, last_verdict_, Facts());
  if (verdict) {
    record_.SaveVerdict(*verdict);
    node_->output().Print(RenderVerdict(*verdict));
  }
  node_->Log(round_, JobEndedEvent(outcome, ExitStatus(verdict)));
  return verdict;
}

proto::Verdict JobAccount::LaunchVerdict(int exit_status, const std::string& text) const {
  return MakeVerdictWithoutRanks(proto::Verdict::LAUNCH_FAILED, round_, exit_status, text, Facts());
}

proto::Verdict JobAccount::OnNeverFormed(const base::Status& why, int exit_status) {
  const proto::Verdict verdict =
      LaunchVerdict(exit_status, why.cause() == nullptr ? why.message() : why.ToString());
  record_.SaveVerdict(verdict);
  node_->output().Print(RenderVerdict(verdict));
  return verdict;
}

void JobAccount::OnNeverOpened(const base::Status& why, int exit_status) {
  const proto::Verdict verdict = LaunchVerdict(exit_status, why.ToString());
  if (const base::Status written = record_.GiveUp(verdict, exit_status); !written.ok()) {
    std::fprintf(stderr, "lockstep: %s\n", written.ToString().c_str());
  }
}

}  // namespace lockstep::launcher
