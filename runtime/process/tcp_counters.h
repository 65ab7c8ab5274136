// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_PROCESS_TCP_COUNTERS_H_
#define LOCKSTEP_RUNTIME_PROCESS_TCP_COUNTERS_H_

#include <cstdint>
#include <optional>
#include <string>

namespace lockstep::process {

/// TCP segments, of IPv4 and IPv6, that a network namespace has sent since it was made.
struct TcpCounters {
  uint64_t sent = 0;    // without those that were sent again
  uint64_t resent = 0;  // of connections that stand: no first SYN, to which nobody may answer
  bool operator==(const TcpCounters&) const = default;
};

/// From the texts of /proc/net/snmp and /proc/net/netstat; nullopt where the first holds no such
/// counters. Pure; any thread.
std::optional<TcpCounters> ParseTcpCounters(const std::string& snmp, const std::string& netstat);

/// Of the caller's network namespace; zeros where the kernel does not tell. Some 40 us; any thread.
TcpCounters ReadTcpCounters();

}  // namespace lockstep::process

#endif  // LOCKSTEP_RUNTIME_PROCESS_TCP_COUNTERS_H_
