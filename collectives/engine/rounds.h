// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_ENGINE_ROUNDS_H_
#define LOCKSTEP_COLLECTIVES_ENGINE_ROUNDS_H_

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "collectives/engine/op_deadline.h"
#include "runtime/base/clock.h"
#include "runtime/base/ids.h"
#include "runtime/base/status.h"

namespace lockstep::collectives {

/// Which round of its job a process is in, and which ranks are members of it no more: what groups
/// of a job that keeps its survivors go by. One for a process, shared by its session, which brings
/// the news, and its groups.
///
///   Begin() ... Begin() --Close()--> no more news
///
/// Thread-safe.
class Rounds {
 public:
  struct Gone {
    base::Rank rank;
    std::string why;
  };
  /// Of all ranks that are gone; comes with each new round, on the thread that brings it.
  using OnRound = std::function<void(base::Round round, const std::vector<Gone>& gone)>;
  /// Has the job go on without a rank that may still live; the new round is the answer.
  using GiveUpRank =
      std::function<base::Status(base::Rank rank, const std::string& why, base::Duration at_most)>;

  /// Keeps a callback registered; once it is gone none runs. May not outlive the Rounds.
  class Subscription {
   public:
    Subscription() = default;
    Subscription(Rounds* rounds, uint64_t id) : rounds_(rounds), id_(id) {}
    ~Subscription();
    Subscription(const Subscription&) = delete;
    Subscription& operator=(const Subscription&) = delete;
    /// In a forked child, whose copy of the lock may be held for ever.
    void Abandon() { rounds_ = nullptr; }

   private:
    Rounds* rounds_ = nullptr;
    uint64_t id_ = 0;
  };

  Rounds(base::Round first, GiveUpRank give_up) : round_(first), give_up_(std::move(give_up)) {}

  base::Round current() const;
  std::vector<Gone> gone() const;
  /// nullopt: it is a member.
  std::optional<std::string> WhyGone(base::Rank rank) const;
  /// Of `ranks` those that are gone, in their order.
  std::vector<Gone> GoneOf(const std::vector<base::Rank>& ranks) const;

  /// Called now, if ranks are gone, and at each round that begins; must not call back.
  [[nodiscard]] std::unique_ptr<Subscription> Subscribe(OnRound on_round);
  /// Blocks: until a round later than `after` is in force, at most `deadline`. Errors:
  /// DeadlineExceeded; as Close was told.
  base::Status AwaitLaterThan(base::Round after, const OpDeadline& deadline);
  /// Blocks: until the agent has been told, at most `at_most`. Errors: of the way to the agent.
  base::Status GiveUp(base::Rank rank, const std::string& why, base::Duration at_most) {
    return give_up_(rank, why, at_most);
  }

  /// A later round replaces the one before; others are old news.
  void Begin(base::Round round, std::vector<Gone> gone);
  /// Nothing more will be heard.
  void Close(base::Status why);

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  // Guarded by mutex_:
  base::Round round_;
  std::vector<Gone> gone_;
  std::map<base::Rank, size_t> index_;  // into gone_
  std::map<uint64_t, OnRound> subscribers_;
  uint64_t next_id_ = 1;
  base::Status closed_;

  const GiveUpRank give_up_;
};

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_ENGINE_ROUNDS_H_
