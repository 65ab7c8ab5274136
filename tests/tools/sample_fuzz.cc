// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// A parser with a planted fault, for build_rules_test.py: it dies of any input that begins with
// "boom".
#include <cstdint>
#include <cstdlib>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (std::string_view(reinterpret_cast<const char*>(data), size).substr(0, 4) == "boom")
    std::abort();
  return 0;
}
