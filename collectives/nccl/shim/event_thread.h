// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_NCCL_SHIM_EVENT_THREAD_H_
#define LOCKSTEP_COLLECTIVES_NCCL_SHIM_EVENT_THREAD_H_

#include <stdbool.h>

/* The thread of the shim's that asks for events (decisions/0014). Made by the first call; false: it
 * cannot be made. Any thread, cheap afterwards. */
bool shim_ask_in_background(void);

#endif /* LOCKSTEP_COLLECTIVES_NCCL_SHIM_EVENT_THREAD_H_ */
