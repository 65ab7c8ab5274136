// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/nccl/nccl_meeting.h"

#include <chrono>
#include <string>
#include <thread>
#include <utility>

#include "collectives/engine/member_names.h"
#include "collectives/nccl/nccl_status.h"

namespace lockstep::collectives {
namespace {

constexpr base::Duration kLookEvery = std::chrono::milliseconds(1);

/// Those who are to blame for a meeting that failed, as far as the board knows.
struct Absent {
  std::vector<int> members;
  std::string text;
  bool lost = false;  // one of them is gone
};

/// Blocks: until the others have answered, at most kAnswerTime.
Absent AskOthers(const NcclMeeting& meeting) {
  std::vector<int> others;
  for (int member = 0; member < meeting.config.size; ++member) {
    if (member != meeting.config.rank) others.push_back(member);
  }
  GroupBoard& board = meeting.board;
  const base::SteadyTime since = base::RealClock().Now();
  while (!board.Knows(others, since)) std::this_thread::sleep_for(kLookEvery);

  Absent absent;
  const auto name = [&meeting](int member) {
    return meeting.spec.world_ranks[static_cast<size_t>(member)].ToString();
  };
  absent.members = board.NeverCame();
  if (!absent.members.empty())
    absent.text = "never came: " + NameMembers(meeting.spec.world_ranks, absent.members);
  for (const int member : others) {
    const std::optional<std::string> why_lost = board.WhyLostSince(member, since);
    if (!why_lost.has_value() && !board.IsSilent(member)) continue;
    absent.members.push_back(member);
    absent.lost |= why_lost.has_value();
    absent.text += (absent.text.empty() ? "rank " : "; rank ") + name(member) + " " +
                   why_lost.value_or("does not answer");
  }
  return absent;
}

/// `error` of a meeting with those who are to blame for it; `else_text`: what it is where nobody
/// is.
base::Status Explained(const NcclMeeting& meeting, const base::Status& error,
                       const std::string& else_text) {
  if (error.code() != base::Code::kDeadlineExceeded) return error;
  const Absent absent = AskOthers(meeting);
  const bool none = absent.members.empty();
  base::Status status =
      base::DeadlineExceededError(error.message() + ": " + (none ? else_text : absent.text))
          .WithClass(none          ? base::FailureClass::kTimeoutUnknown
                     : absent.lost ? base::FailureClass::kPeerDead
                                   : base::FailureClass::kPeerStalled);
  for (const int member : absent.members)
    status = status.WithSubject(meeting.board.SubjectOf(member));
  return status;
}

/// Of a meeting whose id has come.
base::Status Explained(const NcclMeeting& meeting, const base::Status& error) {
  return Explained(meeting, error,
                   "all members came, and NCCL did not connect them; NCCL_DEBUG=INFO says to whom "
                   "it waits, often for an interface that does not reach (NCCL_SOCKET_IFNAME)");
}

/// Who stops a meeting knows why; only its own deadline is to be explained.
base::Result<std::shared_ptr<Communicator>> Outcome(
    const NcclMeeting& meeting, base::Result<std::shared_ptr<Communicator>> made) {
  if (made.ok()) return made;
  RETURN_IF_ERROR(meeting.stop());
  return Explained(meeting, made.status());
}

base::Result<GroupBoard::Invitation> AwaitInvitation(const NcclMeeting& meeting) {
  while (true) {
    if (const auto invitation = meeting.board.invitation(); invitation.has_value())
      return *invitation;
    RETURN_IF_ERROR(meeting.stop());
    if (meeting.deadline.Left() < base::Duration(0)) {
      return Explained(
          meeting,
          base::DeadlineExceededError("member 0 has sent no id for the communicator of " +
                                      meeting.config.name + " within " +
                                      base::FormatDuration(meeting.deadline.due().timeout)),
          "it is there, and either makes none or hands it to nobody");
    }
    std::this_thread::sleep_for(kLookEvery);
  }
}

base::Status InviteById(const NcclMeeting& meeting) {
  const GpuLibraries& libraries = meeting.config.runtime->libraries();
  GroupBoard::Invitation invitation;
  RETURN_IF_ERROR(NcclStatus(libraries, libraries.nccl().get_unique_id(&invitation.id),
                             "ncclGetUniqueId for " + meeting.config.name, nullptr));
  meeting.board.Invite(invitation);
  return base::OkStatus();
}

base::Result<std::shared_ptr<Communicator>> Follow(const NcclMeeting& meeting,
                                                   const NcclUniqueId& id) {
  const auto begin = [config = meeting.config, id](NcclComm* made, NcclConfig* nccl_config) {
    return config.runtime->libraries().nccl().comm_init_rank_config(made, config.size, id,
                                                                    config.rank, nccl_config);
  };
  return Outcome(
      meeting, Communicator::Make(meeting.config, begin, nullptr, meeting.deadline, meeting.stop));
}

}  // namespace

base::Result<std::shared_ptr<Communicator>> MeetById(const NcclMeeting& meeting) {
  if (meeting.config.rank == 0) RETURN_IF_ERROR(InviteById(meeting));
  ASSIGN_OR_RETURN(const GroupBoard::Invitation invitation, AwaitInvitation(meeting));
  return Follow(meeting, invitation.id);
}

base::Result<std::shared_ptr<Communicator>> MeetBySplit(const Communicator::Config& config,
                                                        const OpDeadline& deadline,
                                                        std::shared_ptr<Communicator> parent,
                                                        int color, int key) {
  const auto begin = [parent, color, key](NcclComm* made, NcclConfig* nccl_config) {
    return parent->config().runtime->libraries().nccl().comm_split(parent->comm(), color, key, made,
                                                                   nccl_config);
  };
  ASSIGN_OR_RETURN(
      std::shared_ptr<Communicator> made,
      Communicator::Make(config, begin, parent, deadline, [] { return base::OkStatus(); }));
  if (color == kNcclSplitNoColor) return std::shared_ptr<Communicator>();
  return made;
}

base::Result<std::shared_ptr<Communicator>> MeetByShrink(const NcclMeeting& meeting,
                                                         std::shared_ptr<Communicator> parent,
                                                         bool parent_idle,
                                                         std::vector<int> excluded) {
  const NcclFunctions& nccl = meeting.config.runtime->libraries().nccl();
  if (meeting.config.rank == 0) {
    if (nccl.comm_shrink != nullptr && parent_idle && !parent->dead()) {
      meeting.board.Invite({.from_parent = true});
    } else {
      RETURN_IF_ERROR(InviteById(meeting));
    }
  }
  ASSIGN_OR_RETURN(const GroupBoard::Invitation invitation, AwaitInvitation(meeting));
  if (!invitation.from_parent) return Follow(meeting, invitation.id);
  if (parent->dead()) {
    return base::UnavailableError("member 0 shrinks the communicator of " + parent->config().name +
                                  " to that of " + meeting.config.name +
                                  ", and this member has aborted its own; drop both groups");
  }
  const auto begin = [parent, excluded](NcclComm* made, NcclConfig* nccl_config) mutable {
    return parent->config().runtime->libraries().nccl().comm_shrink(
        parent->comm(), excluded.data(), static_cast<int>(excluded.size()), made, nccl_config,
        kNcclShrinkDefault);
  };
  return Outcome(meeting,
                 Communicator::Make(meeting.config, begin, parent, meeting.deadline, meeting.stop));
}

}  // namespace lockstep::collectives
