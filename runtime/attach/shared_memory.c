// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "runtime/attach/shared_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static int close_with_error(int fd, int error) {
  close(fd);
  errno = error;
  return -1;
}

static int open_unlinked_in(const char* folder) {
  const int fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC | O_EXCL, 0600);
  if (fd >= 0) return fd;
  char path[512];
  const int length = snprintf(path, sizeof path, "%s/lockstep-XXXXXX", folder);
  if (length < 0 || (size_t)length >= sizeof path) {
    errno = ENAMETOOLONG;
    return -1;
  }
  const int named = mkostemp(path, O_CLOEXEC);
  if (named >= 0) unlink(path);
  return named;
}

static int create_in_file_system(size_t bytes) {
  const char* const folders[] = {"/dev/shm", getenv("TMPDIR"), "/tmp"};
  int error = ENOENT;
  for (size_t i = 0; i < sizeof folders / sizeof folders[0]; ++i) {
    if (folders[i] == NULL) continue;
    const int fd = open_unlinked_in(folders[i]);
    if (fd < 0) {
      error = errno;
      continue;
    }
    error = posix_fallocate(fd, 0, (off_t)bytes);
    if (error == 0) return fd;
    close(fd);
  }
  errno = error;
  return -1;
}

int lockstep_shared_memory_create(const char* label, size_t bytes) {
  const int fd = memfd_create(label, MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (fd < 0) {
    if (errno != ENOSYS && errno != EPERM && errno != EACCES) return -1;
    return create_in_file_system(bytes);
  }
  if (ftruncate(fd, (off_t)bytes) != 0) return close_with_error(fd, errno);
  /* Nobody who gets it can take it from below the others' mappings. Where a filter refuses, all
   * goes on without. */
  (void)fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
  return fd;
}
