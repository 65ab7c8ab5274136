// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// What an attach server does for groups of ranks: memory, meeting those of other machines, going on
// without those that are gone.
#include <string.h>

#include <utility>
#include <vector>

#include "launcher/attach/attach_server.h"
#include "launcher/attach/packet.h"
#include "runtime/base/logging.h"

namespace lockstep::launcher {
namespace {

constexpr char kNoOtherMachine[] =
    "this agent knows no other machine of the job; agents of `lockstep run --host`, and of the "
    "same "
    "line on every node, know each other, those of `lockstep exec` do not";

}  // namespace

// ---------------------------------------------------------------------------------------- requests

base::Status AttachServer::MayJoin(const Connection& connection, uint32_t epoch) const {
  const base::Round round = round_of(members_.at(*connection.rank));
  if (epoch != round.value()) {
    return base::FailedPreconditionError("a group was to be joined in epoch " +
                                         std::to_string(epoch) + ", but round " + round.ToString() +
                                         " is in force");
  }
  return MayServe(connection);
}

base::Status AttachServer::MayServe(const Connection& connection) const {
  for (const auto& [id, other] : connections_) {
    if (!other.has_groups || other.rank != connection.rank || other.pid == connection.pid) continue;
    return base::AlreadyExistsError(
        "process " + std::to_string(connection.pid) + " asks for the groups of rank " +
        connection.rank->ToString() + ", and process " + std::to_string(other.pid) +
        " has them; one process is the rank, and a helper that it starts must not inherit "
        "LOCKSTEP_COOKIE when it makes groups too");
  }
  return base::OkStatus();
}

bool AttachServer::OnSegmentRequest(uint64_t id, const lockstep_attach_segment_request& request) {
  Connection& connection = connections_.at(id);
  lockstep_attach_segment answer{};
  lockstep_attach_set_header(&answer.header, LOCKSTEP_ATTACH_SEGMENT, connection.version,
                             sizeof answer);
  answer.request_id = request.request_id;
  answer.bytes = request.bytes;
  // Members of an earlier round's group that has lost nobody may want more memory for it.
  const base::Round begun = members_.at(*connection.rank).world.round;
  const bool is_earlier = survivors_round_ && request.epoch >= begun.value() &&
                          request.epoch < survivors_round_->value();
  base::Status error = is_earlier ? MayServe(connection) : MayJoin(connection, request.epoch);
  int memory = -1;
  if (error.ok()) {
    const base::Result<int> found = segments_.Find(request);
    error = found.status();
    if (found.ok()) memory = *found;
  }
  answer.status = static_cast<uint32_t>(error.code());
  CopyText(error.message(), answer.text, sizeof answer.text);
  if (!SendPacket(connection.socket.get(), &answer, sizeof answer, memory)) {
    Drop(id);  // a rank that asks faster than it reads
    return false;
  }
  if (!error.ok()) return true;
  connection.has_groups = true;
  segments_.Fetched(request);
  return true;
}

bool AttachServer::OnProgress(uint64_t id, const lockstep_attach_progress& progress) {
  const Member& member = members_.at(*connections_.at(id).rank);
  if (config_.on_progress)
    config_.on_progress(member.world.rank, member.world.incarnation, progress.step);
  return connections_.contains(id);  // the callback may have ended the round
}

// ------------------------------------------------------------------- meeting other machines' ranks

void AttachServer::SetCarrier(CardCarrier* cards) {
  seq_.AssertHeld();
  cards_ = cards;
}

void AttachServer::SetNetwork(RankNetwork network) {
  seq_.AssertHeld();
  network_ = std::move(network);
}

bool AttachServer::OnNetworkRequest(uint64_t id) {
  Connection& connection = connections_.at(id);
  lockstep_attach_network answer{};
  lockstep_attach_set_header(&answer.header, LOCKSTEP_ATTACH_NETWORK, connection.version,
                             sizeof answer);
  // Before any group over TCP a process asks this, on the connection that it keeps: those of the
  // cards are closed as soon as it has met the others.
  const base::Round round = round_of(members_.at(*connection.rank));
  base::Status error = MayJoin(connection, round.value());
  if (error.ok() && !network_) error = base::FailedPreconditionError(kNoOtherMachine);
  // With an earlier round's key those that were left behind then could still speak to its groups.
  if (error.ok() && network_->round != round) {
    error = base::FailedPreconditionError(
        "this agent could not prepare how ranks meet those of other machines in round " +
        round.ToString() + "; its log says why");
  }
  if (error.ok()) {
    connection.has_groups = true;
    answer.first_port = static_cast<uint16_t>(network_->ports.first);
    answer.last_port = static_cast<uint16_t>(network_->ports.last);
    network_->key.view().copy(reinterpret_cast<char*>(answer.key), sizeof answer.key);
    CopyText(network_->host_id, answer.host_id, sizeof answer.host_id);
    CopyText(network_->listen_address, answer.listen_address, sizeof answer.listen_address);
    CopyText(network_->address, answer.address, sizeof answer.address);
  }
  answer.status = static_cast<uint32_t>(error.code());
  CopyText(error.message(), answer.text, sizeof answer.text);
  const bool sent = SendPacket(connection.socket.get(), &answer, sizeof answer, -1);
  explicit_bzero(answer.key, sizeof answer.key);
  if (!sent) Drop(id);
  return sent;
}

bool AttachServer::OnCard(uint64_t id, const lockstep_attach_card& card) {
  Connection& connection = connections_.at(id);
  if (connection.card_answer) {
    Refuse(id, base::FailedPreconditionError("a second card came before the answer to the first"));
    return false;
  }
  lockstep_attach_cards& answer = connection.card_answer.emplace();
  lockstep_attach_set_header(&answer.header, LOCKSTEP_ATTACH_CARDS, connection.version,
                             sizeof answer);
  answer.group_id = card.group_id;
  answer.epoch = card.epoch;
  base::Status error = MayJoin(connection, card.epoch);
  if (error.ok() && cards_ == nullptr) error = base::FailedPreconditionError(kNoOtherMachine);
  if (error.ok()) {
    connection.has_groups = true;
    error =
        cards_->Publish({.connection = id,
                         .group = card.group_id,
                         .member_count = static_cast<int>(card.member_count),
                         .member = static_cast<int>(card.member_index),
                         .content = {reinterpret_cast<const char*>(card.card), card.card_bytes}});
  }
  if (error.ok()) return true;
  AnswerCard(id, error, -1, 0);
  return connections_.contains(id);
}

bool AttachServer::OnGiveUp(uint64_t id) {
  // What it does not want to wait for may have been sent meanwhile.
  if (connections_.at(id).card_answer) cards_->GiveUp(id);
  return true;
}

void AttachServer::AnswerCard(uint64_t id, const base::Status& error, int fd,
                              uint64_t table_bytes) {
  seq_.AssertHeld();
  const auto it = connections_.find(id);
  if (it == connections_.end() || !it->second.card_answer) return;
  lockstep_attach_cards answer = *std::exchange(it->second.card_answer, std::nullopt);
  answer.status = static_cast<uint32_t>(error.code());
  answer.table_bytes = table_bytes;
  CopyText(error.message(), answer.text, sizeof answer.text);
  if (!SendPacket(it->second.socket.get(), &answer, sizeof answer, fd)) Drop(id);
}

// ------------------------------------------------------------------------------------------ rounds

void AttachServer::GoOn(base::Round next, const std::vector<elastic::GoneRank>& gone) {
  seq_.AssertHeld();
  gone_.Add(gone);
  survivors_round_ = next;
  std::vector<uint64_t> leaving, waiting;
  for (const elastic::GoneRank& one : gone) {
    const auto member = members_.find(one.rank);
    if (member != members_.end()) member->second.is_gone = true;
  }
  for (const auto& [id, connection] : connections_) {
    if (!connection.rank) continue;
    if (members_.at(*connection.rank).is_gone) {
      leaving.push_back(id);
    } else if (connection.card_answer) {
      waiting.push_back(id);
    }
  }
  for (const uint64_t id : leaving) Drop(id);
  for (const uint64_t id : waiting) {
    AnswerCard(
        id,
        base::AbortedError("round " + next.ToString() + " has begun, of those ranks that are left"),
        -1, 0);
  }
  Notify(&Notices::round);
}

bool AttachServer::OnWatchRounds(uint64_t id) {
  Connection& connection = connections_.at(id);
  connection.watches_rounds = true;
  connection.due.round = survivors_round_.has_value();
  if (SendDueNotices(connection)) return true;
  Drop(id);
  return false;
}

bool AttachServer::OnExclude(uint64_t id, const lockstep_attach_exclude& exclude) {
  Member& member = members_.at(*connections_.at(id).rank);
  if (exclude.rank >= member.world.world_size || base::Rank(exclude.rank) == member.world.rank) {
    Refuse(id, base::InvalidArgumentError("rank " + member.world.rank.ToString() +
                                          " gives up rank " + std::to_string(exclude.rank) +
                                          ", which is not another one of its world"));
    return false;
  }
  if (config_.keeps_survivors && config_.on_accused &&
      member.accused.insert(base::Rank(exclude.rank)).second) {
    config_.on_accused(member.world.rank, member.world.incarnation,
                       {base::Rank(exclude.rank), exclude.why});
  }
  return connections_.contains(id);  // the callback may have dropped it
}

}  // namespace lockstep::launcher
