// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE  // NOLINT(bugprone-reserved-identifier): CPU_SET
#include "tests/bench/rank_program.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { kBlockBytes = 4096 }; /* stdio's habit on a pipe */

static int RankOfThis(void) {
  const char* const names[] = {"RANK", "OMPI_COMM_WORLD_RANK", "PMI_RANK"};
  for (size_t i = 0; i < sizeof names / sizeof names[0]; ++i) {
    const char* value = getenv(names[i]);
    if (value != NULL) return atoi(value);
  }
  return -1;
}

static int64_t MonotonicNow(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int WaitForSignal(const char* fifo, int64_t started_ns) {
  const struct BenchStamp stamp = {RankOfThis(), getpid(), started_ns};
  const int fd = open(fifo, O_WRONLY | O_CLOEXEC);
  if (fd < 0 || write(fd, &stamp, sizeof stamp) != sizeof stamp) {
    perror(fifo);
    return 1;
  }
  close(fd);
  pause();
  return 0;
}

static int LeaveCore(size_t cpu) {
  cpu_set_t cores;
  CPU_ZERO(&cores);
  const size_t count = (size_t)sysconf(_SC_NPROCESSORS_ONLN);
  for (size_t other = 0; other < count; ++other) {
    if (other != cpu || count == 1) CPU_SET(other, &cores);
  }
  return sched_setaffinity(0, sizeof cores, &cores);
}

static int WriteAll(const char* bytes, size_t size) {
  while (size > 0) {
    const ssize_t count = write(STDOUT_FILENO, bytes, size);
    if (count <= 0) return -1;
    bytes += count;
    size -= (size_t)count;
  }
  return 0;
}

/* The number is counted up in place: printf for each line would take longer than the pipe. */
static void NextNumber(char* digits) {
  for (int at = BENCH_LINE_DIGITS - 1; at >= 0 && ++digits[at] > '9'; --at) digits[at] = '0';
}

static int WriteLines(long lines) {
  char line[BENCH_LINE_BYTES];
  char block[kBlockBytes + BENCH_LINE_BYTES];
  size_t used = 0;
  memset(line, 'x', sizeof line);
  memset(line, '0', BENCH_LINE_DIGITS);
  line[BENCH_LINE_DIGITS] = ' ';
  line[sizeof line - 1] = '\n';
  for (long i = 0; i < lines; ++i) {
    memcpy(block + used, line, sizeof line);
    used += sizeof line;
    NextNumber(line);
    if (used < kBlockBytes) continue;
    if (WriteAll(block, kBlockBytes) != 0) return 1;
    used -= kBlockBytes;
    memmove(block, block + kBlockBytes, used);
  }
  return WriteAll(block, used) == 0 ? 0 : 1;
}

int main(int argc, char** argv) {
  const int64_t started_ns = MonotonicNow();
  if (argc == 3 && strcmp(argv[1], "wait") == 0) return WaitForSignal(argv[2], started_ns);
  if (argc == 4 && strcmp(argv[1], "write") == 0) {
    if (WriteLines(atol(argv[3])) != 0) return 1;
    return WaitForSignal(argv[2], started_ns);
  }
  if (argc == 4 && strcmp(argv[1], "lines") == 0) {
    if (LeaveCore(strtoul(argv[3], NULL, 10)) != 0) perror("leave the core");
    return WriteLines(atol(argv[2]));
  }
  fprintf(stderr, "rank_program: see tests/bench/rank_program.h\n");
  return 64;
}
