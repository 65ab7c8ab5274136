// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
//
// A rank of nccl_shim_test: an NCCL program that knows nothing of Lockstep. Its arguments are what
// it does, and the file through which the ranks tell each other the id; of faults rank 1 is guilty.
// What it computes it checks by itself.
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/nccl_shim/nccl_declarations.h"

#ifndef NCCL_VERSION
#define NCCL_VERSION 23007
#endif

enum { kGuilty = 1, kCount = 8 };

static int rank, size;
static ncclComm_t world;
static cudaStream_t stream;
static float in[256], out[256];

static void Check(int holds, const char* what) {
  if (holds) return;
  fprintf(stderr, "rank %d: %s is wrong\n", rank, what);
  exit(3);
}

static void Ok(int code) {
  if (code == ncclSuccess) return;
  fprintf(stderr, "rank %d: NCCL says %d\n", rank, code);
  exit(4);
}

static int IsGuilty(void) { return rank == kGuilty; }

static void Fill(void) {
  for (int i = 0; i < 256; ++i) in[i] = (float)(rank + 1);
  memset(out, 0, sizeof out);
}

static float Sum(void) { return (float)(size * (size + 1)) / 2; }

static void Sync(void) { Ok(cudaStreamSynchronize(stream)); }

// By a file that rank 0 writes, and removes at the end of init.
static ncclUniqueId ExchangeId(const char* path) {
  ncclUniqueId id;
  char draft[512];
  snprintf(draft, sizeof draft, "%s.draft", path);
  if (rank == 0) {
    Ok(ncclGetUniqueId(&id));
    FILE* const file = fopen(draft, "w");
    Check(file != NULL && fwrite(&id, sizeof id, 1, file) == 1, "the file of the id");
    fclose(file);
    rename(draft, path);
    return id;
  }
  for (int tries = 0; tries < 30000; ++tries) {
    FILE* const file = fopen(path, "r");
    if (file != NULL) {
      Check(fread(&id, sizeof id, 1, file) == 1, "the id");
      fclose(file);
      return id;
    }
    usleep(1000);  // tidy:allow sleep: there is no event for another process's file
  }
  Check(0, "the time in which the id comes");
  return id;
}

static void Collectives(void) {
#define COLLECTIVE(call) \
  Fill();                \
  Ok(call);              \
  Sync();
  COLLECTIVE(ncclAllReduce(in, out, kCount, ncclFloat32, ncclSum, world, stream))
  Check(out[kCount - 1] == Sum(), "all_reduce");
  COLLECTIVE(ncclReduce(in, out, kCount, ncclFloat32, ncclMax, 1, world, stream))
  Check(rank != 1 || out[0] == (float)size, "reduce");
  COLLECTIVE(ncclBroadcast(in, out, kCount, ncclFloat32, 2, world, stream))
  Check(out[0] == 3, "broadcast");
  COLLECTIVE(ncclBcast(in, kCount, ncclFloat32, 2, world, stream))
  Check(in[0] == 3, "bcast");
  COLLECTIVE(ncclAllGather(in, out, 2, ncclFloat32, world, stream))
  Check(out[4] == 3, "all_gather");
  COLLECTIVE(ncclReduceScatter(in, out, 2, ncclFloat32, ncclSum, world, stream))
  Check(out[1] == Sum(), "reduce_scatter");
#if NCCL_VERSION >= 22800
  COLLECTIVE(ncclAlltoAll(in, out, 2, ncclFloat32, world, stream))
  Check(out[4] == 3, "all_to_all");
  COLLECTIVE(ncclGather(in, out, 2, ncclFloat32, 1, world, stream))
  Check(rank != 1 || out[4] == 3, "gather");
  COLLECTIVE(ncclScatter(in, out, 2, ncclFloat32, 1, world, stream))
  Check(out[1] == 2, "scatter");
#endif
}

static void Groups(void) {
  const int right = (rank + 1) % size, left = (rank + size - 1) % size;
  for (int round = 0; round < 3; ++round) {
    Fill();
    Ok(ncclGroupStart());
    Ok(ncclGroupStart());
    Ok(ncclSend(in, kCount, ncclFloat32, right, world, stream));
    Ok(ncclGroupEnd());
    Ok(ncclRecv(out, kCount, ncclFloat32, left, world, stream));
    Ok(ncclGroupEnd());
    Sync();
    Check(out[0] == (float)(left + 1), "what was received");
  }
  Fill();
  Ok(ncclGroupStart());
  for (int i = 0; i < 10; ++i)
    Ok(ncclAllReduce(in, &out[i], 1, ncclFloat32, ncclSum, world, stream));
  Ok(ncclGroupEnd());
  Sync();
  Check(out[9] == Sum(), "an all_reduce in a group");
}

// Two ranks of one communicator in each process, in one group, as a process with two GPUs may.
static void TwoRanks(ncclUniqueId id) {
  ncclComm_t both[2];
  cudaStream_t streams[2] = {stream, NULL};
  Ok(cudaStreamCreateWithFlags(&streams[1], 1));
  Ok(ncclGroupStart());
  for (int i = 0; i < 2; ++i) Ok(ncclCommInitRank(&both[i], 2 * size, id, 2 * rank + i));
  Ok(ncclGroupEnd());
  Fill();
  for (int i = 0; i < 2; ++i)
    Ok(ncclAllReduce(in, &out[i * kCount], kCount, ncclFloat32, ncclSum, both[i], streams[i]));
  for (int i = 0; i < 2; ++i) Ok(cudaStreamSynchronize(streams[i]));
  Check(out[kCount] == 2 * Sum(), "the sum of twice as many");
  for (int i = 0; i < 2; ++i) Ok(ncclCommDestroy(both[i]));
  Ok(cudaStreamDestroy(streams[1]));
}

#if NCCL_VERSION >= 22700
static void Communicators(void) {
  ncclComm_t part, rest;
  int excluded = 2;
  Fill();
  Ok(ncclCommSplit(world, rank == 1 ? -1 : 7, -rank, &part, NULL));
  if (rank != 1) {
    Ok(ncclAllReduce(in, out, kCount, ncclFloat32, ncclSum, part, stream));
    Sync();
    Check(out[0] == 4, "the sum of ranks 0 and 2");
    Ok(ncclCommDestroy(part));
  }
  Ok(ncclCommSplit(world, rank == 1, 0, &part, NULL));
  Ok(ncclAllReduce(in, out, kCount, ncclFloat32, ncclSum, part, stream));
  Sync();
  Ok(ncclCommDestroy(part));
  for (int again = 0; rank != excluded && again < 2; ++again) {
    Ok(ncclCommShrink(world, &excluded, 1, &rest, NULL, 0));
    Ok(ncclAllReduce(in, out, kCount, ncclFloat32, ncclSum, rest, stream));
    Sync();
    Check(out[0] == 3, "the sum of ranks 0 and 1");
    Ok(ncclCommDestroy(rest));
  }
}

enum { kThreads = 3, kTimes = 300 };

// With a communicator and a stream of its own, as NCCL demands.
static void* Thread(void* comm) {
  cudaStream_t mine;
  float one = 1, sum = 0;
  Ok(cudaStreamCreateWithFlags(&mine, 1));
  for (int i = 0; i < kTimes; ++i) {
    Ok(ncclAllReduce(&one, &sum, 1, ncclFloat32, ncclSum, comm, mine));
    if (i % 50 == 0) Ok(cudaStreamSynchronize(mine));
  }
  Ok(cudaStreamSynchronize(mine));
  Check(sum == (float)size, "a thread's sum");
  Ok(ncclCommDestroy(comm));
  Ok(cudaStreamDestroy(mine));
  return NULL;
}

static void Threads(void) {
  ncclComm_t comms[kThreads];
  pthread_t threads[kThreads];
  for (int i = 0; i < kThreads; ++i) Ok(ncclCommSplit(world, 0, rank, &comms[i], NULL));
  for (int i = 0; i < kThreads; ++i) pthread_create(&threads[i], NULL, &Thread, comms[i]);
  for (int i = 0; i < kThreads; ++i) pthread_join(threads[i], NULL);
}

// More than the shim's thread looks at in one go stand on one stream, and another goes on.
static void Ahead(void) {
  ncclComm_t part;
  cudaStream_t other;
  Fill();
  Ok(ncclCommSplit(world, rank == 1 ? -1 : 0, rank, &part, NULL));
  if (IsGuilty()) pause();
  Ok(cudaStreamCreateWithFlags(&other, 1));
  for (int i = 0; i < 100; ++i)
    Ok(ncclAllReduce(in, out, kCount, ncclFloat32, ncclSum, world, stream));
  Ok(ncclAllReduce(in, &out[kCount], kCount, ncclFloat32, ncclSum, part, other));
  pause();
}

static int AwaitState(ncclComm_t comm) {
  int state = ncclInProgress;
  while (state == ncclInProgress) Ok(ncclCommGetAsyncError(comm, &state));
  return state;
}

static void WithoutBlocking(ncclUniqueId id) {
  ncclConfig_t config = {.size = sizeof config, .magic = 0xcafebeef, .version = NCCL_VERSION};
  config.blocking = 0;
  Check(ncclCommInitRankConfig(&world, size, id, rank, &config) == ncclInProgress, "init");
  Ok(AwaitState(world));
  for (int i = 0; i < 2; ++i) {
    Fill();
    const int code = ncclAllReduce(in, out, kCount, ncclFloat32, ncclSum, world, stream);
    Check(code == (i == 0 ? ncclInProgress : ncclSuccess), "all_reduce");
    Ok(AwaitState(world));
    Sync();
    Check(out[0] == Sum(), "the sum");
  }
  ncclComm_t part = NULL;
  Check(ncclCommSplit(world, 0, rank, &part, &config) == ncclInProgress, "split");
  Ok(AwaitState(world));
  Ok(AwaitState(part));
  (void)ncclAllReduce(in, out, kCount, ncclFloat32, ncclSum, part, stream);
  Ok(AwaitState(part));
  Sync();
  Ok(ncclCommDestroy(part));
  Check(ncclCommFinalize(world) == ncclInProgress, "finalize");
  Ok(AwaitState(world));
}
#endif

static void Mismatch(const char* how) {
  const int guilty = IsGuilty();
#define IS(name) (guilty && strcmp(how, name) == 0)
  Fill();
  Ok(ncclAllReduce(in, out, kCount, ncclFloat32, ncclSum, world, stream));
  Sync();
  if (strcmp(how, "root") == 0) {
    (void)ncclBroadcast(in, out, kCount, ncclFloat32, guilty, world, stream);
  } else if (IS("kind")) {
    (void)ncclBroadcast(in, out, kCount, ncclFloat32, 0, world, stream);
  } else if (IS("finalize")) {
    (void)ncclCommFinalize(world);
  } else {
    (void)ncclAllReduce(in, out, IS("count") ? kCount / 2 : kCount,
                        IS("dtype") ? ncclInt32 : ncclFloat32, IS("reduction") ? ncclMax : ncclSum,
                        world, stream);
  }
  pause();
}

// What the guilty does instead of the second op.
static void Missing(const char* what) {
  Fill();
  Ok(ncclAllReduce(in, out, kCount, ncclFloat32, ncclSum, world, stream));
  Sync();
  if (IsGuilty()) {
    if (strcmp(what, "stops") == 0) raise(SIGSTOP);
    if (strcmp(what, "ends") == 0) exit(0);
    if (strcmp(what, "sleeps") == 0) pause();
    volatile long spins = 0;
    while (strcmp(what, "computes") == 0) ++spins;
  }
  // Whoever goes on does so ahead of its stream, and computes then.
  for (int i = 0; i < 3; ++i)
    Ok(ncclAllReduce(in, out, kCount, ncclFloat32, ncclSum, world, stream));
  Sync();
}

static void Aborts(void) {
  if (IsGuilty()) pause();
  Ok(ncclAllReduce(in, out, kCount, ncclFloat32, ncclSum, world, stream));
  usleep(200000);  // tidy:allow sleep: the stream comes to the op, of which nobody tells
  Ok(ncclCommAbort(world));
  Sync();
  world = NULL;
}

static void Forks(void) {
  Fill();
  Ok(ncclAllReduce(in, out, kCount, ncclFloat32, ncclSum, world, stream));
  Sync();
  const pid_t child = fork();
  if (child == 0) {
    (void)ncclGroupStart();
    (void)ncclGroupEnd();
    int state = 0;
    (void)ncclCommGetAsyncError(world, &state);
    _exit(0);
  }
  int status = -1;
  waitpid(child, &status, 0);
  Check(status == 0, "the child's end");
}

static void Captures(void) {
  void* graph = NULL;
  Ok(cudaStreamBeginCapture(stream, 0));
  if (!IsGuilty()) Ok(ncclAllReduce(in, out, kCount, ncclFloat32, ncclSum, world, stream));
  Ok(cudaStreamEndCapture(stream, &graph));
  pause();
}

int main(int argc, char** argv) {
  const char* const mode = argc > 2 ? argv[1] : "";
  const char* const detail = argc > 3 ? argv[3] : "";
  if (argc < 3) return 2;
  rank = atoi(getenv("RANK"));
  size = atoi(getenv("WORLD_SIZE"));
  if (strcmp(mode, "never_init") == 0 && IsGuilty()) pause();
  const ncclUniqueId id = ExchangeId(argv[2]);
  Ok(cudaStreamCreateWithFlags(&stream, 1));
#if NCCL_VERSION >= 22700
  if (strcmp(mode, "without_blocking") == 0) {
    WithoutBlocking(id);
  } else if (strcmp(mode, "init_by_many") == 0) {
    ncclUniqueId ids[] = {id, id};
    ids[1].internal[0] ^= 1;
    Ok(ncclCommInitRankScalable(&world, size, rank, 2, ids, NULL));
  } else
#endif
      if (strcmp(mode, "two_ranks") == 0) {
    TwoRanks(id);
  } else if (strcmp(mode, "init_in_group") == 0) {
    Ok(ncclGroupStart());
    Ok(ncclCommInitRank(&world, size, id, rank));
    Ok(ncclGroupEnd());
  } else {
    Ok(ncclCommInitRank(&world, size, id, rank));
  }
  if (strcmp(mode, "collectives") == 0 || strncmp(mode, "init_", 5) == 0) Collectives();
  if (strcmp(mode, "groups") == 0) Groups();
#if NCCL_VERSION >= 22700
  if (strcmp(mode, "communicators") == 0) Communicators();
  if (strcmp(mode, "ahead") == 0) Ahead();
  if (strcmp(mode, "threads") == 0) Threads();
#endif
  if (strcmp(mode, "mismatch") == 0) Mismatch(detail);
  if (strcmp(mode, "missing") == 0) Missing(detail);
  if (strcmp(mode, "aborts") == 0) Aborts();
  if (strcmp(mode, "forks") == 0) Forks();
  if (strcmp(mode, "captures") == 0) Captures();
  if (world != NULL) Ok(ncclCommDestroy(world));
  Ok(cudaStreamDestroy(stream));
  printf("rank %d has ended well\n", rank);
  return 0;
}
