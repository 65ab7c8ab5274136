// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/nccl/nccl_registration.h"

#include <chrono>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

#include "collectives/nccl/nccl_status.h"

namespace lockstep::collectives {
namespace {

constexpr base::Duration kLookEvery = std::chrono::microseconds(100);
constexpr base::Duration kForgetTime = std::chrono::seconds(1);

/// Who is in the communicator may be in a call of NCCL that hangs. Empty: until the time was over.
std::unique_lock<std::mutex> Enter(Communicator& communicator, base::Duration timeout) {
  std::unique_lock<std::mutex> lock(communicator.call_mutex(), std::try_to_lock);
  const auto until = std::chrono::steady_clock::now() + timeout;
  while (!lock.owns_lock() && std::chrono::steady_clock::now() < until) {
    std::this_thread::sleep_for(kLookEvery);
    (void)lock.try_lock();
  }
  return lock;
}

}  // namespace

base::Result<std::unique_ptr<Registration>> NcclRegistration::Make(
    std::shared_ptr<Communicator> communicator, void* memory, size_t bytes,
    base::Duration timeout) {
  const Communicator::Config& config = communicator->config();
  const GpuLibraries& libraries = config.runtime->libraries();
  if (libraries.nccl().comm_register == nullptr) {
    return base::UnimplementedError("registering memory takes NCCL 2.19, and this is " +
                                    libraries.VersionText());
  }
  const std::string attempt =
      "registering " + std::to_string(bytes) + " bytes with the communicator of " + config.name;
  const auto lock = Enter(*communicator, timeout);
  if (!lock.owns_lock()) {
    return base::DeadlineExceededError(attempt + ": a call of NCCL has not returned within " +
                                       base::FormatDuration(timeout));
  }
  if (communicator->dead()) return base::FailedPreconditionError(attempt + ", which has ended");
  const CudaDeviceScope device(libraries, config.device);
  void* handle = nullptr;
  RETURN_IF_ERROR(NcclStatus(
      libraries, libraries.nccl().comm_register(communicator->comm(), memory, bytes, &handle),
      attempt, communicator->comm()));
  return std::unique_ptr<Registration>(new NcclRegistration(std::move(communicator), handle));
}

NcclRegistration::~NcclRegistration() {
  const auto lock = Enter(*communicator_, kForgetTime);
  if (!lock.owns_lock() || communicator_->dead()) return;
  const GpuLibraries& libraries = communicator_->config().runtime->libraries();
  const CudaDeviceScope device(libraries, communicator_->config().device);
  (void)libraries.nccl().comm_deregister(communicator_->comm(), handle_);
}

}  // namespace lockstep::collectives
