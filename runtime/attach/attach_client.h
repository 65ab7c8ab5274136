// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_ATTACH_ATTACH_CLIENT_H_
#define LOCKSTEP_RUNTIME_ATTACH_ATTACH_CLIENT_H_
/* A rank process's end of the attach protocol (attach_wire.h): the one way in for the session, the
 * host backend and the shims for foreign programs. Plain C: it can live in a preloaded library
 * beside any program.
 *
 * One client a process, usually; several are fine. Thread-safe: one mutex, held by
 * lockstep_attach_get_segment for the time of a question to the agent; the non-blocking calls give
 * up rather than wait for it. No signals (MSG_NOSIGNAL), descriptors are close-on-exec. A forked
 * child inherits a client that refuses everything: its calls return FORKED and touch neither socket
 * nor mutex. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/attach/attach_wire.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lockstep_attach lockstep_attach;

enum lockstep_attach_result {
  LOCKSTEP_ATTACH_OK = 0,
  /* The agent does not keep up, or another thread is asking it: nothing was sent. */
  LOCKSTEP_ATTACH_BUSY = 1,
  LOCKSTEP_ATTACH_TIMEOUT = 2,  /* no answer within the given time */
  LOCKSTEP_ATTACH_CLOSED = 3,   /* the agent is gone */
  LOCKSTEP_ATTACH_REJECTED = 4, /* the agent said no: error.status is a canonical code */
  LOCKSTEP_ATTACH_PROTOCOL = 5, /* what came is not this protocol, or another version of it */
  LOCKSTEP_ATTACH_SYSTEM = 6,   /* error.system_error is an errno */
  LOCKSTEP_ATTACH_FORKED = 7,   /* called in a forked child */
  LOCKSTEP_ATTACH_USAGE = 8     /* a malformed cookie or an over-long path */
};

/* Filled in when a call does not return OK. */
struct lockstep_attach_error {
  int system_error; /* errno, or 0 */
  uint32_t status;  /* canonical code of the agent's answer, or 0 */
  char text[600];
};

struct lockstep_attach_notices {
  bool stop;
  uint64_t stop_grace_ms;
  uint64_t checkpoint_number; /* of the latest request; 0 = none yet */
};

/* Connects to the socket at `path`, says hello with the cookie (64 hexadecimal digits) and waits
 * for the world, all within `timeout_ms`. On OK *client is to be closed, *world is filled in and
 * *ring_fd is the recorder ring's descriptor, the caller's to close. */
int lockstep_attach_open(const char* path, const char* cookie, uint32_t timeout_ms,
                         lockstep_attach** client, struct lockstep_attach_world* world,
                         int* ring_fd, struct lockstep_attach_error* error);

/* Closes and frees. NULL is fine. In a forked child: closes the child's descriptor alone. */
void lockstep_attach_close(lockstep_attach* client);

/* Asks for the memory that the members of a group share; *fd is the caller's to close. Waits for
 * the agent's answer at most `timeout_ms` (after another thread's question, if there is one), never
 * for other members. The caller fills in group_id, bytes, epoch, member_count, member_index. */
int lockstep_attach_get_segment(lockstep_attach* client,
                                const struct lockstep_attach_segment_request* request,
                                uint32_t timeout_ms, int* fd, struct lockstep_attach_error* error);

/* What this rank needs to know to be reached from other machines. Waits for the agent's answer at
 * most `timeout_ms`. The caller wipes *network: it has a key. */
int lockstep_attach_get_network(lockstep_attach* client, uint32_t timeout_ms,
                                struct lockstep_attach_network* network,
                                struct lockstep_attach_error* error);

/* Tells the members of a group, on all machines, how this one is reached. The caller fills in all
 * but the header. One card at a time a client: until its cards have come. Closing takes it back. */
int lockstep_attach_send_card(lockstep_attach* client, const struct lockstep_attach_card* card,
                              uint32_t timeout_ms, struct lockstep_attach_error* error);

/* Waits for the cards of all members; TIMEOUT: not yet, call again. On OK *fd is a file of
 * *table_bytes, the caller's to close. Holds the client's mutex for that time. */
int lockstep_attach_await_cards(lockstep_attach* client, uint32_t timeout_ms, uint64_t* table_bytes,
                                int* fd, struct lockstep_attach_error* error);

/* Makes the cards come at once, with empty ones of those who are not there. */
int lockstep_attach_give_up_card(lockstep_attach* client, uint32_t timeout_ms,
                                 struct lockstep_attach_error* error);

/* From now on this client is told of rounds: for a client that is used for nothing else. */
int lockstep_attach_follow_rounds(lockstep_attach* client, uint32_t timeout_ms,
                                  struct lockstep_attach_error* error);

/* Waits for the next ROUND; TIMEOUT: none came, call again. On OK *fd is a file of
 * round->gone_count structs lockstep_attach_gone, the caller's to close. Holds the client's mutex
 * for that time. */
int lockstep_attach_await_round(lockstep_attach* client, uint32_t timeout_ms,
                                struct lockstep_attach_round* round, int* fd,
                                struct lockstep_attach_error* error);

/* Asks that the others go on without `rank`. `why` is cut to what fits. Does not wait for what
 * comes of it. */
int lockstep_attach_give_up_rank(lockstep_attach* client, int32_t rank, const char* why,
                                 uint32_t timeout_ms, struct lockstep_attach_error* error);

/* Ends the connection, so that a call that waits on another thread returns CLOSED. Never blocks. */
void lockstep_attach_interrupt(lockstep_attach* client);

/* Says that `step` is complete. Never blocks. OK, BUSY, CLOSED or FORKED. */
int lockstep_attach_send_progress(lockstep_attach* client, int64_t step);

/* Takes in what the agent has said and tells where things stand. Never blocks. About 300 ns when
 * nothing came. OK; BUSY - another thread is asking the agent, and *notices is untouched;
 * FORKED. */
int lockstep_attach_poll(lockstep_attach* client, struct lockstep_attach_notices* notices);

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* LOCKSTEP_RUNTIME_ATTACH_ATTACH_CLIENT_H_ */
