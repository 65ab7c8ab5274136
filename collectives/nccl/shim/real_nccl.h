// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_NCCL_SHIM_REAL_NCCL_H_
#define LOCKSTEP_COLLECTIVES_NCCL_SHIM_REAL_NCCL_H_
/* The NCCL that the program has loaded, and its C interface in our own words: one since 2.14, of
 * which newer versions have more functions. No header of it is seen here. */

#include <stddef.h>
#include <stdint.h>

typedef struct ncclComm* shim_nccl_comm;
typedef void* shim_stream;
struct shim_unique_id {
  char bytes[128];
};

/* ncclResult_t. */
enum { SHIM_NCCL_OK = 0, SHIM_NCCL_INVALID_USAGE = 5, SHIM_NCCL_IN_PROGRESS = 7 };
enum { SHIM_NCCL_NO_COLOR = -1 };

/* The function of that name which comes after this object: in the program's own libraries or, where
 * a plugin has brought NCCL along for itself alone (Python's), in what the object of `caller`
 * needs. NULL: there is none, as of a function that is younger than the library. Any thread. */
void* shim_find(const char* name, const void* caller);
/* The loaded object which `address` is in, as a handle of dlopen that is never closed. */
void* shim_library_of(const void* address);

/* An enum shim_dtype. */
uint8_t shim_dtype_of(int type);
/* An enum shim_reduction. */
uint8_t shim_reduction_of(int op);

#endif /* LOCKSTEP_COLLECTIVES_NCCL_SHIM_REAL_NCCL_H_ */
