// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "launcher/verdict/clean_text.h"
#include "launcher/verdict/error_file.h"
#include "runtime/base/check.h"

/// Whatever a rank left: an error, or text that is fit for a terminal.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace lockstep::launcher;
  const auto parsed = ParseErrorFile({reinterpret_cast<const char*>(data), size});
  if (!parsed.ok()) return 0;
  LOCKSTEP_CHECK(!parsed->message.empty(), "an error file without a message is refused");
  LOCKSTEP_CHECK(CleanText(parsed->message) == parsed->message, "the message is clean");
  LOCKSTEP_CHECK(CleanText(parsed->traceback) == parsed->traceback, "the traceback is clean");
  LOCKSTEP_CHECK(parsed->timestamp >= 0, "a time is not negative");
  return 0;
}
