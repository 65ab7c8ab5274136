// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_NCCL_NCCL_ENGINE_H_
#define LOCKSTEP_COLLECTIVES_NCCL_NCCL_ENGINE_H_

#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "collectives/awake_clock.h"
#include "collectives/engine/backend.h"
#include "collectives/engine/error_record.h"
#include "collectives/group.h"
#include "collectives/nccl/group_board.h"
#include "collectives/nccl/nccl_lane.h"
#include "collectives/nccl/nccl_runtime.h"
#include "collectives/recorder/recorder.h"
#include "collectives/work.h"
#include "runtime/base/clock.h"

namespace lockstep::collectives {

class NcclEngine;

/// A Work of a NcclEngine: one collective, or transfers that end together. All its changing state
/// is the engine's, under the engine's mutex.
class NcclWork final : public Work {
 public:
  NcclWork(std::shared_ptr<NcclEngine> engine, Op op, base::OpSeq seq, base::SteadyTime enqueued)
      : engine_(std::move(engine)), op_(std::move(op)), seq_(seq), enqueued_(enqueued) {}

  State state() const override;
  base::OpSeq seq() const override { return seq_; }
  base::Status status() const override;
  Timings timings() const override;
  base::Status Wait() override;
  base::Status WaitFor(base::Duration at_most) override;
  void OnComplete(Callback callback) override;

 private:
  friend class NcclEngine;

  const std::shared_ptr<NcclEngine> engine_;  // the caller may keep a Work longer than its group
  const Op op_;
  const base::OpSeq seq_;
  const base::SteadyTime enqueued_;
  // Guarded by the engine's mutex:
  size_t parts_left_ = 0;
  base::Status status_;
  std::optional<base::SteadyTime> started_;
  std::optional<base::SteadyTime> completed_;
  std::vector<Callback> callbacks_;
};

/// What is in flight in one NCCL group, and how it ends: the half of NcclGroup that its Works and
/// the runtime's threads outlive. States:
///
///   healthy --first error: own, a member's, a passed deadline--> failed, for ever
///
/// Ops lie on routes. One route has all collectives; each pair of members and direction has
/// another, with a communicator of two and a stream of its own, since NCCL runs the ops of one
/// communicator one after the other, and sends and receives must not wait for anything else. Such a
/// route meets when the first op comes to it, on both ends.
///
/// The first error on the board is everybody's root; of two at the same moment, where boards are
/// told over a network, each member's first. Who is told of another member's lets the
/// collectives end that have ended there, for kEndTime each. The op that the error is about, and
/// what is first on its route, end with the error itself, all else with Aborted.
///
/// A failure ends the communicators that have ops in flight (abort, or revocation), each on a
/// thread of its own, and then the Works; after kGrace the Works end in any case. Ops wait on GPU
/// memory that the program may free once they are done, hence this order.
///
/// Thread-safe. Who waits for a Work looks after the ops itself for a moment and then sleeps: a
/// call of CUDA that hangs must not keep what the watch thread has ended.
class NcclEngine final : public NcclWatched, public std::enable_shared_from_this<NcclEngine> {
 public:
  struct Config {
    std::shared_ptr<NcclRuntime> runtime;
    GroupSpec spec;
    int device = 0;
    std::shared_ptr<Recorder> recorder;  // null records nothing
    GroupInfo info;
    /// Members compare each collective before it goes to NCCL (docs/collectives.md).
    bool check_calls = false;
    /// Where callers and the stream that wait are counted; may be empty.
    std::shared_ptr<const Recorder::Seat> seat = std::make_shared<Recorder::Seat>();
  };

  /// How long Works wait for the abort of their communicators once they have failed. Half of the
  /// second that the contract gives beyond a deadline.
  static constexpr base::Duration kGrace = std::chrono::milliseconds(500);
  /// How long a collective that has ended on the member with the error, and is the first here, may
  /// take to end here too: then what it waits for was aborted there. As kGrace.
  static constexpr base::Duration kEndTime = std::chrono::milliseconds(500);
  /// How far beyond its op's deadline the meeting of a route's ends goes on at most: Watch() ends
  /// the op before, once the others have had their time to answer (GroupBoard::kAnswerTime).
  static constexpr base::Duration kMeetGrace = std::chrono::milliseconds(700);
  /// Ops in flight on one route; a further call waits until one has ended, or failed.
  static constexpr size_t kMaxQueued = 4096;
  /// An op that is the first in flight for so long has the board ask the others how far they are,
  /// and again each kAskEvery: healthy members are not so far apart.
  static constexpr base::Duration kAskAfter = std::chrono::milliseconds(200);
  static constexpr base::Duration kAskEvery = std::chrono::milliseconds(500);
  /// Where calls are compared: what a member calls further has been compared by all, so that its
  /// card may take the place of an older one.
  static constexpr size_t kMaxCompared = GroupBoard::kCardsKept / 2;

  NcclEngine(Config config, std::unique_ptr<GroupBoard> board,
             std::shared_ptr<Communicator> communicator);
  ~NcclEngine() override;

  std::shared_ptr<Work> Submit(Op op);
  std::shared_ptr<Work> SubmitTransfers(std::vector<Op> transfers, Op batch, base::Status valid);
  /// Fails the group on all members.
  void Abort(const base::Status& reason);
  void DeclareLongPhase(base::Duration at_most);
  /// Fails what is in flight, on this member only, tells the others, and gives the communicators to
  /// threads that retire them. Blocks: until what was in flight is off the GPU, at most the
  /// runtime's abort limit. Callbacks have run when it returns, unless it is called from one.
  void Close();

  const std::shared_ptr<Communicator>& communicator() const {
    return collectives_.lane->shared_communicator();
  }
  /// Whether nothing is in flight.
  bool idle();

  std::optional<base::SteadyTime> Progress() override;
  void Watch() override;

 private:
  friend class NcclWork;
  using Lock = std::unique_lock<std::mutex>;

  /// Guarded by mutex_, but for what is constant once the lane is there.
  struct Route final : NcclLane::Owner {
    std::shared_ptr<NcclPart> Next() override { return engine->NextOf(*this); }
    void OnStarted(NcclPart& part, base::SteadyTime now) override { engine->Started(part, now); }
    void OnEnded(NcclPart& part, base::SteadyTime now) override { engine->Ended(*this, part, now); }
    void OnBroken(const base::Status& status, NcclPart* part) override {
      engine->Broken(status, part);
    }

    NcclEngine* engine = nullptr;
    int peer = -1;                      // -1: the collectives
    bool receives = false;              // from the peer; else sends to it
    std::shared_ptr<NcclLane> lane;     // null: the ends have not met
    std::shared_ptr<GroupBoard> board;  // of the two ends; null: not yet, or the collectives
    bool meeting = false;
    bool aborting = false;
    std::deque<std::shared_ptr<NcclPart>> live;  // not over, in their order
    size_t issued = 0;                           // of them, from the front
    base::OpSeq next_seq{1};
    // Since when: the first of them is the first, and waits for one that has gone. Zero: not now.
    base::SteadyTime first_since{};
    base::SteadyTime gone_since{};
  };

  std::shared_ptr<NcclWork> MakeWork(Op op, base::OpSeq seq);
  std::shared_ptr<NcclWork> FailedWork(Op op, base::OpSeq seq, base::Status status);
  std::shared_ptr<NcclWork> LateWork(Op op);
  void Add(Route& route, Op op, const std::shared_ptr<NcclWork>& work);
  Route& RouteTo(int peer, bool receives);
  void ActivateLocked();
  void AwaitRoom(Lock& lock, const Route& route);

  // What routes tell:
  std::shared_ptr<NcclPart> NextOf(Route& route);
  /// Whether `part`, a collective, may go to NCCL: all have called it, and the same. Fails the
  /// group where they differ.
  bool CallsAgree(NcclPart& part);
  void Started(NcclPart& part, base::SteadyTime now);
  void Ended(Route& route, NcclPart& part, base::SteadyTime now);
  void Broken(const base::Status& status, NcclPart* part);

  void AdvanceRoutes();
  void StartMeetings();
  void Meet(Route& route, base::Duration timeout);
  base::Result<std::shared_ptr<Communicator>> MeetPeer(Route& route, base::Duration timeout);
  base::Status StopOfMeeting(const Route& route);
  void MatchOwnTransfers();
  void FailRefused();
  base::Status RefusalOf(const Op& op, const std::string& which, const base::Status& refusal) const;
  bool AnyLive() const;
  bool AnyTransferLive() const;
  base::OpSeq FirstLive() const;
  void RunCallbacks(Lock& lock);

  void Over(Route& route, base::Status status, base::SteadyTime now);
  void EndPart(NcclPart& part, const base::Status& status, base::SteadyTime now);
  void Fail(const base::Status& error, NcclPart* about);
  void FailLocked(base::Status root);
  ErrorRecord RecordOf(const base::Status& error, const NcclPart* about) const;
  std::string CallSiteOf(int member, const NcclPart& part) const;
  base::Status StatusOf(const ErrorRecord& record) const;
  void StartAbort(Route& route);
  void EndAll(const std::string& note);
  bool IsRoot(base::OpSeq seq) const;
  base::Status FailedBefore() const { return FailedBefore(root_); }
  base::Status FailedBefore(const base::Status& root) const;

  // What Watch() looks at:
  void HearOthers();
  bool MayEndWell(const ErrorRecord& error);
  void BlameBroken();
  void AskOthers();
  void CheckDeadlines();
  void CheckDeadlines(Route& route, bool any_long_phase);
  void CheckLeavers();
  void CheckLeavers(Route& route);
  bool Knows(const Route& route, base::SteadyTime since) const;
  std::vector<int> Others(const Route& route) const;
  template <class Question>
  auto OfBoards(const Route& route, int member, const Question& question) const;
  std::optional<std::string> WhyLost(const Route& route, int member, base::SteadyTime since) const;
  bool HasLeft(const Route& route, int member) const;
  int Unknown(const Route& route) const;
  std::vector<int> Lost(const Route& route, base::SteadyTime since) const;
  std::vector<int> Silent(const Route& route) const;
  int GoneBefore(const Route& route, base::OpSeq seq, base::SteadyTime since) const;
  base::Status Left(const Route& route, int member, const NcclPart& part) const;
  bool AnyLongPhase() const;
  bool Excused(const std::vector<int>& missing) const;
  std::vector<int> NotCalled(const Route& route, base::OpSeq seq) const;
  base::Status Expired(const Route& route, const NcclPart& part,
                       const std::vector<int>& missing) const;
  std::string Uncalled(const std::vector<int>& missing) const;
  std::string DoNotAnswer(const std::vector<int>& silent) const;
  std::string Unasked(const Route& route) const;
  void RecordWaits(const Route& route);
  base::Status Blaming(base::Status status, const std::vector<int>& members) const;

  class Waiting;
  base::Status Wait(NcclWork& work);
  base::Status WaitFor(NcclWork& work, base::Duration at_most);

  const Config config_;
  const std::unique_ptr<GroupBoard> board_;
  base::RealClock clock_;
  AwakeClock awake_{clock_};

  std::mutex mutex_;
  std::condition_variable changed_;  // a work or an abort has ended
  // Guarded by mutex_:
  Route collectives_;
  std::map<std::pair<int, bool>, std::unique_ptr<Route>> transfers_;
  base::Status root_;    // the first error
  base::Status broken_;  // by a member that NCCL has lost, at broken_since_
  base::SteadyTime broken_since_{};
  base::SteadyTime heard_at_{};  // of another member's error, which waits for ops before it
  base::SteadyTime failed_at_{};
  base::SteadyTime moved_at_{};  // when an op was last called or ended
  int aborts_left_ = 0;
  bool active_ = false;  // the runtime's threads look after this
  bool closed_ = false;
  std::vector<std::pair<Work::Callback, base::Status>> ready_callbacks_;
  std::thread::id running_callbacks_{};
};

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_NCCL_NCCL_ENGINE_H_
