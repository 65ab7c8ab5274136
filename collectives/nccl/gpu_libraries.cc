// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/nccl/gpu_libraries.h"

#include <dlfcn.h>

#include "collectives/nccl/nccl_capabilities.h"

namespace lockstep::collectives {
namespace {

struct Symbol {
  const char* name;
  void* place;  // a function pointer
  bool optional = false;
};

/// The address goes into the function pointer as POSIX says it may.
void Resolve(void* library, const Symbol& symbol) {
  *static_cast<void**>(symbol.place) = dlsym(library, symbol.name);
}

base::Result<void*> Open(const std::vector<std::string>& files, const char* what,
                         const char* advice) {
  std::string tried;
  for (const std::string& file : files) {
    if (void* const library = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL); library != nullptr)
      return library;
    const char* const reason = dlerror();
    tried += (tried.empty() ? "" : "; ") + std::string(reason == nullptr ? file : reason);
  }
  return base::NotFoundError(std::string("loading ") + what + ": " + tried + ". " + advice);
}

std::vector<Symbol> CudaSymbols(CudaFunctions& cuda) {
  return {
      {"cudaGetDeviceCount", &cuda.get_device_count},
      {"cudaGetDevice", &cuda.get_device},
      {"cudaSetDevice", &cuda.set_device},
      {"cudaStreamCreateWithFlags", &cuda.stream_create_with_flags},
      {"cudaStreamDestroy", &cuda.stream_destroy},
      {"cudaStreamWaitEvent", &cuda.stream_wait_event},
      {"cudaEventCreateWithFlags", &cuda.event_create_with_flags},
      {"cudaEventDestroy", &cuda.event_destroy},
      {"cudaEventRecord", &cuda.event_record},
      {"cudaEventQuery", &cuda.event_query},
      {"cudaMallocManaged", &cuda.malloc_managed},
      {"cudaMalloc", &cuda.malloc},
      {"cudaFree", &cuda.free},
      {"cudaMemcpy", &cuda.memcpy},
      {"cudaMemcpyAsync", &cuda.memcpy_async},
      {"cudaGetErrorString", &cuda.get_error_string},
  };
}

std::vector<Symbol> NcclSymbols(NcclFunctions& nccl) {
  return {
      {"ncclGetVersion", &nccl.get_version},
      {"ncclGetUniqueId", &nccl.get_unique_id},
      {"ncclCommInitRankConfig", &nccl.comm_init_rank_config},
      {"ncclCommFinalize", &nccl.comm_finalize},
      {"ncclCommDestroy", &nccl.comm_destroy},
      {"ncclCommAbort", &nccl.comm_abort},
      {"ncclCommGetAsyncError", &nccl.comm_get_async_error},
      {"ncclGetErrorString", &nccl.get_error_string},
      {"ncclGetLastError", &nccl.get_last_error},
      {"ncclGroupStart", &nccl.group_start},
      {"ncclGroupEnd", &nccl.group_end},
      {"ncclAllReduce", &nccl.all_reduce},
      {"ncclReduce", &nccl.reduce},
      {"ncclBroadcast", &nccl.broadcast},
      {"ncclAllGather", &nccl.all_gather},
      {"ncclReduceScatter", &nccl.reduce_scatter},
      {"ncclSend", &nccl.send},
      {"ncclRecv", &nccl.recv},
      {"ncclRedOpCreatePreMulSum", &nccl.red_op_create_pre_mul_sum},
      {"ncclRedOpDestroy", &nccl.red_op_destroy},
      {"ncclCommSplit", &nccl.comm_split, true},
      {"ncclCommRegister", &nccl.comm_register, true},
      {"ncclCommDeregister", &nccl.comm_deregister, true},
      {"ncclCommShrink", &nccl.comm_shrink, true},
      {"ncclCommRevoke", &nccl.comm_revoke, true},
      {"ncclAlltoAll", &nccl.all_to_all, true},
      {"ncclGather", &nccl.gather, true},
      {"ncclScatter", &nccl.scatter, true},
  };
}

/// The names of those that are missing and should not be.
std::string ResolveAll(void* library, const std::vector<Symbol>& symbols) {
  std::string missing;
  for (const Symbol& symbol : symbols) {
    Resolve(library, symbol);
    if (!symbol.optional && *static_cast<void**>(symbol.place) == nullptr)
      missing += (missing.empty() ? "" : ", ") + std::string(symbol.name);
  }
  return missing;
}

std::string VersionName(int code) {
  const int base = code < 10000 ? 1000 : 10000;  // up to 2.8
  return std::to_string(code / base) + "." + std::to_string(code % base / 100) + "." +
         std::to_string(code % 100);
}

}  // namespace

base::Result<std::shared_ptr<const GpuLibraries>> GpuLibraries::Load(const Files& files) {
  const std::shared_ptr<GpuLibraries> made(new GpuLibraries());
  ASSIGN_OR_RETURN(
      void* const nccl,
      Open(files.nccl, "NCCL",
           "Install NCCL, or name the folder of libnccl.so.2 in LD_LIBRARY_PATH (of the "
           "wheel nvidia-nccl-cu13: site-packages/nvidia/nccl/lib)"));
  ASSIGN_OR_RETURN(
      void* const cuda,
      Open(files.cuda, "the CUDA runtime",
           "Install it, or name the folder of libcudart.so in LD_LIBRARY_PATH (of the wheel "
           "nvidia-cuda-runtime: site-packages/nvidia/cu13/lib)"));
  const std::string no_nccl = ResolveAll(nccl, NcclSymbols(made->nccl_));
  if (made->nccl_.get_version == nullptr ||
      made->nccl_.get_version(&made->version_) != kNcclSuccess) {
    return base::FailedPreconditionError(
        "loading NCCL: the library that was found does not say its version; it is no NCCL");
  }
  if (made->version_ < kNcclOldest) {
    return base::FailedPreconditionError(
        "loading NCCL: found " + made->VersionText() +
        ", and Lockstep needs 2.14 or newer, which can be told not "
        "to block");
  }
  if (!no_nccl.empty()) {
    return base::FailedPreconditionError(
        "loading NCCL: " + made->VersionText() + " lacks " + no_nccl +
        ", which every NCCL since 2.14 has; install another build");
  }
  if (const std::string missing = ResolveAll(cuda, CudaSymbols(made->cuda_)); !missing.empty()) {
    return base::FailedPreconditionError("loading the CUDA runtime: it lacks " + missing +
                                         "; Lockstep needs that of CUDA 11 or newer");
  }
  return std::shared_ptr<const GpuLibraries>(made);
}

std::string GpuLibraries::VersionText() const { return "NCCL " + VersionName(version_); }

Capabilities GpuLibraries::capabilities() const { return NcclCapabilities(version_); }

std::string GpuLibraries::Describe() const {
  const auto line = [](const char* what, bool native, const char* otherwise) {
    return std::string(what) + ": " + (native ? "native" : otherwise) + "\n";
  };
  return VersionText() + "\nconfig: " + std::to_string(NcclConfigFor(version_).size) + " bytes\n" +
         line("split", nccl_.comm_split != nullptr, "a new communicator") +
         line("shrink", nccl_.comm_shrink != nullptr, "a new communicator") +
         line("revoke", nccl_.comm_revoke != nullptr, "abort") +
         line("all_to_all", nccl_.all_to_all != nullptr, "grouped sends and receives") +
         line("gather", nccl_.gather != nullptr, "grouped sends and receives") +
         line("scatter", nccl_.scatter != nullptr, "grouped sends and receives") +
         line("reductions of f8", version_ >= kNcclFloat8Since, "none");
}

}  // namespace lockstep::collectives
