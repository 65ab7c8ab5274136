// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// The bar: a record, from call to end, under 100 ns.
#include <benchmark/benchmark.h>
#include <sys/mman.h>

#include "collectives/recorder/recorder.h"
#include "runtime/attach/shared_memory.h"
#include "runtime/base/check.h"

namespace lockstep::collectives {
namespace {

void BM_Recorder_WholeRecord(benchmark::State& state) {
  const base::UniqueFd fd(lockstep_shared_memory_create("benchmark-ring", RingBytes()));
  void* const memory =
      mmap(nullptr, LOCKSTEP_RING_HEADER_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  LOCKSTEP_CHECK(memory != MAP_FAILED, "mapping the ring");
  FormatRing({}, LOCKSTEP_RING_DEFAULT_SLOTS, *static_cast<lockstep_ring_header*>(memory));
  auto recorder = Recorder::Create(fd);
  LOCKSTEP_CHECK(recorder.ok(), "opening the ring");
  const base::SteadyTime now{};
  base::OpSeq seq;
  for (auto _ : state) {
    const auto ticket = (*recorder)->Begin({.group = base::GroupId(1),
                                            .seq = ++seq,
                                            .count_in = 1000,
                                            .enqueued = now,
                                            .call_file = "examples/train.cc",
                                            .call_line = 123,
                                            .tag = "bucket 1"});
    (*recorder)->Started(ticket, now);
    (*recorder)->Ended(ticket, LOCKSTEP_RECORD_COMPLETED, 4000, now);
  }
  munmap(memory, LOCKSTEP_RING_HEADER_BYTES);
}
BENCHMARK(BM_Recorder_WholeRecord);

}  // namespace
}  // namespace lockstep::collectives

BENCHMARK_MAIN();
