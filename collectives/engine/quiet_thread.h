// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_ENGINE_QUIET_THREAD_H_
#define LOCKSTEP_COLLECTIVES_ENGINE_QUIET_THREAD_H_

#include <pthread.h>
#include <signal.h>

#include <thread>
#include <utility>

namespace lockstep::collectives {

/// A thread of ours in a foreign program: with all signals blocked, since they are the program's
/// and meant for its own threads. `name`: at most 15 characters, of static storage. Any thread
/// calls it.
template <class Body>
std::thread StartQuietThread(const char* name, Body body) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  std::thread thread([name, body = std::move(body)]() mutable {
    pthread_setname_np(pthread_self(), name);
    body();
  });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return thread;
}

/// Waits for its end; when it calls this itself, it is left to end alone: the last owner of what it
/// works for may be a callback on it.
inline void JoinUnlessSelf(std::thread thread) {
  if (thread.get_id() == std::this_thread::get_id()) {
    thread.detach();
  } else if (thread.joinable()) {
    thread.join();
  }
}

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_ENGINE_QUIET_THREAD_H_
