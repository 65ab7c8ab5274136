// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_MPI_PROGRAM_IMAGE_H_
#define LOCKSTEP_LAUNCHER_MPI_PROGRAM_IMAGE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/base/result.h"

/// What the file of a program says of itself, without running it. Functions without state, for any
/// thread.
namespace lockstep::launcher {

struct ProgramImage {
  enum class Kind : uint8_t {
    kOther,   // a script, or of another word size than ours
    kStatic,  // it loads nothing, what is preloaded neither
    kDynamic
  };
  Kind kind = Kind::kOther;
  /// It gets rights that whoever starts it has not: setuid, setgid, or by capabilities. The loader
  /// then preloads nothing from folders that are not the system's.
  bool is_privileged = false;
  std::vector<std::string> needed;  // names of the libraries it is linked with, not what these need
  /// "MPI" or "NCCL": of a static program, which of them it has in itself, by its table of symbols
  /// or, where it was stripped, by what it could say; "" = neither, as far as can be told.
  std::string built_in;
};

/// Reads the headers of `path`, some KiB; of a static program the names of its symbols, too, or its
/// constants: 64 MiB at most.
/// Errors: errno's code - it cannot be opened or read; InvalidArgument - it is an ELF file that
/// contradicts itself.
base::Result<ProgramImage> ReadProgramImage(const std::string& path);

enum class MpiLibrary : uint8_t { kNone, kOpenMpi, kMpich };

/// By the names of the libraries, which are the ABIs': libmpi.so.40 and what has libmpi_ before its
/// dot is Open MPI; libmpich*, libmpi.so.12, libmpifort.so.12 MPICH, Intel MPI and others of its
/// ABI. The first that is one counts.
MpiLibrary MpiOf(const ProgramImage& image);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_MPI_PROGRAM_IMAGE_H_
