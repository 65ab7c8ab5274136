// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// MpiGroup: how its members come together, and what becomes of one that does not come about.
#include <unistd.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "collectives/mpi/mpi_group.h"

namespace lockstep::collectives {
namespace {

using Kind = ControlMessage::Kind;

}  // namespace

base::Result<std::shared_ptr<MpiGroup>> MpiGroup::Join(MpiEngine& engine, GroupSpec spec,
                                                       const OpDeadline& deadline) {
  const auto group = std::make_shared<MpiGroup>(engine, std::move(spec));
  std::vector<int> world_ranks;
  for (const base::Rank rank : group->spec_.world_ranks) world_ranks.push_back(rank.value());
  ControlMessage here = group->MakeMessage(Kind::kHere);
  here.pid = getpid();
  here.SetText(group->spec_.host);
  group->SendToOthers(here);
  engine.Open(group->MakeMessage(Kind::kReady), group, std::move(world_ranks));
  RETURN_IF_ERROR(group->AwaitMembers(deadline));
  return group;
}

base::Status MpiGroup::AwaitMembers(const OpDeadline& deadline) {
  Lock lock(mutex_);
  members_[static_cast<size_t>(self_)] = {
      .came = true, .pid = getpid(), .host = spec_.host, .farewell = {}, .told = {}};
  for (bool asked = false;;) {
    if (comm_.has_value() && comm_->ok()) return base::OkStatus();
    if (comm_.has_value()) return LeaveUnmade(lock);
    const base::Duration left = deadline.Left();
    if (left.count() <= 0 && !std::exchange(asked, true) && NeverCame().empty()) {
      AskOthers(lock, [this] { return error_.has_value() || comm_.has_value(); });
      continue;
    }
    // While the communicator is made the error may be of a member that has its end, and of an op.
    const bool failed = error_.has_value() && !go_;
    if (failed || left.count() <= 0) return GiveUpJoining(lock, deadline);
    changed_.wait_for(lock, std::min(left, kLook));
  }
}

base::Status MpiGroup::LeaveUnmade(Lock& lock) {
  // It failed on a member that has died, of which the word is on its way.
  if (engine_.outlives_ranks())
    changed_.wait_for(lock, kAnswerTime, [this] { return error_.has_value(); });
  left_ = true;
  base::Status status = error_.has_value() ? error_->status : *comm_;
  lock.unlock();
  SendToOthers(MakeMessage(Kind::kLeft));
  return status;
}

// Who came and does not answer any more has stopped since.
base::Status MpiGroup::GiveUpJoining(Lock& lock, const OpDeadline& deadline) {
  const bool late = !error_.has_value();
  const std::string within = " within " + base::FormatDuration(deadline.due().timeout);
  std::vector<int> missing = NeverCame();
  std::string why;
  if (!missing.empty()) {
    why = DescribeMembers(missing) + " never came" + within;
  } else if (engine_.IsHeld()) {
    why = "all members came, but" + within + " " + HeldText();
  } else if (missing = Silent(); !missing.empty()) {
    why = "all members came, but were not connected" + within + ": " + DescribeMembers(missing) +
          " did not answer: stopped or dead";
  } else if (go_) {
    why = "all members came and answer, but MPI did not connect them" + within;
  } else {
    why =
        "all members came, but rank 0 of the world, which orders the making of groups, did not "
        "let them begin" +
        within + "; is it stopped, or a member of a group that is made before?";
  }
  lock.unlock();
  base::Status status =
      late ? Publish(base::DeadlineExceededError("joining group " + spec_.name + ": " + why)
                         .WithClass(base::FailureClass::kPeerStalled),
                     nullptr, missing)
           : error();
  // The others hear of the error before they hear that this member has left.
  lock.lock();
  left_ = true;
  const bool is_made = comm_.has_value();
  lock.unlock();
  if (is_made) {
    SendToOthers(MakeMessage(Kind::kLeft));
  } else {
    engine_.Withdraw(MakeMessage(Kind::kWithdraw));
  }
  return status;
}

std::vector<int> MpiGroup::NeverCame() const {
  std::vector<int> missing;
  for (int member = 0; member < size_; ++member) {
    if (!members_[static_cast<size_t>(member)].came) missing.push_back(member);
  }
  return missing;
}

void MpiGroup::OnGo() {
  const Lock lock(mutex_);
  go_ = true;
}

void MpiGroup::OnComm(base::Status status) {
  {
    const Lock lock(mutex_);
    comm_ = std::move(status);
    changed_.notify_all();
    if (!left_) return;
  }
  SendToOthers(MakeMessage(Kind::kLeft));  // they have what this member had given up
}

void MpiGroup::OnWithdrawn() { SendToOthers(MakeMessage(Kind::kLeft)); }

}  // namespace lockstep::collectives
