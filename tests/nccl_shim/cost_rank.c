// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
//
// What the shim adds to a call of NCCL: ncclX comes by it and pncclX does not, in turns; and what a
// reading of the clock costs, so that the figure can be judged whatever the machine. Of CUDA's
// events, which it adds as well, the calls alone: what these cost is the driver's affair.
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "tests/nccl_shim/nccl_declarations.h"

enum { kRounds = 100, kCalls = 400, kWarm = 100, kWays = 2 };

static double NowNs(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static int Ascending(const void* a, const void* b) {
  const double difference = *(const double*)a - *(const double*)b;
  return (difference > 0) - (difference < 0);
}

// The shim's own thread catches up, as between the calls of a program that computes.
static void Rest(void) {
  const struct timespec rest = {0, 25000000};
  nanosleep(&rest, NULL);  // tidy:allow sleep: it is what is measured around
}

#define MEASURE(call, results)                   \
  do {                                           \
    for (int i = 0; i < kWarm; ++i) {            \
      call;                                      \
    }                                            \
    const double begun = NowNs();                \
    for (int i = 0; i < kCalls; ++i) {           \
      call;                                      \
    }                                            \
    results[round] = (NowNs() - begun) / kCalls; \
  } while (0)

int main(void) {
  static double with[kWays][kRounds], without[kWays][kRounds], clock[kRounds];
  static float in[8], out[8];
  ncclUniqueId id;
  ncclComm_t comm;
  (void)ncclGetUniqueId(&id);
  (void)ncclCommInitRank(&comm, 1, id, 0);
#define ALL_REDUCE(P) P##ncclAllReduce(in, out, 8, ncclFloat32, ncclSum, comm, NULL)
#define EXCHANGE(P)                                \
  P##ncclGroupStart();                             \
  P##ncclSend(in, 8, ncclFloat32, 0, comm, NULL);  \
  P##ncclRecv(out, 8, ncclFloat32, 0, comm, NULL); \
  P##ncclGroupEnd()
  for (int round = 0; round < kRounds; ++round) {
    Rest();
    MEASURE(ALL_REDUCE(), with[0]);
    MEASURE(ALL_REDUCE(p), without[0]);
    Rest();
    MEASURE(EXCHANGE(), with[1]);
    MEASURE(EXCHANGE(p), without[1]);
    MEASURE((void)NowNs(), clock);
  }
  qsort(clock, kRounds, sizeof(double), &Ascending);
  const char* const what[] = {"all_reduce", "send and recv in a group"};
  const int calls[] = {1, 4};
  for (int i = 0; i < kWays; ++i) {
    qsort(with[i], kRounds, sizeof(double), &Ascending);
    qsort(without[i], kRounds, sizeof(double), &Ascending);
    const int quiet = kRounds / 10;
    printf("cost %.1f ns a call, clock %.1f ns: %s, %.1f ns with and %.1f ns without\n",
           (with[i][quiet] - without[i][quiet]) / calls[i], clock[quiet], what[i], with[i][quiet],
           without[i][quiet]);
  }
  (void)ncclCommDestroy(comm);
  return 0;
}
