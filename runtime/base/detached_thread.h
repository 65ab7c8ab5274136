// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_BASE_DETACHED_THREAD_H_
#define LOCKSTEP_RUNTIME_BASE_DETACHED_THREAD_H_

#include <functional>

namespace lockstep::base {

/// Runs `body` on a thread of its own that nobody joins: for work that may hang where it cannot be
/// called back from, a file system or a name service. What `body` uses it owns, by a shared_ptr.
/// Signals are for other threads. `name`: at most 15 characters, of static storage. False: none
/// could be made (the user's processes are used up), and the next attempt may do. Any thread.
bool StartDetachedThread(const char* name, std::function<void()> body);

}  // namespace lockstep::base

#endif  // LOCKSTEP_RUNTIME_BASE_DETACHED_THREAD_H_
