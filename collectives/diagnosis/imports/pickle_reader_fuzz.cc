// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// Any bytes as a pickle: read without a crash; what is read is a tree within its limits, and comes
// back from what is written of it.
#include <cstddef>
#include <cstdint>

#include "collectives/diagnosis/imports/json_tree.h"
#include "collectives/diagnosis/imports/pickle_reader.h"
#include "runtime/base/check.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace lockstep::collectives;
  const auto tree = ReadPickle({reinterpret_cast<const char*>(data), size});
  if (!tree.ok()) return 0;
  const auto again = ReadPickle(WritePickle(**tree));
  LOCKSTEP_CHECK(again.ok(), "our own pickle");
  LOCKSTEP_CHECK(WriteJson(**again) == WriteJson(**tree), "the same data");
  return 0;
}
