// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_HOST_TCP_ADDRESS_EXCHANGE_H_
#define LOCKSTEP_COLLECTIVES_HOST_TCP_ADDRESS_EXCHANGE_H_

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "collectives/engine/op_deadline.h"
#include "runtime/base/ids.h"
#include "runtime/base/result.h"

namespace lockstep::collectives {

/// Connections over which a pair can divide its data.
inline constexpr int kTcpFlowsMax = 16;

/// How a member is reached, and which process it is.
struct AddressCard {
  std::vector<std::string> addresses;  // numeric, v4 or v6, in the order to try
  uint16_t port = 0;
  std::array<uint8_t, 16> nonce{};  // fresh in each process: who else listens there is found out
  std::string host_id;              // equal exactly for processes of one machine
  int32_t memory = -1;              // equal exactly for processes that can share memory; -1 = none
  bool encrypts = false;            // seals its connections; members must be alike in that
  int flows = 1;                    // connections over which it would divide a pair's data
  std::string host;                 // its name, for errors
  int64_t pid = 0;
  base::Incarnation incarnation;
};

struct ExchangeRequest {
  base::GroupId group;
  base::Round epoch;
  int member = 0;
  int member_count = 0;
};

/// Where the members of a group find each other: publishes a card and brings back everybody's. Of
/// members that are threads: LocalExchange. Thread-safe.
class AddressExchange {
 public:
  virtual ~AddressExchange() = default;

  /// By member; empty for those that had not come by the deadline, who then do not find this member
  /// either. Blocks: until all have come, at most `deadline`. Errors: AlreadyExists - another
  /// process published this member; FailedPrecondition - another epoch or member count; Unavailable
  /// - the exchange cannot be reached.
  virtual base::Result<std::vector<std::optional<AddressCard>>> Exchange(
      const ExchangeRequest& request, const AddressCard& mine, const OpDeadline& deadline) = 0;
};

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_HOST_TCP_ADDRESS_EXCHANGE_H_
