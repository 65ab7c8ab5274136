// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/host/tcp/tcp_flows.h"

#include <algorithm>
#include <utility>

namespace lockstep::collectives {
namespace {

bool IsShared(FlowPurpose purpose) {
  return purpose == FlowPurpose::kCalls || purpose == FlowPurpose::kData;
}

}  // namespace

TcpFlows::TcpFlows(std::shared_ptr<TcpService> service, std::shared_ptr<TcpEnd> end)
    : service_(std::move(service)),
      end_(std::move(end)),
      accepted_(static_cast<size_t>(end_->members().count())),
      made_(static_cast<size_t>(end_->members().count())) {}

int TcpFlows::LinesOf(int member, FlowPurpose purpose) const {
  const TcpMembers& members = end_->members();
  if (purpose != FlowPurpose::kData && purpose != FlowPurpose::kTransfers) return 1;
  return std::min(members.card(members.self()).flows, members.card(member).flows);
}

TcpFlow::Place TcpFlows::InPlace(int member, FlowPurpose purpose) const {
  return {.member = member,
          .purpose = purpose,
          .makes = IsShared(purpose) && MakesShared(member),
          .lines = LinesOf(member, purpose)};
}

TcpFlow::Place TcpFlows::OutPlace(int member, FlowPurpose purpose) const {
  return {.member = member,
          .purpose = purpose,
          .makes = !IsShared(purpose) || MakesShared(member),
          .lines = LinesOf(member, purpose)};
}

TcpFlow* TcpFlows::Open(const TcpFlow::Place& place) {
  Slots& slots = place.makes ? made_ : accepted_;
  std::unique_ptr<TcpFlow>& flow =
      slots[static_cast<size_t>(place.member)][static_cast<size_t>(place.purpose)];
  if (flow == nullptr) flow = std::make_unique<TcpFlow>(service_, end_, place);
  return flow->IsOpen() ? flow.get() : nullptr;
}

int TcpFlows::in_fd(int member, FlowPurpose purpose) {
  const TcpFlow* const flow = In(member, purpose);
  return flow == nullptr ? -1 : flow->in_fd();
}

int TcpFlows::out_fd(int member, FlowPurpose purpose) {
  const TcpFlow* const flow = Out(member, purpose);
  return flow == nullptr ? -1 : flow->out_fd();
}

}  // namespace lockstep::collectives
