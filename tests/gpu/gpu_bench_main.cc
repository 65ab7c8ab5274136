// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// gpu_bench [LIBRARY BYTES]: what a record costs, and what NcclGroup costs beside raw calls of
// NCCL, on this machine's GPU, or over the fake in LIBRARY up to BYTES. Of the latter the figures
// say nothing; it shows that this program works.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <barrier>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "collectives/nccl/testing/nccl_gang.h"
#include "collectives/recorder/recorder.h"
#include "runtime/attach/shared_memory.h"
#include "runtime/base/unique_fd.h"

namespace lockstep::collectives::testing {
namespace {

using Steady = std::chrono::steady_clock;

constexpr int kRepeats = 7;  // of each figure, of which the median counts
// Calls between two looks at a clock: fewer than a stream takes before a call has to wait.
constexpr int kCalls = 200;

double MicrosecondsSince(Steady::time_point begun) {
  return std::chrono::duration<double, std::micro>(Steady::now() - begun).count();
}

double MedianOf(const std::function<double()>& measure) {
  std::vector<double> figures;
  (void)measure();  // warm
  for (int i = 0; i < kRepeats; ++i) figures.push_back(measure());
  std::nth_element(figures.begin(), figures.begin() + kRepeats / 2, figures.end());
  return figures[kRepeats / 2];
}

std::shared_ptr<Recorder> MakeRecorder() {
  const base::UniqueFd fd(lockstep_shared_memory_create("gpu-bench-ring", RingBytes()));
  void* const memory =
      mmap(nullptr, LOCKSTEP_RING_HEADER_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  LOCKSTEP_CHECK(memory != MAP_FAILED, "memory for the recorder");
  FormatRing({}, LOCKSTEP_RING_DEFAULT_SLOTS, *static_cast<lockstep_ring_header*>(memory));
  munmap(memory, LOCKSTEP_RING_HEADER_BYTES);
  auto recorder = Recorder::Create(fd);
  LOCKSTEP_CHECK(recorder.ok(), "the recorder");
  return std::move(recorder).value();
}

double NanosecondsOfARecord() {
  const std::shared_ptr<Recorder> recorder = MakeRecorder();
  return MedianOf([&] {
    constexpr int kRecords = 100000;
    const base::SteadyTime now{};
    const Steady::time_point begun = Steady::now();
    for (int i = 0; i < kRecords; ++i) {
      const auto ticket = recorder->Begin(
          {.group = base::GroupId(1), .count_in = 1000, .enqueued = now, .call_file = __FILE__});
      recorder->Started(ticket, now);
      recorder->Ended(ticket, LOCKSTEP_RECORD_COMPLETED, 4000, now);
    }
    return MicrosecondsSince(begun) * 1000 / kRecords;
  });
}

/// What is timed on each rank: calls of one op on `count` f32, which return before it has ended,
/// and then a wait for the last.
struct Subject {
  std::function<void(size_t count)> call;
  std::function<void()> wait;
};

struct Figures {
  double call_us = 0;  // of the processor, of a call of 8 bytes on rank 0
  std::vector<std::pair<size_t, double>> whole_us;  // by bytes: a call with its wait
};

/// On all ranks alike; those of rank 0 are returned. `meet` returns once all ranks are there.
Figures Measure(const Subject& subject, size_t bytes_max, const std::function<void()>& meet) {
  Figures figures;
  figures.call_us = MedianOf([&] {
    meet();
    const Steady::time_point begun = Steady::now();
    for (int i = 0; i < kCalls; ++i) subject.call(2);
    const double us = MicrosecondsSince(begun) / kCalls;
    subject.wait();
    return us;
  });
  for (size_t bytes = 8; bytes <= bytes_max; bytes *= 8) {
    figures.whole_us.emplace_back(bytes, MedianOf([&] {
                                    constexpr int kWhole = 20;
                                    meet();
                                    const Steady::time_point begun = Steady::now();
                                    for (int i = 0; i < kWhole; ++i) {
                                      subject.call(bytes / sizeof(float));
                                      subject.wait();
                                    }
                                    return MicrosecondsSince(begun) / kWhole;
                                  }));
  }
  return figures;
}

/// Runs `body` with each rank on a thread.
void OnRanks(int size, const std::function<void(int rank)>& body) {
  std::vector<std::thread> threads;
  for (int rank = 0; rank < size; ++rank) threads.emplace_back(body, rank);
  for (std::thread& thread : threads) thread.join();
}

class Contest {
 public:
  Contest(std::shared_ptr<const GpuLibraries> libraries, int size, size_t bytes_max)
      : libraries_(std::move(libraries)), size_(size), bytes_max_(bytes_max), meeting_(size) {
    (void)libraries_->cuda().get_device_count(&devices_);
  }

  Figures OfRawCalls() {
    NcclUniqueId id{};
    (void)libraries_->nccl().get_unique_id(&id);
    Figures figures;
    OnRanks(size_, [&](int rank) {
      const CudaDeviceScope scope(*libraries_, rank % devices_);
      const NcclComm comm = MakeComm(id, rank);
      CudaStream stream = nullptr;
      CudaEvent event = nullptr;
      (void)libraries_->cuda().stream_create_with_flags(&stream, kCudaStreamNonBlocking);
      (void)libraries_->cuda().event_create_with_flags(&event, kCudaEventDisableTiming);
      float* const data = Allocate();
      const Subject subject{
          .call =
              [&](size_t count) {
                Finish(comm, libraries_->nccl().all_reduce(data, data, count, kNcclFloat32,
                                                           kNcclSum, comm, stream));
              },
          .wait =
              [&] {
                (void)libraries_->cuda().event_record(event, stream);
                while (libraries_->cuda().event_query(event) == kCudaNotReady) {
                }
              }};
      Figures mine = Measure(subject, bytes_max_, [this] { meeting_.arrive_and_wait(); });
      if (rank == 0) figures = std::move(mine);
      (void)libraries_->nccl().comm_destroy(comm);
      (void)libraries_->cuda().event_destroy(event);
      (void)libraries_->cuda().stream_destroy(stream);
      (void)libraries_->cuda().free(data);
    });
    return figures;
  }

  Figures OfGroups(std::shared_ptr<Recorder> recorder) {
    NcclGang gang(size_, libraries_);
    gang.device_count = devices_;
    gang.recorder = std::move(recorder);
    Figures figures;
    gang.Run([&](Group& group) {
      const int rank = group.rank().value();
      const CudaDeviceScope scope(*libraries_, rank % devices_);
      float* const data = Allocate();
      const Device device{Device::Kind::kCuda, rank % devices_};
      std::shared_ptr<Work> last;
      const Subject subject{.call =
                                [&](size_t count) {
                                  const Buffer buffer{data, count, Dtype::kF32, device};
                                  last = group.AllReduce(buffer, buffer, Reduction::kSum);
                                },
                            .wait =
                                [&] {
                                  const base::Status ended = last->Wait();
                                  LOCKSTEP_CHECK(ended.ok(), "an op over NCCL");
                                }};
      Figures mine = Measure(subject, bytes_max_, [this] { meeting_.arrive_and_wait(); });
      if (rank == 0) figures = std::move(mine);
      last.reset();
      (void)libraries_->cuda().free(data);
    });
    return figures;
  }

 private:
  /// One that does not block, as those of groups are.
  NcclComm MakeComm(const NcclUniqueId& id, int rank) const {
    NcclComm comm = nullptr;
    NcclConfig config = NcclConfigFor(libraries_->nccl_version());
    config.blocking = 0;
    const NcclResult begun =
        libraries_->nccl().comm_init_rank_config(&comm, size_, id, rank, &config);
    Finish(comm, begun);
    return comm;
  }

  void Finish(NcclComm comm, NcclResult result) const {
    while (result == kNcclInProgress) {
      NcclResult state = kNcclSuccess;
      (void)libraries_->nccl().comm_get_async_error(comm, &state);
      result = state;
    }
    LOCKSTEP_CHECK(result == kNcclSuccess, "a call of NCCL");
  }

  float* Allocate() const {
    void* memory = nullptr;
    LOCKSTEP_CHECK(libraries_->cuda().malloc(&memory, bytes_max_) == kCudaSuccess, "memory");
    return static_cast<float*>(memory);
  }

  const std::shared_ptr<const GpuLibraries> libraries_;
  const int size_;
  const size_t bytes_max_;
  int devices_ = 1;
  std::barrier<> meeting_;
};

void Compare(const std::shared_ptr<const GpuLibraries>& libraries, int size, size_t bytes_max) {
  Contest contest(libraries, size, bytes_max);
  const Figures raw = contest.OfRawCalls();
  const Figures plain = contest.OfGroups(nullptr);
  const Figures recorded = contest.OfGroups(MakeRecorder());
  std::printf("\nall_reduce f32 over %s, %d rank%s, in place\n", libraries->VersionText().c_str(),
              size, size == 1 ? "" : "s");
  std::printf(
      "  a call of 8 bytes, until it returns: raw %.2f us, group %+.2f us, with recorder "
      "%+.2f us\n",
      raw.call_us, plain.call_us - raw.call_us, recorded.call_us - raw.call_us);
  std::printf("  %10s %12s %12s %12s %10s\n", "bytes", "raw us", "group us", "recorded us", "GB/s");
  for (size_t i = 0; i < raw.whole_us.size(); ++i) {
    const auto bytes = static_cast<double>(raw.whole_us[i].first);
    std::printf("  %10zu %12.1f %12.1f %12.1f %10.2f\n", raw.whole_us[i].first,
                raw.whole_us[i].second, plain.whole_us[i].second, recorded.whole_us[i].second,
                bytes / recorded.whole_us[i].second / 1000);
  }
  std::fflush(stdout);
}

int Main(int argc, char** argv) {
  std::printf("a record: %.0f ns\n", NanosecondsOfARecord());
  GpuLibraries::Files files;
  const bool is_fake = argc == 3;
  if (is_fake) files = {.nccl = {argv[1]}, .cuda = {argv[1]}};
  const auto libraries = GpuLibraries::Load(files);
  if (!libraries.ok()) {
    std::printf("skipped over NCCL: %s\n", libraries.status().message().c_str());
    return 0;
  }
  const size_t bytes_max = is_fake ? std::strtoull(argv[2], nullptr, 10) : size_t{64} << 20;
  int devices = 0;
  const CudaResult counted = (*libraries)->cuda().get_device_count(&devices);
  if (counted != kCudaSuccess || devices == 0) {
    std::printf("skipped over NCCL: no GPU (%s)\n", (*libraries)->cuda().get_error_string(counted));
    return 0;
  }
  Compare(*libraries, 1, bytes_max);
  const char* const shares = std::getenv("NCCL_MULTI_RANK_GPU_ENABLE");
  const bool shared = (*libraries)->nccl_version() >= NcclVersion(2, 30, 0) && shares != nullptr &&
                      std::string_view(shares) == "1";
  if (devices > 1 || shared) {
    Compare(*libraries, 2, bytes_max);
  } else {
    std::printf("\nskipped with two ranks: one GPU, which %s does not share\n",
                (*libraries)->VersionText().c_str());
  }
  return 0;
}

}  // namespace
}  // namespace lockstep::collectives::testing

int main(int argc, char** argv) { return lockstep::collectives::testing::Main(argc, argv); }
