// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/attach/fork_guard.h"

#include <sys/mman.h>
#include <unistd.h>

void lockstep_fork_guard_init(struct lockstep_fork_guard* guard) {
  guard->page = NULL;
  guard->owner = getpid();
  const size_t bytes = (size_t)sysconf(_SC_PAGESIZE);
  unsigned char* page =
      mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) return;
  if (madvise(page, bytes, MADV_WIPEONFORK) != 0) {
    munmap(page, bytes);
    return;
  }
  *page = 1;
  guard->page = page;
}

void lockstep_fork_guard_free(struct lockstep_fork_guard* guard) {
  if (guard->page != NULL) munmap((void*)guard->page, (size_t)sysconf(_SC_PAGESIZE));
  guard->page = NULL;
}

bool lockstep_fork_guard_pid_matches(const struct lockstep_fork_guard* guard) {
  return getpid() == guard->owner;
}
