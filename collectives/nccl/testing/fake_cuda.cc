// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/nccl/testing/fake_cuda.h"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>
#include <type_traits>
#include <utility>

namespace lockstep::collectives {

/// Works off its queue on a thread of its own, which ends when the stream was destroyed and its
/// work is done.
struct CudaStreamTag {
  struct Queue {
    std::mutex mutex;
    std::condition_variable changed;
    std::deque<std::function<void()>> tasks;  // guarded by mutex
    bool destroyed = false;                   // guarded by mutex
  };

  CudaStreamTag() {
    std::thread([queue = queue] {
      std::unique_lock<std::mutex> lock(queue->mutex);
      while (true) {
        queue->changed.wait(lock, [&] { return queue->destroyed || !queue->tasks.empty(); });
        if (queue->tasks.empty()) return;
        auto task = std::move(queue->tasks.front());
        queue->tasks.pop_front();
        lock.unlock();
        task();
        task = nullptr;
        lock.lock();
      }
    }).detach();
  }
  ~CudaStreamTag() {
    const std::lock_guard<std::mutex> lock(queue->mutex);
    queue->destroyed = true;
    queue->changed.notify_one();
  }

  void Put(std::function<void()> task) {
    const std::lock_guard<std::mutex> lock(queue->mutex);
    queue->tasks.push_back(std::move(task));
    queue->changed.notify_one();
  }

  const std::shared_ptr<Queue> queue = std::make_shared<Queue>();
  std::atomic<bool> captures{false};
};

/// How often it was recorded, and how many of those records streams have passed.
struct CudaEventTag {
  struct Counts {
    std::atomic<uint64_t> recorded{0};
    std::atomic<uint64_t> passed{0};
  };
  const std::shared_ptr<Counts> counts = std::make_shared<Counts>();
};

namespace testing {
namespace {

constexpr int kDevices = 8;
std::atomic<int> objects{0};
thread_local int current_device = 0;

}  // namespace

void LaunchFakeKernel(CudaStream stream, std::function<void()> kernel) {
  stream->Put(std::move(kernel));
}

int FakeCudaObjects() { return objects.load(); }

}  // namespace testing
}  // namespace lockstep::collectives

// --------------------------------------------------------------------------- the library's symbols

namespace {

using lockstep::collectives::CudaEvent;
using lockstep::collectives::CudaEventTag;
using lockstep::collectives::CudaFunctions;
using lockstep::collectives::CudaResult;
using lockstep::collectives::CudaStream;
using lockstep::collectives::CudaStreamTag;
using lockstep::collectives::kCudaNotReady;
using lockstep::collectives::kCudaSuccess;
using lockstep::collectives::testing::current_device;
using lockstep::collectives::testing::kDevices;
using lockstep::collectives::testing::objects;

constexpr CudaResult kCudaErrorInvalidDevice = 101;

}  // namespace

extern "C" {

CudaResult cudaGetDeviceCount(int* count) {
  const char* const told = std::getenv("FAKE_CUDA_DEVICES");
  *count = told != nullptr ? std::atoi(told) : kDevices;
  return kCudaSuccess;
}
CudaResult cudaGetDevice(int* device) {
  *device = current_device;
  return kCudaSuccess;
}
CudaResult cudaSetDevice(int device) {
  if (device < 0 || device >= kDevices) return kCudaErrorInvalidDevice;
  current_device = device;
  return kCudaSuccess;
}
CudaResult cudaStreamCreateWithFlags(CudaStream* stream, unsigned) {
  *stream = new CudaStreamTag;
  ++objects;
  return kCudaSuccess;
}
CudaResult cudaStreamDestroy(CudaStream stream) {
  delete stream;
  --objects;
  return kCudaSuccess;
}
CudaResult cudaStreamSynchronize(CudaStream stream) {
  const auto done = std::make_shared<std::atomic<bool>>(false);
  stream->Put([done] { done->store(true); });
  while (!done->load()) std::this_thread::sleep_for(std::chrono::microseconds(50));
  return kCudaSuccess;
}
// What is put on it meanwhile runs at once: the fake has no graphs.
CudaResult cudaStreamBeginCapture(CudaStream stream, int) {
  stream->captures.store(true);
  return kCudaSuccess;
}
CudaResult cudaStreamEndCapture(CudaStream stream, void**) {
  stream->captures.store(false);
  return kCudaSuccess;
}
CudaResult cudaStreamWaitEvent(CudaStream stream, CudaEvent event, unsigned) {
  stream->Put([counts = event->counts, wanted = event->counts->recorded.load()] {
    while (counts->passed.load() < wanted) std::this_thread::yield();
  });
  return kCudaSuccess;
}
CudaResult cudaEventCreateWithFlags(CudaEvent* event, unsigned) {
  *event = new CudaEventTag;
  ++objects;
  return kCudaSuccess;
}
CudaResult cudaEventDestroy(CudaEvent event) {
  delete event;
  --objects;
  return kCudaSuccess;
}
CudaResult cudaEventRecord(CudaEvent event, CudaStream stream) {
  const uint64_t number = ++event->counts->recorded;
  stream->Put([counts = event->counts, number] {
    if (counts->passed.load() < number) counts->passed.store(number);
  });
  return kCudaSuccess;
}
CudaResult cudaEventQuery(CudaEvent event) {
  return event->counts->passed.load() >= event->counts->recorded.load() ? kCudaSuccess
                                                                        : kCudaNotReady;
}
CudaResult cudaMallocManaged(void** memory, size_t bytes, unsigned) {
  *memory = std::aligned_alloc(256, (bytes + 255) / 256 * 256);
  std::memset(*memory, 0, bytes);
  ++objects;
  return kCudaSuccess;
}
CudaResult cudaMalloc(void** memory, size_t bytes) { return cudaMallocManaged(memory, bytes, 0); }
CudaResult cudaMemcpy(void* to, const void* from, size_t bytes, int) {
  std::memcpy(to, from, bytes);
  return kCudaSuccess;
}
CudaResult cudaFree(void* memory) {
  if (memory == nullptr) return kCudaSuccess;
  std::free(memory);
  --objects;
  return kCudaSuccess;
}
CudaResult cudaMemcpyAsync(void* to, const void* from, size_t bytes, int, CudaStream stream) {
  stream->Put([=] { std::memcpy(to, from, bytes); });
  return kCudaSuccess;
}
const char* cudaGetErrorString(CudaResult result) {
  return result == kCudaErrorInvalidDevice ? "invalid device ordinal" : "fake CUDA error";
}

// The driver's, as far as the shim over NCCL asks for it. There is one context, the process.
CudaResult cuEventCreate(CudaEvent* event, unsigned flags) {
  return cudaEventCreateWithFlags(event, flags);
}
CudaResult cuEventDestroy_v2(CudaEvent event) { return cudaEventDestroy(event); }
CudaResult cuEventRecord(CudaEvent event, CudaStream stream) {
  return cudaEventRecord(event, stream);
}
CudaResult cuEventQuery(CudaEvent event) { return cudaEventQuery(event); }
CudaResult cuStreamIsCapturing(CudaStream stream, int* status) {
  *status = stream->captures.load() ? 1 : 0;
  return kCudaSuccess;
}
CudaResult cuStreamGetCtx(CudaStream, void** context) {
  *context = &objects;
  return kCudaSuccess;
}
CudaResult cuCtxGetCurrent(void** context) {
  *context = &objects;
  return kCudaSuccess;
}
CudaResult cuCtxSetCurrent(void*) { return kCudaSuccess; }
CudaResult cuCtxPushCurrent_v2(void*) { return kCudaSuccess; }
CudaResult cuCtxPopCurrent_v2(void**) { return kCudaSuccess; }
CudaResult cuThreadExchangeStreamCaptureMode(int*) { return kCudaSuccess; }

}  // extern "C"

static_assert(
    std::is_same_v<decltype(&cudaStreamWaitEvent), decltype(CudaFunctions::stream_wait_event)>);
static_assert(
    std::is_same_v<decltype(&cudaMallocManaged), decltype(CudaFunctions::malloc_managed)>);
