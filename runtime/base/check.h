// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_BASE_CHECK_H_
#define LOCKSTEP_RUNTIME_BASE_CHECK_H_

namespace lockstep::base {

/// Prints the broken promise with its place and aborts. Async-signal-safe; callable from any
/// thread.
[[noreturn]] void CheckFailed(const char* file, int line, const char* expression, const char* why);

}  // namespace lockstep::base

/// A promise the programmer made. Unlike glog's CHECK it may stand in headers and in files that
/// include LibTorch, whose own CHECK would collide. A condition that the environment can break is a
/// Status instead.
#define LOCKSTEP_CHECK(condition, why)               \
  (__builtin_expect(static_cast<bool>(condition), 1) \
       ? static_cast<void>(0)                        \
       : ::lockstep::base::CheckFailed(__FILE__, __LINE__, #condition, why))

#endif  // LOCKSTEP_RUNTIME_BASE_CHECK_H_
