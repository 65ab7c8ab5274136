// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_EXEC_ADOPTED_WATCH_H_
#define LOCKSTEP_LAUNCHER_EXEC_ADOPTED_WATCH_H_

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "launcher/agent/culprit_stacks.h"
#include "launcher/agent/job_record.h"
#include "launcher/diagnosis/evidence_folder.h"
#include "launcher/diagnosis/hang_watch.h"
#include "launcher/diagnosis/pace_messages.h"
#include "launcher/diagnosis/pace_watch.h"
#include "runtime/base/clock.h"
#include "runtime/base/ids.h"
#include "runtime/base/unique_fd.h"
#include "runtime/event/loop.h"
#include "runtime/proto/adoption.pb.h"
#include "runtime/proto/control.pb.h"
#include "runtime/proto/event.pb.h"
#include "runtime/proto/verdict.pb.h"

namespace lockstep::launcher {

/// What the agent of a job that another launcher has started makes of a HangWatch: that its ranks
/// on this host stand still is said where their users read (the standard error of one of them),
/// kept as evidence and verdict in the job directory with the stacks of those to blame, and, as
/// `lockstep exec` was told, the ranks are ended, which their launcher then takes for the end of
/// the job. That one of them is slow is said there, too. Of ranks on other hosts nothing is known.
/// One per agent, owned by it; gone after `deps.stacks`. Confined to the loop's thread.
class AdoptedWatch final : public HangDelegate, public PaceDelegate {
 public:
  struct Deps {
    const base::Clock& clock;
    event::Loop& loop;
    JobRecord& record;
    std::function<std::vector<WatchedRank>()> ranks;  // that have come
    std::function<void(proto::Event)> log;
    std::function<bool(base::Rank)> has_ended;  // now, whatever has been told of it
    std::function<void()> kill;                 // all that live
    CulpritStacks* stacks = nullptr;            // null: none can be read
  };

  /// Of `facts` the time is filled in.
  AdoptedWatch(const proto::AdoptedHangs& hangs, EvidenceFacts facts, int world_size, Deps deps);

  std::vector<WatchedRank> RanksToWatch() override { return deps_.ranks(); }
  void OnHangNotice(const collectives::Finding& finding,
                    const collectives::Evidence& evidence) override;
  void OnHangVerdict(const collectives::Finding& finding,
                     const collectives::Evidence& evidence) override;
  void OnStraggler(const collectives::Straggler& slow, const collectives::Pace& pace) override {
    SayOfPace(PaceVerdict(slow, pace, Processes()));
  }
  void OnSlowLink(const collectives::SlowLink& slow, const collectives::Pace& pace) override {
    SayOfPace(PaceVerdict(slow, pace, Processes()));
  }

  HangWatch& hangs() { return watch_; }
  /// The job's, once there is one.
  const std::optional<proto::Verdict>& verdict() const { return verdict_; }
  /// Adds what is known to the job's status, which has its ranks: the verdicts up to now, and with
  /// `live` how fast the ranks went in the last window.
  void Describe(bool live, proto::StatusReply& status) const;

 private:
  /// Those to blame, or where all stand in an op all, if they live.
  std::vector<StackTaking::Target> Standing(const collectives::Finding& finding) const;
  /// The stacks of those have been read, which takes a while.
  void OnStacks(const collectives::Finding& finding, const std::string& summary,
                const std::vector<proto::Evidence>& stacks);
  bool Kills(const collectives::Finding& finding) const;
  proto::Verdict VerdictOf(const collectives::Finding& finding,
                           const collectives::Evidence& evidence) const;
  void Say(const std::string& text, const std::string& screen, const collectives::Finding& finding);
  void SayOfPace(proto::Verdict verdict);
  std::vector<PacedProcess> Processes() const;
  /// On the standard error of one of the ranks, of `victims` if that can be.
  void Print(const std::string& screen, const std::vector<base::Rank>& victims) const;

  const bool kills_;
  const EvidenceFacts facts_;
  const int world_size_;
  const Deps deps_;
  const base::SteadyTime since_;
  HangWatch watch_;
  PaceWatch pace_watch_;
  std::optional<proto::Verdict> verdict_;
  std::map<std::string, uint64_t> verdict_counts_;  // by the name of their class
};

/// The standard error of another process of this user, to append to without waiting for who reads
/// it. Not valid where that cannot be: it is a socket, a file that the process overwrites, or the
/// process has ended. Any thread.
base::UniqueFd OpenStandardErrorOf(int64_t pid);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_EXEC_ADOPTED_WATCH_H_
