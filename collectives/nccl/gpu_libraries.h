// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_NCCL_GPU_LIBRARIES_H_
#define LOCKSTEP_COLLECTIVES_NCCL_GPU_LIBRARIES_H_

#include <memory>
#include <string>
#include <vector>

#include "collectives/capabilities.h"
#include "collectives/nccl/nccl_abi.h"
#include "runtime/base/result.h"

namespace lockstep::collectives {

/// libnccl and libcudart of this machine, loaded. One a process is enough; shared by all that calls
/// into them, and never unloaded, since threads of the libraries may outlive every holder.
/// Immutable: any thread.
class GpuLibraries {
 public:
  struct Files {
    /// What dlopen takes, tried in turn.
    std::vector<std::string> nccl = {"libnccl.so.2", "libnccl.so"};
    std::vector<std::string> cuda = {"libcudart.so.13", "libcudart.so.12", "libcudart.so.11.0",
                                     "libcudart.so"};
  };

  /// Errors: NotFound - no such library, with what dlopen says of each; FailedPrecondition - NCCL
  /// older than 2.14, which has no communicators that do not block, or a symbol is missing that
  /// every version since has.
  static base::Result<std::shared_ptr<const GpuLibraries>> Load(const Files& files);

  /// The symbols from "comm_split" on may be null.
  const NcclFunctions& nccl() const { return nccl_; }
  const CudaFunctions& cuda() const { return cuda_; }
  int nccl_version() const { return version_; }
  std::string VersionText() const;  // "NCCL 2.28.9"

  /// Of groups over these libraries.
  Capabilities capabilities() const;
  /// For people: a line for each thing that versions differ in, and what stands in for it.
  std::string Describe() const;

 private:
  GpuLibraries() = default;

  NcclFunctions nccl_;
  CudaFunctions cuda_;
  int version_ = 0;
};

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_NCCL_GPU_LIBRARIES_H_
