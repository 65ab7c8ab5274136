// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/host/tcp/tcp_backend_maker.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "collectives/host/tcp/tcp_backend.h"
#include "collectives/host/tcp/tcp_end.h"
#include "collectives/host/tcp/tcp_meeting.h"
#include "collectives/host/tcp/tcp_members.h"
#include "collectives/host/tcp/tcp_probe.h"

namespace lockstep::collectives {

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

std::unique_ptr<Backend> TcpBackendMaker::Finish(const std::shared_ptr<TcpEnd>& end,
                                                 std::string why) const {
  return std::make_unique<TcpBackend>(service_, end, std::move(why));
}

void TcpBackendMaker::Leave(const GroupSpec& spec) const {
  service_->Unregister(spec.Id(), spec.epoch, spec.rank.value(), {});
}

base::Result<std::shared_ptr<TcpEnd>> TcpBackendMaker::Enter(const GroupSpec& spec,
                                                             const OpDeadline& deadline) {
  ASSIGN_OR_RETURN(std::vector<AddressCard> cards,
                   MeetOverTcp(*service_, *exchange_, spec, deadline));
  const auto end = std::make_shared<TcpEnd>(TcpMembers(spec, std::move(cards)));
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

}  // namespace lockstep::collectives
