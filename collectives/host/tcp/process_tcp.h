// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_HOST_TCP_PROCESS_TCP_H_
#define LOCKSTEP_COLLECTIVES_HOST_TCP_PROCESS_TCP_H_

#include <sys/types.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <new>
#include <optional>
#include <thread>
#include <vector>

#include "collectives/host/tcp/local_tcp.h"
#include "collectives/testing/process_gang.h"

namespace lockstep::collectives::testing {

/// Where forked ranks leave their cards for each other: memory that they share. Holds a few groups
/// of a few members. Thread-safe.
class CardBoard {
 public:
  static constexpr size_t kMembersMax = 8;

  /// Before the ranks are forked; lives as long as the process.
  static CardBoard& New() { return *new (ProcessGang::SharedMemory(sizeof(CardBoard))) CardBoard; }

  std::vector<std::optional<AddressCard>> Exchange(const ExchangeRequest& request,
                                                   const AddressCard& mine,
                                                   const OpDeadline& deadline) {
    auto& places = groups_[numbers_.Of(request.group)];
    Place& own = places[static_cast<size_t>(request.member)];
    own.memory = mine.memory;
    own.port = mine.port;
    own.nonce = mine.nonce;
    own.pid = static_cast<pid_t>(mine.pid);
    own.come = 1;
    std::vector<std::optional<AddressCard>> cards;
    for (int other = 0; other < request.member_count; ++other) {
      const Place& place = places[static_cast<size_t>(other)];
      while (place.come.load() == 0 && deadline.Left().count() > 0) std::this_thread::yield();
      AddressCard card = mine;  // the same host
      card.memory = place.memory;
      card.port = place.port;
      card.nonce = place.nonce;
      card.pid = place.pid;
      cards.push_back(place.come.load() == 0 ? std::nullopt : std::optional(card));
    }
    return cards;
  }
  /// In the first group.
  pid_t pid(size_t member) const { return groups_[0][member].pid; }

 private:
  struct Place {
    std::atomic<int> come{0};
    int32_t memory;
    uint16_t port;
    std::array<uint8_t, 16> nonce;
    pid_t pid;
  };
  ProcessGang::GroupPlaces numbers_;
  std::array<std::array<Place, kMembersMax>, ProcessGang::GroupPlaces::kCount> groups_;
};

class BoardExchange final : public AddressExchange {
 public:
  explicit BoardExchange(CardBoard& board) : board_(board) {}
  base::Result<std::vector<std::optional<AddressCard>>> Exchange(
      const ExchangeRequest& request, const AddressCard& mine,
      const OpDeadline& deadline) override {
    return board_.Exchange(request, mine, deadline);
  }

 private:
  CardBoard& board_;
};

/// For the ranks of one ProcessGang.
inline ProcessGang::NewGroup OverTcp(CardBoard& board = CardBoard::New()) {
  return ProcessGang::Over(
      [&board](int) { return LocalTcpMaker(std::make_shared<BoardExchange>(board)); });
}

}  // namespace lockstep::collectives::testing

#endif  // LOCKSTEP_COLLECTIVES_HOST_TCP_PROCESS_TCP_H_
