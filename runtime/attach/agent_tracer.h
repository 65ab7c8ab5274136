// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_ATTACH_AGENT_TRACER_H_
#define LOCKSTEP_RUNTIME_ATTACH_AGENT_TRACER_H_

#ifdef __cplusplus
extern "C" {
#endif

/* Where Yama lets only ancestors trace, it lets whom one names, too, and what is below that: names
 * the agent at the other end of the unix socket, whose helpers read our stacks, also where a shell
 * has started us. Elsewhere that means nothing. An agent that is no ancestor is not named: that
 * would take away whom an MPI has named for its ranks' sake, which are not below that agent. Any
 * thread. */
void lockstep_name_agent_as_tracer(int socket);

#ifdef __cplusplus
}
#endif

#endif  // LOCKSTEP_RUNTIME_ATTACH_AGENT_TRACER_H_
