// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_HOST_TCP_ATTACH_EXCHANGE_H_
#define LOCKSTEP_COLLECTIVES_HOST_TCP_ATTACH_EXCHANGE_H_

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "collectives/host/tcp/address_exchange.h"
#include "collectives/host/tcp/tcp_service.h"
#include "runtime/attach/attach_client.h"
#include "runtime/base/clock.h"

namespace lockstep::collectives {

/// The exchange of ranks on several machines: each gives its card to its agent, the agents bring
/// them to the job's coordinator and the table of all back. One for a process; thread-safe.
///
/// Each exchange has a connection of its own to the agent. So it keeps nobody from asking for
/// something else, and a rank that dies or gives up takes its card back by closing.
class AttachExchange final : public AddressExchange {
 public:
  /// For the agent's answers from memory.
  static constexpr base::Duration kAskTimeout = std::chrono::seconds(10);
  /// Once the deadline has passed: to learn from the coordinator who is missing.
  static constexpr base::Duration kMissingTimeout = std::chrono::milliseconds(600);

  /// As LOCKSTEP_SOCKET and LOCKSTEP_COOKIE say.
  AttachExchange(std::string socket_path, std::string cookie)
      : socket_path_(std::move(socket_path)), cookie_(std::move(cookie)) {}

  /// Errors beside AddressExchange's: DeadlineExceeded - the deadline has passed and the agent
  /// could not say who is missing; ResourceExhausted - the agent has too many groups that wait, or
  /// this rank makes more at once than it may attach (AttachServer::Limits): nobody waits for a
  /// free place.
  base::Result<std::vector<std::optional<AddressCard>>> Exchange(
      const ExchangeRequest& request, const AddressCard& mine, const OpDeadline& deadline) override;

 private:
  const std::string socket_path_;
  const std::string cookie_;
};

/// How the agent wants this rank to listen, and the key of the job's round. `job`, `host`: the
/// rank's. Blocks: at most `timeout`, and no longer than AttachExchange::kAskTimeout. Errors:
/// FailedPrecondition - the agent has no other nodes; Unavailable - it does not answer in time;
/// AlreadyExists - another process of this rank makes groups; as AttachStatus.
base::Result<TcpService::Config> AskForNetwork(lockstep_attach& client, const std::string& job,
                                               const std::string& host, base::Duration timeout);

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_HOST_TCP_ATTACH_EXCHANGE_H_
