// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_NET_RESOLVER_H_
#define LOCKSTEP_RUNTIME_NET_RESOLVER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "runtime/base/result.h"
#include "runtime/base/sequence.h"
#include "runtime/event/loop.h"
#include "runtime/net/endpoint.h"
#include "runtime/net/tcp_socket.h"

namespace lockstep::net {

/// Asks the name service from a thread of its own ("lockstep-dns", made for the first question),
/// since getaddrinfo() blocks and cannot be told to stop. One question after the other. One per
/// network, owned by it. Confined to the loop's thread.
///
/// Deadlines are the caller's: who no longer waits drops his Question. A question that hangs in the
/// name service holds up the others, and outlives this object without touching anything of it.
class Resolver {
 public:
  using Answer = std::function<void(base::Result<std::vector<SocketAddress>>)>;
  /// Destroying it takes the question back: after that the answer never runs.
  using Question = std::shared_ptr<const Answer>;
  using LookUp = std::function<base::Result<std::vector<SocketAddress>>(const Endpoint&)>;

  /// `look_up` runs on the thread: LookUpAddresses, or what a test puts in its place.
  explicit Resolver(event::Loop& loop, LookUp look_up = LookUpAddresses);
  ~Resolver();
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  /// Never answers inside the call. Errors: as LookUpAddresses; ResourceExhausted - no thread could
  /// be made, or too many questions wait.
  [[nodiscard]] Question Ask(const Endpoint& endpoint, Answer answer);

 private:
  struct Shared;

  bool EnsureThread();

  event::Loop& loop_;
  base::Sequence seq_;
  const std::shared_ptr<Shared> shared_;  // with the thread, which may have to be left behind
  bool has_thread_ = false;
};

}  // namespace lockstep::net

#endif  // LOCKSTEP_RUNTIME_NET_RESOLVER_H_
