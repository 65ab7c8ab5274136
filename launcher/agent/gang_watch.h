// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_AGENT_GANG_WATCH_H_
#define LOCKSTEP_LAUNCHER_AGENT_GANG_WATCH_H_

#include <functional>
#include <vector>

#include "launcher/agent/culprit_stacks.h"
#include "launcher/agent/gang_driver.h"
#include "launcher/agent/job_account.h"
#include "launcher/agent/job_record.h"
#include "launcher/diagnosis/evidence_folder.h"
#include "launcher/diagnosis/hang_watch.h"
#include "launcher/diagnosis/stacks/stack_taking.h"
#include "runtime/base/ids.h"
#include "runtime/event/loop.h"
#include "runtime/proto/job.pb.h"
#include "runtime/proto/verdict.pb.h"

namespace lockstep::launcher {

/// What an agent makes of a HangWatch: which ranks of its gang are watched, and that a gang which
/// stands still is said, kept as evidence and brought down for the ranks to blame, as the job says
/// (spec.hangs). One per agent of `lockstep run` whose ranks are all on this machine. Confined to
/// the loop's thread.
class GangWatch final : public HangDelegate {
 public:
  struct Deps {
    event::Loop& loop;
    GangDriver& driver;
    JobAccount& account;
    JobRecord& record;
  };
  /// -1 of a rank that has not attached.
  using RingOf = std::function<int(base::Rank)>;

  /// `deps` and `spec` outlive this; of `facts` the round and the time are filled in.
  GangWatch(const proto::JobSpec& spec, EvidenceFacts facts, RingOf ring_of, Deps deps);

  /// Before the first round; it outlives the rounds. Without, verdicts tell no stacks.
  void SetStacks(CulpritStacks& stacks) { stacks_ = &stacks; }
  /// Ranks have been started, or go on without others.
  void BeginRound() { watch_.BeginRound(); }

  std::vector<WatchedRank> RanksToWatch() override;
  void OnHangNotice(const collectives::Finding& finding,
                    const collectives::Evidence& evidence) override;
  void OnHangVerdict(const collectives::Finding& finding,
                     const collectives::Evidence& evidence) override;

 private:
  /// The culprits that have a process.
  std::vector<StackTaking::Target> Standing(const collectives::Finding& finding);
  void Act(const collectives::Finding& finding, const collectives::Evidence& evidence,
           const std::vector<proto::Evidence>& stacks);

  const proto::JobSpec& spec_;
  const EvidenceFacts facts_;
  const RingOf ring_of_;
  const Deps deps_;
  CulpritStacks* stacks_ = nullptr;
  HangWatch watch_;
};

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_AGENT_GANG_WATCH_H_
