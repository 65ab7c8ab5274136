// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/net/testing/tcp_world.h"

#include <atomic>
#include <string>

#include "runtime/event/epoll_loop.h"
#include "runtime/event/testing/run_until.h"
#include "runtime/net/job_token.h"
#include "runtime/net/tcp_network.h"
#include "runtime/net/tls_transport.h"

namespace lockstep::net::testing {
namespace {

class TcpWorld final : public NetworkWorld {
 public:
  explicit TcpWorld(TcpSecurity security)
      : security_(security),
        loop_(event::EpollLoop::Create(clock_).value()),
        job_(security),
        other_job_(security),
        node_0_(job_.Node("node-0"), {}, *loop_),
        node_1_(job_.Node("node-1"), {}, *loop_),
        stranger_(other_job_.Node("node-1"), {}, *loop_) {}

  event::Loop& loop() override { return *loop_; }
  Network& network(int node) override { return node == 0 ? node_0_ : node_1_; }
  Network* stranger() override { return security_ == TcpSecurity::kPlain ? nullptr : &stranger_; }
  std::string host_of_node_0() override { return "127.0.0.1"; }
  std::string name_of_node_1() override {
    return security_ == TcpSecurity::kCertificates ? "node-1" : "";
  }
  bool RunUntil(const std::function<bool()>& done, base::Duration timeout) override {
    return event::testing::RunUntil(*loop_, done, timeout);
  }

 private:
  const TcpSecurity security_;
  const base::RealClock clock_;
  const std::unique_ptr<event::EpollLoop> loop_;
  Job job_;
  Job other_job_;
  TcpNetwork node_0_;
  TcpNetwork node_1_;
  TcpNetwork stranger_;
};

}  // namespace

Job::Job(TcpSecurity security) : security_(security) {
  static std::atomic<int> number{0};
  if (security == TcpSecurity::kCertificates) ca_ = JobCa::Create("job", clock_).value();
  token_ = "a token of sixteen bytes and more " + std::to_string(++number);
}

std::unique_ptr<const Transport> Job::Node(const std::string& name) {
  switch (security_) {
    case TcpSecurity::kPlain: return std::make_unique<PlainTransport>();
    case TcpSecurity::kCertificates: return TlsTransport::Create(ca_->Issue(name).value()).value();
    case TcpSecurity::kToken: return TlsTransport::Create(DeriveJobKey(Secret(token_), "job"));
  }
  return nullptr;
}

std::unique_ptr<NetworkWorld> MakeTcpWorld(TcpSecurity security) {
  return std::make_unique<TcpWorld>(security);
}

}  // namespace lockstep::net::testing
