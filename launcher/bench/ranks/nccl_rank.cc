// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/bench/ranks/nccl_rank.h"

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>

#include "collectives/group.h"
#include "collectives/nccl/gpu_libraries.h"
#include "collectives/nccl/nccl_runtime.h"
#include "launcher/bench/bench_wire.h"
#include "launcher/bench/ranks/group_call.h"
#include "launcher/bench/ranks/rank_harness.h"
#include "runtime/rank/session.h"

namespace lockstep::launcher {
namespace {

using collectives::CudaResult;
using collectives::Device;
using collectives::GpuLibraries;
using collectives::Group;

constexpr size_t kPage = 4096;

/// What the harness calls. The harness writes and compares values in main memory; ops work on a
/// copy of it in the GPU's, which goes to and fro outside of the clock. Confined to one thread.
class NcclLibrary {
 public:
  NcclLibrary(Group& group, std::shared_ptr<const GpuLibraries> libraries, int device)
      : group_(group), libraries_(std::move(libraries)), device_(device) {}
  ~NcclLibrary() {
    (void)libraries_->cuda().free(on_gpu_);
    std::free(in_main_);
  }
  NcclLibrary(const NcclLibrary&) = delete;
  NcclLibrary& operator=(const NcclLibrary&) = delete;

  static int Run(void* self, const lockstep_bench_call* call, char* error) {
    auto& library = *static_cast<NcclLibrary*>(self);
    if (const base::Status can = CheckCall(library.group_, *call); !can.ok()) {
      ExplainTo(can, error);
      return LOCKSTEP_BENCH_UNSUPPORTED;
    }
    lockstep_bench_call there = *call;
    there.in = library.OnGpu(call->in);
    there.out = library.OnGpu(call->out);
    const base::Status status =
        CallAndWait(library.group_, there, {Device::Kind::kCuda, library.device_});
    if (status.ok()) return LOCKSTEP_BENCH_OK;
    ExplainTo(status, error);
    return LOCKSTEP_BENCH_FAILED;
  }
  static void* Allocate(void* self, size_t bytes, char* error) {
    return static_cast<NcclLibrary*>(self)->Allocate(bytes, error);
  }
  static int Take(void* self, char* error) {
    auto& library = *static_cast<NcclLibrary*>(self);
    return library.Copy(library.on_gpu_, library.in_main_, error);
  }
  static int Bring(void* self, char* error) {
    auto& library = *static_cast<NcclLibrary*>(self);
    return library.Copy(library.in_main_, library.on_gpu_, error);
  }

 private:
  void* OnGpu(void* in_main) const {
    return static_cast<std::byte*>(on_gpu_) +
           (static_cast<std::byte*>(in_main) - static_cast<std::byte*>(in_main_));
  }

  int Explain(const char* what, CudaResult result, char* error) const {
    ExplainTo(
        base::ResourceExhaustedError(std::string(what) + " of device " + std::to_string(device_) +
                                     ": " + libraries_->cuda().get_error_string(result)),
        error);
    return -1;
  }

  void* Allocate(size_t bytes, char* error) {
    const collectives::CudaDeviceScope scope(*libraries_, device_);
    (void)libraries_->cuda().free(std::exchange(on_gpu_, nullptr));
    std::free(std::exchange(in_main_, nullptr));
    bytes_ = (bytes + kPage - 1) / kPage * kPage;
    if (const CudaResult got = libraries_->cuda().malloc(&on_gpu_, bytes_);
        got != collectives::kCudaSuccess) {
      (void)Explain("cudaMalloc", got, error);
      return nullptr;
    }
    in_main_ = std::aligned_alloc(kPage, bytes_);
    return in_main_;
  }

  int Copy(void* to, const void* from, char* error) const {
    const collectives::CudaDeviceScope scope(*libraries_, device_);
    const CudaResult copied =
        libraries_->cuda().memcpy(to, from, bytes_, collectives::kCudaMemcpyDefault);
    return copied == collectives::kCudaSuccess ? 0 : Explain("cudaMemcpy", copied, error);
  }

  Group& group_;
  const std::shared_ptr<const GpuLibraries> libraries_;
  const int device_;
  void* in_main_ = nullptr;
  void* on_gpu_ = nullptr;
  size_t bytes_ = 0;
};

}  // namespace

base::Status ServeAsNcclRank(const char* socket_path, int gang) {
  ASSIGN_OR_RETURN(const std::unique_ptr<rank::Session> session,
                   rank::Session::Create({.backend = rank::Backend::kNccl}));
  ASSIGN_OR_RETURN(const std::shared_ptr<Group> group, session->WorldGroup());
  ASSIGN_OR_RETURN(std::shared_ptr<const GpuLibraries> libraries, GpuLibraries::Load({}));
  int devices = 0;
  (void)libraries->cuda().get_device_count(&devices);
  const int local_rank = session->world().local_rank.value();
  const std::string name =
      "Lockstep, nccl, " + libraries->VersionText() + ", recorder on" + CallCheckText(*group);
  NcclLibrary nccl(*group, std::move(libraries), local_rank < devices ? local_rank : 0);
  const lockstep_bench_library library{.self = &nccl,
                                       .rank = group->rank().value(),
                                       .size = group->size(),
                                       .name = name.c_str(),
                                       .run = NcclLibrary::Run,
                                       .allocate = NcclLibrary::Allocate,
                                       .take = NcclLibrary::Take,
                                       .bring = NcclLibrary::Bring};
  if (lockstep_bench_serve(&library, socket_path, gang) == 0) return base::OkStatus();
  return base::AbortedError("lockstep bench, which this rank serves, is gone");
}

}  // namespace lockstep::launcher
