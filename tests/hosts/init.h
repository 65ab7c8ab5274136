// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_TESTS_HOSTS_INIT_H_
#define LOCKSTEP_TESTS_HOSTS_INIT_H_

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"

namespace lockstep::hosts {

/// A folder of the machine that stays where it is although a fresh file system hides its parent.
struct KeptFolder {
  std::string path;  // absolute, without symbolic links
  bool writable = false;
};

struct FreshFolder {
  std::string path;
  std::string options;  // of its tmpfs: "mode=1777"
};

/// What pid 1 of a set of new namespaces makes of its view of the machine before it waits for its
/// end. All strings are made beforehand: between clone and exec only system calls are safe.
struct InitPlan {
  std::string hostname;
  std::vector<FreshFolder> fresh;  // an empty tmpfs each
  std::vector<KeptFolder> kept;
  bool read_only = false;            // everything that is neither fresh nor kept writable
  std::vector<std::string> folders;  // made after that, parents first
  std::string hosts_file;            // put on /etc/hosts; "" = the machine's stays
  std::vector<std::string> daemon;   // started by pid 1, never restarted; empty = none
  base::UniqueFd life;               // when valid: pid 1 ends when its other end is closed
};

/// Pid 1 of a pid namespace; whoever kills it kills all that is in there.
struct Init {
  pid_t pid = -1;  // in our pid namespace
  base::UniqueFd pidfd;
};

/// Makes new mount, network, pid, uts and ipc namespaces with a pid 1 in them, as a child of ours
/// or, with `outer` (a pidfd), inside the namespaces of that process and as its child.
/// Blocks: milliseconds, at most 10 s.
/// Errors: FailedPrecondition - this machine, container or user forbids namespaces or a mount in
/// them (named); DeadlineExceeded.
base::Result<Init> StartInit(const InitPlan& plan, std::optional<int> outer);

}  // namespace lockstep::hosts

#endif  // LOCKSTEP_TESTS_HOSTS_INIT_H_
