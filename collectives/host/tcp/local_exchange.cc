// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/host/tcp/local_exchange.h"

#include <algorithm>
#include <chrono>
#include <string>

namespace lockstep::collectives {
namespace {

// The deadline's clock wants to be looked at often (AwakeClock).
constexpr base::Duration kLook = std::chrono::milliseconds(10);

}  // namespace

base::Result<std::vector<std::optional<AddressCard>>> LocalExchange::Exchange(
    const ExchangeRequest& request, const AddressCard& mine, const OpDeadline& deadline) {
  std::unique_lock<std::mutex> lock(mutex_);
  const auto key = std::make_pair(request.group, request.epoch);
  Table& table = tables_[key];
  if (table.cards.empty()) table.cards.resize(static_cast<size_t>(request.member_count));
  if (table.cards.size() != static_cast<size_t>(request.member_count)) {
    return base::FailedPreconditionError(
        "group " + request.group.ToString() + " has " + std::to_string(table.cards.size()) +
        " members to others, and " + std::to_string(request.member_count) + " to this one");
  }
  std::optional<AddressCard>& place = table.cards[static_cast<size_t>(request.member)];
  if (place.has_value()) {
    return base::AlreadyExistsError("member " + std::to_string(request.member) + " of group " +
                                    request.group.ToString() + " is there already, as process " +
                                    std::to_string(place->pid) +
                                    "; two processes hold one rank, or the rank joined twice");
  }
  place = mine;
  ++table.come;
  came_.notify_all();
  while (table.come < request.member_count && deadline.Left().count() > 0)
    came_.wait_for(lock, std::min(kLook, std::max(deadline.Left(), base::Duration(0))));
  std::vector<std::optional<AddressCard>> cards = table.cards;
  if (table.come < request.member_count) {  // who comes later is not to wait for me
    place.reset();
    --table.come;
    return cards;
  }
  if (++table.gone == request.member_count) tables_.erase(key);
  return cards;
}

}  // namespace lockstep::collectives
