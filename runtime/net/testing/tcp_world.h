// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_NET_TESTING_TCP_WORLD_H_
#define LOCKSTEP_RUNTIME_NET_TESTING_TCP_WORLD_H_

#include <cstdint>
#include <memory>
#include <string>

#include "runtime/base/clock.h"
#include "runtime/net/job_ca.h"
#include "runtime/net/testing/network_world.h"
#include "runtime/net/transport.h"

namespace lockstep::net::testing {

enum class TcpSecurity : uint8_t { kPlain, kCertificates, kToken };

/// What makes the transports of one job's nodes. Confined to one thread.
class Job {
 public:
  explicit Job(TcpSecurity security);
  std::unique_ptr<const Transport> Node(const std::string& name);

 private:
  const TcpSecurity security_;
  const base::RealClock clock_;
  std::unique_ptr<JobCa> ca_;
  std::string token_;
};

/// TcpNetworks over 127.0.0.1.
std::unique_ptr<NetworkWorld> MakeTcpWorld(TcpSecurity security);

}  // namespace lockstep::net::testing

#endif  // LOCKSTEP_RUNTIME_NET_TESTING_TCP_WORLD_H_
