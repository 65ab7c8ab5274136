// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_RECORDER_RECORD_H_
#define LOCKSTEP_COLLECTIVES_RECORDER_RECORD_H_
/* The recorder ring of one rank: what each of its collectives was and how far it came. Memory of
 * the agent, written by the rank's process, readable at any time: while the rank computes, is
 * stopped, or is dead. Plain C, so that the shims over MPI and NCCL can write it too.
 *
 *   ring   := head (16384 bytes), slot[slot_count]
 *   head   := header (1024 bytes), seat[120]
 *   seat   := lock, what the rank is in one of its groups; 128 bytes
 *   slot   := lock, index, body; 192 bytes
 *
 * A slot belongs to one record from its first write until record index + slot_count takes it over.
 * Its lock is a sequence lock: odd while someone writes. Writers go from even to odd by
 * compare-and-swap, so a late update of a record that was overtaken finds another index and leaves
 * the slot alone. Readers copy the slot between two equal even values of the lock. All 8-byte words
 * are read and written atomically, little endian. Seats are locked alike; one is the group's from
 * its making to its end, then another's. A rank with more groups than seats has groups without.
 *
 * Worked example: the 5th op of a rank is record index 4 in slot 4. Enqueued: lock 0 -> 1, words,
 * lock 2, state ENQUEUED. Started: lock 3, t_started, lock 4. Ended: lock 5, t_ended, state
 * COMPLETED, lock 6. */

#include <stdint.h>

#ifdef __cplusplus
#define LOCKSTEP_RECORD_ASSERT(condition, text) static_assert(condition, text)
#else
#define LOCKSTEP_RECORD_ASSERT(condition, text) _Static_assert(condition, text)
#endif

#define LOCKSTEP_RING_MAGIC UINT64_C(0x31474e495253434c) /* "LCSRING1" */
#define LOCKSTEP_RING_LAYOUT_VERSION 2u
#define LOCKSTEP_RING_HEADER_BYTES 16384u /* with the seats: where slots begin */
#define LOCKSTEP_RING_SEATS_OFFSET 1024u
#define LOCKSTEP_RING_SEATS 120u
#define LOCKSTEP_SEAT_BYTES 128u
#define LOCKSTEP_SEAT_WORDS 16u
#define LOCKSTEP_RECORD_BYTES 192u
#define LOCKSTEP_RECORD_WORDS 24u
#define LOCKSTEP_RING_DEFAULT_SLOTS 4096u
#define LOCKSTEP_RING_MAX_SLOTS (1u << 20)

#define LOCKSTEP_PHASE_MARKED UINT64_C(1) /* of phase_until_ns */

/* Values are part of the format: only ever append. As lockstep::collectives::Work::State + 1. */
enum lockstep_record_state {
  LOCKSTEP_RECORD_EMPTY = 0,
  LOCKSTEP_RECORD_ENQUEUED = 1,
  LOCKSTEP_RECORD_STARTED = 2,
  LOCKSTEP_RECORD_COMPLETED = 3,
  LOCKSTEP_RECORD_TIMED_OUT = 4,
  LOCKSTEP_RECORD_ERROR = 5,
  LOCKSTEP_RECORD_ABORTED = 6,
  LOCKSTEP_RECORD_REMOTE_ERROR = 7
};

struct lockstep_record {
  uint64_t lock;  /* see above */
  uint64_t index; /* number of this record in its ring, from 0 */
  uint64_t group_id;
  uint64_t seq;         /* number of the op in its group, from 1 */
  uint64_t fingerprint; /* equal on all members that made the same call */
  uint32_t epoch;
  uint8_t op;           /* collectives::OpKind */
  uint8_t dtype;        /* collectives::Dtype */
  uint8_t reduction;    /* collectives::Reduction */
  uint8_t state;        /* enum lockstep_record_state */
  int32_t root_or_peer; /* group rank; -1 = none */
  int32_t waiting_on;   /* world rank that a long wait is for; -1 = none */
  uint64_t count_in;    /* elements */
  uint64_t count_out;
  uint64_t bytes_done;  /* payload moved so far, where the backend knows */
  uint64_t enqueued_ns; /* CLOCK_MONOTONIC; 0 = not yet */
  uint64_t started_ns;
  uint64_t ended_ns;
  uint64_t timeout_ns;
  int64_t step;       /* training step last reported before the call; -1 = none */
  uint32_t thread_id; /* of the caller */
  uint32_t group_size;
  uint64_t reserved[2]; /* 0 */
  char call_site[32];   /* "train.cc:42", cut, zero-terminated */
  char tag[16];
};
LOCKSTEP_RECORD_ASSERT(sizeof(struct lockstep_record) == LOCKSTEP_RECORD_BYTES, "layout of a slot");
LOCKSTEP_RECORD_ASSERT(LOCKSTEP_RECORD_WORDS * 8 == LOCKSTEP_RECORD_BYTES,
                       "a slot is copied by words");

/* A group as one of its members knows it. */
struct lockstep_seat {
  uint64_t lock;
  uint64_t group_id; /* 0 = nobody sits here */
  uint32_t epoch;
  int32_t group_rank;
  int32_t group_size;
  /* Members are the world ranks first, first + stride, ...; stride 0: they are no such sequence. */
  int32_t first;
  int32_t stride;
  /* Threads that are in a call which ends when a collective of the group does, or a transfer. */
  int32_t waiters;
  int32_t transfer_waiters;
  /* Streams of a GPU that have come to an op of the group and not past it. Who called it may do
   * something else meanwhile; such an op is STARTED. */
  int32_t stream_waiters;
  uint64_t reserved[2]; /* 0 */
  char name[64];        /* "world", cut, zero-terminated */
};
LOCKSTEP_RECORD_ASSERT(sizeof(struct lockstep_seat) == LOCKSTEP_SEAT_BYTES, "layout of a seat");
LOCKSTEP_RECORD_ASSERT(LOCKSTEP_SEAT_WORDS * 8 == LOCKSTEP_SEAT_BYTES, "a seat is copied by words");
LOCKSTEP_RECORD_ASSERT(LOCKSTEP_RING_SEATS_OFFSET + LOCKSTEP_RING_SEATS * LOCKSTEP_SEAT_BYTES ==
                           LOCKSTEP_RING_HEADER_BYTES,
                       "seats end where slots begin");

struct lockstep_ring_header {
  uint64_t magic;
  uint32_t layout_version;
  uint32_t slot_count;
  uint64_t record_count;  /* records begun; the next one's index */
  uint64_t dropped_count; /* records not written because another thread held the slot */
  int64_t step;           /* last reported; -1 = none */
  /* By the agent, before the rank sees it: */
  int32_t rank;
  uint32_t incarnation;
  uint32_t round;
  int32_t world_size;
  char job[64];
  char host[256];
  char boot_id[40];
  /* By the rank's process when it attaches: */
  int64_t pid;
  /* Field 22 of /proc/PID/stat: with host and boot id it names a process for good. */
  uint64_t process_start_ticks;
  uint64_t attached_monotonic_ns;
  uint64_t attached_wall_ns; /* the same instant: converts the records' times for people */
  uint64_t seatless_count;   /* groups that found no seat */
  /* A phase that the program has declared; locked as a slot is. */
  uint64_t phase_lock;
  /* CLOCK_MONOTONIC; 0 = none is declared; LOCKSTEP_PHASE_MARKED: it is one like any other, for
   * which the program claims no time. */
  uint64_t phase_until_ns;
  char phase[32]; /* "checkpoint" */
  /* Samples that the program has processed since then, which moves on as the program does. */
  uint64_t samples;
  uint64_t samples_since_ns; /* CLOCK_MONOTONIC; 0 = none are reported, or they are being written */
};
LOCKSTEP_RECORD_ASSERT(sizeof(struct lockstep_ring_header) <= LOCKSTEP_RING_SEATS_OFFSET,
                       "the header ends where seats begin");
LOCKSTEP_RECORD_ASSERT(sizeof(struct lockstep_ring_header) == 520, "layout of the header");

#endif /* LOCKSTEP_COLLECTIVES_RECORDER_RECORD_H_ */
