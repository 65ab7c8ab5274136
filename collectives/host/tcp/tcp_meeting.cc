// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/host/tcp/tcp_meeting.h"

#include <optional>
#include <string>
#include <utility>

#include "collectives/engine/member_names.h"
#include "collectives/host/tcp/tcp_members.h"

namespace lockstep::collectives {
namespace {

/// All members see the same cards, and so come to the same words.
base::Status CheckAlike(const GroupSpec& spec, const std::vector<AddressCard>& cards) {
  std::vector<int> sealed, plain;
  for (size_t member = 0; member < cards.size(); ++member)
    (cards[member].encrypts ? sealed : plain).push_back(static_cast<int>(member));
  if (sealed.empty() || plain.empty()) return base::OkStatus();
  return base::FailedPreconditionError(
             "joining group " + spec.name + ": " + NameMembers(spec.world_ranks, sealed) +
             " would encrypt the data of collectives, and " + NameMembers(spec.world_ranks, plain) +
             " would not; start all of them with --encrypt-data (LOCKSTEP_JOB_ENCRYPT_DATA=1), or "
             "none")
      .WithClass(base::FailureClass::kUsage);
}

base::Result<std::vector<AddressCard>> Exchange(const TcpService& service,
                                                AddressExchange& exchange, const GroupSpec& spec,
                                                const OpDeadline& deadline) {
  AddressCard mine = service.card();
  mine.incarnation = spec.incarnation;
  if (!spec.host.empty()) mine.host = spec.host;
  const int count = static_cast<int>(spec.world_ranks.size());
  ASSIGN_OR_RETURN(const auto came, exchange.Exchange({.group = spec.Id(),
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
  base::Status late =
      base::DeadlineExceededError("joining group " + spec.name + ": " +
                                  NameMembers(spec.world_ranks, missing) + " never came within " +
                                  base::FormatDuration(deadline.due().timeout))
          .WithClass(base::FailureClass::kPeerStalled);
  for (const int member : missing) {
    base::Subject subject;
    subject.job = spec.job;
    subject.rank = spec.world_ranks[static_cast<size_t>(member)];
    late = late.WithSubject(std::move(subject));
  }
  return late;
}

}  // namespace

base::Result<std::vector<AddressCard>> MeetOverTcp(TcpService& service, AddressExchange& exchange,
                                                   const GroupSpec& spec,
                                                   const OpDeadline& deadline) {
  if (spec.world_ranks.size() > static_cast<size_t>(kMaxTcpMembers)) {
    return base::InvalidArgumentError(
        "making group " + spec.name + ": " + std::to_string(spec.world_ranks.size()) +
        " members; one over TCP has up to " + std::to_string(kMaxTcpMembers));
  }
  // Before the others know where to find it.
  RETURN_IF_ERROR(service.Reserve(spec.Id(), spec.epoch, spec.rank.value())
                      .WithFrame("joining group " + spec.name));
  auto cards = Exchange(service, exchange, spec, deadline);
  if (!cards.ok()) service.Unregister(spec.Id(), spec.epoch, spec.rank.value(), {});
  return cards;
}

}  // namespace lockstep::collectives
