// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_TESTS_NCCL_SHIM_SCRIPTED_NCCL_H_
#define LOCKSTEP_TESTS_NCCL_SHIM_SCRIPTED_NCCL_H_
/* An NCCL and a CUDA driver that do what ending_rank.c tells them, for worlds of one rank whose
 * streams never pass an op. The handle of a communicator that has gone is the next one's. */

/* What they return: an op, and a question for a communicator's size. Written between calls. */
extern int scripted_op_code, scripted_count_code;
/* Called in the functions which may stand for long, in their thread; NULL: nothing is. */
extern void (*scripted_within)(const char* function);

/* Events that are. Any thread. */
int scripted_events(void);
/* From now on the driver says of all events that their stream is broken. Any thread. */
void scripted_break_streams(void);

int ncclCommCount(void* comm, int* count);
int ncclCommUserRank(void* comm, int* rank);

#endif /* LOCKSTEP_TESTS_NCCL_SHIM_SCRIPTED_NCCL_H_ */
