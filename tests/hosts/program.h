// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_TESTS_HOSTS_PROGRAM_H_
#define LOCKSTEP_TESTS_HOSTS_PROGRAM_H_

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"
#include "tests/e2e/command.h"

namespace lockstep::hosts {

struct ProgramOptions {
  std::map<std::string, std::string>
      environment;              // beside PATH and HOME=/root; nothing is inherited
  std::string directory = "/";  // as the host sees it
  std::string input;            // what it reads from stdin
  bool terminal = false;  // it has our stdin, stdout, stderr and session; else a session of its own
};

/// A program that was started in the namespaces of a host: a child of ours, with a pid of ours.
/// Its output goes to memory, so a full pipe never stops it (and nothing bounds it: send floods to
/// /dev/null). Killed, with its session's process group, by the destructor if it still runs. One
/// thread at a time.
class Program {
 public:
  /// Joins `namespaces` (CLONE_NEWNET | ...) of the process behind `pidfd` and starts it there.
  /// `arguments`[0] without a slash is looked up on the machine's PATH.
  /// Blocks: until the exec, at most 10 s.
  /// Errors: NotFound, PermissionDenied and others from exec, naming the program; Unavailable - the
  /// process behind `pidfd` is gone.
  static base::Result<std::unique_ptr<Program>> Start(int pidfd, int namespaces,
                                                      const std::vector<std::string>& arguments,
                                                      const ProgramOptions& options);
  ~Program();
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  pid_t pid() const { return pid_; }
  /// To the program alone; nothing when it has been waited for.
  void Signal(int signal) const;
  /// For its end; at the deadline it is killed and the status is -1. Again: the same outcome.
  e2e::Outcome Wait(std::chrono::milliseconds at_most);
  /// What it has printed so far.
  std::string out() const;
  std::string err() const;
  /// Waits until what was printed so far satisfies `seen`; false at the deadline.
  bool WaitForOutput(
      const std::function<bool(const std::string& out, const std::string& err)>& seen,
      std::chrono::milliseconds at_most) const;

 private:
  Program() = default;
  bool ReapWithin(std::chrono::milliseconds at_most);

  pid_t pid_ = -1;
  base::UniqueFd pidfd_;
  pid_t reaper_ = -1;  // its parent, our child, which ends with its status
  base::UniqueFd reaper_pidfd_;
  base::UniqueFd out_;  // memory files
  base::UniqueFd err_;
  std::chrono::steady_clock::time_point started_;
  bool own_session_ = true;
  bool reaped_ = false;
  e2e::Outcome outcome_;
};

}  // namespace lockstep::hosts

#endif  // LOCKSTEP_TESTS_HOSTS_PROGRAM_H_
