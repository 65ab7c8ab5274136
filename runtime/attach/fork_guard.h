// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_ATTACH_FORK_GUARD_H_
#define LOCKSTEP_RUNTIME_ATTACH_FORK_GUARD_H_
/* Tells the process that made something from a forked child of it, in one load: a page that the
 * kernel wipes in children (MADV_WIPEONFORK, Linux 4.14). Where that is refused, by getpid(). Ranks
 * fork data loaders, and those must not write their parent's ring, socket or groups. */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct lockstep_fork_guard {
  const volatile unsigned char* page; /* NULL: compare pids instead */
  pid_t owner;
};

void lockstep_fork_guard_init(struct lockstep_fork_guard* guard);
void lockstep_fork_guard_free(struct lockstep_fork_guard* guard);
/* Slow path of the next. */
bool lockstep_fork_guard_pid_matches(const struct lockstep_fork_guard* guard);

static inline bool lockstep_fork_guard_is_owner(const struct lockstep_fork_guard* guard) {
  return guard->page ? *guard->page == 1 : lockstep_fork_guard_pid_matches(guard);
}

#ifdef __cplusplus
}
#endif

#endif /* LOCKSTEP_RUNTIME_ATTACH_FORK_GUARD_H_ */
