// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_TESTS_HOSTS_DELAY_PROXY_H_
#define LOCKSTEP_TESTS_HOSTS_DELAY_PROXY_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>

#include "runtime/base/clock.h"
#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"

namespace lockstep::hosts {

/// Forwards TCP connections to one target, each byte later than it came: what netem does where the
/// kernel has it. Establishing a connection is not delayed, its bytes and its end are; a reset is
/// passed on at once. Order is kept. Owned by a test; a thread of its own does the work, so any one
/// thread may call.
///
///   auto proxy = DelayProxy::Start({.target_address = Hosts::Ipv4(3, Nic::kData),
///                                   .target_port = 5000,
///                                   .delay = 20ms,
///                                   .network = hosts.OpenNetwork(0).release()});
///   // programs on h0 connect to 127.0.0.1:proxy->port()
class DelayProxy {
 public:
  struct Options {
    std::string listen_address = "127.0.0.1";  // IPv4 or IPv6
    uint16_t listen_port = 0;                  // 0 = any that is free
    std::string target_address;
    uint16_t target_port = 0;
    base::Duration delay{0};   // each way
    base::Duration jitter{0};  // evenly from 0 to this on top
    /// Of bytes that wait, for each way of each connection; a full one stops its sender.
    size_t buffer_bytes_max = size_t{4} << 20;
    int connections_max = 256;  // more are accepted and closed
    /// A network namespace, to listen and connect in; taken over. Invalid = ours.
    base::UniqueFd network;
  };

  /// Listens when it returns. Errors: InvalidArgument - not an address; from errno - setns, bind.
  static base::Result<std::unique_ptr<DelayProxy>> Start(Options options);
  /// Resets what is connected.
  ~DelayProxy();
  DelayProxy(const DelayProxy&) = delete;
  DelayProxy& operator=(const DelayProxy&) = delete;

  uint16_t port() const { return port_; }
  int connections() const { return connections_; }
  size_t bytes_waiting() const { return bytes_waiting_; }
  /// For bytes that come from now on.
  void SetDelay(base::Duration delay) { delay_ns_ = delay.count(); }

 private:
  class Loop;

  explicit DelayProxy(Options options);

  Options options_;
  std::atomic<int64_t> delay_ns_;
  std::atomic<int> connections_ = 0;
  std::atomic<size_t> bytes_waiting_ = 0;
  uint16_t port_ = 0;
  base::UniqueFd stop_;  // an eventfd
  std::thread thread_;
};

}  // namespace lockstep::hosts

#endif  // LOCKSTEP_TESTS_HOSTS_DELAY_PROXY_H_
