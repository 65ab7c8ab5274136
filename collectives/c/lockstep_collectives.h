// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_C_LOCKSTEP_COLLECTIVES_H_
#define LOCKSTEP_COLLECTIVES_C_LOCKSTEP_COLLECTIVES_H_
/* Collectives for C and whatever calls C: the ops of collectives/group.h under its contract
 * (shapes, in-place rules, deadlines, what an error leaves), which is written there once.
 *
 * A group is one member's; its ops are called by one thread at a time, in the same order on every
 * member. Each op returns at once with a work, which is never null and must be freed; works may be
 * waited for by any thread, and may outlive their group. No function throws, and none but those
 * that say "Blocks" waits. Where a null status may be passed, it is not filled.
 *
 *   lockstep_buffer in = {x, count, LOCKSTEP_F32, LOCKSTEP_CPU, 0};
 *   lockstep_options here = LOCKSTEP_HERE;
 *   lockstep_status status;
 *   if (lockstep_finish(lockstep_all_reduce(group, &in, &in, LOCKSTEP_SUM, &here), &status) != 0)
 *     fprintf(stderr, "%s\n", status.text);
 */

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Raised when something here changes its meaning, or a struct grows; new functions keep it. 2:
 * lockstep_options has `verify`, where a program compiled for 1 left the bytes behind `line` as
 * they were, and `stream`. */
#define LOCKSTEP_COLLECTIVES_C_VERSION 2

typedef struct lockstep_group lockstep_group;
typedef struct lockstep_work lockstep_work;
typedef struct lockstep_shared_buffer lockstep_shared_buffer;
typedef struct lockstep_registration lockstep_registration;
typedef struct lockstep_long_phase lockstep_long_phase;

typedef enum {
  LOCKSTEP_BOOL = 1,
  LOCKSTEP_U8 = 2,
  LOCKSTEP_I8 = 3,
  LOCKSTEP_I16 = 4,
  LOCKSTEP_I32 = 5,
  LOCKSTEP_I64 = 6,
  LOCKSTEP_U32 = 7,
  LOCKSTEP_U64 = 8,
  LOCKSTEP_F16 = 9,
  LOCKSTEP_BF16 = 10,
  LOCKSTEP_F32 = 11,
  LOCKSTEP_F64 = 12,
  LOCKSTEP_F8E4M3 = 13,
  LOCKSTEP_F8E5M2 = 14
} lockstep_dtype;

typedef enum {
  LOCKSTEP_SUM = 1,
  LOCKSTEP_PRODUCT = 2,
  LOCKSTEP_MIN = 3,
  LOCKSTEP_MAX = 4,
  LOCKSTEP_AVERAGE = 5,
  LOCKSTEP_PREMULTIPLIED_SUM = 6,
  LOCKSTEP_BIT_AND = 7,
  LOCKSTEP_BIT_OR = 8,
  LOCKSTEP_BIT_XOR = 9
} lockstep_reduction;

typedef enum { LOCKSTEP_CPU = 0, LOCKSTEP_CUDA = 1 } lockstep_device_kind;

/* Memory to read or write; `count` in elements. Ops do not write to what they take as input. */
typedef struct {
  void* data;
  uint64_t count;
  lockstep_dtype dtype;
  lockstep_device_kind device_kind;
  int32_t device_index; /* of LOCKSTEP_CUDA: the group's own device */
} lockstep_buffer;

/* What one call may say beside its buffers; null means the defaults. */
typedef struct {
  int64_t timeout_ns; /* 0 = the group's */
  double scale;       /* of this member's input in a premultiplied sum */
  const char* tag;    /* shown in records and errors; may be null */
  const char* file;   /* of the call, of static storage; may be null */
  uint32_t line;
  /* 1, on all members: of all_reduce, all_gather, all_gather_v and broadcast in main memory. The
   * call blocks until all members have compared the output, bit by bit; where it differs the op
   * ends with code 15 (data loss) on all, which names members that are not with the majority. */
  int32_t verify;
  /* Of buffers on a GPU: the cudaStream_t after whose work the op begins; null: they are ready, as
   * those in main memory must be. */
  void* stream;
} lockstep_options;

#define LOCKSTEP_HERE {0, 1.0, NULL, __FILE__, __LINE__, 0, NULL}

/* Whose fault it is, as far as anybody can say. */
typedef enum {
  LOCKSTEP_UNSPECIFIED = 0,
  LOCKSTEP_USAGE = 1, /* mismatching calls: a bug in the program */
  LOCKSTEP_PEER_DEAD = 2,
  LOCKSTEP_PEER_STALLED = 3,
  LOCKSTEP_NETWORK = 4,
  LOCKSTEP_TIMEOUT_UNKNOWN = 5, /* a deadline passed and nothing says why */
  LOCKSTEP_LOCAL_DEVICE = 6,
  LOCKSTEP_ABORTED_BY_AGENT = 7
} lockstep_failure_class;

/* How a call ended. `code` is 0, or one of the canonical RPC codes with their canonical numbers;
 * `failure_class` one of the above; `blamed_rank` the first blamed world rank, -1 = none
 * (lockstep_last_blamed has all of them); `text` says what, where, why and what to do,
 * zero-terminated, cut when too long. */
typedef struct {
  int32_t code;
  int32_t failure_class;
  int32_t blamed_rank;
  int32_t reserved; /* 0 */
  char text[2048];
} lockstep_status;

/* One whom an error blames. Texts are zero-terminated and cut when too long. */
typedef struct {
  int32_t rank;       /* in the world; -1 = not known */
  int32_t reserved;   /* 0 */
  int64_t pid;        /* -1 = not known */
  char host[64];      /* "" = not known */
  char call_site[64]; /* where it made the call, "train.c:42"; "" = not known, or it made none */
} lockstep_blamed;
/* Whom that error blames which this thread was told of last: by a function of this interface that
 * returned a code, or as the argument of `ended`, inside of it. The first `capacity` of them into
 * `blamed`, which may be null for 0. Returns how many there are, 0 after success. An error that
 * another member has found may name but 8 of them; its text says how many more there are. */
size_t lockstep_last_blamed(lockstep_blamed* blamed, size_t capacity);

typedef struct {
  uint64_t group; /* lockstep_group_info.id */
  uint64_t seq;   /* its number there */
  uint32_t round;
  uint32_t reserved; /* 0 */
  char call[88];     /* "all_reduce(f32, sum, 1024)" */
} lockstep_failed_op;
/* 1, and the op that the same error is about; 0: it is about none, or there is none. */
int lockstep_last_failed_op(lockstep_failed_op* op);

int32_t lockstep_group_rank(const lockstep_group* group);
int32_t lockstep_group_size(const lockstep_group* group);
/* The world rank of a member; -1 when there is none of that rank. */
int32_t lockstep_group_world_rank(const lockstep_group* group, int32_t member);
/* Whether the ops that reduce know this pair. */
int lockstep_group_can_reduce(const lockstep_group* group, lockstep_dtype dtype,
                              lockstep_reduction reduction);
/* Ops, by what they are called in records, errors and lockstep_explain. */
typedef enum {
  LOCKSTEP_ALL_REDUCE = 1,
  LOCKSTEP_REDUCE = 2,
  LOCKSTEP_BROADCAST = 3,
  LOCKSTEP_ALL_GATHER = 4,
  LOCKSTEP_ALL_GATHER_V = 5,
  LOCKSTEP_REDUCE_SCATTER = 6,
  LOCKSTEP_REDUCE_SCATTER_V = 7,
  LOCKSTEP_ALL_TO_ALL = 8,
  LOCKSTEP_ALL_TO_ALL_V = 9,
  LOCKSTEP_GATHER = 10,
  LOCKSTEP_SCATTER = 11,
  LOCKSTEP_BARRIER = 12,
  LOCKSTEP_SEND = 13,
  LOCKSTEP_RECV = 14,
  LOCKSTEP_BATCH = 15
} lockstep_op;

/* 1: the group's backend has this op on that dtype. */
int lockstep_group_has(const lockstep_group* group, lockstep_op op, lockstep_dtype dtype);

/* What else a backend can do: collectives/capabilities.h. */
typedef enum {
  LOCKSTEP_HOST_MEMORY = 1, /* its ops take buffers in main memory */
  LOCKSTEP_CUDA_MEMORY = 2,
  LOCKSTEP_UNALIGNED_REDUCTIONS = 4,
  LOCKSTEP_COMPARES_CALLS = 8, /* calls that differ are an error on all before a byte is moved */
  LOCKSTEP_BITWISE_REPRODUCIBLE = 16
} lockstep_trait;
/* Bits of the above. */
uint32_t lockstep_group_traits(const lockstep_group* group);

typedef struct {
  uint64_t id;       /* equal on all members */
  uint32_t instance; /* the how manieth of this name and these members */
  uint32_t round;    /* in which it was made */
  char name[64];     /* zero-terminated, cut when too long */
  char backend[16];
} lockstep_group_info;
void lockstep_group_get_info(const lockstep_group* group, lockstep_group_info* info);

/* Which way an op of so many elements would take here, and why, into `text`: zero-terminated, cut
 * to `bytes`. Returns how long the whole is. */
size_t lockstep_explain(const lockstep_group* group, lockstep_op op, lockstep_dtype dtype,
                        uint64_t count, char* text, size_t bytes);

/* Tells the other members that this one may be late by up to `at_most_ns` from now, as while it
 * writes a checkpoint, until the end is called: their deadlines wait for it. Of a group that
 * outlives it. */
lockstep_long_phase* lockstep_long_phase_begin(lockstep_group* group, int64_t at_most_ns);
void lockstep_long_phase_end(lockstep_long_phase* phase);

/* Of ops that name none; changeable while running, for ops called after. */
int64_t lockstep_group_timeout(const lockstep_group* group);
void lockstep_group_set_timeout(lockstep_group* group, int64_t timeout_ns);
/* Every op in flight or to come, on every member, ends with an error that has this reason. */
void lockstep_group_abort(lockstep_group* group, const char* reason);
/* Gives the group up on this member. Null: nothing. */
void lockstep_group_free(lockstep_group* group);

lockstep_work* lockstep_all_reduce(lockstep_group* group, const lockstep_buffer* in,
                                   const lockstep_buffer* out, lockstep_reduction reduction,
                                   const lockstep_options* options);
lockstep_work* lockstep_reduce(lockstep_group* group, const lockstep_buffer* in,
                               const lockstep_buffer* out, lockstep_reduction reduction,
                               int32_t root, const lockstep_options* options);
lockstep_work* lockstep_broadcast(lockstep_group* group, const lockstep_buffer* buffer,
                                  int32_t root, const lockstep_options* options);
lockstep_work* lockstep_all_gather(lockstep_group* group, const lockstep_buffer* in,
                                   const lockstep_buffer* out, const lockstep_options* options);
/* `counts` here and below: one for each member. */
lockstep_work* lockstep_all_gather_v(lockstep_group* group, const lockstep_buffer* in,
                                     const lockstep_buffer* out, const size_t* counts,
                                     const lockstep_options* options);
lockstep_work* lockstep_reduce_scatter(lockstep_group* group, const lockstep_buffer* in,
                                       const lockstep_buffer* out, lockstep_reduction reduction,
                                       const lockstep_options* options);
lockstep_work* lockstep_reduce_scatter_v(lockstep_group* group, const lockstep_buffer* in,
                                         const lockstep_buffer* out, const size_t* counts,
                                         lockstep_reduction reduction,
                                         const lockstep_options* options);
lockstep_work* lockstep_all_to_all(lockstep_group* group, const lockstep_buffer* in,
                                   const lockstep_buffer* out, const lockstep_options* options);
lockstep_work* lockstep_all_to_all_v(lockstep_group* group, const lockstep_buffer* in,
                                     const size_t* in_counts, const lockstep_buffer* out,
                                     const size_t* out_counts, const lockstep_options* options);
lockstep_work* lockstep_gather(lockstep_group* group, const lockstep_buffer* in,
                               const lockstep_buffer* out, int32_t root,
                               const lockstep_options* options);
lockstep_work* lockstep_scatter(lockstep_group* group, const lockstep_buffer* in,
                                const lockstep_buffer* out, int32_t root,
                                const lockstep_options* options);
lockstep_work* lockstep_barrier(lockstep_group* group, const lockstep_options* options);
lockstep_work* lockstep_send(lockstep_group* group, const lockstep_buffer* buffer, int32_t to,
                             const lockstep_options* options);
lockstep_work* lockstep_recv(lockstep_group* group, const lockstep_buffer* buffer, int32_t from,
                             const lockstep_options* options);

/* One direction of a batch. */
typedef struct {
  int32_t peer;
  int32_t receives; /* 0 = sends */
  lockstep_buffer buffer;
} lockstep_transfer;
lockstep_work* lockstep_batch(lockstep_group* group, const lockstep_transfer* transfers,
                              size_t transfer_count, const lockstep_options* options);

/* Whether `buffer`, in main memory, is the same on all members, bit by bit: code 15 (data loss) on
 * all where it is not, which names members that are not with the majority. Collective. Blocks: as
 * an op. Returns the status's code. */
int32_t lockstep_check_agreement(lockstep_group* group, const lockstep_buffer* buffer,
                                 const lockstep_options* options, lockstep_status* status);

/* Collective. Block: until the members have come, at most the timeout. Return the status's code and
 * set `*made` (null when it failed, and for a color of -1). */
int32_t lockstep_split(lockstep_group* group, int32_t color, int32_t key,
                       const lockstep_options* options, lockstep_group** made,
                       lockstep_status* status);
int32_t lockstep_duplicate(lockstep_group* group, const lockstep_options* options,
                           lockstep_group** made, lockstep_status* status);
/* By these members alone, who become its ranks in the order given. The others stay what they are.
 * */
int32_t lockstep_subset(lockstep_group* group, const int32_t* members, size_t member_count,
                        const lockstep_options* options, lockstep_group** made,
                        lockstep_status* status);
/* By those that are left alone. In a job that keeps its survivors the excluded are killed. */
int32_t lockstep_shrink(lockstep_group* group, const int32_t* excluded, size_t excluded_count,
                        const lockstep_options* options, lockstep_group** made,
                        lockstep_status* status);
/* By all members that are left, after an op that failed, in a job that keeps its survivors: without
 * those that are gone (lockstep_session_lost_ranks says which are), or were blamed and do not call
 * it. Code 9 (failed precondition): the job keeps none, or has gone on without this rank. */
int32_t lockstep_shrink_to_survivors(lockstep_group* group, const lockstep_options* options,
                                     lockstep_group** made, lockstep_status* status);
/* By all members; the `added` world ranks call lockstep_subset, of a group that they are in with
 * the others, with the members and then them. */
int32_t lockstep_grow(lockstep_group* group, const int32_t* added, size_t added_count,
                      const lockstep_options* options, lockstep_group** made,
                      lockstep_status* status);
int32_t lockstep_alloc_buffer(lockstep_group* group, size_t bytes, const lockstep_options* options,
                              lockstep_shared_buffer** made, lockstep_status* status);
void* lockstep_shared_buffer_data(const lockstep_shared_buffer* buffer);
void lockstep_shared_buffer_free(lockstep_shared_buffer* buffer);

/* Has the backend's library (NCCL) know this memory, for ops that use it again and again, until it
 * is freed. Of this member alone. Code 12 (unimplemented): the backend gains nothing by it. */
int32_t lockstep_register_buffer(lockstep_group* group, const lockstep_buffer* buffer,
                                 lockstep_registration** made, lockstep_status* status);
void lockstep_registration_free(lockstep_registration* registration);

typedef enum {
  LOCKSTEP_ENQUEUED = 0,
  LOCKSTEP_STARTED = 1,
  LOCKSTEP_COMPLETED = 2,
  LOCKSTEP_TIMED_OUT = 3,
  LOCKSTEP_ERROR = 4,
  LOCKSTEP_ABORTED = 5,
  LOCKSTEP_REMOTE_ERROR = 6
} lockstep_work_state;
lockstep_work_state lockstep_state(const lockstep_work* work);
/* The op's number in its group, from 1. */
uint64_t lockstep_seq(const lockstep_work* work);
/* CLOCK_MONOTONIC nanoseconds; 0 = not yet. */
typedef struct {
  int64_t enqueued_ns;
  int64_t started_ns;
  int64_t completed_ns;
} lockstep_times;
void lockstep_timings(const lockstep_work* work, lockstep_times* times);
/* 1 once it has ended. */
int lockstep_test(const lockstep_work* work);
/* Block: until its end, which its deadline bounds. Return the status's code. */
int32_t lockstep_wait(lockstep_work* work, lockstep_status* status);
/* Blocks: at most `at_most_ns`; when that has passed, code 4 (deadline exceeded), and the op is
 * still in flight: lockstep_test says 0. */
int32_t lockstep_wait_for(lockstep_work* work, int64_t at_most_ns, lockstep_status* status);
/* Calls `ended` once, when it has ended: on a thread of the group, or at once on this one. It may
 * free the work, and must not block. */
typedef void (*lockstep_ended)(void* context, const lockstep_status* status);
void lockstep_on_complete(lockstep_work* work, lockstep_ended ended, void* context);
/* lockstep_wait and lockstep_work_free. */
int32_t lockstep_finish(lockstep_work* work, lockstep_status* status);
/* Does not end the op. Null: nothing. */
void lockstep_work_free(lockstep_work* work);

#ifdef __cplusplus
}
#endif

#endif /* LOCKSTEP_COLLECTIVES_C_LOCKSTEP_COLLECTIVES_H_ */
