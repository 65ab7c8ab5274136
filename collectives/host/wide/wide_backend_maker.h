// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_HOST_WIDE_WIDE_BACKEND_MAKER_H_
#define LOCKSTEP_COLLECTIVES_HOST_WIDE_WIDE_BACKEND_MAKER_H_

#include <memory>
#include <utility>

#include "collectives/engine/backend.h"
#include "collectives/host/tcp/tcp_backend_maker.h"

namespace lockstep::collectives {

/// Makes ends of groups by where their members live, which those tell each other when they meet
/// (AddressCard::memory), so that all members make the same choice:
///
///   on one machine                       shared memory alone
///   each on its own                      TCP alone
///   else                                 WideBackend; TCP where a machine has more than
///                                        kMaxMachineMembers
///
/// One for all groups of a process. Thread-safe.
class WideBackendMaker final : public BackendMaker {
 public:
  /// `memory` makes groups of members whose cards name the same memory.
  WideBackendMaker(std::shared_ptr<TcpBackendMaker> tcp, std::shared_ptr<BackendMaker> memory)
      : tcp_(std::move(tcp)), memory_(std::move(memory)) {}

  /// Errors beside BackendMaker's: those of TcpBackendMaker::Make and of the maker of groups over
  /// shared memory, whose name is then this one's with "/machine" and its number.
  base::Result<std::unique_ptr<Backend>> Make(const GroupSpec& spec,
                                              const OpDeadline& deadline) override;

 private:
  base::Result<std::unique_ptr<Backend>> MakeWithin(const GroupSpec& spec,
                                                    const std::vector<int>& members, int machine,
                                                    const OpDeadline& deadline);

  const std::shared_ptr<TcpBackendMaker> tcp_;
  const std::shared_ptr<BackendMaker> memory_;
};

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_HOST_WIDE_WIDE_BACKEND_MAKER_H_
