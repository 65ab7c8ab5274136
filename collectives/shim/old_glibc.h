// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_SHIM_OLD_GLIBC_H_
#define LOCKSTEP_COLLECTIVES_SHIM_OLD_GLIBC_H_
/* The objects are preloaded into programs of older systems than the one they were built on. What
 * glibc 2.34 moved from libdl and libpthread into libc is asked for by the version that both have;
 * weakly, since an older program without these, which has no MPI and no NCCL, must start as well.
 * To be included instead of dlfcn.h, and where threads are made; with _GNU_SOURCE (BUILD). */

#include <dlfcn.h>
#include <pthread.h>

__asm__(".symver dlsym,dlsym@GLIBC_2.2.5");
__asm__(".symver dladdr,dladdr@GLIBC_2.2.5");
__asm__(".symver dlopen,dlopen@GLIBC_2.2.5");
__asm__(".symver pthread_create,pthread_create@GLIBC_2.2.5");
#pragma weak dlsym
#pragma weak dladdr
#pragma weak dlopen
#pragma weak pthread_create

#endif /* LOCKSTEP_COLLECTIVES_SHIM_OLD_GLIBC_H_ */
