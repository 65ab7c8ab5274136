// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "tests/hosts/delay_proxy.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <deque>
#include <future>
#include <list>
#include <optional>
#include <utility>
#include <vector>

#include "runtime/base/errno_status.h"
#include "runtime/base/random.h"

namespace lockstep::hosts {
namespace {

using base::Duration;
using base::Result;
using base::SteadyTime;
using base::UniqueFd;

constexpr size_t kReadBytes = 65536;

SteadyTime Now() { return std::chrono::steady_clock::now(); }

struct Address {
  sockaddr_storage storage{};
  socklen_t size = 0;

  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

Result<Address> ParseAddress(const std::string& text, uint16_t port) {
  Address address;
  if (auto* four = reinterpret_cast<sockaddr_in*>(&address.storage);
      ::inet_pton(AF_INET, text.c_str(), &four->sin_addr) == 1) {
    four->sin_family = AF_INET;
    four->sin_port = htons(port);
    address.size = sizeof *four;
    return address;
  }
  if (auto* six = reinterpret_cast<sockaddr_in6*>(&address.storage);
      ::inet_pton(AF_INET6, text.c_str(), &six->sin6_addr) == 1) {
    six->sin6_family = AF_INET6;
    six->sin6_port = htons(port);
    address.size = sizeof *six;
    return address;
  }
  return base::InvalidArgumentError("delay proxy: '" + text + "' is no IPv4 or IPv6 address");
}

/// Bytes on their way from one socket to the other.
struct Stream {
  struct Chunk {
    std::string bytes;
    size_t sent = 0;
    SteadyTime release;
  };

  std::deque<Chunk> chunks;
  size_t waiting = 0;  // bytes, and what it takes to remember them
  SteadyTime last_release{};
  bool ended = false;   // its source has sent its end
  bool closed = false;  // its end has been passed on

  static size_t Cost(const Chunk& chunk) { return chunk.bytes.size() + sizeof(Chunk); }
};

struct Connection {
  UniqueFd sockets[2];  // the client's, the target's
  Stream streams[2];    // from sockets[i] to the other
  bool connecting = true;
  bool failed = false;

  bool Over() const { return failed || (streams[0].closed && streams[1].closed); }
};

void ResetOnClose(const UniqueFd& socket) {
  const linger at_once{1, 0};
  ::setsockopt(socket.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
}

}  // namespace

/// What the thread runs; lives on its stack.
class DelayProxy::Loop {
 public:
  explicit Loop(DelayProxy& proxy) : proxy_(proxy), options_(proxy.options_) {}

  /// The port that it listens on.
  Result<uint16_t> Listen() {
    ASSIGN_OR_RETURN(target_, ParseAddress(options_.target_address, options_.target_port));
    ASSIGN_OR_RETURN(const Address address,
                     ParseAddress(options_.listen_address, options_.listen_port));
    if (options_.network.valid() && ::setns(options_.network.get(), CLONE_NEWNET) != 0)
      return base::ErrnoStatus(errno, "delay proxy: setns");
    listener_.reset(
        ::socket(address.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    const int on = 1;
    ::setsockopt(listener_.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (!listener_.valid() || ::bind(listener_.get(), address.get(), address.size) != 0 ||
        ::listen(listener_.get(), 128) != 0)
      return base::ErrnoStatus(errno, "delay proxy: listen on " + options_.listen_address);
    sockaddr_in6 bound{};  // the port is at the same place in both families
    socklen_t size = sizeof bound;
    ::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&bound), &size);
    return ntohs(bound.sin6_port);
  }

  void Run() {
    while (WaitForWork()) {
      if (polled_[1].revents != 0) Accept();
      size_t at = 2;
      for (Connection& connection : connections_) {
        if (at >= polled_.size()) break;  // accepted just now
        Work(connection, polled_[at].revents, polled_[at + 1].revents);
        at += 2;
      }
      connections_.remove_if([](const Connection& connection) {
        if (connection.failed)
          for (const UniqueFd& socket : connection.sockets) ResetOnClose(socket);
        return connection.Over();
      });
      Publish();
    }
    for (const Connection& connection : connections_)
      for (const UniqueFd& socket : connection.sockets) ResetOnClose(socket);
  }

 private:
  /// Until a socket is ready, a chunk is due, or we are to stop: then false.
  bool WaitForWork() {
    polled_ = {{proxy_.stop_.get(), POLLIN, 0}, {listener_.get(), POLLIN, 0}};
    const SteadyTime now = Now();
    std::optional<SteadyTime> wake;
    for (const Connection& connection : connections_) {
      for (int side : {0, 1}) {
        const Stream& out = connection.streams[side];
        const Stream& in = connection.streams[1 - side];  // is written to this socket
        short events = 0;
        if (!connection.connecting && !out.ended && out.waiting < options_.buffer_bytes_max)
          events |= POLLIN;
        const std::optional<SteadyTime> due = DueAt(in);
        if (connection.connecting ? side == 1 : due.has_value() && *due <= now)
          events |= POLLOUT;
        else if (due.has_value() && (!wake || *due < *wake))
          wake = due;
        // A socket without events is left out: its hang-up would wake us over and over.
        polled_.push_back({events != 0 ? connection.sockets[side].get() : -1, events, 0});
      }
    }
    timespec timeout{};
    if (wake) {
      const Duration left = std::max(*wake - now, Duration(0));
      timeout.tv_sec = left.count() / 1'000'000'000;
      timeout.tv_nsec = left.count() % 1'000'000'000;
    }
    ::ppoll(polled_.data(), polled_.size(), wake ? &timeout : nullptr, nullptr);
    return polled_[0].revents == 0;
  }

  /// When the next bytes, or the end after them, may be passed on.
  static std::optional<SteadyTime> DueAt(const Stream& stream) {
    if (!stream.chunks.empty()) return stream.chunks.front().release;
    if (stream.ended && !stream.closed) return stream.last_release;
    return std::nullopt;
  }

  void Accept() {
    UniqueFd client(::accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!client.valid() || static_cast<int>(connections_.size()) >= options_.connections_max)
      return;
    UniqueFd target(
        ::socket(target_.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    const int on = 1;
    for (const UniqueFd* socket : {&client, &target})
      ::setsockopt(socket->get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (::connect(target.get(), target_.get(), target_.size) != 0 && errno != EINPROGRESS) {
      ResetOnClose(client);
      return;
    }
    Connection& connection = connections_.emplace_back();
    connection.sockets[0] = std::move(client);
    connection.sockets[1] = std::move(target);
  }

  void Work(Connection& connection, short client_events, short target_events) {
    if (connection.connecting) {
      if (target_events == 0) return;
      int error = 0;
      socklen_t size = sizeof error;
      ::getsockopt(connection.sockets[1].get(), SOL_SOCKET, SO_ERROR, &error, &size);
      connection.failed = error != 0;
      connection.connecting = false;
      return;
    }
    const short events[2] = {client_events, target_events};
    for (int side : {0, 1}) {
      if (!connection.failed && (events[side] & (POLLIN | POLLERR | POLLHUP)) != 0)
        Read(connection, side);
    }
    for (int side : {0, 1}) {
      if (!connection.failed) Write(connection, side);
    }
  }

  SteadyTime ReleaseTime(const Stream& stream) {
    Duration delay(proxy_.delay_ns_.load());
    if (options_.jitter.count() > 0)
      delay += Duration(random_.Below(static_cast<uint64_t>(options_.jitter.count())));
    return std::max(stream.last_release, Now() + delay);
  }

  void Read(Connection& connection, int side) {
    Stream& stream = connection.streams[side];
    if (stream.ended || stream.waiting >= options_.buffer_bytes_max) return;
    Stream::Chunk chunk;
    chunk.bytes.resize(std::min(kReadBytes, options_.buffer_bytes_max - stream.waiting));
    const ssize_t count =
        ::recv(connection.sockets[side].get(), chunk.bytes.data(), chunk.bytes.size(), 0);
    if (count < 0) {
      connection.failed = errno != EAGAIN && errno != EINTR;
      return;
    }
    stream.last_release = ReleaseTime(stream);
    stream.ended = count == 0;
    if (stream.ended) return;
    chunk.bytes.resize(static_cast<size_t>(count));
    chunk.bytes.shrink_to_fit();
    chunk.release = stream.last_release;
    stream.waiting += Stream::Cost(chunk);
    stream.chunks.push_back(std::move(chunk));
  }

  void Write(Connection& connection, int side) {
    Stream& stream = connection.streams[side];
    const int to = connection.sockets[1 - side].get();
    const SteadyTime now = Now();
    while (!stream.chunks.empty() && stream.chunks.front().release <= now) {
      Stream::Chunk& chunk = stream.chunks.front();
      const ssize_t count = ::send(to, chunk.bytes.data() + chunk.sent,
                                   chunk.bytes.size() - chunk.sent, MSG_NOSIGNAL);
      if (count < 0) {
        connection.failed = errno != EAGAIN && errno != EINTR;
        return;
      }
      chunk.sent += static_cast<size_t>(count);
      if (chunk.sent < chunk.bytes.size()) return;
      stream.waiting -= Stream::Cost(chunk);
      stream.chunks.pop_front();
    }
    if (stream.chunks.empty() && stream.ended && !stream.closed && stream.last_release <= now) {
      ::shutdown(to, SHUT_WR);
      stream.closed = true;
    }
  }

  void Publish() {
    size_t waiting = 0;
    for (const Connection& connection : connections_)
      waiting += connection.streams[0].waiting + connection.streams[1].waiting;
    proxy_.bytes_waiting_ = waiting;
    proxy_.connections_ = static_cast<int>(connections_.size());
  }

  DelayProxy& proxy_;
  const Options& options_;
  Address target_;
  UniqueFd listener_;
  std::list<Connection> connections_;
  std::vector<pollfd> polled_;  // stop, listener, then two for each connection
  base::Random random_{1};
};

DelayProxy::DelayProxy(Options options)
    : options_(std::move(options)),
      delay_ns_(options_.delay.count()),
      stop_(::eventfd(0, EFD_CLOEXEC)) {}

Result<std::unique_ptr<DelayProxy>> DelayProxy::Start(Options options) {
  std::unique_ptr<DelayProxy> proxy(new DelayProxy(std::move(options)));
  std::promise<Result<uint16_t>> listening;
  std::future<Result<uint16_t>> port = listening.get_future();
  proxy->thread_ = std::thread([&proxy = *proxy, listening = std::move(listening)]() mutable {
    Loop loop(proxy);
    Result<uint16_t> listened = loop.Listen();
    const bool ok = listened.ok();
    listening.set_value(std::move(listened));
    if (ok) loop.Run();
  });
  ASSIGN_OR_RETURN(proxy->port_, port.get());
  return proxy;
}

DelayProxy::~DelayProxy() {
  const uint64_t one = 1;
  (void)!::write(stop_.get(), &one, sizeof one);
  if (thread_.joinable()) thread_.join();
}

}  // namespace lockstep::hosts
