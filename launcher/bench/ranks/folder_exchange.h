// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_BENCH_RANKS_FOLDER_EXCHANGE_H_
#define LOCKSTEP_LAUNCHER_BENCH_RANKS_FOLDER_EXCHANGE_H_

#include <string>
#include <utility>
#include <vector>

#include "collectives/host/tcp/address_exchange.h"
#include "runtime/base/result.h"
#include "runtime/net/secret.h"

namespace lockstep::launcher {

/// Where ranks meet that no agent has started, or whose network the agent does not know: a folder
/// that only their user can enter, on a file system that all of them see. A file for each card, as
/// it lies in memory: both ends are of one build. Cards stay until somebody removes the folder.
/// Thread-safe.
class FolderExchange final : public collectives::AddressExchange {
 public:
  explicit FolderExchange(std::string folder) : folder_(std::move(folder)) {}

  /// 32 bytes, the same for all who ask there: the first one makes them. Errors: errno's code.
  base::Result<net::Secret> Key() const;

  /// Errors beside AddressExchange's: InvalidArgument - `mine` is too long for a card's file.
  base::Result<std::vector<std::optional<collectives::AddressCard>>> Exchange(
      const collectives::ExchangeRequest& request, const collectives::AddressCard& mine,
      const collectives::OpDeadline& deadline) override;

 private:
  const std::string folder_;
};

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_BENCH_RANKS_FOLDER_EXCHANGE_H_
