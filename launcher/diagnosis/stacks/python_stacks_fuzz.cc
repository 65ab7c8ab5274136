// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
//
// What py-spy printed: whatever it is, it is threads within bounds, or no list of them.
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <string>

#include "launcher/diagnosis/stacks/python_stacks.h"

namespace {

void Require(bool holds) {
  if (!holds) ::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto threads =
      lockstep::launcher::ParsePySpy(std::string(reinterpret_cast<const char*>(data), size));
  if (!threads.ok()) {
    Require(threads.status().code() == lockstep::base::Code::kDataLoss);
    return 0;
  }
  Require(threads->size() <= 64);
  for (const auto& thread : *threads) {
    Require(thread.tid() >= 0 && thread.frames_size() <= 64);
    for (const auto& frame : thread.frames())
      Require(frame.line() >= 0 && frame.function().find('\x1b') == std::string::npos);
  }
  return 0;
}
