// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_RECORDER_RING_WRITER_H_
#define LOCKSTEP_COLLECTIVES_RECORDER_RING_WRITER_H_
/* How a rank's process writes its recorder ring: one record per op, updated as the op proceeds, and
 * a seat per group. In C, for what is preloaded into programs; C++ has Recorder over it. All but
 * open and close are thread-safe and never block; a call costs some 10 ns. A forked child's calls
 * do nothing: the mapping is not inherited, and a guard page tells child from parent. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "collectives/recorder/record.h"
#include "runtime/attach/fork_guard.h"

#ifdef __cplusplus
extern "C" {
#endif

struct lockstep_ring {
  void* memory;
  size_t bytes;
  uint32_t slot_count; /* as found valid; the header is in others' reach */
  struct lockstep_fork_guard guard;
};

enum lockstep_ring_status {
  LOCKSTEP_RING_OK = 0,
  LOCKSTEP_RING_ERRNO, /* errno says it */
  LOCKSTEP_RING_DAMAGED,
  LOCKSTEP_RING_OTHER_VERSION
};

/* Maps the ring in `fd` (which may be closed afterwards) and signs it with this process's identity,
 * unless another process that still lives has: a helper that inherited the rank's cookie is not the
 * rank. Of what is not OK `why` gets a text without a full stop. */
enum lockstep_ring_status lockstep_ring_open(int fd, struct lockstep_ring* ring, char* why,
                                             size_t why_bytes);
void lockstep_ring_close(struct lockstep_ring* ring);

/* What is known of an op when it is called. Texts are copied; call_file has static storage. */
struct lockstep_ring_call {
  uint64_t group_id;
  uint64_t seq;
  uint64_t fingerprint;
  uint32_t epoch;
  uint8_t op;
  uint8_t dtype;
  uint8_t reduction;
  int32_t root_or_peer; /* -1 = none */
  uint32_t group_size;
  uint64_t count_in;
  uint64_t count_out;
  uint64_t enqueued_ns;
  uint64_t timeout_ns;
  const char* call_file;
  uint32_t call_line;
  const char* tag;
};

/* A begun record. Not valid where there is none: updates of it do nothing. */
struct lockstep_ring_ticket {
  uint64_t index;
  bool valid;
};

struct lockstep_ring_ticket lockstep_ring_begin(const struct lockstep_ring* ring,
                                                const struct lockstep_ring_call* call);
void lockstep_ring_started(const struct lockstep_ring* ring, struct lockstep_ring_ticket ticket,
                           uint64_t now_ns);
void lockstep_ring_waits_for(const struct lockstep_ring* ring, struct lockstep_ring_ticket ticket,
                             int32_t world_rank);
/* An op that ended well waits for nobody; one that failed keeps the name of whom it last waited
 * for. */
void lockstep_ring_ended(const struct lockstep_ring* ring, struct lockstep_ring_ticket ticket,
                         enum lockstep_record_state state, uint64_t bytes_done, uint64_t now_ns);

/* The step that later records carry. */
void lockstep_ring_set_step(const struct lockstep_ring* ring, int64_t step);
/* Until `until_ns` or the next call; 0 ends it; LOCKSTEP_PHASE_MARKED claims no time for it. */
void lockstep_ring_set_phase(const struct lockstep_ring* ring, const char* name, uint64_t until_ns);
/* Samples processed since `since_ns`. One thread at a time. */
void lockstep_ring_set_samples(const struct lockstep_ring* ring, uint64_t samples,
                               uint64_t since_ns);

/* The rank's seat in a group, whose `members` are world ranks by group rank. -1: none is free. */
int lockstep_ring_take_seat(const struct lockstep_ring* ring, uint64_t group_id, uint32_t epoch,
                            int32_t group_rank, int32_t group_size, const int32_t* members,
                            const char* name);
void lockstep_ring_leave_seat(const struct lockstep_ring* ring, int seat);
/* A thread enters, or leaves, a call that ends when an op of the group does. */
void lockstep_ring_add_waiters(const struct lockstep_ring* ring, int seat, bool transfers,
                               int32_t change);
/* A stream of a GPU comes to an op of the group, or is past it. */
void lockstep_ring_add_stream_waiters(const struct lockstep_ring* ring, int seat, int32_t change);

/* "train.cc:42" into `text`, cut to `capacity` with its terminator: the last component of `file`,
 * and alone where the line is 0. About 20 ns. */
void lockstep_format_call_site(const char* file, uint32_t line, char* text, size_t capacity);

#ifdef __cplusplus
}
#endif

#endif /* LOCKSTEP_COLLECTIVES_RECORDER_RING_WRITER_H_ */
