// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// The bar: calling an op of a group costs the calling thread at most 1 us more than the bare call
// of NCCL on a stream, with the recorder. On the machine's GPU and NCCL where it has both, else on
// the fake, whose own cost is in both figures.
#include <benchmark/benchmark.h>
#include <sys/mman.h>
#include <unistd.h>

#include <chrono>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>

#include "collectives/engine/own_deadline.h"
#include "collectives/nccl/nccl_calls.h"
#include "collectives/nccl/nccl_meeting.h"
#include "collectives/nccl/testing/nccl_gang.h"
#include "runtime/attach/shared_memory.h"
#include "runtime/base/check.h"

namespace lockstep::collectives::testing {
namespace {

// Calls between two waits: below what either puts into its queues before it blocks.
constexpr int kBatch = 32;
constexpr size_t kCount = 256;

std::shared_ptr<const GpuLibraries> Libraries() {
  if (access("/dev/nvidiactl", F_OK) == 0) {
    if (auto real = GpuLibraries::Load({}); real.ok()) return std::move(real).value();
  }
  return FakeGpu("2_30").Load();
}

std::shared_ptr<Recorder> MakeRecorder() {
  const base::UniqueFd fd(lockstep_shared_memory_create("benchmark-ring", RingBytes()));
  void* const memory =
      mmap(nullptr, LOCKSTEP_RING_HEADER_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  LOCKSTEP_CHECK(memory != MAP_FAILED, "mapping the ring");
  FormatRing({}, LOCKSTEP_RING_DEFAULT_SLOTS, *static_cast<lockstep_ring_header*>(memory));
  munmap(memory, LOCKSTEP_RING_HEADER_BYTES);
  auto recorder = Recorder::Create(fd);
  LOCKSTEP_CHECK(recorder.ok(), "opening the ring");
  return std::move(recorder).value();
}

void BM_Nccl_BareCall(benchmark::State& state) {
  NcclGang gang(1, Libraries());
  const GpuLibraries& libraries = *gang.runtime_config.libraries;
  const NcclGroup::Config config = gang.ConfigFor(0);
  const OwnDeadline own(std::chrono::seconds(60));
  auto board = gang.runtime()->boards().Open(config.spec, own.deadline);
  LOCKSTEP_CHECK(board.ok(), "the board opens");
  const Communicator::Config communicator{.runtime = gang.runtime(), .name = "bare"};
  auto made = MeetById(
      {.spec = config.spec, .config = communicator, .board = **board, .deadline = own.deadline});
  LOCKSTEP_CHECK(made.ok(), "the communicator is made");
  const auto memory = gang.Allocate(kCount * sizeof(float));
  const CudaDeviceScope scope(libraries, 0);
  const CudaEvent ended = gang.runtime()->TakeEvent(0);
  const std::lock_guard<std::mutex> lock((*made)->call_mutex());
  for (auto _ : state) {
    for (int call = 0; call < kBatch; ++call) {
      const NcclResult result =
          libraries.nccl().all_reduce(memory.get(), memory.get(), kCount, kNcclFloat32, kNcclSum,
                                      (*made)->comm(), (*made)->stream());
      LOCKSTEP_CHECK(result == kNcclSuccess || result == kNcclInProgress, "the call is taken");
      while ((*made)->Poll() == kNcclInProgress) {
      }
    }
    state.PauseTiming();
    (void)libraries.cuda().event_record(ended, (*made)->stream());
    while (libraries.cuda().event_query(ended) == kCudaNotReady) std::this_thread::yield();
    state.ResumeTiming();
  }
  gang.runtime()->GiveEvent(0, ended);
  state.SetItemsProcessed(state.iterations() * kBatch);
}
BENCHMARK(BM_Nccl_BareCall);

void BM_Nccl_OpOfAGroup(benchmark::State& state) {
  NcclGang gang(1, Libraries());
  gang.recorder = MakeRecorder();
  gang.check_calls = state.range(0) != 0;
  (void)gang.runtime();
  auto group = gang.Join(0);
  LOCKSTEP_CHECK(group.ok(), "the group is made");
  const auto memory = gang.Allocate(kCount * sizeof(float));
  const Buffer buffer{memory.get(), kCount, Dtype::kF32, gang.device()};
  for (auto _ : state) {
    std::shared_ptr<Work> last;
    for (int call = 0; call < kBatch; ++call)
      last = (*group)->AllReduce(buffer, buffer, Reduction::kSum);
    state.PauseTiming();
    LOCKSTEP_CHECK(last->Wait().ok(), "the ops end well");
    state.ResumeTiming();
  }
  state.SetItemsProcessed(state.iterations() * kBatch);
}
BENCHMARK(BM_Nccl_OpOfAGroup)->ArgName("compared")->Arg(0)->Arg(1);

}  // namespace
}  // namespace lockstep::collectives::testing

BENCHMARK_MAIN();
