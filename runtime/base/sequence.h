// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_BASE_SEQUENCE_H_
#define LOCKSTEP_RUNTIME_BASE_SEQUENCE_H_

#include <atomic>
#include <thread>

#include "runtime/base/check.h"
#include "runtime/base/thread_annotations.h"

namespace lockstep::base {

/// The one thread that may touch an object: in place of a mutex for classes that live on a loop.
/// The first call of AssertHeld() binds it; members say GUARDED_BY(seq_) and public methods begin
/// with seq_.AssertHeld().
class CAPABILITY("sequence") Sequence {
 public:
  Sequence() = default;
  Sequence(const Sequence&) = delete;
  Sequence& operator=(const Sequence&) = delete;

  void AssertHeld() const ASSERT_CAPABILITY(this) {
    LOCKSTEP_CHECK(BindOrCompare(), "called from a foreign thread");
  }
  bool Held() const { return BindOrCompare(); }
  /// Lets the next caller bind again, when an object is built on one thread and then handed to its
  /// own.
  void Detach() { owner_.store(std::thread::id()); }

 private:
  bool BindOrCompare() const {
    std::thread::id unbound;
    const std::thread::id self = std::this_thread::get_id();
    return owner_.compare_exchange_strong(unbound, self) || unbound == self;
  }

  mutable std::atomic<std::thread::id> owner_{};
};

}  // namespace lockstep::base

#endif  // LOCKSTEP_RUNTIME_BASE_SEQUENCE_H_
