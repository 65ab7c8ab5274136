// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_MPI_SHIM_OLD_GLIBC_H_
#define LOCKSTEP_COLLECTIVES_MPI_SHIM_OLD_GLIBC_H_
/* The object is preloaded into programs of older systems than the one it was built on. What glibc
 * 2.34 moved from libdl into libc is asked for by the version that both have; weakly, since an
 * older program without libdl, which has no MPI, must start as well. To be included instead of
 * dlfcn.h, with _GNU_SOURCE (BUILD). */

#include <dlfcn.h>

__asm__(".symver dlsym,dlsym@GLIBC_2.2.5");
__asm__(".symver dladdr,dladdr@GLIBC_2.2.5");
__asm__(".symver dlopen,dlopen@GLIBC_2.2.5");
#pragma weak dlsym
#pragma weak dladdr
#pragma weak dlopen

#endif /* LOCKSTEP_COLLECTIVES_MPI_SHIM_OLD_GLIBC_H_ */
