// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_HOST_TCP_LOCAL_EXCHANGE_H_
#define LOCKSTEP_COLLECTIVES_HOST_TCP_LOCAL_EXCHANGE_H_

#include <condition_variable>
#include <map>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "collectives/host/tcp/address_exchange.h"

namespace lockstep::collectives {

/// The exchange of members that are threads of one process. A group is forgotten when each of its
/// members has the table. Thread-safe.
class LocalExchange final : public AddressExchange {
 public:
  base::Result<std::vector<std::optional<AddressCard>>> Exchange(
      const ExchangeRequest& request, const AddressCard& mine, const OpDeadline& deadline) override;

 private:
  struct Table {
    std::vector<std::optional<AddressCard>> cards;  // by member
    int come = 0;
    int gone = 0;  // members that have the table
  };

  std::mutex mutex_;
  std::condition_variable came_;
  std::map<std::pair<base::GroupId, base::Round>, Table> tables_;  // guarded by mutex_
};

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_HOST_TCP_LOCAL_EXCHANGE_H_
