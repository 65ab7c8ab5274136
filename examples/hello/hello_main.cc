// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
//
// The smallest rank: it needs nothing but the environment.
//   lockstep run -np 4 bazel-bin/examples/hello/hello
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

int main() {
  const char* rank = getenv("RANK");
  const char* world_size = getenv("WORLD_SIZE");
  char host[256] = "?";
  gethostname(host, sizeof(host) - 1);
  printf("hello from rank %s of %s on %s, pid %d\n", rank != nullptr ? rank : "0",
         world_size != nullptr ? world_size : "1", host, static_cast<int>(getpid()));
}
