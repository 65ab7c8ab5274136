// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_AGENT_GANG_WATCH_H_
#define LOCKSTEP_LAUNCHER_AGENT_GANG_WATCH_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "elastic/gang.h"
#include "launcher/agent/culprit_stacks.h"
#include "launcher/agent/gang_driver.h"
#include "launcher/agent/job_record.h"
#include "launcher/diagnosis/evidence_folder.h"
#include "launcher/diagnosis/flight_asks.h"
#include "launcher/diagnosis/flight_source.h"
#include "launcher/diagnosis/flight_watch.h"
#include "launcher/diagnosis/hang_watch.h"
#include "launcher/diagnosis/pace_messages.h"
#include "launcher/diagnosis/pace_watch.h"
#include "runtime/base/ids.h"
#include "runtime/event/loop.h"
#include "runtime/proto/job.pb.h"
#include "runtime/proto/pace.pb.h"
#include "runtime/proto/verdict.pb.h"

namespace lockstep::launcher {

/// Who says what a GangWatch finds, and what becomes of it.
class HangNews {
 public:
  enum class Fate : uint8_t {
    kSaid,       // and nothing else
    kKept,       // what was seen is in the round's folder; nothing is done
    kRoundEnds,  // that too, and this is the round's verdict
  };

  virtual ~HangNews() = default;
  /// Ranks wait for others for long; nothing follows from it.
  virtual void OnHangNotice(const collectives::Finding& finding,
                            const collectives::Evidence& evidence) = 0;
  /// The gang stands still, and those to blame at `stacks`.
  virtual void OnHangVerdict(const collectives::Finding& finding,
                             const collectives::Evidence& evidence,
                             const std::vector<proto::Evidence>& stacks, Fate fate) = 0;
  /// A rank, or a link, is slow; nothing follows from it.
  virtual void OnPace(proto::Verdict verdict) = 0;
  /// Something that is to be watched cannot be, as long as that is so.
  virtual void OnWatchTrouble(const std::string& text) = 0;
  /// The round has failed, and this is what the ranks did when it began to.
  virtual void OnLastLook(const collectives::Finding& finding,
                          const collectives::Evidence& evidence) = 0;
};

/// What an agent makes of a HangWatch: which ranks of its gang are watched, and that a gang which
/// stands still is said, kept as evidence and brought down for the ranks to blame, as the job says
/// (spec.hangs); and of a PaceWatch: that ranks and links which are slow are said. One per agent of
/// `lockstep run`. Confined to the loop's thread.
class GangWatch final : public HangDelegate, public PaceDelegate {
 public:
  struct Deps {
    event::Loop& loop;
    GangDriver& driver;
    HangNews& news;
    JobRecord& record;
  };
  /// -1 of a rank that has not attached.
  using RingOf = std::function<int(base::Rank)>;

  /// `deps` and `spec` outlive this; of `facts` the round and the time are filled in.
  GangWatch(const proto::JobSpec& spec, EvidenceFacts facts, RingOf ring_of, Deps deps);

  /// Of a job of several nodes, before its first round: those of other nodes, which outlive the
  /// rounds, and by rank which live here, and where each does.
  void SetFar(FarLooks& far, std::vector<bool> is_here, std::vector<std::string> host_of_rank) {
    is_here_ = std::move(is_here);
    host_of_rank_ = std::move(host_of_rank);
    watch_.SetFar(far);
  }
  /// Before the first round: calls of ranks here may be in no ring, though others' are.
  void DoubtTheRingless() { are_ranks_recorded_ = false; }
  void SetFarPaces(FarPaces& far) { pace_watch_.SetFar(far); }
  /// Before the first round; it outlives the rounds. Without, verdicts tell no stacks.
  void SetStacks(CulpritStacks& stacks) { stacks_ = &stacks; }
  /// Ranks have been started, or go on without others.
  void BeginRound() {
    ++rounds_;
    watch_.BeginRound();
    pace_watch_.BeginRound();
  }
  /// Before the first round. Without, torch is not asked what ranks that have no ring have called.
  /// `source` outlives this; null: they are asked by their pipes (FlightAsks).
  void AskTorch(FlightWatch::FilesOf files_of, FlightWatch::BytesWritten bytes_written,
                FlightSource* source = nullptr);
  HangWatch& hangs() { return watch_; }
  /// How fast the ranks went in the last window; nullopt: it is not known yet.
  std::optional<proto::JobPace> pace() const;

  /// A rank has failed: what the others do now tells whose fault it is, and soon does no more.
  void OnRoundFails();
  /// Adds to the verdict on a failed round what the ranks' rings say of it, and keeps those.
  void OnRoundEnded(const elastic::RoundOutcome& outcome);

  std::vector<WatchedRank> RanksToWatch() override;
  /// Those that have processes, whether they are watched or not; for who only looks.
  std::vector<WatchedRank> RanksThatRun() const;
  void OnHangNotice(const collectives::Finding& finding,
                    const collectives::Evidence& evidence) override;
  void OnHangVerdict(const collectives::Finding& finding,
                     const collectives::Evidence& evidence) override;
  void OnStraggler(const collectives::Straggler& slow, const collectives::Pace& pace) override;
  void OnSlowLink(const collectives::SlowLink& slow, const collectives::Pace& pace) override;

 private:
  WatchedRank Watched(const elastic::RankRecord& rank) const;
  std::vector<PacedProcess> Processes();
  /// `finding` is what the evidence tells. Returns what of it there is no room for, in words; "" =
  /// nothing.
  std::string Save(base::Round round, const collectives::Finding& finding,
                   const collectives::Evidence& evidence);
  /// What was found, and is about to be acted upon.
  struct Verdict {
    collectives::Finding finding;
    collectives::Evidence evidence;
    std::vector<proto::Evidence> stacks;
  };
  /// The stacks of those to blame have been read, which takes a while.
  void OnStacks(const Verdict& verdict);
  /// Torch has been asked again, which takes longer: whether the same was found.
  void OnFoundAgain(const Verdict& verdict, bool again);
  /// Whether the gang is no more as it was found: it is suspended, and is watched anew, or comes
  /// down by itself.
  bool IsOverMeanwhile();
  /// Whose stacks tell why: the culprits', and where all stand in an op, all that live.
  CulpritStacks::Culprits Standing(const collectives::Finding& finding);
  void Act(const Verdict& verdict);

  const proto::JobSpec& spec_;
  const EvidenceFacts facts_;
  const RingOf ring_of_;
  const Deps deps_;
  std::vector<bool> is_here_;              // by rank; empty: all are
  std::vector<std::string> host_of_rank_;  // likewise
  bool are_ranks_recorded_ = true;         // those here
  uint64_t rounds_ = 0;                    // begun, those of survivors too
  CulpritStacks* stacks_ = nullptr;
  std::optional<FlightAsks> flight_asks_;
  std::optional<FlightWatch> flights_;
  HangWatch watch_;
  PaceWatch pace_watch_;
};

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_AGENT_GANG_WATCH_H_
