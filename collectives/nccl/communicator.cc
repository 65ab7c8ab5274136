// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/nccl/communicator.h"

#include <chrono>
#include <thread>
#include <utility>

#include "collectives/nccl/nccl_status.h"

namespace lockstep::collectives {
namespace {

constexpr base::Duration kPollEvery = std::chrono::milliseconds(1);

}  // namespace

/// What the thread that makes one shares with who waits for it.
struct Communicator::Making {
  std::shared_ptr<Communicator> made;
  std::shared_ptr<Communicator> parent;
  Begin begin;
  std::atomic<bool> given_up{false};
  base::Status status;  // the thread's, until it has ended
};

base::Result<std::shared_ptr<Communicator>> Communicator::Make(
    const Config& config, const Begin& begin, std::shared_ptr<Communicator> parent,
    const OpDeadline& deadline, const std::function<base::Status()>& stop) {
  const auto making = std::make_shared<Making>();
  making->made = std::shared_ptr<Communicator>(new Communicator(config));
  making->parent = std::move(parent);
  making->begin = begin;
  NcclBoundedCall call =
      config.runtime->Start("making the communicator of " + config.name, NcclRuntime::Limit::kNone,
                            [making] { RunMaking(making); });
  while (!call.WaitFor(kPollEvery)) {
    base::Status stopped = stop();
    if (stopped.ok() && deadline.Left() < base::Duration(0)) {
      stopped =
          base::DeadlineExceededError("NCCL has not made the communicator of " + config.name +
                                      " within " + base::FormatDuration(deadline.due().timeout));
    }
    if (stopped.ok()) continue;
    making->given_up.store(true);
    // The thread aborts what there is, unless it had ended well just before; when that hangs, so
    // would the process's exit.
    config.runtime->Start("aborting the init of " + config.name, NcclRuntime::Limit::kAbort,
                          [call, making]() mutable {
                            if (call.WaitFor(kMaxTimeout)) making->made->Abort();
                          });
    return stopped;
  }
  RETURN_IF_ERROR(making->status);
  return making->made;
}

void Communicator::RunMaking(const std::shared_ptr<Making>& making) {
  Communicator& made = *making->made;
  const GpuLibraries& libraries = made.libraries();
  std::unique_lock<std::mutex> parent_lock;
  if (making->parent != nullptr)
    parent_lock = std::unique_lock<std::mutex>(making->parent->call_mutex());
  const std::unique_lock<std::mutex> lock(made.call_mutex_);
  const CudaDeviceScope device(libraries, made.config_.device);
  making->status = made.Prepare();
  if (!making->status.ok()) return;

  NcclConfig config = NcclConfigFor(libraries.nccl_version());
  config.blocking = 0;
  NcclResult result = making->begin(&made.comm_, &config);
  // Of a child the library writes the pointer late: until then the parent's state counts.
  while (result == kNcclInProgress || result == kNcclSuccess) {
    if (making->given_up.load()) break;
    const NcclComm parent = making->parent == nullptr ? nullptr : making->parent->comm();
    NcclResult state = kNcclInProgress;
    if (parent != nullptr) (void)libraries.nccl().comm_get_async_error(parent, &state);
    if ((parent == nullptr || state == kNcclSuccess) && made.comm_ != nullptr)
      (void)libraries.nccl().comm_get_async_error(made.comm_, &state);
    const bool child_of_nobody =
        parent != nullptr && state == kNcclSuccess && made.comm_ == nullptr;
    if (state != kNcclInProgress || child_of_nobody) {
      result = state;
      break;
    }
    std::this_thread::sleep_for(kPollEvery);
  }
  if (!making->given_up.load() && result == kNcclSuccess) return;
  making->status =
      NcclStatus(libraries, result, "making the communicator of " + made.config_.name, made.comm_);
  if (made.comm_ != nullptr) {
    (void)libraries.nccl().comm_abort(std::exchange(made.comm_, nullptr));
  } else if (making->parent != nullptr && making->given_up.load()) {
    making->parent->orphans_.push_back(making->made);
  }
}

base::Status Communicator::Prepare() {
  RETURN_IF_ERROR(CudaStatus(
      libraries(), libraries().cuda().stream_create_with_flags(&stream_, kCudaStreamNonBlocking),
      "making the stream of " + config_.name + " on device " + std::to_string(config_.device)));
  void* memory = nullptr;
  RETURN_IF_ERROR(CudaStatus(
      libraries(),
      libraries().cuda().malloc_managed(&memory, config_.scratch_bytes, kCudaMemAttachGlobal),
      "allocating " + std::to_string(config_.scratch_bytes) + " bytes on device " +
          std::to_string(config_.device)));
  scratch_ = static_cast<std::byte*>(memory);
  return base::OkStatus();
}

Communicator::~Communicator() { Release(); }

// Where the communicator dies, not where its last reference goes: cudaFree waits for every kernel
// of the device, so it belongs on a thread that may hang.
void Communicator::Release() {
  if (stream_ != nullptr) (void)libraries().cuda().stream_destroy(std::exchange(stream_, nullptr));
  if (scratch_ != nullptr) (void)libraries().cuda().free(std::exchange(scratch_, nullptr));
}

NcclResult Communicator::Poll() const {
  NcclResult state = kNcclSuccess;
  const NcclResult result = libraries().nccl().comm_get_async_error(comm_, &state);
  return result == kNcclSuccess ? state : result;
}

void Communicator::Abort() {
  const std::lock_guard<std::mutex> lock(call_mutex_);
  if (comm_ == nullptr) return;
  dead_.store(true, std::memory_order_release);
  const CudaDeviceScope device(libraries(), config_.device);
  (void)libraries().nccl().comm_abort(std::exchange(comm_, nullptr));
  Release();
}

base::Status Communicator::Revoke() {
  const std::lock_guard<std::mutex> lock(call_mutex_);
  if (comm_ == nullptr || revoked_) return base::OkStatus();
  const CudaDeviceScope device(libraries(), config_.device);
  NcclResult result = libraries().nccl().comm_revoke(comm_, 0);
  while (result == kNcclInProgress) {
    result = Poll();
    if (result == kNcclInProgress) std::this_thread::sleep_for(kPollEvery);
  }
  revoked_ = result == kNcclSuccess;
  return NcclStatus(libraries(), result, "revoking the communicator of " + config_.name, comm_);
}

void Communicator::Retire(base::Duration patience) {
  std::unique_lock<std::mutex> lock(call_mutex_);
  if (comm_ == nullptr) return;
  dead_.store(true, std::memory_order_release);
  const CudaDeviceScope device(libraries(), config_.device);
  const auto until = std::chrono::steady_clock::now() + patience;
  const bool orderly = !revoked_ && patience > base::Duration(0);
  NcclResult result = orderly ? libraries().nccl().comm_finalize(comm_) : kNcclInvalidUsage;
  while (result == kNcclInProgress && std::chrono::steady_clock::now() < until) {
    result = Poll();
    if (result == kNcclInProgress) std::this_thread::sleep_for(kPollEvery);
  }
  if (result == kNcclSuccess) {
    (void)libraries().nccl().comm_destroy(std::exchange(comm_, nullptr));
  } else {
    (void)libraries().nccl().comm_abort(std::exchange(comm_, nullptr));
  }
  Release();
}

}  // namespace lockstep::collectives
