// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_NCCL_TESTING_NCCL_GANG_H_
#define LOCKSTEP_COLLECTIVES_NCCL_TESTING_NCCL_GANG_H_

#include <dlfcn.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "collectives/host/shm/local_segments.h"
#include "collectives/host/tcp/local_exchange.h"
#include "collectives/host/tcp/local_tcp.h"
#include "collectives/nccl/nccl_group.h"
#include "collectives/nccl/segment_boards.h"
#include "collectives/nccl/tcp_boards.h"
#include "collectives/nccl/testing/fake_nccl_faults.h"
#include "collectives/testing/gang.h"
#include "runtime/base/check.h"

namespace lockstep::collectives::testing {

/// The fake GPU of a version, "2_30", whose file is in the test's `data`.
class FakeGpu {
 public:
  explicit FakeGpu(const std::string& version)
      : file_("collectives/nccl/testing/libfake_nccl_" + version + ".so") {}

  GpuLibraries::Files files() const { return {.nccl = {file_}, .cuda = {file_}}; }
  std::shared_ptr<const GpuLibraries> Load() const {
    auto loaded = GpuLibraries::Load(files());
    LOCKSTEP_CHECK(loaded.ok(), "the fake loads");
    return std::move(loaded).value();
  }
  /// Faults from now on (fake_nccl_faults.h).
  void Script(const char* script) const {
    reinterpret_cast<FakeScriptFunction>(Symbol(kFakeScriptSymbol))(script);
  }
  /// Communicators, streams, events and allocations that exist.
  int Objects() const {
    return reinterpret_cast<FakeObjectsFunction>(Symbol(kFakeObjectsSymbol))();
  }

 private:
  void* Symbol(const char* name) const {
    void* const library = dlopen(file_.c_str(), RTLD_NOW | RTLD_LOCAL);
    LOCKSTEP_CHECK(library != nullptr, "the fake is there");
    void* const symbol = dlsym(library, name);
    LOCKSTEP_CHECK(symbol != nullptr, "the fake can be told faults");
    return symbol;
  }

  const std::string file_;
};

/// Boards of ranks that are threads of this process and yet meet as those of several machines do.
inline std::shared_ptr<BoardSource> LocalTcpBoards() {
  auto service = TcpService::Start(LocalTcpConfig());
  LOCKSTEP_CHECK(service.ok(), "loopback can be listened on");
  return std::make_shared<TcpBoards>(
      *std::move(service), std::make_shared<LocalExchange>(),
      std::make_shared<SegmentBoards>(std::make_shared<LocalSegments>()));
}

/// Runs ranks as threads of this process, each with its member of one NCCL group on a device of its
/// own (real GPUs: NCCL wants one a rank). Confined to the test's thread.
class NcclGang final : public Gang {
 public:
  NcclGang(int size, std::shared_ptr<const GpuLibraries> libraries) : size_(size) {
    runtime_config.libraries = std::move(libraries);
    runtime_config.boards = std::make_shared<SegmentBoards>(std::make_shared<LocalSegments>());
  }
  /// Else one of the runtime's threads may drop it last, while the process exits. (A call that a
  /// fault has made to hang is waited for in vain.)
  ~NcclGang() override {
    if (runtime_ != nullptr) (void)runtime_->AwaitIdle(std::chrono::seconds(1));
  }

  NcclRuntime::Config runtime_config;  // until the first Join
  base::Duration timeout = std::chrono::seconds(60);
  base::Duration join_timeout = std::chrono::seconds(60);
  std::shared_ptr<Recorder> recorder;
  int device_count = 8;  // ranks beyond share them
  bool check_calls = false;

  NcclGroup::Config ConfigFor(int rank) const {
    NcclGroup::Config config;
    config.spec = {.job = "test", .host = "here", .rank = base::GroupRank(rank)};
    for (int member = 0; member < size_; ++member) config.spec.world_ranks.emplace_back(member);
    config.device = DeviceOfRank(rank);
    config.timeout = timeout;
    config.join_timeout = join_timeout;
    config.recorder = recorder;
    config.check_calls = check_calls;
    return config;
  }
  /// From that rank's thread, when runtime() was called before.
  base::Result<std::unique_ptr<NcclGroup>> Join(int rank) {
    return NcclGroup::Create(ConfigFor(rank), runtime_);
  }
  const std::shared_ptr<NcclRuntime>& runtime() {
    if (runtime_ == nullptr) runtime_ = std::make_shared<NcclRuntime>(runtime_config);
    return runtime_;
  }

  void Run(const std::function<void(Group&)>& body) override {
    (void)runtime();
    std::vector<std::unique_ptr<NcclGroup>> members(static_cast<size_t>(size_));
    std::vector<std::thread> threads;
    for (int rank = 0; rank < size_; ++rank) {
      threads.emplace_back([this, rank, &members, &body] {
        device_here_ = DeviceOfRank(rank);
        auto group = Join(rank);
        LOCKSTEP_CHECK(group.ok(), "the gang forms");
        members[static_cast<size_t>(rank)] = std::move(group).value();
        body(*members[static_cast<size_t>(rank)]);
      });
    }
    for (std::thread& thread : threads) thread.join();
  }

  /// In Run(). (The memory is of all devices; groups take what is said to be on their own.)
  Device device() const override { return {Device::Kind::kCuda, device_here_}; }
  std::shared_ptr<std::byte> Allocate(size_t bytes) override {
    const std::shared_ptr<const GpuLibraries> libraries = runtime_config.libraries;
    void* memory = nullptr;
    LOCKSTEP_CHECK(
        libraries->cuda().malloc_managed(&memory, bytes, kCudaMemAttachGlobal) == kCudaSuccess,
        "memory of the GPU");
    return {static_cast<std::byte*>(memory),
            [libraries](std::byte* freed) { (void)libraries->cuda().free(freed); }};
  }

 private:
  int DeviceOfRank(int rank) const { return rank % device_count; }

  static inline thread_local int device_here_ = 0;  // of the rank that the thread is

  const int size_;
  std::shared_ptr<NcclRuntime> runtime_;
};

}  // namespace lockstep::collectives::testing

#endif  // LOCKSTEP_COLLECTIVES_NCCL_TESTING_NCCL_GANG_H_
