// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/exec/adopted_watch.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "collectives/diagnosis/words.h"
#include "launcher/agent/live_status.h"
#include "launcher/exit_codes.h"
#include "launcher/verdict/clean_text.h"
#include "launcher/verdict/hang_verdict.h"
#include "launcher/verdict/screen.h"
#include "runtime/base/logging.h"
#include "runtime/base/unique_fd.h"

namespace lockstep::launcher {
namespace {

using collectives::Evidence;
using collectives::Finding;

HangWatch::Config ConfigOf(const proto::AdoptedHangs& hangs, int world_size) {
  HangWatch::Config config;
  config.world_size = world_size;
  if (hangs.grace_ns() > 0) config.grace = base::Duration(hangs.grace_ns());
  if (hangs.action_after_ns() > 0) config.action_after = base::Duration(hangs.action_after_ns());
  if (hangs.init_deadline_ns() > 0) config.init_deadline = base::Duration(hangs.init_deadline_ns());
  if (hangs.deadline_ns() > 0) config.hard_deadline = base::Duration(hangs.deadline_ns());
  return config;
}

}  // namespace

AdoptedWatch::AdoptedWatch(const proto::AdoptedHangs& hangs, EvidenceFacts facts, int world_size,
                           Deps deps)
    : kills_(hangs.kills()),
      facts_(std::move(facts)),
      world_size_(world_size),
      deps_(std::move(deps)),
      since_(deps_.loop.Now()),
      watch_(ConfigOf(hangs, world_size), deps_.loop, *this),
      pace_watch_({}, deps_.loop, watch_.paces(), *this) {
  watch_.BeginRound();
  pace_watch_.BeginRound();
}

void AdoptedWatch::OnHangNotice(const Finding& finding, const Evidence& evidence) {
  const std::string text = CleanText("waiting: " + collectives::Summary(finding, evidence));
  Say(text, "lockstep: " + text + "\n", finding);
}

void AdoptedWatch::OnHangVerdict(const Finding& finding, const Evidence& evidence) {
  EvidenceFacts facts = facts_;
  facts.monotonic_ns = static_cast<uint64_t>(deps_.loop.Now().time_since_epoch().count());
  facts.grace = watch_.times().grace;
  deps_.record.SaveEvidence(facts, evidence, watch_.rings());
  verdict_ = VerdictOf(finding, evidence);
  deps_.record.SaveVerdict(*verdict_);
  ++verdict_counts_[proto::Verdict::Class_Name(verdict_->class_())];
  const std::string summary = collectives::Summary(finding, evidence);
  std::vector<StackTaking::Target> standing = Standing(finding);
  if (deps_.stacks == nullptr || standing.empty()) return OnStacks(finding, summary, {});
  deps_.stacks->Take(facts_.round, {.here = std::move(standing), .far = {}},
                     [this, finding, summary](const std::vector<proto::Evidence>& stacks) {
                       OnStacks(finding, summary, stacks);
                     });
}

void AdoptedWatch::OnStacks(const Finding& finding, const std::string& summary,
                            const std::vector<proto::Evidence>& stacks) {
  for (const proto::Evidence& one : stacks) *verdict_->add_evidence() = one;
  // It has gone on meanwhile: that was no hang. Calls that differed have differed.
  const bool is_mismatch = finding.verdict_class == Finding::Class::kMismatch;
  const bool kills = Kills(finding) && (is_mismatch || !watch_.HasMoved());
  if (!kills && Kills(finding)) {
    verdict_->set_action(proto::Verdict::REPORT);
    verdict_->set_action_reason("the ranks have gone on meanwhile: nothing is done about it");
  }
  deps_.record.SaveVerdict(*verdict_);
  Say(CleanText("the ranks stand still: " + summary), RenderVerdict(*verdict_), finding);
  if (kills) return deps_.kill();
  if (Kills(finding)) watch_.BeginRound();
}

std::vector<StackTaking::Target> AdoptedWatch::Standing(const Finding& finding) const {
  const bool all = finding.verdict_class == Finding::Class::kLibraryStall;
  std::vector<StackTaking::Target> standing;
  for (const WatchedRank& rank : deps_.ranks()) {
    const bool is_culprit =
        std::any_of(finding.culprits.begin(), finding.culprits.end(),
                    [&](const auto& culprit) { return culprit.rank == rank.rank; });
    // Else its pid may be another process's by now.
    if ((is_culprit || all) && !rank.ended && !deps_.has_ended(rank.rank))
      standing.push_back({rank.rank, static_cast<pid_t>(rank.pid)});
  }
  return standing;
}

/// Where too little is known they may be healthy.
bool AdoptedWatch::Kills(const Finding& finding) const {
  return kills_ &&
         (!finding.culprits.empty() || finding.verdict_class == Finding::Class::kLibraryStall);
}

proto::Verdict AdoptedWatch::VerdictOf(const Finding& finding, const Evidence& evidence) const {
  proto::Verdict verdict = HangVerdict(finding, evidence, facts_.host);
  verdict.set_job(facts_.job);
  verdict.set_world_size(world_size_);
  verdict.set_exit_code(static_cast<int>(ExitCode::kUnavailable));
  const int64_t wall_ns = deps_.clock.WallNow().time_since_epoch().count();
  verdict.mutable_observed_at()->set_seconds(wall_ns / 1'000'000'000);
  verdict.mutable_observed_at()->set_nanos(static_cast<int32_t>(wall_ns % 1'000'000'000));
  const int64_t age_ns = (deps_.loop.Now() - since_).count();
  verdict.mutable_round_age()->set_seconds(age_ns / 1'000'000'000);
  verdict.mutable_round_age()->set_nanos(static_cast<int32_t>(age_ns % 1'000'000'000));
  const bool kills = Kills(finding);
  verdict.set_action(kills ? proto::Verdict::KILL_RANKS : proto::Verdict::REPORT);
  verdict.set_action_reason(kills ? "its ranks on this host are killed (--on-hang=kill)"
                                  : "nothing is done about it (--on-hang=report)");
  return verdict;
}

std::vector<PacedProcess> AdoptedWatch::Processes() const {
  std::vector<PacedProcess> processes;
  for (const WatchedRank& rank : deps_.ranks())
    processes.push_back({rank.rank, facts_.host, rank.pid});
  return processes;
}

void AdoptedWatch::Describe(bool live, proto::StatusReply& status) const {
  for (const auto& [name, count] : verdict_counts_) {
    proto::VerdictCount& verdicts = *status.add_verdicts();
    verdicts.set_class_(name);
    verdicts.set_count(count);
  }
  const auto& last = pace_watch_.last();
  if (live && last.has_value())
    AddPace(ToProto(last->pace, last->window, deps_.loop.Now() - last->at), status);
}

void AdoptedWatch::SayOfPace(proto::Verdict verdict) {
  ++verdict_counts_[proto::Verdict::Class_Name(verdict.class_())];
  verdict.set_job(facts_.job);
  verdict.set_world_size(world_size_);
  const std::string text = CleanText(PaceNotice(verdict));
  LOG(WARNING) << text;
  std::vector<base::Rank> victims;
  for (const int victim : verdict.victims()) victims.emplace_back(victim);
  proto::Event event;
  proto::Notice& notice = *event.mutable_notice();
  notice.set_text(text);
  for (const proto::Culprit& culprit : verdict.culprits()) notice.add_ranks(culprit.rank());
  *notice.mutable_verdict() = std::move(verdict);
  deps_.log(std::move(event));
  Print("lockstep: " + text + "\n", victims);
}

void AdoptedWatch::Say(const std::string& text, const std::string& screen, const Finding& finding) {
  LOG(WARNING) << text;
  proto::Event event;
  event.mutable_notice()->set_text(text);
  for (const Finding::Culprit& culprit : finding.culprits)
    event.mutable_notice()->add_ranks(culprit.rank.value());
  deps_.log(std::move(event));
  Print(screen, finding.victims);
}

/// To a rank that waits, if there is one: its launcher passes that on as it does all its output.
void AdoptedWatch::Print(const std::string& screen, const std::vector<base::Rank>& victims) const {
  std::vector<WatchedRank> ranks = deps_.ranks();
  std::stable_partition(ranks.begin(), ranks.end(), [&](const WatchedRank& rank) {
    return std::find(victims.begin(), victims.end(), rank.rank) != victims.end();
  });
  for (const WatchedRank& rank : ranks) {
    if (rank.ended) continue;
    const base::UniqueFd fd = OpenStandardErrorOf(rank.pid);
    // Else its pid may be another process's by now.
    if (!fd.valid() || deps_.has_ended(rank.rank)) continue;
    if (::write(fd.get(), screen.data(), screen.size()) == static_cast<ssize_t>(screen.size()))
      return;
  }
  LOG(WARNING) << "no rank's standard error could be written: only this log, `lockstep diagnose "
               << facts_.job << "` and verdict.json say it";
}

base::UniqueFd OpenStandardErrorOf(int64_t pid) {
  const std::string path = "/proc/" + std::to_string(pid) + "/fd/2";
  base::UniqueFd fd(::open(path.c_str(), O_WRONLY | O_APPEND | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  struct stat kind{};
  // The process would write over what is appended to its file.
  const bool overwrites = fd.valid() && ::fstat(fd.get(), &kind) == 0 && S_ISREG(kind.st_mode);
  return overwrites ? base::UniqueFd() : std::move(fd);
}

}  // namespace lockstep::launcher
