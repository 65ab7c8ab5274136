// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_NET_HOST_NAME_H_
#define LOCKSTEP_RUNTIME_NET_HOST_NAME_H_

#include <string>

namespace lockstep::net {

/// What this machine calls itself (gethostname; "localhost" when it has no name). Asks no name
/// server, so it never blocks and may be a short name. Thread-safe.
std::string HostName();

}  // namespace lockstep::net

#endif  // LOCKSTEP_RUNTIME_NET_HOST_NAME_H_
