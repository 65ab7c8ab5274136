// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/host/tcp/attach_exchange.h"

#include <string.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "collectives/engine/attach_connection.h"
#include "collectives/engine/attach_status.h"
#include "collectives/host/tcp/card_bytes.h"
#include "runtime/base/errno_status.h"
#include "runtime/base/unique_fd.h"

namespace lockstep::collectives {
namespace {

using Cards = std::vector<std::optional<AddressCard>>;

// The deadline's clock wants to be looked at often (AwakeClock).
constexpr uint32_t kLookMs = 10;

/// At most kAskTimeout.
uint32_t Milliseconds(base::Duration duration) {
  return static_cast<uint32_t>(
      std::chrono::ceil<std::chrono::milliseconds>(
          std::clamp(duration, base::Duration(0), AttachExchange::kAskTimeout))
          .count());
}

base::Result<lockstep_attach_card> MessageOf(const ExchangeRequest& request,
                                             const AddressCard& card) {
  lockstep_attach_card message{};
  const std::string bytes = BytesOfCard(card);
  if (request.member_count > static_cast<int>(LOCKSTEP_ATTACH_MAX_CARDS)) {
    return base::InvalidArgumentError("ranks of several machines meet in groups of up to " +
                                      std::to_string(LOCKSTEP_ATTACH_MAX_CARDS) +
                                      " members, and these are " +
                                      std::to_string(request.member_count));
  }
  message.group_id = request.group.value();
  message.epoch = request.epoch.value();
  message.member_count = static_cast<uint32_t>(request.member_count);
  message.member_index = static_cast<uint32_t>(request.member);
  message.card_bytes = static_cast<uint32_t>(bytes.size());
  static_assert(2 + kCardAddressesMax * 64 + 2 + 16 + 64 + 1 + kCardHostBytesMax + 18 <=
                LOCKSTEP_ATTACH_MAX_CARD_BYTES);
  bytes.copy(reinterpret_cast<char*>(message.card), sizeof message.card);
  return message;
}

base::Result<Cards> ReadTable(int file, uint64_t bytes, int member_count) {
  std::string table(bytes, 0);
  const ssize_t got = ::pread(file, table.data(), table.size(), 0);
  if (got < 0) return base::ErrnoStatus(errno, "reading the table of the group's cards");
  if (got != static_cast<ssize_t>(bytes))
    return base::DataLossError("the table of the group's cards is shorter than the agent said");
  return ParseCardTable(table, member_count);
}

}  // namespace

base::Result<Cards> AttachExchange::Exchange(const ExchangeRequest& request,
                                             const AddressCard& mine, const OpDeadline& deadline) {
  constexpr const char* kDoing = "meeting the ranks of a group";
  ASSIGN_OR_RETURN(const lockstep_attach_card card, MessageOf(request, mine));
  ASSIGN_OR_RETURN(const AttachConnection agent,
                   AttachToAgent(socket_path_, cookie_, Milliseconds(deadline.Left()),
                                 "attaching to the agent to meet other ranks"));
  lockstep_attach* const client = agent.client.get();
  lockstep_attach_error error{};
  int result = lockstep_attach_send_card(client, &card, Milliseconds(deadline.Left()), &error);
  if (result != LOCKSTEP_ATTACH_OK) return AttachStatus(result, error, kDoing);
  uint64_t bytes = 0;
  int fd = -1;
  do {
    result = lockstep_attach_await_cards(client, kLookMs, &bytes, &fd, &error);
  } while (result == LOCKSTEP_ATTACH_TIMEOUT && deadline.Left().count() > 0);
  if (result == LOCKSTEP_ATTACH_TIMEOUT) {
    const uint32_t patience = Milliseconds(kMissingTimeout);
    result = lockstep_attach_give_up_card(client, patience, &error);
    if (result == LOCKSTEP_ATTACH_OK)
      result = lockstep_attach_await_cards(client, patience, &bytes, &fd, &error);
  }
  if (result == LOCKSTEP_ATTACH_TIMEOUT) {
    return base::DeadlineExceededError("meeting the ranks of a group: not all came within " +
                                       base::FormatDuration(deadline.due().timeout) +
                                       ", and the agents do not say who is missing")
        .WithClass(base::FailureClass::kPeerStalled);
  }
  if (result != LOCKSTEP_ATTACH_OK) return AttachStatus(result, error, kDoing);
  const base::UniqueFd file(fd);
  return ReadTable(file.get(), bytes, request.member_count);
}

base::Result<TcpService::Config> AskForNetwork(lockstep_attach& client, const std::string& job,
                                               const std::string& host, base::Duration timeout) {
  lockstep_attach_network network{};
  lockstep_attach_error error{};
  const int result = lockstep_attach_get_network(&client, Milliseconds(timeout), &network, &error);
  if (result != LOCKSTEP_ATTACH_OK)
    return AttachStatus(result, error, "asking the agent how other machines reach this rank");
  TcpService::Config config;
  config.job = job;
  config.key = net::Secret({reinterpret_cast<const char*>(network.key), sizeof network.key});
  ::explicit_bzero(network.key, sizeof network.key);
  config.listen_host = network.listen_address;
  config.ports = {network.first_port, network.last_port};
  if (network.address[0] != 0) config.addresses.emplace_back(network.address);
  if (config.addresses.empty() || config.addresses[0] != config.listen_host)
    config.addresses.push_back(config.listen_host);
  config.host = host;
  config.host_id = network.host_id;
  return config;
}

}  // namespace lockstep::collectives
