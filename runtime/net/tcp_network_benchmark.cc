// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include <benchmark/benchmark.h>
#include <google/protobuf/wrappers.pb.h>
#include <stdlib.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "runtime/base/clock.h"
#include "runtime/event/epoll_loop.h"
#include "runtime/net/tcp_network.h"
#include "runtime/net/testing/tcp_world.h"

/// Two nodes of a job over 127.0.0.1, both on one thread and one loop: CPU time is that of both
/// sides together, and throughput that of one core.
namespace lockstep::net {
namespace {

using testing::Job;
using testing::TcpSecurity;

void Require(bool condition, const char* what) {
  if (condition) return;
  (void)std::fprintf(stderr, "%s\n", what);
  ::abort();
}

/// Node 1 connects to node 0.
class Pair {
 public:
  explicit Pair(TcpSecurity security)
      : job_(security),
        server_(job_.Node("node-0"), Channel::Options(), *loop_),
        client_(job_.Node("node-1"), Channel::Options(), *loop_) {
    auto listener = server_.Listen({.host = "127.0.0.1"}, [this](auto connection) {
      guest_ = std::move(connection);
      QuitWhenBothAreThere();
    });
    Require(listener.ok(), "listen");
    listener_ = *std::move(listener);
  }

  void Connect() {
    const auto connecting = client_.Connect({{"127.0.0.1", listener_->endpoint().port}},
                                            std::chrono::seconds(30), [this](auto result) {
                                              Require(result.ok(), "connect");
                                              connection_ = *std::move(result);
                                              QuitWhenBothAreThere();
                                            });
    loop_->Run();
  }
  void Disconnect() {
    connection_.reset();
    guest_.reset();
  }
  event::EpollLoop& loop() { return *loop_; }
  Connection& client() { return *connection_; }
  Connection& server() { return *guest_; }

 private:
  void QuitWhenBothAreThere() {
    if (connection_ != nullptr && guest_ != nullptr) loop_->Quit();
  }

  const base::RealClock clock_;
  const std::unique_ptr<event::EpollLoop> loop_ = event::EpollLoop::Create(clock_).value();
  Job job_;
  TcpNetwork server_;
  TcpNetwork client_;
  std::unique_ptr<Listener> listener_;
  std::unique_ptr<Connection> guest_;
  std::unique_ptr<Connection> connection_;
};

void Ignore(base::Status) {}

/// From nothing to a connection that both sides hold, and its end.
void BM_TcpNetwork_Handshake(benchmark::State& state, TcpSecurity security) {
  Pair pair(security);
  for (auto _ : state) {
    pair.Connect();
    pair.Disconnect();
  }
  state.SetItemsProcessed(state.iterations());
}

/// A heartbeat's size, there and back.
void BM_TcpNetwork_RoundTrip(benchmark::State& state, TcpSecurity security) {
  Pair pair(security);
  pair.Connect();
  google::protobuf::BytesValue message;
  message.set_value(std::string(40, 'x'));
  pair.server().Start({.on_message = [&](std::string_view) { (void)pair.server().Send(message); },
                       .on_closed = Ignore});
  pair.client().Start(
      {.on_message = [&](std::string_view) { pair.loop().Quit(); }, .on_closed = Ignore});
  for (auto _ : state) {
    Require(pair.client().Send(message).ok(), "send");
    pair.loop().Run();
  }
  state.SetItemsProcessed(state.iterations());
}

/// Log chunks of 64 KiB, or heartbeats of 40 bytes, one way, with the queue kept filled.
void BM_TcpNetwork_Stream(benchmark::State& state, TcpSecurity security) {
  constexpr size_t kQueuedBytesMax = size_t{1} << 20;
  Pair pair(security);
  pair.Connect();
  google::protobuf::BytesValue message;
  message.set_value(std::string(static_cast<size_t>(state.range(0)), 'x'));
  const int64_t batch = std::max<int64_t>(16, (int64_t{4} << 20) / state.range(0));
  int64_t sent = 0, received = 0;
  pair.server().Start({.on_message =
                           [&](std::string_view) {
                             if (++received % batch == 0) pair.loop().Quit();
                           },
                       .on_closed = Ignore});
  pair.client().Start({.on_message = [](std::string_view) {}, .on_closed = Ignore});
  event::Registration more;
  std::function<void()> fill = [&] {
    const int64_t end = received / batch * batch + batch;
    while (sent < end && pair.client().queued_bytes() < kQueuedBytesMax) {
      Require(pair.client().Send(message).ok(), "send");
      ++sent;
    }
    if (sent < end) more = pair.loop().After(base::Duration(0), fill);
  };
  for (auto _ : state) {
    pair.loop().Post(fill);
    pair.loop().Run();
  }
  state.SetItemsProcessed(received);
  state.SetBytesProcessed(received * state.range(0));
}

BENCHMARK_CAPTURE(BM_TcpNetwork_Handshake, Plain, TcpSecurity::kPlain);
BENCHMARK_CAPTURE(BM_TcpNetwork_Handshake, Certificates, TcpSecurity::kCertificates);
BENCHMARK_CAPTURE(BM_TcpNetwork_Handshake, Token, TcpSecurity::kToken);
BENCHMARK_CAPTURE(BM_TcpNetwork_RoundTrip, Plain, TcpSecurity::kPlain);
BENCHMARK_CAPTURE(BM_TcpNetwork_RoundTrip, Certificates, TcpSecurity::kCertificates);
BENCHMARK_CAPTURE(BM_TcpNetwork_Stream, Plain, TcpSecurity::kPlain)->Arg(40)->Arg(64 << 10);
BENCHMARK_CAPTURE(BM_TcpNetwork_Stream, Certificates, TcpSecurity::kCertificates)
    ->Arg(40)
    ->Arg(64 << 10);

}  // namespace
}  // namespace lockstep::net

BENCHMARK_MAIN();
