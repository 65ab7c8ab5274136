// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_TESTING_GANG_H_
#define LOCKSTEP_COLLECTIVES_TESTING_GANG_H_

#include <cstddef>
#include <functional>
#include <memory>

#include "collectives/group.h"

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

  /// Where the buffers of its ops lie.
  virtual Device device() const { return {}; }
  /// Memory there that this process reaches, too.
  virtual std::shared_ptr<std::byte> Allocate(size_t bytes) {
    return {new std::byte[bytes], std::default_delete<std::byte[]>()};
  }
};

}  // namespace lockstep::collectives::testing

#endif  // LOCKSTEP_COLLECTIVES_TESTING_GANG_H_
