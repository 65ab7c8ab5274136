// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/base/check.h"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>

namespace lockstep::base {

void CheckFailed(const char* file, int line, const char* expression, const char* why) {
  char text[512];
  const int length = std::snprintf(text, sizeof text, "%s:%d: check failed: %s (%s)\n", file, line,
                                   expression, why);
  if (length > 0) {
    const auto bytes =
        static_cast<size_t>(length) < sizeof text ? static_cast<size_t>(length) : sizeof text;
    (void)!::write(STDERR_FILENO, text, bytes);
  }
  std::abort();
}

}  // namespace lockstep::base
