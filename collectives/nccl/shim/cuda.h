// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_NCCL_SHIM_CUDA_H_
#define LOCKSTEP_COLLECTIVES_NCCL_SHIM_CUDA_H_
/* What is asked of CUDA's driver, which is loaded wherever NCCL works: events. They go on the
 * program's streams from the thread that calls NCCL, and are asked for by the shim's thread.
 * Nothing here waits for a GPU. */

#include <stdbool.h>

#include "collectives/nccl/shim/real_nccl.h"

typedef struct CUevent_st* shim_event;
typedef struct CUctx_st* shim_context;

/* Looks for the driver, or what is beside `near`, a function of NCCL. False: there is none, and all
 * else here must not be called. Once. */
bool shim_find_cuda(const void* near);

/* The context of a stream; NULL: it cannot be told, or the stream records a graph, whose ops run
 * later than they are called. */
shim_context shim_context_of(shim_stream stream);
/* NULL: it cannot be had. The thread's current context stays as it is. */
shim_event shim_new_event(shim_context context);
void shim_free_event(shim_event event);
bool shim_record_event(shim_event event, shim_stream stream);

/* For a thread of our own alone, before it asks for events of `context`. */
void shim_enter_context(shim_context context);
/* For it, once: what it asks for does not end a graph's recording in another thread. */
void shim_keep_out_of_graphs(void);
enum shim_passed { SHIM_NOT_PASSED, SHIM_PASSED, SHIM_BROKEN };
enum shim_passed shim_ask_event(shim_event event);

#endif /* LOCKSTEP_COLLECTIVES_NCCL_SHIM_CUDA_H_ */
