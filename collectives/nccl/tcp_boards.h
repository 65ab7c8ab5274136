// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_NCCL_TCP_BOARDS_H_
#define LOCKSTEP_COLLECTIVES_NCCL_TCP_BOARDS_H_

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "collectives/host/tcp/address_exchange.h"
#include "collectives/host/tcp/tcp_service.h"
#include "collectives/nccl/group_board.h"
#include "runtime/base/ids.h"

namespace lockstep::collectives {

/// Boards of members on several machines, over the TcpService of their processes; those of members
/// on one machine (AddressCard::memory) are opened by `memory` instead, on all of them. One for all
/// groups of a process. Thread-safe.
///
/// Members of a first group find each other through the AddressExchange. From then on their
/// processes know where they are, so that what comes of it, groups and routes of two, asks no agent
/// and waits for nobody.
///
/// Who is not asked says nothing: a board costs no connection until NCCL's id goes around (16 at
/// most) or an op waits for long. Then each member asks up to kAskedMax others, those behind it in
/// the circle of members, so that each is looked after by so many. With check_calls every member
/// has a connection to every other one, and so has, for a moment, a member that fails: it tells its
/// error to all of them itself. Of N members such a process wants 2 (N - 1) descriptors beside its
/// others (RLIMIT_NOFILE); one that has none left asks and tells nobody, says so in its errors
/// (WhyUnasked), and blames nobody for it. Where many of a thousand fail at one time, as at a
/// common deadline, a process lets only so many in at once (TcpService::kMaxHandshakes): who is
/// refused tries again until TcpService::kFlowTimeout, and whom nobody could tell finds out at its
/// own deadline.
class TcpBoards final : public BoardSource {
 public:
  static constexpr int kAskedMax = 64;

  TcpBoards(std::shared_ptr<TcpService> service, std::shared_ptr<AddressExchange> exchange,
            std::shared_ptr<BoardSource> memory)
      : service_(std::move(service)), exchange_(std::move(exchange)), memory_(std::move(memory)) {}

  /// Errors beside BoardSource's: those of MeetOverTcp.
  base::Result<std::unique_ptr<GroupBoard>> Open(const GroupSpec& spec,
                                                 const OpDeadline& deadline) override;
  base::Result<std::unique_ptr<GroupBoard>> OpenDerived(const GroupSpec& spec,
                                                        const OpDeadline& deadline) override;

 private:
  using Cards = std::vector<AddressCard>;

  std::optional<Cards> Known(const GroupSpec& spec);
  void Learn(const GroupSpec& spec, const Cards& cards);
  std::unique_ptr<GroupBoard> BoardOf(const GroupSpec& spec, Cards cards, bool all_came);

  const std::shared_ptr<TcpService> service_;
  const std::shared_ptr<AddressExchange> exchange_;
  const std::shared_ptr<BoardSource> memory_;
  std::mutex mutex_;
  // Guarded by mutex_:
  base::Round epoch_;
  std::map<base::Rank, AddressCard> known_;  // of this epoch
};

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_NCCL_TCP_BOARDS_H_
