// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/host/tcp/tcp_backend_maker.h"

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "collectives/host/tcp/tcp_backend.h"
#include "collectives/host/tcp/tcp_end.h"
#include "collectives/host/tcp/tcp_members.h"
#include "collectives/host/tcp/tcp_probe.h"

namespace lockstep::collectives {

namespace {

/// All members see the same cards, and so come to the same words.
base::Status CheckAlike(const GroupSpec& spec, const std::vector<AddressCard>& cards) {
  std::vector<int> sealed, plain;
  for (size_t member = 0; member < cards.size(); ++member)
    (cards[member].encrypts ? sealed : plain).push_back(static_cast<int>(member));
  if (sealed.empty() || plain.empty()) return base::OkStatus();
  return base::FailedPreconditionError(
             "joining group " + spec.name + ": " + DescribeMembers(spec, sealed) +
             " would encrypt the data of collectives, and " + DescribeMembers(spec, plain) +
             " would not; start all of them with --encrypt-data (LOCKSTEP_JOB_ENCRYPT_DATA=1), or "
             "none")
      .WithClass(base::FailureClass::kUsage);
}

}  // namespace

base::Result<std::shared_ptr<TcpBackendMaker>> TcpBackendMaker::Create(
    TcpService::Config config, std::shared_ptr<AddressExchange> exchange) {
  const TcpLink given = config.link;
  ASSIGN_OR_RETURN(std::shared_ptr<TcpService> service, TcpService::Start(std::move(config)));
  return std::shared_ptr<TcpBackendMaker>(
      new TcpBackendMaker(std::move(service), std::move(exchange), given));
}

base::Result<std::unique_ptr<Backend>> TcpBackendMaker::Make(const GroupSpec& spec,
                                                             const OpDeadline& deadline) {
  ASSIGN_OR_RETURN(const std::shared_ptr<TcpEnd> end, Enter(spec, deadline));
  return Finish(end);
}

std::unique_ptr<Backend> TcpBackendMaker::Finish(const std::shared_ptr<TcpEnd>& end) const {
  return std::make_unique<TcpBackend>(service_, end);
}

void TcpBackendMaker::Leave(const GroupSpec& spec) const {
  service_->Unregister(spec.Id(), spec.epoch, spec.rank.value(), {});
}

base::Result<std::shared_ptr<TcpEnd>> TcpBackendMaker::Enter(const GroupSpec& spec,
                                                             const OpDeadline& deadline) {
  if (spec.world_ranks.size() > static_cast<size_t>(kMaxTcpMembers)) {
    return base::InvalidArgumentError(
        "making group " + spec.name + ": " + std::to_string(spec.world_ranks.size()) +
        " members; one over TCP has up to " + std::to_string(kMaxTcpMembers));
  }
  // Before the others know where to find it.
  RETURN_IF_ERROR(service_->Reserve(spec.Id(), spec.epoch, spec.rank.value())
                      .WithFrame("joining group " + spec.name));
  auto cards = Meet(spec, deadline);
  if (!cards.ok()) {
    Leave(spec);
    return cards.status();
  }
  const auto end = std::make_shared<TcpEnd>(TcpMembers(spec, *std::move(cards)));
  service_->Register(end);
  LearnLink(end);
  return end;
}

void TcpBackendMaker::LearnLink(const std::shared_ptr<TcpEnd>& end) {
  if (given_.measured()) return end->link.store(given_.code(), std::memory_order_relaxed);
  const int member = MemberToProbe(end->members());
  if (member < 0) return;
  const AddressCard& card = end->members().card(member);
  std::unique_lock<std::mutex> lock(mutex_);
  Way& way = ways_[{card.host_id, card.memory}];
  if (TakesTurn(way)) {
    way.being_measured = true;
    lock.unlock();
    const TcpLink measured = Probe(*service_, end, member);
    lock.lock();
    way.being_measured = false;
    way.link = measured;
    way.failures = measured.measured() ? 0 : way.failures + 1;
    way.groups_to_wait = measured.measured() ? 0 : (1U << std::min(way.failures - 1, 16U)) - 1;
    measured_.notify_all();
  }
  if (measured_.wait_for(lock, kProbeTimeout, [&] { return !way.being_measured; }))
    end->link.store(way.link.code(), std::memory_order_relaxed);
}

bool TcpBackendMaker::TakesTurn(Way& way) const {
  if (way.link.measured() || way.being_measured) return false;
  if (way.groups_to_wait == 0) return true;
  --way.groups_to_wait;
  return false;
}

base::Result<std::vector<AddressCard>> TcpBackendMaker::Meet(const GroupSpec& spec,
                                                             const OpDeadline& deadline) {
  AddressCard mine = service_->card();
  mine.incarnation = spec.incarnation;
  if (!spec.host.empty()) mine.host = spec.host;
  const int count = static_cast<int>(spec.world_ranks.size());
  ASSIGN_OR_RETURN(const auto came, exchange_->Exchange({.group = spec.Id(),
                                                         .epoch = spec.epoch,
                                                         .member = spec.rank.value(),
                                                         .member_count = count},
                                                        mine, deadline));
  std::vector<AddressCard> cards;
  std::vector<int> missing;
  for (int member = 0; member < count; ++member) {
    const std::optional<AddressCard>& card = came[static_cast<size_t>(member)];
    if (card.has_value()) {
      cards.push_back(*card);
    } else {
      missing.push_back(member);
    }
  }
  if (missing.empty()) {
    RETURN_IF_ERROR(CheckAlike(spec, cards));
    return cards;
  }
  base::Status late = base::DeadlineExceededError(
                          "joining group " + spec.name + ": " + DescribeMembers(spec, missing) +
                          " never came within " + base::FormatDuration(deadline.due().timeout))
                          .WithClass(base::FailureClass::kPeerStalled);
  for (const int member : missing) {
    base::Subject subject;
    subject.job = spec.job;
    subject.rank = spec.world_ranks[static_cast<size_t>(member)];
    late = late.WithSubject(std::move(subject));
  }
  return late;
}

}  // namespace lockstep::collectives
