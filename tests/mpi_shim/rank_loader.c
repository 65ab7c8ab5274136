// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
//
// A program without MPI, of which a plugin brings MPI along for itself, as extensions of Python do.
#include <dlfcn.h>
#include <stdio.h>

int main(int argc, char** argv) {
  void* const plugin = argc > 1 ? dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : NULL;
  int (*rank_main)(int, char**) = NULL;
  if (plugin != NULL) *(void**)&rank_main = dlsym(plugin, "main");
  if (rank_main == NULL) {
    fprintf(stderr, "rank_loader: %s\n", dlerror());
    return 2;
  }
  return rank_main(argc - 1, argv + 1);
}
