// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// Sends and receives of NcclEngine: their routes, and how the two ends of one meet.
#include <algorithm>
#include <optional>
#include <utility>

#include "collectives/engine/own_deadline.h"
#include "collectives/nccl/nccl_engine.h"
#include "collectives/nccl/nccl_meeting.h"

namespace lockstep::collectives {

std::shared_ptr<Work> NcclEngine::SubmitTransfers(std::vector<Op> transfers, Op batch,
                                                  base::Status valid) {
  Lock lock(mutex_);
  for (const Op& op : transfers) {
    if (valid.ok()) AwaitRoom(lock, RouteTo(op.peer, op.kind == OpKind::kRecv));
  }
  HearOthers();
  if (root_.ok() && !valid.ok())
    Fail(RefusalOf(batch, std::string(OpKindName(batch.kind)) + " of group " + config_.info.name,
                   valid),
         nullptr);
  if (!root_.ok()) {
    base::Status end = valid.ok() ? FailedBefore() : valid;
    return FailedWork(std::move(batch), base::OpSeq(0), std::move(end));
  }
  // Collectives that came before may still end well, but this comes after.
  if (const std::optional<ErrorRecord> error = board_->error(); error.has_value())
    return FailedWork(std::move(batch), base::OpSeq(0), FailedBefore(StatusOf(*error)));
  const base::OpSeq seq =
      transfers.empty()
          ? base::OpSeq(0)
          : RouteTo(transfers.front().peer, transfers.front().kind == OpKind::kRecv).next_seq;
  const std::shared_ptr<NcclWork> work = MakeWork(std::move(batch), seq);
  if (transfers.empty()) work->completed_ = work->enqueued_;
  for (Op& op : transfers) {
    Route& route = RouteTo(op.peer, op.kind == OpKind::kRecv);
    Add(route, std::move(op), work);
  }
  MatchOwnTransfers();
  StartMeetings();
  if (!transfers.empty()) ActivateLocked();
  lock.unlock();
  AdvanceRoutes();
  return work;
}

NcclEngine::Route& NcclEngine::RouteTo(int peer, bool receives) {
  std::unique_ptr<Route>& route = transfers_[{peer, receives}];
  if (route == nullptr) {
    route = std::make_unique<Route>();
    route->engine = this;
    route->peer = peer;
    route->receives = receives;
  }
  return *route;
}

/// Sends to oneself meet receives from oneself without another end.
void NcclEngine::MatchOwnTransfers() {
  const int self = config_.spec.rank.value();
  const auto sends = transfers_.find({self, false});
  const auto receives = transfers_.find({self, true});
  if (sends == transfers_.end() || receives == transfers_.end()) return;
  std::deque<std::shared_ptr<NcclPart>>& from = sends->second->live;
  const std::deque<std::shared_ptr<NcclPart>>& to = receives->second->live;
  for (size_t i = 0; i < std::min(from.size(), to.size()); ++i) {
    NcclPart& send = *from[i];
    if (send.twin != nullptr) continue;
    const Op& receive = to[i]->op;
    if (receive.count != send.op.count || receive.dtype != send.op.dtype) {
      send.culprit = to[i]->culprit = true;
      const base::Status status =
          base::FailedPreconditionError(DescribeOp(receive.kind, receive.dtype, Reduction::kNone,
                                                   receive.peer, receive.count) +
                                        " of group " + config_.info.name + " met a send of " +
                                        std::to_string(send.op.count) + " " +
                                        std::string(DtypeName(send.op.dtype)))
              .WithClass(base::FailureClass::kUsage);
      return Fail(status, &send);
    }
    send.twin = to[i];
    send.op.out = receive.out;
  }
}

void NcclEngine::StartMeetings() {
  for (const auto& [_, entry] : transfers_) {
    Route& route = *entry;
    const bool own_receives = route.receives && route.peer == config_.spec.rank.value();
    if (route.live.empty() || route.lane != nullptr || route.meeting || own_receives) continue;
    route.meeting = true;
    config_.runtime->Start(
        "meeting a member", NcclRuntime::Limit::kNone,
        [self = shared_from_this(), &route, timeout = route.live.front()->op.timeout] {
          self->Meet(route, timeout);
        });
  }
}

void NcclEngine::Meet(Route& route, base::Duration timeout) {
  auto met = MeetPeer(route, timeout);
  Lock lock(mutex_);
  route.meeting = false;
  if (!met.ok()) {
    if (!root_.ok()) return;
    return Fail(met.status(), route.live.empty() ? nullptr : route.live.front().get());
  }
  auto lane = std::make_shared<NcclLane>(std::move(met).value());
  if (closed_) {
    lock.unlock();
    return lane->Retire(base::Duration(0));
  }
  route.lane = std::move(lane);
}

/// As long as StopOfMeeting() lets it: `timeout` is for what this member does alone.
base::Result<std::shared_ptr<Communicator>> NcclEngine::MeetPeer(Route& route,
                                                                 base::Duration timeout) {
  const auto& world = config_.spec.world_ranks;
  const base::Rank self = world[static_cast<size_t>(config_.spec.rank.value())];
  const base::Rank peer = world[static_cast<size_t>(route.peer)];
  GroupSpec spec = config_.spec;
  spec.instance = 1;  // the name has the group's, which no other group of the job has
  spec.name += "/" + std::to_string(config_.info.id.value()) + "/" +
               (route.receives ? peer : self).ToString() + ">" +
               (route.receives ? self : peer).ToString();
  if (self == peer) {
    spec.world_ranks = {self};
  } else {
    spec.world_ranks = route.receives ? std::vector{peer, self} : std::vector{self, peer};
  }
  spec.rank = base::GroupRank(route.receives ? 1 : 0);
  const OwnDeadline alone(timeout);
  ASSIGN_OR_RETURN(std::shared_ptr<GroupBoard> board,
                   config_.runtime->boards().OpenDerived(spec, alone.deadline));
  {
    const Lock lock(mutex_);
    route.board = board;
    if (closed_) {
      board->Leave();
    } else {
      board->PostCalled(base::OpSeq(route.next_seq.value() - 1));
    }
  }
  const OwnDeadline none(kMaxTimeout);
  return MeetById({.spec = spec,
                   .config = {.runtime = config_.runtime,
                              .device = config_.device,
                              .name = "transfers of group " + config_.info.name + " from rank " +
                                      (route.receives ? peer : self).ToString() + " to rank " +
                                      (route.receives ? self : peer).ToString(),
                              .rank = spec.rank.value(),
                              .size = static_cast<int>(spec.world_ranks.size()),
                              .scratch_bytes = kNcclScratchBytes},
                   .board = *board,
                   .deadline = none.deadline,
                   .stop = [this, &route] { return StopOfMeeting(route); }});
}

/// The first op of the route says how long: Watch() ends it at its deadline, which moves while
/// members are in a long phase, and explains; should it not, the meeting ends all the same.
base::Status NcclEngine::StopOfMeeting(const Route& route) {
  const Lock lock(mutex_);
  if (closed_) return FailedBefore();
  if (!root_.ok() || route.live.empty()) return root_;
  const NcclPart& first = *route.live.front();
  if (awake_.Now() <= first.due + kMeetGrace) return base::OkStatus();
  const Op& op = first.op;
  return Blaming(base::DeadlineExceededError(
                     DescribeOp(op.kind, op.dtype, op.reduction, op.peer, op.count) + " number " +
                     first.seq.ToString() + " of group " + config_.info.name + " ran out of its " +
                     base::FormatDuration(op.timeout) + ": its communicator with rank " +
                     config_.spec.world_ranks[static_cast<size_t>(route.peer)].ToString() +
                     " was not made, and nothing was heard of why")
                     .WithClass(base::FailureClass::kPeerStalled),
                 {route.peer});
}

}  // namespace lockstep::collectives
