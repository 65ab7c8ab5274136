// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// A rank of a group of Lockstep's of which something goes wrong (fault.h). Fault "trains" is none:
// its ranks go on for a minute, or longer in slow steps (--where slowly). Ops take no longer than
// an hour, so that whoever watches must find it.
#include <chrono>
#include <cstdio>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "collectives/group.h"
#include "collectives/work.h"
#include "runtime/base/result.h"
#include "runtime/rank/session.h"
#include "tests/faults/fault.h"

namespace {

using lockstep::base::GroupRank;
using lockstep::base::Status;
using lockstep::collectives::Buffer;
using lockstep::collectives::Dtype;
using lockstep::collectives::Group;
using lockstep::collectives::Reduction;

constexpr int kOps = 20;
constexpr int kOpsOfAMinute = 6000;
constexpr auto kTimeout = std::chrono::hours(1);

class Rank {
 public:
  explicit Rank(const fault& fault) : fault_(fault), values_(1000, 1.0f) {}

  Status Run() {
    ASSIGN_OR_RETURN(session_, lockstep::rank::Session::Create());
    const int rank = session_->world().rank.value();
    const bool mine = fault_strikes(&fault_, rank) != 0;
    if (mine && fault_is_in(&fault_, "init")) fault_do(&fault_);
    ASSIGN_OR_RETURN(group_, session_->WorldGroup(kTimeout));
    group_->SetTimeout(kTimeout);
    if (Is("deadlock")) {
      ASSIGN_OR_RETURN(other_, group_->Duplicate());
    }
    if (fault_is_in(&fault_, "between") != 0) {
      ASSIGN_OR_RETURN(other_, group_->Split(rank / 2, rank));
      RETURN_IF_ERROR(AddUp(*other_));  // the first op of a group is waited for for longer
    }
    const bool trains = Is("trains");
    const auto step = fault_is_in(&fault_, "slowly") != 0 ? kSlowStep : kStep;
    for (int op = 0; op < (trains ? kOpsOfAMinute : kOps); ++op) {
      if (trains) std::this_thread::sleep_for(step);  // tidy:allow sleep: a step takes time
      if (op != kFaultyOp) {
        RETURN_IF_ERROR(AddUp(*group_));
        continue;
      }
      fault_before_op(&fault_, rank);
      RETURN_IF_ERROR(Differ(mine));
    }
    std::printf("rank %d is through\n", rank);
    return lockstep::base::OkStatus();
  }

 private:
  static constexpr auto kStep = std::chrono::milliseconds(10);
  static constexpr auto kSlowStep = std::chrono::milliseconds(300);

  bool Is(const char* name) const { return fault_is(&fault_, name) != 0; }
  Status AddUp(Group& group) {
    const Buffer buffer{values_.data(), values_.size(), Dtype::kF32};
    return group.AllReduce(buffer, buffer, Reduction::kSum)->Wait();
  }
  Status Broadcast(GroupRank root) {
    return group_->Broadcast({values_.data(), values_.size(), Dtype::kF32}, root)->Wait();
  }
  Status Differ(bool mine) {
    if (fault_is_in(&fault_, "between") != 0) {
      RETURN_IF_ERROR(AddUp(*other_));
      return AddUp(*group_);
    }
    if (Is("root")) return Broadcast(GroupRank(mine));
    if (Is("skips")) {
      if (!mine) RETURN_IF_ERROR(Broadcast(GroupRank(0)));
      return AddUp(*group_);
    }
    if (Is("deadlock")) {
      RETURN_IF_ERROR(AddUp(mine ? *other_ : *group_));
      return AddUp(mine ? *group_ : *other_);
    }
    if (!mine) return AddUp(*group_);
    if (Is("op")) return group_->Barrier()->Wait();
    const Buffer buffer{values_.data(), Is("count") ? values_.size() - 1 : values_.size(),
                        Is("dtype") ? Dtype::kI32 : Dtype::kF32};
    return group_->AllReduce(buffer, buffer, Is("reduction") ? Reduction::kMax : Reduction::kSum)
        ->Wait();
  }

  const fault fault_;
  std::vector<float> values_;
  std::unique_ptr<lockstep::rank::Session> session_;
  std::shared_ptr<Group> group_, other_;
};

}  // namespace

int main(int argc, char** argv) {
  const Status status = Rank(fault_of(argc, argv)).Run();
  if (status.ok()) return 0;
  std::fprintf(stderr, "%s\n", status.ToString().c_str());
  return 1;
}
