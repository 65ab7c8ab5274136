// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
//
// A rank of mpi_shim_test: an MPI program that knows nothing of Lockstep. Its first argument says
// what it does; of faults rank 1 is guilty. What it computes it checks by itself.
#include <mpi.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { kGuilty = 1, kCount = 8 };

static int rank, size;
static float in[1 << 16], out[1 << 16];

static void Check(int holds, const char* what) {
  if (holds) return;
  fprintf(stderr, "rank %d: %s is wrong\n", rank, what);
  exit(3);
}

static int IsGuilty(void) { return rank == kGuilty; }

static void Fill(void) {
  for (int i = 0; i < kCount * 8; ++i) in[i] = (float)(rank + 1);
  memset(out, 0, sizeof out);
}

static float Sum(void) { return (float)(size * (size + 1)) / 2; }

// All collectives, blocking and not, in their order in the table of the shim.
static void Collectives(void) {
  int counts[64], places[64], ones[64], one_places[64], kinds = 0;
  MPI_Datatype types[64];
  int bytes_counts[64], bytes_places[64];
  for (int i = 0; i < size; ++i) {
    counts[i] = i + 1;  // of each member another
    places[i] = i * (i + 1) / 2;
    ones[i] = 1;
    one_places[i] = i;
    bytes_counts[i] = 1;
    bytes_places[i] = i * (int)sizeof(float);
    types[i] = MPI_FLOAT;
  }
  for (int nonblocking = 0; nonblocking < 2; ++nonblocking) {
    MPI_Request request;
#define COLLECTIVE(name, lower, ...)       \
  Fill();                                  \
  ++kinds;                                 \
  if (nonblocking) {                       \
    MPI_I##lower(__VA_ARGS__, &request);   \
    MPI_Wait(&request, MPI_STATUS_IGNORE); \
  } else {                                 \
    MPI_##name(__VA_ARGS__);               \
  }
    const MPI_Comm world = MPI_COMM_WORLD;
    COLLECTIVE(Barrier, barrier, world)
    COLLECTIVE(Bcast, bcast, in, 4, MPI_FLOAT, 2, world)
    Check(in[3] == 3, "broadcast");
    COLLECTIVE(Reduce, reduce, in, out, 4, MPI_FLOAT, MPI_MAX, 1, world)
    Check(rank != 1 || out[3] == (float)size, "reduce");
    COLLECTIVE(Allreduce, allreduce, in, out, 4, MPI_FLOAT, MPI_SUM, world)
    Check(out[3] == Sum(), "all_reduce");
    COLLECTIVE(Gather, gather, rank == 1 ? MPI_IN_PLACE : in, rank == 1 ? 7 : 2,
               rank == 1 ? MPI_INT : MPI_FLOAT, out, 2, MPI_FLOAT, 1, world)
    Check(rank != 1 || out[4] == 3, "gather");
    COLLECTIVE(Gatherv, gatherv, in, rank + 1, MPI_FLOAT, out, counts, places, MPI_FLOAT, 1, world)
    Check(rank != 1 || out[5] == 3, "gather_v");
    COLLECTIVE(Scatter, scatter, in, 2, MPI_FLOAT, rank == 1 ? MPI_IN_PLACE : out,
               rank == 1 ? 7 : 2, rank == 1 ? MPI_INT : MPI_FLOAT, 1, world)
    Check(rank == 1 || out[1] == 2, "scatter");
    COLLECTIVE(Scatterv, scatterv, in, counts, places, MPI_FLOAT, out, rank + 1, MPI_FLOAT, 1,
               world)
    Check(out[rank] == 2, "scatter_v");
    COLLECTIVE(Allgather, allgather, in, 2, MPI_FLOAT, out, 2, MPI_FLOAT, world)
    Check(out[4] == 3, "all_gather");
    COLLECTIVE(Allgatherv, allgatherv, in, rank + 1, MPI_FLOAT, out, counts, places, MPI_FLOAT,
               world)
    Check(out[5] == 3, "all_gather_v");
    COLLECTIVE(Alltoall, alltoall, in, 2, MPI_FLOAT, out, 2, MPI_FLOAT, world)
    Check(out[4] == 3, "all_to_all");
    COLLECTIVE(Alltoallv, alltoallv, in, ones, one_places, MPI_FLOAT, out, ones, one_places,
               MPI_FLOAT, world)
    Check(out[2] == 3, "all_to_all_v");
    COLLECTIVE(Alltoallw, alltoallw, in, bytes_counts, bytes_places, types, out, bytes_counts,
               bytes_places, types, world)
    Check(out[2] == 3, "all_to_all_w");
    COLLECTIVE(Reduce_scatter, reduce_scatter, in, out, counts, MPI_FLOAT, MPI_SUM, world)
    Check(out[0] == Sum(), "reduce_scatter");
    COLLECTIVE(Reduce_scatter_block, reduce_scatter_block, in, out, 2, MPI_FLOAT, MPI_SUM, world)
    Check(out[1] == Sum(), "reduce_scatter_block");
    COLLECTIVE(Scan, scan, in, out, 2, MPI_FLOAT, MPI_SUM, world)
    Check(out[1] == (float)((rank + 1) * (rank + 2)) / 2, "scan");
    COLLECTIVE(Exscan, exscan, in, out, 2, MPI_FLOAT, MPI_SUM, world)
    Check(rank == 0 || out[1] == (float)(rank * (rank + 1)) / 2, "exscan");
  }
  Check(kinds == 34, "the number of collectives");
}

// MPI calls that come from MPI itself, when a communicator is copied.
static int CopyAttribute(MPI_Comm comm, int key, void* extra, void* value, void* copy, int* keep) {
  (void)comm, (void)key, (void)extra, (void)value, (void)copy;
  *keep = 0;
  return MPI_Barrier(MPI_COMM_SELF);
}

// One of each way to make a communicator, and an op in it.
static void Communicators(void) {
  const MPI_Comm world = MPI_COMM_WORLD;
  MPI_Comm made, within;
  MPI_Group all, some;
  const int twice[] = {0, 2};
  const int period = 0;
  int key;
  MPI_Comm_create_keyval(&CopyAttribute, MPI_COMM_NULL_DELETE_FN, &key, NULL);
  MPI_Comm_set_attr(world, key, NULL);
  MPI_Comm_dup(world, &made);
  MPI_Comm_delete_attr(world, key);
  MPI_Comm_free_keyval(&key);
  MPI_Barrier(made);
  MPI_Comm_split(made, rank == 1 ? MPI_UNDEFINED : 7, -rank, &within);
  if (within != MPI_COMM_NULL) {
    MPI_Barrier(within);
    MPI_Comm_free(&within);
  }
  MPI_Comm_free(&made);
  MPI_Comm_split(world, rank == 1, 0, &within);  // two by one call
  MPI_Barrier(within);
  MPI_Comm_free(&within);
  MPI_Comm_split_type(world, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &made);
  MPI_Barrier(made);
  MPI_Comm_free(&made);
  MPI_Comm_group(world, &all);
  MPI_Group_incl(all, 2, twice, &some);
  MPI_Comm_create(world, some, &made);
  if (made != MPI_COMM_NULL) {
    MPI_Barrier(made);
    MPI_Comm_free(&made);
  }
  for (int again = 0; rank != 1 && again < 2; ++again) {
    MPI_Comm_create_group(world, some, 4, &made);
    MPI_Barrier(made);
    MPI_Comm_free(&made);
  }
  MPI_Cart_create(world, 1, &size, &period, 0, &made);
  MPI_Barrier(made);
  MPI_Comm_free(&made);
  MPI_Group_free(&some);
  MPI_Group_free(&all);
}

// In a circle: to the right, from the left.
static void Transfers(void) {
  const MPI_Comm world = MPI_COMM_WORLD;
  const int right = (rank + 1) % size, left = (rank + size - 1) % size;
  MPI_Request requests[4];
  MPI_Status status;
  int flag = 0, index = 0, some = 0, indices[4];
  float got[4] = {0};
  Fill();
  // Two that are at once; one to nobody.
  MPI_Irecv(&got[0], 1, MPI_FLOAT, left, 1, world, &requests[0]);
  MPI_Irecv(&got[1], 1, MPI_FLOAT, MPI_ANY_SOURCE, 2, world, &requests[1]);
  MPI_Isend(in, 1, MPI_FLOAT, right, 1, world, &requests[2]);
  MPI_Isend(in, 1, MPI_FLOAT, MPI_PROC_NULL, 1, world, &requests[3]);
  MPI_Send(in, 1, MPI_FLOAT, right, 2, world);
  MPI_Waitall(4, requests, MPI_STATUSES_IGNORE);
  Check(got[0] == (float)(left + 1) && got[1] == got[0], "what was received at once");
  MPI_Sendrecv(in, 1, MPI_FLOAT, right, 3, &got[2], 1, MPI_FLOAT, left, 3, world, &status);
  Check(got[2] == got[0] && status.MPI_SOURCE == left, "send_recv");
  // One after the other, each way to wait.
  MPI_Irecv(&got[0], 1, MPI_FLOAT, left, 4, world, &requests[0]);
  MPI_Isend(in, 1, MPI_FLOAT, right, 4, world, &requests[1]);
  MPI_Waitany(2, requests, &index, &status);
  MPI_Waitany(2, requests, &index, &status);
  Check(index == 0 || index == 1, "waitany");
  MPI_Irecv(&got[0], 1, MPI_FLOAT, left, 5, world, &requests[0]);
  MPI_Isend(in, 1, MPI_FLOAT, right, 5, world, &requests[1]);
  for (int over = 0; over < 2; over += some)
    MPI_Waitsome(2, requests, &some, indices, MPI_STATUSES_IGNORE);
  MPI_Irecv(&got[0], 1, MPI_FLOAT, left, 6, world, &requests[0]);
  MPI_Issend(in, 1, MPI_FLOAT, right, 6, world, &requests[1]);
  for (flag = 0; !flag;) MPI_Test(&requests[0], &flag, MPI_STATUS_IGNORE);
  for (flag = 0; !flag;) MPI_Testall(2, requests, &flag, MPI_STATUSES_IGNORE);
  // Looked for before it is received.
  MPI_Isend(in, 1, MPI_FLOAT, right, 7, world, &requests[0]);
  MPI_Probe(left, 7, world, &status);
  MPI_Recv(&got[3], 1, MPI_FLOAT, status.MPI_SOURCE, 7, world, MPI_STATUS_IGNORE);
  MPI_Wait(&requests[0], MPI_STATUS_IGNORE);
  Check(got[3] == got[2], "what was probed for");
  // From anybody, by calls that wait.
  MPI_Isend(in, 1, MPI_FLOAT, right, 9, world, &requests[0]);
  MPI_Recv(&got[3], 1, MPI_FLOAT, MPI_ANY_SOURCE, 9, world, MPI_STATUS_IGNORE);
  MPI_Wait(&requests[0], MPI_STATUS_IGNORE);
  MPI_Sendrecv(in, 1, MPI_FLOAT, right, 9, &got[3], 1, MPI_FLOAT, MPI_ANY_SOURCE, 9, world,
               MPI_STATUS_IGNORE);
  // Again and again.
  MPI_Recv_init(&got[0], 1, MPI_FLOAT, left, 8, world, &requests[0]);
  MPI_Send_init(in, 1, MPI_FLOAT, right, 8, world, &requests[1]);
  for (int round = 0; round < 3; ++round) {
    MPI_Startall(2, requests);
    MPI_Waitall(2, requests, MPI_STATUSES_IGNORE);
  }
  MPI_Request_free(&requests[0]);
  MPI_Request_free(&requests[1]);
}

// The same elements, described in three ways.
static void Datatypes(void) {
  MPI_Datatype pair, vector;
  MPI_Type_contiguous(2, MPI_FLOAT, &pair);
  MPI_Type_commit(&pair);
  MPI_Type_vector(2, 1, 2, pair, &vector);
  MPI_Type_commit(&vector);
  Fill();
  if (rank == 0) {
    MPI_Bcast(in, 4, MPI_FLOAT, 0, MPI_COMM_WORLD);
  } else if (rank == 1) {
    MPI_Bcast(in, 2, pair, 0, MPI_COMM_WORLD);
  } else {
    MPI_Bcast(in, 1, vector, 0, MPI_COMM_WORLD);
  }
  Check(in[1] == 1, "broadcast of derived types");
  MPI_Type_free(&vector);
  MPI_Type_free(&pair);
  // Handles of types that are gone are others' now.
  for (int count = 1; count <= 3; ++count) {
    MPI_Datatype some;
    MPI_Type_contiguous(count, MPI_FLOAT, &some);
    MPI_Type_commit(&some);
    MPI_Bcast(in, rank == 1 ? 1 : count, rank == 1 ? some : MPI_FLOAT, 0, MPI_COMM_WORLD);
    MPI_Type_free(&some);
  }
}

// Calls that MPI refuses, and a message that is longer than its receiver wants.
static void Errors(void) {
  const MPI_Comm world = MPI_COMM_WORLD;
  const int right = (rank + 1) % size, left = (rank + size - 1) % size;
  MPI_Request requests[2];
  MPI_Status statuses[2];
  Fill();
  MPI_Comm_set_errhandler(world, MPI_ERRORS_RETURN);
  Check(MPI_Bcast(in, 1, MPI_FLOAT, size, world) != MPI_SUCCESS, "a root that is none");
  Check(MPI_Isend(in, -1, MPI_FLOAT, right, 0, world, &requests[0]) != MPI_SUCCESS, "a count");
  MPI_Irecv(out, 1, MPI_FLOAT, left, 1, world, &requests[0]);
  MPI_Isend(in, 4, MPI_FLOAT, right, 1, world, &requests[1]);
  Check(MPI_Waitall(2, requests, statuses) != MPI_SUCCESS, "a message cut short");
  MPI_Wait(&requests[1], MPI_STATUS_IGNORE);  // MPICH may have left it pending
}

enum { kThreads = 2, kTimes = 100 };

static MPI_Comm comms[kThreads];

static void* Thread(void* argument) {
  const MPI_Comm comm = *(const MPI_Comm*)argument;
  const int right = (rank + 1) % size, left = (rank + size - 1) % size;
  for (int round = 0; round < kTimes; ++round) {
    float own = (float)(rank + round), got[2] = {0}, sum = 0;
    MPI_Request requests[3];
    MPI_Allreduce(&own, &sum, 1, MPI_FLOAT, MPI_SUM, comm);
    MPI_Irecv(&got[0], 1, MPI_FLOAT, left, round, comm, &requests[0]);
    MPI_Irecv(&got[1], 1, MPI_FLOAT, MPI_ANY_SOURCE, kTimes + round, comm, &requests[1]);
    MPI_Isend(&own, 1, MPI_FLOAT, right, round, comm, &requests[2]);
    MPI_Send(&own, 1, MPI_FLOAT, right, kTimes + round, comm);
    MPI_Waitall(3, requests, MPI_STATUSES_IGNORE);
    Check(sum == (float)(size * round) + (float)(size * (size - 1)) / 2 &&
              got[0] == (float)(left + round) && got[1] == got[0],
          "what a thread got");
  }
  return NULL;
}

static void Threads(void) {
  pthread_t threads[kThreads];
  for (int i = 0; i < kThreads; ++i) MPI_Comm_dup(MPI_COMM_WORLD, &comms[i]);
  for (int i = 0; i < kThreads; ++i) pthread_create(&threads[i], NULL, &Thread, &comms[i]);
  for (int i = 0; i < kThreads; ++i) pthread_join(threads[i], NULL);
  for (int i = 0; i < kThreads; ++i) MPI_Comm_free(&comms[i]);
}

// More groups than there are seats, one after the other.
static void ManyCommunicators(void) {
  for (int i = 0; i < 150; ++i) {
    MPI_Comm made;
    MPI_Comm_dup(MPI_COMM_WORLD, &made);
    MPI_Barrier(made);
    MPI_Comm_free(&made);
  }
}

static void Mismatch(const char* field) {
  const MPI_Comm world = MPI_COMM_WORLD;
  Fill();
  MPI_Comm_set_errhandler(world, MPI_ERRORS_RETURN);
  MPI_Barrier(world);
  if (strcmp(field, "count") == 0)
    MPI_Allreduce(in, out, IsGuilty() ? 4 : 8, MPI_FLOAT, MPI_SUM, world);
  if (strcmp(field, "dtype") == 0)
    MPI_Allreduce(in, out, 8, IsGuilty() ? MPI_INT : MPI_FLOAT, MPI_SUM, world);
  if (strcmp(field, "reduction") == 0)
    MPI_Allreduce(in, out, 8, MPI_FLOAT, IsGuilty() ? MPI_MAX : MPI_SUM, world);
  if (strcmp(field, "root") == 0) MPI_Bcast(in, 8, MPI_FLOAT, IsGuilty() ? 1 : 0, world);
  if (strcmp(field, "op") == 0 && IsGuilty()) MPI_Bcast(in, 8, MPI_FLOAT, 0, world);
  if (strcmp(field, "op") == 0 && !IsGuilty()) MPI_Allreduce(in, out, 8, MPI_FLOAT, MPI_SUM, world);
  if (strcmp(field, "scan") == 0 && IsGuilty()) MPI_Exscan(in, out, 8, MPI_FLOAT, MPI_SUM, world);
  if (strcmp(field, "scan") == 0 && !IsGuilty()) MPI_Scan(in, out, 8, MPI_FLOAT, MPI_SUM, world);
  if (strcmp(field, "finalize") == 0 && !IsGuilty())
    MPI_Allreduce(in, out, 8, MPI_FLOAT, MPI_SUM, world);
  // Whether it ended or not, the rings tell; the test ends what is left.
  if (strcmp(field, "finalize") != 0) pause();
}

static double NowNs(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static int Ascending(const void* a, const void* b) {
  const double difference = *(const double*)a - *(const double*)b;
  return (difference > 0) - (difference < 0);
}

// What the shim adds to a call: MPI_X comes by it and PMPI_X does not, in turns; and what a reading
// of the clock costs, so that the figure can be judged whatever the machine.
static void Cost(void) {
  enum { kRounds = 200, kCalls = 500 };
  static double with[3][kRounds], without[3][kRounds], clock[kRounds];
  const MPI_Comm self = MPI_COMM_SELF;
  MPI_Request requests[2];
#define ALL_REDUCE(P) P##MPI_Allreduce(in, out, 1, MPI_FLOAT, MPI_SUM, self)
#define ALL_REDUCE_AND_WAIT(P)                                           \
  P##MPI_Iallreduce(in, out, 1, MPI_FLOAT, MPI_SUM, self, &requests[0]); \
  P##MPI_Wait(&requests[0], MPI_STATUS_IGNORE)
#define TRANSFERS_AND_WAIT(P)                                \
  P##MPI_Irecv(out, 1, MPI_FLOAT, 0, 0, self, &requests[0]); \
  P##MPI_Isend(in, 1, MPI_FLOAT, 0, 0, self, &requests[1]);  \
  P##MPI_Waitall(2, requests, MPI_STATUSES_IGNORE)
#define MEASURE(call, results)                   \
  do {                                           \
    const double begun = NowNs();                \
    for (int i = 0; i < kCalls; ++i) {           \
      call;                                      \
    }                                            \
    results[round] = (NowNs() - begun) / kCalls; \
  } while (0)
  for (int round = 0; round < kRounds; ++round) {
    MEASURE(ALL_REDUCE(), with[0]);
    MEASURE(ALL_REDUCE(P), without[0]);
    MEASURE(ALL_REDUCE_AND_WAIT(), with[1]);
    MEASURE(ALL_REDUCE_AND_WAIT(P), without[1]);
    MEASURE(TRANSFERS_AND_WAIT(), with[2]);
    MEASURE(TRANSFERS_AND_WAIT(P), without[2]);
    MEASURE((void)NowNs(), clock);
  }
  qsort(clock, kRounds, sizeof(double), &Ascending);
  const char* const what[] = {"allreduce", "iallreduce, wait", "irecv, isend, waitall"};
  const int calls[] = {1, 2, 3};
  for (int i = 0; i < 3; ++i) {
    qsort(with[i], kRounds, sizeof(double), &Ascending);
    qsort(without[i], kRounds, sizeof(double), &Ascending);
    const int quiet = kRounds / 10;
    printf("cost %.1f ns a call, clock %.1f ns: %s, %.1f ns with and %.1f ns without\n",
           (with[i][quiet] - without[i][quiet]) / calls[i], clock[quiet], what[i], with[i][quiet],
           without[i][quiet]);
  }
}

int main(int argc, char** argv) {
  const char* const mode = argc > 1 ? argv[1] : "";
  int provided = MPI_THREAD_SINGLE;
  if (strcmp(mode, "threads") == 0) {
    MPI_Init_thread(&argc, &argv, MPI_THREAD_MULTIPLE, &provided);
    Check(provided == MPI_THREAD_MULTIPLE, "the level of threads");
  } else {
    MPI_Init(&argc, &argv);
  }
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  if (strcmp(mode, "collectives") == 0) Collectives();
  if (strcmp(mode, "communicators") == 0) Communicators();
  if (strcmp(mode, "transfers") == 0) Transfers();
  if (strcmp(mode, "datatypes") == 0) Datatypes();
  if (strcmp(mode, "errors") == 0) Errors();
  if (strcmp(mode, "threads") == 0) Threads();
  if (strcmp(mode, "many") == 0) ManyCommunicators();
  if (strcmp(mode, "cost") == 0) Cost();
  if (strcmp(mode, "mismatch") == 0) Mismatch(argv[2]);
  if (strcmp(mode, "stopped") == 0) {
    MPI_Barrier(MPI_COMM_WORLD);
    if (IsGuilty()) raise(SIGSTOP);
    MPI_Barrier(MPI_COMM_WORLD);
  }
  if (strcmp(mode, "waits") == 0) {  // for a message that rank 1 never sends
    MPI_Request request;
    if (rank == 0) {
      MPI_Irecv(in, 1, MPI_FLOAT, kGuilty, 0, MPI_COMM_WORLD, &request);
      MPI_Wait(&request, MPI_STATUS_IGNORE);
    } else {
      pause();
    }
  }
  if (strcmp(mode, "forks") == 0) {
    MPI_Barrier(MPI_COMM_WORLD);
    const pid_t child = fork();
    if (child == 0) {
      MPI_Allreduce(in, out, 1, MPI_FLOAT, MPI_SUM, MPI_COMM_SELF);
      _exit(0);
    }
    waitpid(child, NULL, 0);
    MPI_Barrier(MPI_COMM_WORLD);
  }
  MPI_Finalize();
  printf("rank %d has ended well\n", rank);
  return 0;
}
