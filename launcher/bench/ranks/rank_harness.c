// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "launcher/bench/ranks/rank_harness.h"

#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "launcher/bench/bench_wire.h"
#include "launcher/bench/ranks/known_values.h"

/* After the output, found whole after the op. */
#define GUARD_BYTES 64
#define GUARD_BYTE 0xdb
#define PAGE 4096
#define HUGE_PAGE ((size_t)2 << 20)
/* Some 3 us: the others are on their way, unless somebody else has their core. */
#define SPINS_BEFORE_YIELD 1000

struct line {
  _Alignas(LOCKSTEP_BENCH_LINE_BYTES) _Atomic uint64_t turn;
};

struct harness {
  const struct lockstep_bench_library* library;
  int socket;
  struct line* lines; /* by rank, shared by the gang */
  uint64_t turn;
  uint32_t yields;
  unsigned char* first; /* input of ops that are not in place */
  unsigned char* second;
  size_t buffer_bytes;
  uint64_t* samples;
  struct lockstep_bench_reply reply;
};

/* All ranks leave within a cache miss of the last one's coming. The same for every library. */
static void meet(struct harness* h) {
  const uint64_t turn = ++h->turn;
  atomic_store_explicit(&h->lines[h->library->rank].turn, turn, memory_order_release);
  for (int rank = 0; rank < h->library->size; ++rank) {
    int spins = h->yields ? SPINS_BEFORE_YIELD : 0;
    while (atomic_load_explicit(&h->lines[rank].turn, memory_order_acquire) < turn) {
      if (spins++ < SPINS_BEFORE_YIELD) {
        __builtin_ia32_pause();
      } else {
        sched_yield();
      }
    }
  }
}

static uint64_t now_ns(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static void fail(struct harness* h, const char* what) {
  h->reply.outcome = LOCKSTEP_BENCH_FAILED;
  if (h->reply.error[0] == 0) snprintf(h->reply.error, sizeof h->reply.error, "%s", what);
}

/* ---- buffers ---- */

/* As all contestants get it: on huge pages where the kernel gives them to who asks, since large
 * arrays of programs that compute are. */
static void* plain_memory(size_t bytes) {
  void* memory = NULL;
  if (posix_memalign(&memory, bytes < HUGE_PAGE ? PAGE : HUGE_PAGE, bytes) != 0) return NULL;
  (void)madvise(memory, bytes, MADV_HUGEPAGE);
  return memory;
}

static void prepare(struct harness* h, const struct lockstep_bench_command* command) {
  const size_t each = (command->buffer_bytes + GUARD_BYTES + PAGE - 1) / PAGE * PAGE;
  if (command->registered && h->library->allocate == NULL) {
    h->reply.outcome = LOCKSTEP_BENCH_UNSUPPORTED;
    return;
  }
  unsigned char* const memory =
      command->registered ? h->library->allocate(h->library->self, 2 * each, h->reply.error)
                          : plain_memory(2 * each);
  h->samples = malloc(sizeof *h->samples * (command->iterations > 0 ? command->iterations : 1));
  if (memory == NULL || h->samples == NULL) {
    fail(h, "no memory for its buffers");
    return;
  }
  /* Each page is there before anything is timed. */
  memset(memory, 1, 2 * each);
  h->first = memory;
  h->second = memory + each;
  h->buffer_bytes = command->buffer_bytes;
}

/* Where the buffers of a call lie; false when they do not fit. */
static int place(const struct harness* h, const struct lockstep_bench_command* command,
                 struct lockstep_bench_call* call) {
  const int rank = h->library->rank;
  const int size = h->library->size;
  *call = (struct lockstep_bench_call){.op = command->op,
                                       .dtype = command->dtype,
                                       .reduction = command->reduction,
                                       .root = command->root,
                                       .in_place = command->in_place,
                                       .count = command->count,
                                       .in = h->first,
                                       .out = h->second};
  const size_t element = lockstep_bench_dtype_bytes(command->dtype);
  const size_t part = command->count * element;
  if (element == 0 || part * (size_t)size > h->buffer_bytes * (size_t)size) return 0;
  if (lockstep_bench_in_count(call, rank, size) * element > h->buffer_bytes ||
      lockstep_bench_out_count(call, rank, size) * element > h->buffer_bytes)
    return 0;
  if (command->op == LOCKSTEP_BENCH_BROADCAST) call->in = h->second; /* in place by nature */
  if (!command->in_place) return 1;
  call->in = h->second;
  const size_t uneven = lockstep_bench_parts_before(call, rank, size) * element;
  const int is_root = rank == command->root;
  switch (command->op) {
    case LOCKSTEP_BENCH_ALL_GATHER: call->in = h->second + (size_t)rank * part; break;
    case LOCKSTEP_BENCH_ALL_GATHER_V: call->in = h->second + uneven; break;
    case LOCKSTEP_BENCH_REDUCE_SCATTER: call->out = h->second + (size_t)rank * part; break;
    case LOCKSTEP_BENCH_REDUCE_SCATTER_V: call->out = h->second + uneven; break;
    /* In place on the root alone. */
    case LOCKSTEP_BENCH_GATHER: call->in = h->second + (is_root ? (size_t)rank * part : 0); break;
    case LOCKSTEP_BENCH_SCATTER: call->out = h->second + (is_root ? (size_t)rank * part : 0); break;
    default: break;
  }
  return 1;
}

/* ---- commands ---- */

static void run(struct harness* h, const struct lockstep_bench_call* call) {
  h->reply.outcome = (uint32_t)h->library->run(h->library->self, call, h->reply.error);
}

static void check(struct harness* h, const struct lockstep_bench_call* call) {
  const int rank = h->library->rank;
  const int size = h->library->size;
  const size_t out_bytes =
      lockstep_bench_out_count(call, rank, size) * lockstep_bench_dtype_bytes(call->dtype);
  /* Behind the output in place, and in a broadcast, there may be input. On ranks that get nothing
   * some libraries use the output to compute in. */
  const int ends_apart = call->in != call->out && !call->in_place && out_bytes > 0;
  memset(h->second, GUARD_BYTE, h->buffer_bytes + GUARD_BYTES);
  lockstep_bench_fill(call, rank, size);
  unsigned char* const guard = h->second + h->buffer_bytes;
  unsigned char* const behind = (unsigned char*)call->out + out_bytes;
  if (h->library->take != NULL && h->library->take(h->library->self, h->reply.error) != 0)
    fail(h, "no way into the library's memory");
  meet(h);
  if (h->reply.outcome != LOCKSTEP_BENCH_OK) return;
  run(h, call);
  if (h->reply.outcome == LOCKSTEP_BENCH_OK && h->library->bring != NULL &&
      h->library->bring(h->library->self, h->reply.error) != 0)
    fail(h, "no way out of the library's memory");
  if (h->reply.outcome != LOCKSTEP_BENCH_OK) return;
  h->reply.wrong = lockstep_bench_count_wrong(call, rank, size);
  for (int i = 0; i < GUARD_BYTES; ++i) {
    if (guard[i] != GUARD_BYTE || (ends_apart && behind[i] != GUARD_BYTE)) {
      ++h->reply.wrong;
      return;
    }
  }
}

/* As cheap as it can be, and the same for all: whoever brings the input into a cache and makes it
 * dirty there does so before the clock starts. */
static void rewrite_input(const struct harness* h, const struct lockstep_bench_call* call) {
  const uint64_t word = lockstep_bench_word_of_ones(call->dtype);
  const size_t bytes = lockstep_bench_in_count(call, h->library->rank, h->library->size) *
                       lockstep_bench_dtype_bytes(call->dtype);
  unsigned char* const to = call->in;
  size_t at = 0;
  for (; at + sizeof word <= bytes; at += sizeof word) memcpy(to + at, &word, sizeof word);
  memcpy(to + at, &word, bytes - at);
}

static void time_iterations(struct harness* h, const struct lockstep_bench_call* call,
                            const struct lockstep_bench_command* command) {
  for (uint32_t i = 0; i < command->warmups + command->iterations; ++i) {
    rewrite_input(h, call);
    meet(h);
    const uint64_t begun = now_ns();
    run(h, call);
    const uint64_t ended = now_ns();
    if (h->reply.outcome != LOCKSTEP_BENCH_OK) return;
    if (i >= command->warmups) h->samples[i - command->warmups] = ended - begun;
  }
  h->reply.samples = command->iterations;
}

static void obey(struct harness* h, const struct lockstep_bench_command* command) {
  struct lockstep_bench_call call;
  memset(&h->reply, 0, sizeof h->reply);
  if (command->iterations > LOCKSTEP_BENCH_ITERATIONS_MAX) {
    fail(h, "more iterations than it has room for");
  } else if (command->kind == LOCKSTEP_BENCH_PREPARE) {
    prepare(h, command);
  } else if (h->second == NULL || !place(h, command, &call)) {
    fail(h, "a size for which it has no buffers");
  } else if (command->kind == LOCKSTEP_BENCH_CHECK) {
    check(h, &call);
  } else {
    time_iterations(h, &call, command);
  }
}

/* ---- the connection ---- */

static int connect_to(const char* path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (strlen(path) >= sizeof address.sun_path) {
    errno = ENAMETOOLONG;
    return -1;
  }
  strcpy(address.sun_path, path);
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  if (connect(fd, (const struct sockaddr*)&address, sizeof address) == 0) return fd;
  close(fd);
  return -1;
}

static int greet(struct harness* h, int gang) {
  struct lockstep_bench_hello hello = {.magic = LOCKSTEP_BENCH_MAGIC,
                                       .gang = gang,
                                       .rank = h->library->rank,
                                       .size = h->library->size,
                                       .pid = getpid()};
  snprintf(hello.library, sizeof hello.library, "%s", h->library->name);
  struct lockstep_bench_welcome welcome;
  int page = -1;
  if (lockstep_bench_write(h->socket, &hello, sizeof hello) != 0 ||
      lockstep_bench_read_with_fd(h->socket, &welcome, sizeof welcome, &page) != 0)
    return -1;
  h->lines = mmap(NULL, LOCKSTEP_BENCH_PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, page, 0);
  close(page);
  if (h->lines == MAP_FAILED) return -1;
  h->yields = welcome.yields;
  if (welcome.cpu < 0) return 0;
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  CPU_SET((size_t)welcome.cpu, &cpus);
  return sched_setaffinity(0, sizeof cpus, &cpus);
}

static int serve(struct harness* h) {
  struct lockstep_bench_command command;
  while (lockstep_bench_read(h->socket, &command, sizeof command) == 0) {
    if (command.kind == LOCKSTEP_BENCH_QUIT) return 0;
    /* Should `lockstep bench` be gone by the time that an op hangs, nobody else ends us. */
    alarm(command.timeout_s);
    obey(h, &command);
    alarm(0);
    if (lockstep_bench_write(h->socket, &h->reply, sizeof h->reply) != 0 ||
        lockstep_bench_write(h->socket, h->samples, h->reply.samples * sizeof *h->samples) != 0)
      return 1;
  }
  return 1;
}

int lockstep_bench_serve(const struct lockstep_bench_library* library, const char* socket_path,
                         int gang) {
  struct harness h = {.library = library, .socket = connect_to(socket_path)};
  if (h.socket < 0 || library->size > LOCKSTEP_BENCH_RANKS_MAX || greet(&h, gang) != 0) {
    fprintf(stderr, "rank %d cannot meet lockstep bench at %s: %s\n", library->rank, socket_path,
            errno != 0 ? strerror(errno) : "it has no place for it");
    return 1;
  }
  return serve(&h);
}
