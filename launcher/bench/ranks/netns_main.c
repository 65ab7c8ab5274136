// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// Puts what `lockstep bench --netns NAMES` starts into the network namespaces of those names:
//
//   lockstep-bench-netns --rank NAMES PROGRAM ARGUMENTS...   the one whose place in NAMES is $RANK
//   lockstep-bench-netns --first NAMES PROGRAM ARGUMENTS...  the first one
//   lockstep-bench-netns NAME COMMAND...                     as ssh would: a line for the shell
//
// The third form is what mpirun calls for a node. A namespace is also given a hostname of its own,
// by which Open MPI tells nodes apart.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int fail(const char* what, const char* name) {
  fprintf(stderr, "lockstep-bench-netns: %s %s: %s\n", what, name, strerror(errno));
  return 71;
}

/* Returns an exit status; 0 = this process is in it. */
static int enter(const char* name) {
  char path[256];
  snprintf(path, sizeof path, "/run/netns/%s", name);
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return fail("open network namespace", path);
  if (setns(fd, CLONE_NEWNET) != 0) return fail("enter network namespace", path);
  close(fd);
  if (unshare(CLONE_NEWUTS) != 0) return fail("make a hostname of its own for", name);
  if (sethostname(name, strlen(name)) != 0) return fail("set the hostname", name);
  return 0;
}

/* The one at `place` of "a,b,c", in `names` itself; null when there are fewer. */
static const char* name_at(char* names, long place) {
  char* rest = NULL;
  for (char* name = strtok_r(names, ",", &rest); name != NULL; name = strtok_r(NULL, ",", &rest)) {
    if (place-- == 0) return name;
  }
  return NULL;
}

static int join_words(char** words, char* line, size_t capacity) {
  size_t used = 0;
  line[0] = 0;
  for (; *words != NULL; ++words) {
    const size_t length = strlen(*words);
    if (used + length + 2 > capacity) return -1;
    if (used > 0) line[used++] = ' ';
    memcpy(line + used, *words, length + 1);
    used += length;
  }
  return 0;
}

static int run_line(char** words) {
  static char line[1 << 17];
  if (join_words(words, line, sizeof line) != 0) {
    errno = E2BIG;
    return fail("run", words[0]);
  }
  execl("/bin/sh", "sh", "-c", line, (char*)NULL);  // tidy:allow process: becomes it, as ssh does
  return fail("run", "/bin/sh");
}

int main(int argc, char** argv) {
  if (argc < 3) {
    fprintf(stderr, "usage: lockstep-bench-netns NAME COMMAND...; lockstep bench starts it\n");
    return 64;
  }
  const int by_rank = strcmp(argv[1], "--rank") == 0;
  if (!by_rank && strcmp(argv[1], "--first") != 0) {
    const int status = enter(argv[1]);
    return status != 0 ? status : run_line(argv + 2);
  }
  const char* const rank = by_rank ? getenv("RANK") : "0";
  const char* const name = name_at(argv[2], rank != NULL ? strtol(rank, NULL, 10) : 0);
  if (name == NULL || argc < 4) {
    fprintf(stderr, "lockstep-bench-netns: no namespace for rank %s\n", rank != NULL ? rank : "?");
    return 64;
  }
  const int status = enter(name);
  if (status != 0) return status;
  execvp(argv[3], argv + 3);  // tidy:allow process: becomes what it is told, as env does
  return fail("run", argv[3]);
}
