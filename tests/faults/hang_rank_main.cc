// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// A rank that trains in step with the others until one of them does what is wrong: hang_rank FAULT
// VICTIM [OP [LATE PHASE]]. Before op OP (10) of the world, in the first incarnation of the gang
// only, rank VICTIM does FAULT. FAULT "uneven" is none: VICTIM is LATE ms (900) late for the first
// op, and before op OP for PHASE ms (2600) in a declared phase. Ops take no longer than an hour, so
// that whoever watches must find it.
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "collectives/group.h"
#include "collectives/work.h"
#include "runtime/base/result.h"
#include "runtime/rank/session.h"

namespace {

using lockstep::base::GroupRank;
using lockstep::base::Status;
using lockstep::collectives::Buffer;
using lockstep::collectives::Dtype;
using lockstep::collectives::Group;
using lockstep::collectives::Reduction;

constexpr int kOps = 20;
constexpr auto kTimeout = std::chrono::hours(1);

class Rank {
 public:
  Rank(std::string fault, int victim, int at, int late_ms, int phase_ms)
      : fault_(std::move(fault)),
        victim_(victim),
        at_(at),
        late_ms_(late_ms),
        phase_ms_(phase_ms),
        values_(1000, 1.0f) {}

  Status Run() {
    ASSIGN_OR_RETURN(session_, lockstep::rank::Session::Create());
    const bool faulty = session_->world().restart_count == 0;
    const bool mine = faulty && rank() == victim_;
    if (mine && fault_ == "never-joins") Sleep();
    ASSIGN_OR_RETURN(group_, session_->WorldGroup(kTimeout));
    group_->SetTimeout(kTimeout);
    std::shared_ptr<Group> other;
    if (fault_ == "deadlock") {
      ASSIGN_OR_RETURN(other, group_->Duplicate());
    }
    if (fault_ == "uneven") return TrainUnevenly();
    for (int op = 0; op < kOps; ++op) {
      session_->ReportProgress(op);
      if (op == at_ && mine) DoIt();
      if (op == at_ && faulty && fault_ == "deadlock") {
        // The victim takes the groups in their other order.
        RETURN_IF_ERROR(AddUp(mine ? *other : *group_));
        RETURN_IF_ERROR(AddUp(mine ? *group_ : *other));
      }
      RETURN_IF_ERROR(op == at_ && faulty ? Differ(mine) : AddUp(*group_));
    }
    std::printf("rank %d is through\n", rank());
    return lockstep::base::OkStatus();
  }

 private:
  Status AddUp(Group& group) {
    const Buffer buffer{values_.data(), values_.size(), Dtype::kF32};
    return group.AllReduce(buffer, buffer, Reduction::kSum)->Wait();
  }

  /// The op before which, or by which, the victim does what is wrong.
  Status Differ(bool mine) {
    if (fault_ == "root") {
      const GroupRank root(mine ? 1 : 0);
      return group_->Broadcast({values_.data(), values_.size(), Dtype::kF32}, root)->Wait();
    }
    if (!mine) return AddUp(*group_);
    if (fault_ == "op") return group_->Barrier()->Wait();
    if (fault_ == "reduction") {
      const Buffer buffer{values_.data(), values_.size(), Dtype::kF32};
      return group_->AllReduce(buffer, buffer, Reduction::kMax)->Wait();
    }
    if (fault_ == "size" || fault_ == "dtype") {
      const bool is_size = fault_ == "size";
      const Buffer buffer{values_.data(), is_size ? values_.size() - 1 : values_.size(),
                          is_size ? Dtype::kF32 : Dtype::kI32};
      return group_->AllReduce(buffer, buffer, Reduction::kSum)->Wait();
    }
    return AddUp(*group_);
  }

  /// Nothing is wrong: ranks compute for different times, one is late for the first op, and one
  /// writes a checkpoint, which it says.
  Status TrainUnevenly() {
    std::mt19937 random(static_cast<uint32_t>(rank()));
    std::uniform_int_distribution<int> compute_ms(0, 60);
    const auto spend = [](int ms) {
      std::this_thread::sleep_for(  // tidy:allow sleep: what ranks do between ops
          std::chrono::milliseconds(ms));
    };
    if (rank() == victim_) spend(late_ms_);
    for (int op = 0; op < 40; ++op) {
      session_->ReportProgress(op);
      spend(compute_ms(random));
      if (op == at_ && rank() == victim_) {
        const lockstep::collectives::LongPhase phase(*group_, std::chrono::seconds(60));
        spend(phase_ms_);
      }
      RETURN_IF_ERROR(AddUp(*group_));
    }
    std::printf("rank %d is through\n", rank());
    return lockstep::base::OkStatus();
  }

  void DoIt() {
    if (fault_ == "dies") ::raise(SIGKILL);
    if (fault_ == "fails") std::_Exit(3);
    if (fault_ == "stops") ::raise(SIGSTOP);
    if (fault_ == "exits") std::_Exit(0);
    if (fault_ == "loops") Loop();
    if (fault_ == "sleeps") Sleep();
    if (fault_ == "reads") ReadFromNobody();
    if (fault_ == "saves") Save();
  }
  /// As long as a checkpoint takes, and says so.
  void Save() {
    const lockstep::collectives::LongPhase phase(*group_, std::chrono::seconds(60));
    std::this_thread::sleep_for(std::chrono::seconds(6));  // tidy:allow sleep: the phase itself
  }
  static void Loop() {
    std::atomic<uint64_t> rounds{0};
    while (true) ++rounds;
  }
  static void Sleep() {
    while (true) ::pause();
  }
  static void ReadFromNobody() {
    int ends[2];
    char byte;
    if (::pipe(ends) == 0) (void)!::read(ends[0], &byte, 1);
  }
  int rank() const { return session_->world().rank.value(); }

  const std::string fault_;
  const int victim_;
  const int at_, late_ms_, phase_ms_;
  std::vector<float> values_;
  std::unique_ptr<lockstep::rank::Session> session_;
  std::shared_ptr<Group> group_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) return 100;
  const auto number = [&](int i, int otherwise) {
    return argc > i ? std::atoi(argv[i]) : otherwise;
  };
  const Status status =
      Rank(argv[1], number(2, 0), number(3, 10), number(4, 900), number(5, 2600)).Run();
  if (status.ok()) return 0;
  std::fprintf(stderr, "%s\n", status.ToString().c_str());
  return 1;
}
