// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_TESTING_GANG_H_
#define LOCKSTEP_COLLECTIVES_TESTING_GANG_H_

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "collectives/group.h"
#include "runtime/base/check.h"
#include "runtime/base/clock.h"
#include "runtime/base/result.h"

namespace lockstep::collectives::testing {

/// Ranks that a test may give something to do: threads of its process, or processes of which it is
/// one. Confined to the test's thread.
class Gang {
 public:
  virtual ~Gang() = default;

  /// `body` on every rank, with its member of a fresh group; returns when all are through. The
  /// ranks may be other processes that run the same test, so that a body speaks to the others by
  /// its group alone.
  virtual void Run(const std::function<void(Group&)>& body) = 0;

  /// Where the buffers of the ops of the calling rank lie.
  virtual Device device() const { return {}; }
  /// Memory there that this process reaches, too.
  virtual std::shared_ptr<std::byte> Allocate(size_t bytes) {
    return {new std::byte[bytes], std::default_delete<std::byte[]>()};
  }
};

/// A gang of threads of this process, each with its member of one group, that may also come one by
/// one. Confined to the test's thread, but for what says otherwise.
class MemberGang : public Gang {
 public:
  explicit MemberGang(int size) : size_(size) {}

  base::Duration timeout = std::chrono::seconds(60);  // of ops that name none
  base::Duration join_timeout = std::chrono::seconds(60);

  /// From that rank's thread: its member of the next group. Each member's attempts are counted, as
  /// a session counts them.
  virtual base::Result<std::unique_ptr<Group>> Join(int rank) = 0;
  /// The same by a rank that was told of one more, which never comes. It is no attempt at the
  /// others' group.
  virtual base::Result<std::unique_ptr<Group>> JoinOneTooLarge(int rank) = 0;

  /// `body` on every rank's thread, with its member; the members end when all bodies have (else a
  /// body that is done first would tell the others that it left).
  void Run(const std::function<void(Group&)>& body) override {
    std::vector<std::unique_ptr<Group>> members(static_cast<size_t>(size_));
    std::vector<std::thread> threads;
    for (int rank = 0; rank < size_; ++rank) {
      threads.emplace_back([this, rank, &members, &body] {
        auto group = Join(rank);
        LOCKSTEP_CHECK(group.ok(), group.status().ToString().c_str());
        members[static_cast<size_t>(rank)] = std::move(group).value();
        body(*members[static_cast<size_t>(rank)]);
      });
    }
    for (std::thread& thread : threads) thread.join();
  }

 protected:
  const int size_;
};

}  // namespace lockstep::collectives::testing

#endif  // LOCKSTEP_COLLECTIVES_TESTING_GANG_H_
