// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include <stdint.h>
#include <stdlib.h>

#include <string_view>

#include "runtime/net/endpoint.h"

// Whatever parses prints as text that parses to the same, and has no character that could surprise
// a resolver or a terminal.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (const int default_port : {-1, 29400}) {
    const auto endpoint = lockstep::net::ParseEndpoint(text, default_port);
    if (!endpoint.ok()) {
      if (endpoint.status().message().size() > 300) ::abort();
      continue;
    }
    for (const char c : endpoint->host) {
      if (c <= ' ' || c > '~') ::abort();
    }
    const auto again = lockstep::net::ParseEndpoint(endpoint->ToString());
    if (!again.ok() || !(*again == *endpoint)) ::abort();
    (void)lockstep::net::IsLoopback(endpoint->host);
  }
  (void)lockstep::net::IsLoopback(text);
  return 0;
}
