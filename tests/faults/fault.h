// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_TESTS_FAULTS_FAULT_H_
#define LOCKSTEP_TESTS_FAULTS_FAULT_H_
/* What goes wrong in a program of the table of faults, as its arguments say:
 *
 *   PROGRAM --fault NAME --victim R[,R...] [--where init|before|inside|between]
 *
 * Ranks R do NAME in the first round: before they initialise their library, before op kFaultyOp
 * (the default), in it, where the others come late, or between an op of all and one of a pair of
 * ranks, in which the other of the pair then waits, and all others in the next op of all. NAME
 * "uneven" is none: ranks compute for different times, and R are --late MS (900) for the first op.
 * Plain C, for programs of each library; of one thread. */

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { kFaultyOp = 10, kVictimsMax = 8, kLateMicroseconds = 900000, kInsideMicroseconds = 300000 };

struct fault {
  const char* name;
  const char* where;
  int victims[kVictimsMax];
  int victim_count;
  int late_ms;
  unsigned dice;
};

static inline struct fault fault_of(int argc, char** argv) {
  struct fault fault = {"none", "before", {0}, 0, 900, 0};
  for (int i = 1; i + 1 < argc; i += 2) {
    if (strcmp(argv[i], "--fault") == 0) fault.name = argv[i + 1];
    if (strcmp(argv[i], "--where") == 0) fault.where = argv[i + 1];
    if (strcmp(argv[i], "--late") == 0) fault.late_ms = atoi(argv[i + 1]);
    if (strcmp(argv[i], "--victim") != 0) continue;
    for (char* rest = argv[i + 1]; *rest != 0 && fault.victim_count < kVictimsMax;) {
      fault.victims[fault.victim_count++] = (int)strtol(rest, &rest, 10);
      if (*rest == ',') ++rest;
    }
  }
  const char* const round = getenv("LOCKSTEP_ROUND");
  if (round != NULL && strcmp(round, "0") != 0) fault.name = "none";
  return fault;
}

static inline int fault_is(const struct fault* fault, const char* name) {
  return strcmp(fault->name, name) == 0;
}

static inline int fault_is_in(const struct fault* fault, const char* where) {
  return !fault_is(fault, "none") && strcmp(fault->where, where) == 0;
}

static inline int fault_strikes(const struct fault* fault, int rank) {
  for (int i = 0; i < fault->victim_count; ++i) {
    if (fault->victims[i] == rank) return !fault_is(fault, "none");
  }
  return 0;
}

/* Until the limit of its memory ends it, or for ever where there is none that it may take. */
static inline void fault_eat_memory(void) {
  enum { kPiece = 8 << 20, kPieces = 256 };
  for (int i = 0; i < kPieces; ++i) {
    char* const piece =
        (char*)mmap(NULL, kPiece, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (piece == (char*)MAP_FAILED) break;
    memset(piece, 1, kPiece);
  }
  fputs("there was no limit to memory\n", stderr);
  while (1) pause();
}

/* A process of its own does that, which the kernel ends; and this one waits for what it was to say,
 * as a program does whose loader has vanished. */
static inline void fault_loses_a_child(void) {
  if (fork() == 0) {
    FILE* const score = fopen("/proc/self/oom_score_adj", "w");
    if (score != NULL) {
      fputs("1000", score);
      fclose(score);
    }
    fault_eat_memory();
  }
  while (1) pause();
}

static inline void fault_read_from_nobody(void) {
  int ends[2];
  char byte;
  if (pipe(ends) == 0 && read(ends[0], &byte, 1) == 1) abort();
}

/* For whoever measures how long it takes to be found; by the clock of the event log. */
static inline void fault_tell_time(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  dprintf(STDERR_FILENO, "fault at %lld\n", (long long)now.tv_sec * 1000000000 + now.tv_nsec);
}

static inline void* fault_of_thread(void* name) {
  usleep(kInsideMicroseconds);  // tidy:allow sleep: no event tells that the op has begun
  fault_tell_time();
  raise(strcmp((const char*)name, "dies") == 0 ? SIGKILL : SIGSTOP);
  return NULL;
}

/* What is no call of the library: all of it does not return, but for what is done in an op, by
 * another thread, while the caller goes on into it. */
static inline void fault_do(const struct fault* fault) {
  if (fault_is_in(fault, "inside")) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, fault_of_thread, (void*)fault->name) != 0) abort();
    pthread_detach(thread);
    return;
  }
  fault_tell_time();
  if (fault_is(fault, "dies")) raise(SIGKILL);
  if (fault_is(fault, "fails")) _exit(3);
  if (fault_is(fault, "stops")) raise(SIGSTOP);
  if (fault_is(fault, "exits")) _exit(0);
  if (fault_is(fault, "eats")) fault_eat_memory();
  if (fault_is(fault, "child-eats")) fault_loses_a_child();
  if (fault_is(fault, "reads")) fault_read_from_nobody();
  /* What is mapped stays. */
  if (fault_is(fault, "closes")) {
    for (int fd = 0; fd < 1024; ++fd) close(fd);
    while (1) pause();
  }
  if (fault_is(fault, "sleeps")) {
    /* Also for whoever freezes it. */
    printf("victim pid %ld\n", (long)getpid());
    fflush(stdout);
    while (1) pause();
  }
  volatile unsigned long rounds = 0;
  while (fault_is(fault, "loops")) rounds = rounds + 1;
}

/* What a rank does between two ops, by its own dice: before the first it loads and compiles. */
static inline void fault_compute(struct fault* fault, int rank, int op) {
  enum { kStepMicroseconds = 50 * 1000, kMostMicroseconds = 60 * 1000 };
  /* Calls that ended well are compared once a second. */
  if (!fault_is(fault, "uneven")) {
    if (op > kFaultyOp) usleep(kStepMicroseconds);  // tidy:allow sleep: steps take time
    return;
  }
  if (op == 0) {
    fault->dice = (unsigned)rank + 1;
    if (fault_strikes(fault, rank))
      usleep((unsigned)fault->late_ms * 1000);  // tidy:allow sleep: it is late
  }
  usleep((unsigned)rand_r(&fault->dice) % kMostMicroseconds);  // tidy:allow sleep: it computes
}

/* Of each rank, before op kFaultyOp. */
static inline void fault_before_op(const struct fault* fault, int rank) {
  if (fault_is_in(fault, "init") || fault_is(fault, "uneven")) return;
  if (fault_strikes(fault, rank)) fault_do(fault);
  /* The victim is in the op when that happens, and the others come later. */
  else if (fault_is_in(fault, "inside"))
    usleep(kLateMicroseconds);  // tidy:allow sleep: these ranks come late
}

#endif /* LOCKSTEP_TESTS_FAULTS_FAULT_H_ */
