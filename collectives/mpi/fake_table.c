// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// Objects that mpi_library_test must refuse; what is wrong with each, its BUILD target defines.
#include "collectives/mpi/lockstep_mpi.h"

#include <stdio.h>

#if defined(FAKE_NEEDS_MISSING)
int MPI_Not_installed(void);
int FakeNeeds(void) { return MPI_Not_installed(); }
#endif

#if !defined(FAKE_NO_ENTRY)
static void Version(char* text, size_t bytes) { snprintf(text, bytes, "MPICH Version: 4.0.2"); }

const struct lockstep_mpi_api* lockstep_mpi_get_api(void) {
  static const struct lockstep_mpi_api api = {
      .version = FAKE_VERSION,
      .family = "Open MPI",
      .built_against = "Open MPI 4.1.4",
      .soname = "libmpi.so.40",
      .version_text = &Version,
  };
  return &api;
}
#endif
