// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_MPI_MPI_GROUP_H_
#define LOCKSTEP_COLLECTIVES_MPI_MPI_GROUP_H_

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "collectives/engine/backend.h"
#include "collectives/engine/op.h"
#include "collectives/engine/op_deadline.h"
#include "collectives/mpi/control_message.h"
#include "collectives/mpi/mpi_call.h"
#include "collectives/mpi/mpi_engine.h"
#include "runtime/base/clock.h"
#include "runtime/base/result.h"

namespace lockstep::collectives {

/// One member's end of a group over MPI as far as members talk about it: that all have come, the
/// first error, who is late and who has left. It waits for calls to MPI, so that a deadline holds
/// whatever MPI does. One in each MpiBackend, and the engine's until everybody has left.
///
///   Join() -> healthy --first error, of any member--> poisoned;  Leave() at the end of either
///
/// An error holds for the ops from a number on: that of a refused call is nobody's before the op
/// that the call was. At a deadline this member asks the others how far they are; who has not begun
/// the op, or says nothing (its process is stopped or dead: the engine's thread would answer), is
/// blamed.
///
/// Threads: public functions from any; the Port's on the engine's.
class MpiGroup final : public MpiEngine::Port {
 public:
  /// The op that is waited for.
  struct Running {
    const Op& op;
    const base::OpSeq seq;
    const OpWatch& watch;
  };
  /// What a member said when it left.
  struct Farewell {
    uint64_t done = 0;      // the last collective in which nobody needs it any more
    uint64_t sends = 0;     // to this member, that are through
    uint64_t receives = 0;  // from this member, that are through
  };

  /// Collective. Blocks: until all members have come, at most `deadline`. `engine` outlives this.
  /// Errors: DeadlineExceeded - names those that never came; Internal - MPI's.
  static base::Result<std::shared_ptr<MpiGroup>> Join(MpiEngine& engine, GroupSpec spec,
                                                      const OpDeadline& deadline);
  /// Use Join().
  MpiGroup(MpiEngine& engine, GroupSpec spec);
  /// Tells the others; `sends` and `receives` that are through, by member. Nothing is posted after.
  void Leave(const std::shared_ptr<MpiGroup>& self, const std::vector<uint64_t>& sends,
             const std::vector<uint64_t>& receives);

  /// Before an op: OK, or what it ends with.
  base::Status Begin(base::OpSeq seq);
  void Done(base::OpSeq seq);
  /// Waits until `call`, which was posted, is done; at most the deadline. Its error, or the
  /// group's.
  base::Status Await(const MpiCall& call, const Running& run);

  /// Makes `error` this member's and tells the others, unless another was first. Returns what is
  /// the first. `run` may be null; `from` = the op from which on the others hear of it, 0 = that
  /// after the last one that has ended here.
  base::Status Publish(const base::Status& error, const Running* run,
                       const std::vector<int>& blamed, uint64_t from = 0);
  /// The same of an error that every member finds by itself once the op's calls have ended.
  base::Status Adopt(const base::Status& error, const Running& run, const std::vector<int>& blamed);
  /// OK, or the first error.
  base::Status error() const;
  base::Status FailedBefore(const base::Status& root) const;
  /// Of this member's own calls, before its engine has given them up.
  void Interrupt();

  void DeclareLongPhase(base::Duration at_most);
  std::optional<Farewell> FarewellOf(int member) const;
  /// Until something happened, at most `at_most`.
  void AwaitChange(base::Duration at_most);

  /// NameMembers() of this group.
  std::string DescribeMembers(const std::vector<int>& members) const;
  std::string DescribeRunning(const Running& run) const;
  const GroupSpec& spec() const { return spec_; }
  int size() const { return size_; }
  int self() const { return self_; }
  base::GroupId id() const { return base::GroupId(key_.group); }

  void OnMessage(const ControlMessage& message) override;
  void OnGo() override;
  void OnComm(base::Status status) override;
  void OnEnded() override;
  bool OnDied(int world_rank) override;
  bool over() const override;
  bool drained() const override;

 private:
  using Lock = std::unique_lock<std::mutex>;
  struct Member {
    bool came = false;
    int64_t pid = 0;
    std::string host;
    std::optional<Farewell> farewell;
    std::optional<ControlMessage> told;  // since the last question
  };
  struct FirstError {
    base::Status status;
    uint64_t from = 0;
    std::optional<ControlMessage> message;  // of it, unless every member finds it by itself
  };

  base::Status AwaitMembers(const OpDeadline& deadline);
  base::Status GiveUpJoining(Lock& lock, const OpDeadline& deadline);
  /// Asks the others how far they are, which `told` then says of those who have answered. Blocks:
  /// until all have, or `stop`; at most kAnswerTime.
  template <class Stop>
  void AskOthers(Lock& lock, const Stop& stop);
  std::vector<int> Silent() const;  // of those who were asked
  std::vector<int> NeverCame() const;
  std::string HeldText() const;
  std::string DescribeExpiry(const Running& run) const;
  /// OK = wait on: `until_` says how long.
  base::Status Expire(Lock& lock, const MpiCall& call, const Running& run);
  base::Status ExpiryError(const Running& run, const std::vector<int>& missing) const;
  base::Status ErrorFor(uint64_t seq) const;  // under mutex_
  std::vector<int> Missing(uint64_t seq) const;
  std::vector<int> LeftBefore(uint64_t seq) const;

  ControlMessage MakeMessage(ControlMessage::Kind kind) const;
  void SendTo(int member, const ControlMessage& message);
  void SendToOthers(const ControlMessage& message);
  ControlMessage MessageOf(const base::Status& error, const Running* run,
                           const std::vector<int>& blamed) const;
  base::Status StatusOf(const ControlMessage& message) const;
  base::Status Name(base::Status error, const Running* run, const std::vector<int>& blamed) const;
  base::Subject SubjectOf(int member) const;
  base::Status LeavingError() const;

  MpiEngine& engine_;
  const GroupSpec spec_;
  const MpiGroupKey key_;
  const int size_;
  const int self_;
  base::RealClock clock_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  // Guarded by mutex_:
  std::vector<Member> members_;
  bool go_ = false;                   // the communicator is on its way
  std::optional<base::Status> comm_;  // what became of it
  std::optional<FirstError> error_;
  uint64_t begun_ = 0, done_ = 0;  // collectives
  base::SteadyTime late_until_{};  // of this member's long phase
  base::SteadyTime wait_until_{};  // of the others'
  bool left_ = false;
  std::vector<uint64_t> sends_, receives_;  // by member, that were through when it left
  bool interrupted_ = false;
};

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_MPI_MPI_GROUP_H_
