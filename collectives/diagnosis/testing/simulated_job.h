// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_DIAGNOSIS_TESTING_SIMULATED_JOB_H_
#define LOCKSTEP_COLLECTIVES_DIAGNOSIS_TESTING_SIMULATED_JOB_H_

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "collectives/diagnosis/evidence.h"
#include "runtime/base/random.h"

namespace lockstep::collectives::testing {

/// What goes wrong with a rank of a simulated job, and when: before its call number `at`, of those
/// that its program makes; kHeldInside: in it.
struct Fault {
  enum class Kind : uint8_t {
    kStopped,
    kHeldInside,  // stopped
    kLoops,
    kBlockedInIo,
    kExitsEarly,
    kKilled,
    kFails,  // exit code 3
    kOp,
    kDtype,
    kReduction,
    kRoot,
    kCount,
    kSkips,  // does not make that call
    kSwaps,  // makes the next one, of another group, before it
  };
  Kind kind = Kind::kStopped;
  base::Rank rank;
  size_t at = 0;
};
std::string FaultName(Fault::Kind kind);

/// What becomes of an op whose members call it differently.
enum class OnMismatch : uint8_t { kError, kSilence, kHang };

/// A training job of tensor, data and pipeline parallel groups as its rings would show it: every
/// rank runs its program until it can go no further, in simulated time. Deterministic. Confined to
/// one thread.
class SimulatedJob {
 public:
  struct Shape {
    int tensor = 2, data = 2, pipeline = 2;
    int steps = 4;
    OnMismatch on_mismatch = OnMismatch::kError;
  };

  SimulatedJob(const Shape& shape, uint64_t seed);

  int size() const { return size_; }
  /// Calls that a rank's program makes.
  size_t CallCount(base::Rank rank) const { return programs_[Index(rank)].size(); }
  /// Whether the fault makes a difference there: a call has a root or a reduction, two calls in
  /// their other order block somebody.
  bool Matters(const Fault& fault) const;

  /// After so many ops have ended nothing passes between the machines of two ranks any more, of
  /// four ranks each. Before Run().
  void Cut(base::Rank one, base::Rank other, size_t after);
  /// Whether an op stands still because of that.
  bool CutMatters() const { return !stuck_.empty(); }

  void Run(const std::vector<Fault>& faults);
  /// Ten seconds after the last of them could go no further.
  Evidence Look() const;

 private:
  struct Call {
    int group = 0;  // into groups_
    OpKind kind = OpKind::kAllReduce;
    Dtype dtype = Dtype::kF32;
    Reduction reduction = Reduction::kNone;
    int root_or_peer = -1;
    uint64_t count = 0;
    bool background = false;  // waited for at the end of the step
    bool ends_step = false;   // waits for what is in the background, and then for this
    auto Key() const { return std::tuple(kind, dtype, reduction, root_or_peer, count); }
  };
  struct Made {  // a call that was made
    Call call;
    base::OpSeq seq;
    int64_t called_us = 0;
    lockstep_record_state state = LOCKSTEP_RECORD_STARTED;
    bool caller_waits = false;
  };
  struct Group {
    std::string name;
    std::vector<base::Rank> members;
  };
  struct Slot {                                    // one op, as its members meet in it
    std::vector<std::pair<size_t, size_t>> calls;  // rank, index into made
    bool is_over = false;
  };
  struct RankState {
    size_t next = 0;  // call of its program
    int64_t now_us = 0;
    std::vector<Made> made;
    std::map<int, uint64_t> seqs;                          // by group
    std::map<std::pair<int, int>, uint64_t> transfers[2];  // sends, receives: by group and peer
    std::optional<Fault> fault;
    ProcessState state = ProcessState::kSleeps;
    int exit_code = 0, signal = 0;
    int64_t ended_us = 0;
    bool is_out = false;  // makes no call any more
  };
  using SlotKey = std::tuple<int, int, int, uint64_t>;  // group; from, to or -1; seq

  static size_t Index(base::Rank rank) { return static_cast<size_t>(rank.value()); }
  void MakeGroups(const Shape& shape);
  void MakePrograms(const Shape& shape);
  void Add(int group, Call call);
  void AddTransfer(int group, int from, int to, uint64_t count, bool eager);
  bool Advance(size_t rank);
  bool IsHeld(const RankState& state) const;
  void Make(size_t rank, Call call);
  void Meet(const SlotKey& key, size_t rank, size_t index, size_t wanted);
  void End(Slot& slot);
  bool Strike(RankState& state, Call& call);

  static size_t MachineOf(size_t rank) { return rank / 4; }
  bool IsCut(size_t one, size_t other) const;
  /// Each rank is connected with each other one; what stuck ops send is not acknowledged.
  void AddSockets(Evidence& evidence) const;

  const OnMismatch on_mismatch_;
  int size_ = 0;
  base::Random random_;
  std::vector<Group> groups_;
  std::vector<std::vector<Call>> programs_;  // by rank
  std::vector<RankState> ranks_;
  std::map<SlotKey, Slot> slots_;
  std::optional<std::pair<size_t, size_t>> cut_;  // machines
  size_t cut_after_ = 0, ended_ = 0;              // ops
  std::set<std::pair<size_t, size_t>> stuck_;     // ranks that send to each other in vain
};

}  // namespace lockstep::collectives::testing

#endif  // LOCKSTEP_COLLECTIVES_DIAGNOSIS_TESTING_SIMULATED_JOB_H_
