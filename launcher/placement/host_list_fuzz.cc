// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "launcher/placement/host_list.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (const auto parse : {lockstep::launcher::ParseHostList, lockstep::launcher::ParseHostFile}) {
    const auto hosts = parse(text);
    if (!hosts.ok()) continue;
    for (const auto& host : *hosts) {
      // Words of ssh's command line.
      if (host.Destination().starts_with('-') || host.slots < 0) __builtin_trap();
    }
  }
  return 0;
}
