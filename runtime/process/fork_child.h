// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_PROCESS_FORK_CHILD_H_
#define LOCKSTEP_RUNTIME_PROCESS_FORK_CHILD_H_

#include <sys/types.h>

#include <functional>

#include "runtime/base/result.h"

namespace lockstep::process {

/// Forks a child that runs `body` in this very program, without exec, and ends with the status it
/// returns, by _exit(): no static destructor runs twice and no stdio buffer is written twice, so
/// `body` flushes what it prints. This is how the front makes the agent; ranks come from Processes.
/// The child inherits everything: descriptors, dispositions, mask.
///
/// The caller must have one thread (checked): others would be missing in the child, with whatever
/// locks they held. Returns its pid, to be waited for. Errors: ResourceExhausted - process limit.
base::Result<pid_t> ForkChild(const std::function<int()>& body);

/// Forks a process that runs `body` and has nothing more to do with this one or with who waits for
/// us: it has its own session, no living parent of its own making (it becomes a child of init, or
/// of the nearest subreaper), no inherited descriptor but `kept`, /dev/null as its standard
/// streams, "/" as working directory, and every core that it may have (a launcher may have bound us
/// to one). Dispositions, mask, limits and environment are inherited. As ForkChild otherwise.
/// Blocks: until it has been forked, below a millisecond. Errors: ResourceExhausted - process
/// limit; errno's code - /dev/null cannot be opened.
base::Status ForkDaemon(int kept, const std::function<int()>& body);

/// Closes every descriptor above standard error but `kept`: for a process that goes into the
/// background, so that nobody waits for the end of a pipe or a lock that it does not know of.
void CloseInheritedDescriptors(int kept);

}  // namespace lockstep::process

#endif  // LOCKSTEP_RUNTIME_PROCESS_FORK_CHILD_H_
