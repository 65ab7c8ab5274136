// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "runtime/attach/agent_tracer.h"

#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <unistd.h>

enum { kGenerations = 32 };

/* 0 when /proc does not tell. */
static pid_t parent_of(pid_t pid) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
  FILE* const file = fopen(path, "re");
  if (file == NULL) return 0;
  char line[512];
  const size_t length = fread(line, 1, sizeof line - 1, file);
  fclose(file);
  line[length] = '\0';
  /* The name may hold anything. */
  const char* const name_end = strrchr(line, ')');
  int parent = 0;
  return name_end != NULL && sscanf(name_end + 1, " %*c %d", &parent) == 1 ? parent : 0;
}

void lockstep_name_agent_as_tracer(int socket) {
  struct ucred agent;
  socklen_t size = sizeof agent;
  if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &agent, &size) != 0 || agent.pid <= 0) return;
  pid_t above = getpid();
  for (int i = 0; i < kGenerations && above > 0 && above != agent.pid; ++i)
    above = parent_of(above);
  if (above == agent.pid) prctl(PR_SET_PTRACER, (unsigned long)agent.pid, 0, 0, 0);
}
