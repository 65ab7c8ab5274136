// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_RANK_GRACEFUL_STOP_H_
#define LOCKSTEP_RUNTIME_RANK_GRACEFUL_STOP_H_

#include <memory>
#include <thread>

#include "runtime/base/unique_fd.h"
#include "runtime/rank/session.h"

namespace lockstep::rank {

/// Gives a rank that watches Session::stop_requested() the time to save and return from main.
/// Without it the SIGTERM that comes with every stop ends the process at once. With it, as long as
/// it lives, SIGTERM ends the process only if no stop was requested: when another rank failed, and
/// there is nothing to save. What never comes to its next stop_requested() is killed after the
/// grace. A forked child (a data loader) keeps what SIGTERM did before. When it is gone, so does
/// the rank, unless a stop was requested whose SIGTERM is still to come: that one is ignored.
///
/// At most one in a process; borrows the session. Made and destroyed on one thread; has one of its
/// own.
///
///   ASSIGN_OR_RETURN(auto session, Session::Create());
///   const GracefulStop graceful_stop(*session);
class GracefulStop {
 public:
  explicit GracefulStop(const Session& session);
  ~GracefulStop();
  GracefulStop(const GracefulStop&) = delete;
  GracefulStop& operator=(const GracefulStop&) = delete;

 private:
  void Watch();

  const Session& session_;
  bool signalled_ = false;  // the watcher's, until it was joined
  base::UniqueFd wake_;     // counts signals; kEnd ends the watcher
  std::unique_ptr<std::thread> watcher_;
};

}  // namespace lockstep::rank

#endif  // LOCKSTEP_RUNTIME_RANK_GRACEFUL_STOP_H_
