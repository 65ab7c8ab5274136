// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
//
// The file of a program: whatever it is, it is read, or called damaged.
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <string>

#include "launcher/mpi/program_image.h"
#include "runtime/base/unique_fd.h"

namespace {

using lockstep::base::Code;

void Require(bool holds) {
  if (!holds) ::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const lockstep::base::UniqueFd file(::memfd_create("image", MFD_CLOEXEC));
  Require(::write(file.get(), data, size) == static_cast<ssize_t>(size));
  const auto image =
      lockstep::launcher::ReadProgramImage("/proc/self/fd/" + std::to_string(file.get()));
  Require(image.ok() || image.status().code() == Code::kInvalidArgument);
  return 0;
}
