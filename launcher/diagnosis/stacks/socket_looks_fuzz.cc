// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
//
// Lines of /proc/net/tcp: whatever they are, they are connections or not, and no crash.
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <sstream>
#include <string>

#include "launcher/diagnosis/stacks/socket_looks.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::istringstream lines(std::string(reinterpret_cast<const char*>(data), size));
  for (std::string line; std::getline(lines, line);) {
    const auto row = lockstep::launcher::ParseTcpRow(line);
    if (row.has_value() && lockstep::launcher::SocketText(row->socket).empty()) ::abort();
  }
  return 0;
}
