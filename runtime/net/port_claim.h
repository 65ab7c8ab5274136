// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_NET_PORT_CLAIM_H_
#define LOCKSTEP_RUNTIME_NET_PORT_CLAIM_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"

namespace lockstep::net {

/// First and last port of a range, both inside.
struct PortRange {
  int first = 0;
  int last = -1;

  bool Contains(int port) const { return first <= port && port <= last; }
  friend bool operator==(const PortRange&, const PortRange&) = default;
};

/// The ports that the kernel gives to outgoing connections, and those that an administrator has set
/// aside.
struct KernelPorts {
  PortRange ephemeral{32768, 60999};
  std::vector<PortRange> reserved;
};

/// Parses net.ipv4.ip_local_port_range ("32768\t60999\n") and ip_local_reserved_ports
/// ("80,1000-1010\n" or empty). Errors: InvalidArgument - neither form.
base::Result<KernelPorts> ParseKernelPorts(std::string_view port_range,
                                           std::string_view reserved_ports);
/// Reads both from /proc; the kernel's defaults where that is not mounted.
KernelPorts ReadKernelPorts();

/// A TCP port that a rank of the job may bind (MASTER_PORT), kept from all other jobs on this
/// machine for as long as this object lives. The port itself stays unbound; what is held is the
/// abstract unix socket "\0lockstep-port-N", which needs no file, ends with the process, and spans
/// users and jobs of one network namespace, as ports do.
class PortClaim {
 public:
  /// Claims a port from 10000 up (from 1024 up when there is none) that lies outside the ephemeral
  /// range, so that no outgoing connection takes it before the rank binds it; that is not reserved;
  /// and that binds now on 0.0.0.0 and
  /// [::], even without SO_REUSEADDR. The search starts at a place that `seed` (the job id)
  /// decides. When the ephemeral range leaves no port at all, it takes one from within. Blocks: no.
  /// Errors: ResourceExhausted - no such port is free.
  static base::Result<PortClaim> Create(std::string_view seed, const KernelPorts& kernel);

  int port() const { return port_; }

 private:
  PortClaim(int port, base::UniqueFd holder) : port_(port), holder_(std::move(holder)) {}

  int port_;
  base::UniqueFd holder_;
};

}  // namespace lockstep::net

#endif  // LOCKSTEP_RUNTIME_NET_PORT_CLAIM_H_
