// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_ATTACH_SHARED_MEMORY_H_
#define LOCKSTEP_RUNTIME_ATTACH_SHARED_MEMORY_H_
/* Memory without a name that travels between processes as a descriptor. */

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A zeroed file of `bytes` in memory, close-on-exec; no name ever stays behind. By memfd_create;
 * where that answers ENOSYS or EPERM (old kernels, container filters) by an unlinked file in
 * /dev/shm, then TMPDIR, then /tmp, whose blocks are reserved at once so that a full file system is
 * an error here and not a SIGBUS later. Its size is fixed: that of a memfd by seals, so that nobody
 * who gets the descriptor can change it. Returns the descriptor, or -1 with errno. `label` shows in
 * /proc/PID/maps. Thread-safe. */
int lockstep_shared_memory_create(const char* label, size_t bytes);

#ifdef __cplusplus
}
#endif

#endif /* LOCKSTEP_RUNTIME_ATTACH_SHARED_MEMORY_H_ */
