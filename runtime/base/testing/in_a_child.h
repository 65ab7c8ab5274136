// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_BASE_TESTING_IN_A_CHILD_H_
#define LOCKSTEP_RUNTIME_BASE_TESTING_IN_A_CHILD_H_

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <string>

namespace lockstep::base::testing {

/// Runs `body` in a process of its own, which may refuse itself things. Returns what `body` does.
/// Call it while this process has one thread.
inline std::string InAChild(const std::function<std::string()>& body) {
  int report[2];
  if (::pipe(report) != 0) return "pipe";
  const pid_t child = ::fork();
  if (child == 0) {
    const std::string text = body();
    ::_exit(::write(report[1], text.data(), text.size()) < 0 ? 1 : 0);
  }
  ::close(report[1]);
  char bytes[1024];
  const ssize_t size = ::read(report[0], bytes, sizeof(bytes));
  ::close(report[0]);
  int status = -1;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  return std::string(bytes, size > 0 ? static_cast<size_t>(size) : 0);
}

}  // namespace lockstep::base::testing

#endif  // LOCKSTEP_RUNTIME_BASE_TESTING_IN_A_CHILD_H_
