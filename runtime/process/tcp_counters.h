// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_PROCESS_TCP_COUNTERS_H_
#define LOCKSTEP_RUNTIME_PROCESS_TCP_COUNTERS_H_

#include <cstdint>
#include <optional>
#include <string>

namespace lockstep::process {

/// TCP segments, of IPv4 and IPv6, that a network namespace has sent since it was made.
struct TcpCounters {
  uint64_t sent = 0;    // without those that hold nothing new
  uint64_t resent = 0;  // because no acknowledgement came
  bool operator==(const TcpCounters&) const = default;
};

/// From the text of /proc/net/snmp; nullopt where it holds no such counters. Pure; any thread.
std::optional<TcpCounters> ParseTcpCounters(const std::string& snmp);

/// Of the caller's network namespace; zeros where the kernel does not tell. Some 20 us; any thread.
TcpCounters ReadTcpCounters();

}  // namespace lockstep::process

#endif  // LOCKSTEP_RUNTIME_PROCESS_TCP_COUNTERS_H_
