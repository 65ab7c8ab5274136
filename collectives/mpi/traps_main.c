// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// One of three ranks of an ordinary MPI program in which rank 1 does something wrong, for mpirun:
//   traps FOLDER TRAP
// What MPI makes of it this rank writes into FOLDER/rank_R, a word and two numbers a line:
//   call RC VALUE   the call came back with RC; VALUE: what an element holds, or was measured
//   hung 0 0        the call did not come back within five seconds
//   end RC 0        MPI_Finalize came back
// docs/lessons.md tells of it, and traps_test.py holds it to what each MPI does.
#include <mpi.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { SMALL = 4, LARGE = 1 << 20, HUNG_AFTER_S = 5, GUILTY = 1 };

static FILE* told;
static int rank, size;
static float *data, *other;

static void tell(const char* word, int code, double value) {
  fprintf(told, "%s %d %g\n", word, code, value);
  fflush(told);
}

// The main thread is inside of MPI, and stdio not in use.
static void hung(int signal_number) {
  (void)signal_number;
  const char line[] = "hung 0 0\n";
  if (write(fileno(told), line, sizeof line - 1) < 0) _exit(2);
  sleep(1);  // for the others to tell, too
  _exit(3);
}

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static double cpu_seconds(void) {
  struct timespec time;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static void sleep_ms(int ms) {
  const struct timespec time = {ms / 1000, (long)(ms % 1000) * 1000000};
  nanosleep(&time, NULL);
}

static void sum(int count) {
  const int code = MPI_Allreduce(MPI_IN_PLACE, data, count, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
  tell("call", code, data[0]);
}

static void half_count(void) { sum(rank == GUILTY ? SMALL / 2 : SMALL); }
static void half_count_of_many(void) { sum(rank == GUILTY ? LARGE / 2 : LARGE); }

static void int_for_float(void) {
  const int code = MPI_Allreduce(MPI_IN_PLACE, data, SMALL, rank == GUILTY ? MPI_INT : MPI_FLOAT,
                                 MPI_SUM, MPI_COMM_WORLD);
  tell("call", code, data[0]);
}

static void max_for_sum(void) {
  const int code = MPI_Allreduce(MPI_IN_PLACE, data, SMALL, MPI_FLOAT,
                                 rank == GUILTY ? MPI_MAX : MPI_SUM, MPI_COMM_WORLD);
  tell("call", code, data[0]);
}

static void broadcast(int count) {
  const int code = MPI_Bcast(data, count, MPI_FLOAT, rank == GUILTY ? GUILTY : 0, MPI_COMM_WORLD);
  tell("call", code, data[0]);
}
static void other_root(void) { broadcast(SMALL); }
static void other_root_of_many(void) { broadcast(LARGE); }

static void broadcast_for_sum(void) {
  if (rank != GUILTY) return sum(SMALL);
  tell("call", MPI_Bcast(data, SMALL, MPI_FLOAT, 0, MPI_COMM_WORLD), data[0]);
}

static void other_order(void) {
  MPI_Comm second;
  MPI_Comm_dup(MPI_COMM_WORLD, &second);
  MPI_Comm_set_errhandler(second, MPI_ERRORS_RETURN);
  const MPI_Comm order[2] = {rank == GUILTY ? second : MPI_COMM_WORLD,
                             rank == GUILTY ? MPI_COMM_WORLD : second};
  for (int i = 0; i < 2; ++i)
    tell("call", MPI_Allreduce(MPI_IN_PLACE, data, SMALL, MPI_FLOAT, MPI_SUM, order[i]), data[0]);
}

static void never_calls(void) {
  if (rank != GUILTY) sum(SMALL);
}

static void stops(void) {
  if (rank == GUILTY) raise(SIGSTOP);
  sum(SMALL);
}

static void dies(void) {
  if (rank == GUILTY) raise(SIGKILL);
  sum(SMALL);
}

// Everybody sends before it receives.
static void sends_first(int count) {
  const int to = (rank + 1) % size, from = (rank + size - 1) % size;
  int code = MPI_Send(data, count, MPI_FLOAT, to, 0, MPI_COMM_WORLD);
  if (code == MPI_SUCCESS)
    code = MPI_Recv(other, count, MPI_FLOAT, from, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
  tell("call", code, other[0]);
}
static void sends_first_little(void) { sends_first(SMALL); }
static void sends_first_much(void) { sends_first(LARGE); }

// Of seconds that an MPI_Allreduce of 16 MiB takes, how much is left to wait for after as long a
// time of computing behind an MPI_Iallreduce.
static void overlap(void) {
  enum { COUNT = 4 << 20, ROUNDS = 5 };
  float* const in = calloc(COUNT, sizeof *in);
  float* const out = calloc(COUNT, sizeof *out);
  if (in == NULL || out == NULL) abort();
  double blocking = 1e9, left = 1e9;
  int code = MPI_SUCCESS;
  for (int i = 0; i < ROUNDS && code == MPI_SUCCESS; ++i) {
    MPI_Barrier(MPI_COMM_WORLD);
    double since = now();
    code = MPI_Allreduce(in, out, COUNT, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
    const double took = now() - since;
    if (took < blocking) blocking = took;
    MPI_Barrier(MPI_COMM_WORLD);
    MPI_Request request;
    MPI_Iallreduce(in, out, COUNT, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD, &request);
    for (since = now(); now() - since < 0.05 + took;) continue;  // computes
    since = now();
    MPI_Wait(&request, MPI_STATUS_IGNORE);
    if (now() - since < left) left = now() - since;
  }
  tell("call", code, left / blocking);
}

// Of the seconds that the others wait for a late rank, how many a processor burns meanwhile.
static void waits(void) {
  MPI_Barrier(MPI_COMM_WORLD);
  const double since = now(), cpu = cpu_seconds();
  if (rank == GUILTY) sleep_ms(1000);
  const int code = MPI_Barrier(MPI_COMM_WORLD);
  tell("call", code, (cpu_seconds() - cpu) / (now() - since));
}

// Microseconds of a small sum.
static void small_sums(void) {
  enum { WARM = 20, TIMES = 200 };
  for (int i = 0; i < WARM; ++i)
    MPI_Allreduce(MPI_IN_PLACE, data, 1, MPI_FLOAT, MPI_MAX, MPI_COMM_WORLD);
  const double since = now();
  int code = MPI_SUCCESS;
  for (int i = 0; i < TIMES && code == MPI_SUCCESS; ++i)
    code = MPI_Allreduce(MPI_IN_PLACE, data, 1, MPI_FLOAT, MPI_MAX, MPI_COMM_WORLD);
  tell("call", code, (now() - since) / TIMES * 1e6);
}

static const struct {
  const char* name;
  void (*run)(void);
} traps[] = {
    {"half_count", half_count},
    {"half_count_of_many", half_count_of_many},
    {"int_for_float", int_for_float},
    {"max_for_sum", max_for_sum},
    {"other_root", other_root},
    {"other_root_of_many", other_root_of_many},
    {"broadcast_for_sum", broadcast_for_sum},
    {"other_order", other_order},
    {"never_calls", never_calls},
    {"stops", stops},
    {"dies", dies},
    {"sends_first_little", sends_first_little},
    {"sends_first_much", sends_first_much},
    {"overlap", overlap},
    {"waits", waits},
    {"small_sums", small_sums},
};

int main(int argc, char** argv) {
  if (argc != 3) return 64;
  MPI_Init(&argc, &argv);
  MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  char path[4096];
  snprintf(path, sizeof path, "%s/rank_%d", argv[1], rank);
  told = fopen(path, "w");
  data = malloc(LARGE * sizeof *data);
  other = malloc(LARGE * sizeof *other);
  if (told == NULL || data == NULL || other == NULL) return 69;
  for (int i = 0; i < LARGE; ++i) data[i] = other[i] = (float)(rank + 1);
  signal(SIGALRM, hung);
  MPI_Barrier(MPI_COMM_WORLD);
  for (size_t i = 0; i < sizeof traps / sizeof *traps; ++i) {
    if (strcmp(argv[2], traps[i].name) != 0) continue;
    alarm(HUNG_AFTER_S);
    traps[i].run();
    tell("end", MPI_Finalize(), 0);
    return 0;
  }
  return 64;
}
