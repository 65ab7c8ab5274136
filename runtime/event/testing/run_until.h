// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_EVENT_TESTING_RUN_UNTIL_H_
#define LOCKSTEP_RUNTIME_EVENT_TESTING_RUN_UNTIL_H_

#include <chrono>
#include <functional>

#include "runtime/event/loop.h"

namespace lockstep::event::testing {

/// Runs any loop until `done` holds or `timeout` has passed, and tells whether it holds. Asks once
/// a millisecond; a test that knows the callback it waits for calls Quit() there instead.
inline bool RunUntil(Loop& loop, const std::function<bool()>& done, base::Duration timeout) {
  const base::SteadyTime limit = loop.Now() + timeout;
  Registration again;
  std::function<void()> ask = [&] {
    if (done() || loop.Now() >= limit) {
      loop.Quit();
    } else {
      again = loop.After(std::chrono::milliseconds(1), ask);
    }
  };
  loop.Post(ask);
  loop.Run();
  return done();
}

}  // namespace lockstep::event::testing

#endif  // LOCKSTEP_RUNTIME_EVENT_TESTING_RUN_UNTIL_H_
