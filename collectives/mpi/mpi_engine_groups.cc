// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// MpiEngine: the groups that are open in it, and their communicators.
#include <deque>
#include <utility>

#include "collectives/mpi/mpi_engine.h"

namespace lockstep::collectives {

void MpiEngine::Open(const ControlMessage& ready, std::shared_ptr<Port> port,
                     std::vector<int> world_ranks) {
  Command([this, ready, port = std::move(port), world_ranks = std::move(world_ranks)]() mutable {
    Opened& opened = opened_[ready.key];
    if (!opened.asked.has_value()) ++unanswered_;
    opened = {port, std::move(world_ranks), ready};
    for (const int world_rank : dead_) (void)port->OnDied(world_rank);
    std::deque<ControlMessage> others;
    for (const ControlMessage& message : early_) {
      if (message.key == ready.key) {
        port->OnMessage(message);
      } else {
        others.push_back(message);
      }
    }
    early_ = std::move(others);
    SendNow(Orderer(), ready);
  });
}

void MpiEngine::Withdraw(const ControlMessage& withdraw) {
  Command([this, withdraw] {
    const auto opened = opened_.find(withdraw.key);
    if (opened == opened_.end() || !opened->second.asked.has_value()) return;  // kGo has come
    opened->second.asked = withdraw;
    SendNow(Orderer(), withdraw);
  });
}

// Communicators are made one after the other in an order that all ranks share, since each is told
// of them by this one rank: else three groups of two among three ranks could each wait for the
// next.
void MpiEngine::HandleReady(const ControlMessage& message) {
  Waiting& waiting = waiting_[message.key];
  if (message.kind == ControlMessage::Kind::kWithdraw) {
    waiting.ready.erase(message.world_rank);
    if (waiting.ready.empty()) waiting_.erase(message.key);
    ControlMessage withdrawn;
    withdrawn.kind = ControlMessage::Kind::kWithdrawn;
    withdrawn.key = message.key;
    SendNow(message.world_rank, withdrawn);
    return;
  }
  waiting.member_count = message.member_count;
  waiting.ready.insert(message.world_rank);
  if (static_cast<int>(waiting.ready.size()) < waiting.member_count) return;
  ControlMessage go;
  go.kind = ControlMessage::Kind::kGo;
  go.key = message.key;
  for (const int world_rank : waiting.ready) SendNow(world_rank, go);
  waiting_.erase(message.key);
}

// Either comes once: what the orderer has said before it heard kWithdraw comes before its answer to
// that, so that nobody who has that answer is waited for in MPI.
void MpiEngine::HandleAnswer(const ControlMessage& message) {
  using Kind = ControlMessage::Kind;
  const auto found = opened_.find(message.key);
  if (found == opened_.end() || !found->second.asked.has_value()) return;
  Opened& opened = found->second;
  if (message.kind == Kind::kWithdrawn && opened.asked->kind != Kind::kWithdraw)
    return;  // of one of this key that was opened before
  opened.asked.reset();
  --unanswered_;
  look_for_over_ = true;
  if (message.kind == Kind::kWithdrawn) return opened.port->OnWithdrawn();
  to_make_.push_back(message.key);
  MakeComms();
}

// One after the other, whoever is in which: Open MPI 4.1.4 makes none while another one is on its
// way that a stopped member holds.
void MpiEngine::MakeComms() {
  while (!making_.has_value() && !to_make_.empty()) {
    const MpiGroupKey key = to_make_.front();
    to_make_.pop_front();
    const auto found = opened_.find(key);
    if (found == opened_.end()) continue;
    const Opened opened = found->second;
    if (opened.port->hurt_) {
      look_for_over_ = true;
      opened.port->OnComm(base::UnavailableError("a member has died"));
      continue;
    }
    MakeComm(opened, key);
  }
}

// Also for a member that has given up meanwhile: the others are on their way into it.
void MpiEngine::MakeComm(const Opened& opened, const MpiGroupKey& key) {
  opened.port->OnGo();
  lockstep_mpi_comm* comm = nullptr;
  lockstep_mpi_request* request = nullptr;
  ++creation_steps_;
  const lockstep_mpi_result result = library_.api().create_comm(
      opened.world_ranks.data(), static_cast<int>(opened.world_ranks.size()), key.group, key.epoch,
      &comm, &request);
  ++creation_steps_;
  if (request == nullptr) return Made(*opened.port, comm, result);
  making_ = {opened.port, comm, request};
}

bool MpiEngine::TestMaking() {
  if (!making_.has_value()) return false;
  int ended = 0;
  const lockstep_mpi_result result = library_.api().test(making_->request, &ended);
  if (ended == 0) return false;
  const Making made = *std::exchange(making_, std::nullopt);
  Made(*made.port, made.comm, result);
  MakeComms();
  return true;
}

void MpiEngine::Made(Port& port, lockstep_mpi_comm* comm, lockstep_mpi_result result) {
  const base::Status status = library_.StatusOf(result, "making a communicator");
  if (status.ok()) port.comm_ = comm;
  if (!status.ok() && comm != nullptr) library_.api().free_comm(comm);
  look_for_over_ = true;
  port.OnComm(status);
}

void MpiEngine::FreeCommsOfThoseOver() {
  for (auto opened = opened_.begin(); opened != opened_.end();) {
    Port& port = *opened->second.port;
    const bool is_made = making_.has_value() && making_->port == opened->second.port;
    if (!port.over() || port.in_flight_ > 0 || is_made || opened->second.asked.has_value()) {
      ++opened;
      continue;
    }
    // MPI gives the number of a communicator that was freed to the next one, and what is still on
    // its way with it.
    if (port.comm_ != nullptr && port.drained()) library_.api().free_comm(port.comm_);
    opened = opened_.erase(opened);
  }
}

}  // namespace lockstep::collectives
