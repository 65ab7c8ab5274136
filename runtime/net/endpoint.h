// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_NET_ENDPOINT_H_
#define LOCKSTEP_RUNTIME_NET_ENDPOINT_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "runtime/base/result.h"

namespace lockstep::net {

/// Where a TCP peer is, as people write it: "node7:29400", "10.0.0.7:4411", "[fe80::1%eth0]:4411".
struct Endpoint {
  std::string host;  // name or address, without brackets
  uint16_t port = 0;

  std::string ToString() const;
  friend bool operator==(const Endpoint&, const Endpoint&) = default;
};

/// `default_port` stands in for a missing ":port"; negative = it must be there. An IPv6 address
/// with a port needs its brackets. Errors: InvalidArgument - what is wrong, with the text
/// (shortened).
base::Result<Endpoint> ParseEndpoint(std::string_view text, int default_port = -1);

/// True for what means this machine alone: 127.0.0.0/8, ::1, localhost.
bool IsLoopback(std::string_view host);

}  // namespace lockstep::net

#endif  // LOCKSTEP_RUNTIME_NET_ENDPOINT_H_
