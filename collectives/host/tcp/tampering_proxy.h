// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_HOST_TCP_TAMPERING_PROXY_H_
#define LOCKSTEP_COLLECTIVES_HOST_TCP_TAMPERING_PROXY_H_

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "collectives/host/tcp/address_exchange.h"
#include "collectives/host/tcp/local_exchange.h"
#include "collectives/host/tcp/sealed_stream.h"
#include "collectives/host/tcp/tcp_handshake.h"
#include "runtime/base/check.h"
#include "runtime/base/unique_fd.h"
#include "runtime/net/port_claim.h"
#include "runtime/net/tcp_socket.h"

namespace lockstep::collectives::testing {

/// Sits between two members and passes on what they send, or what a test makes of it. Knows where
/// the handshake ends, and where each record does. Its own thread moves the bytes, from
/// construction to destruction; `change` runs there.
class TamperingProxy {
 public:
  /// What is passed on in the place of the `number`-th record (from 0) of the connecting end of a
  /// connection for `purpose`.
  using Change = std::function<std::string(FlowPurpose purpose, int number, std::string record)>;

  /// Null: everything passes as it is, and need not be records.
  explicit TamperingProxy(Change change)
      : change_(std::move(change)), listener_(Listen(port_)), thread_([this] { Run(); }) {}
  ~TamperingProxy() {
    ends_ = true;
    thread_.join();
  }

  /// Where it listens instead of the member whose card is `real`, which it then connects to.
  AddressCard InsteadOf(const AddressCard& real) {
    const std::lock_guard<std::mutex> lock(mutex_);
    real_port_ = real.port;
    AddressCard card = real;
    card.port = port_;
    return card;
  }
  /// Ends that connection for `purpose` in both directions, as soon as there is one.
  void Cut(FlowPurpose purpose, int line) { cut_ = static_cast<int>(purpose) << 8 | line; }
  /// From now on each connection gets no more than that, each way.
  void Limit(double bytes_per_second) { limit_ = bytes_per_second; }
  /// From now on it keeps what comes back to the connecting ends; or no more, and passes that on.
  void HoldAnswers(bool hold) { holds_ = hold; }
  /// Everything that has come to it so far, handshakes too.
  std::string seen() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return seen_;
  }

 private:
  static constexpr size_t kBurstBytes = size_t{256} << 10;
  static constexpr size_t kLimitedBurstBytes = size_t{64} << 10;

  struct Way {
    base::UniqueFd from, to;  // both are of the connection; the other way has copies
    bool connecting = false;
    size_t handshake_left = 0;
    FlowPurpose purpose = FlowPurpose::kCalls;
    int line = 0;
    std::string held;  // a part of a record; what is kept
    int records = 0;
    double allowed = 0;  // bytes by now, where there is a limit
    bool ended = false;
  };

  static base::UniqueFd Listen(uint16_t& port) {
    auto sockets = net::ListenTcp("127.0.0.1", net::PortRange{0, 0});
    LOCKSTEP_CHECK(sockets.ok(), "loopback can be listened on");
    port = sockets->port;
    return std::move(sockets->fds.front());
  }

  void Run() {
    while (!ends_) {
      Allow();
      PassHeld();
      std::vector<pollfd> fds{{listener_.get(), POLLIN, 0}};
      for (const auto& way : ways_) {
        const bool may = limit_ == 0 || way->allowed >= kLimitedBurstBytes / 4;
        fds.push_back({way->ended || !may ? -1 : way->from.get(), POLLIN, 0});
      }
      ::poll(fds.data(), fds.size(), limit_ == 0 ? 10 : 1);
      for (size_t i = 1; i < fds.size(); ++i) {
        if (fds[i].revents != 0) Pass(*ways_[i - 1]);
      }
      if (fds[0].revents != 0) Accept();
      for (const auto& way : ways_) {
        if (way->connecting && (static_cast<int>(way->purpose) << 8 | way->line) == cut_) {
          ::shutdown(way->from.get(), SHUT_RDWR);
          ::shutdown(way->to.get(), SHUT_RDWR);
        }
      }
    }
  }

  void Allow() {
    const auto now = std::chrono::steady_clock::now();
    const double seconds = std::chrono::duration<double>(now - std::exchange(then_, now)).count();
    for (const auto& way : ways_)
      way->allowed = std::min<double>(kLimitedBurstBytes, way->allowed + seconds * limit_);
  }

  void PassHeld() {
    for (const auto& way : ways_) {
      if (way->connecting || holds_) continue;
      Send(*way, way->held);
      way->held.clear();
    }
  }

  void Accept() {
    auto accepted = net::AcceptTcp(listener_.get());
    if (!accepted.ok() || !accepted->fd.valid()) return;
    uint16_t port;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      port = real_port_;
    }
    const auto address = net::NumericAddress({.host = "127.0.0.1", .port = port});
    base::UniqueFd onward(::socket(address->family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (::connect(onward.get(), address->get(), address->size()) != 0) return;
    for (const bool connecting : {true, false}) {
      auto way = std::make_unique<Way>();
      way->from = base::UniqueFd(::dup(connecting ? accepted->fd.get() : onward.get()));
      way->to = base::UniqueFd(::dup(connecting ? onward.get() : accepted->fd.get()));
      way->connecting = connecting;
      way->handshake_left = connecting ? sizeof(Hello) + sizeof(net::Hmac) : sizeof(Answer);
      ways_.push_back(std::move(way));
    }
  }

  void Pass(Way& way) {
    const double limit = limit_;  // which may have come just now
    if (limit != 0 && way.allowed < 1) return;
    std::string bytes(limit == 0 ? kBurstBytes : static_cast<size_t>(way.allowed), '\0');
    const ssize_t got = ::recv(way.from.get(), bytes.data(), bytes.size(), MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0) {
      way.ended = true;
      ::shutdown(way.to.get(), SHUT_WR);
      return;
    }
    bytes.resize(static_cast<size_t>(got));
    way.allowed -= static_cast<double>(got);
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      seen_ += bytes;
    }
    if (way.connecting && way.handshake_left == sizeof(Hello) + sizeof(net::Hmac)) {
      way.purpose = static_cast<FlowPurpose>(bytes[offsetof(Hello, purpose)]);
      way.line = bytes[offsetof(Hello, line)];
    }
    const size_t handshake = std::min(bytes.size(), way.handshake_left);
    way.handshake_left -= handshake;
    Send(way, bytes.substr(0, handshake));
    bytes.erase(0, handshake);
    if (!way.connecting && holds_) {
      way.held += bytes;
      return;
    }
    // Those that measure have no records.
    if (change_ == nullptr || !way.connecting || way.purpose == FlowPurpose::kMeasure)
      return Send(way, bytes);
    way.held += bytes;
    while (way.held.size() > sizeof(uint32_t)) {
      uint32_t length;
      std::memcpy(&length, way.held.data(), sizeof length);
      const size_t whole = length + kSealedOverheadBytes;
      if (way.held.size() < whole) return;
      Send(way, change_(way.purpose, way.records++, way.held.substr(0, whole)));
      way.held.erase(0, whole);
    }
  }

  // Whoever reads slowly is waited for: the other end reads on, or the test ends this.
  void Send(const Way& way, std::string_view bytes) const {
    while (!bytes.empty() && !ends_) {
      const ssize_t sent =
          ::send(way.to.get(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
      if (sent < 0 && errno != EAGAIN && errno != EINTR) return;
      if (sent > 0) bytes.remove_prefix(static_cast<size_t>(sent));
      pollfd waits{way.to.get(), POLLOUT, 0};
      if (!bytes.empty()) ::poll(&waits, 1, 10);
    }
  }

  const Change change_;
  uint16_t port_ = 0;
  const base::UniqueFd listener_;
  std::atomic<bool> ends_{false};
  std::atomic<bool> holds_{false};
  std::atomic<int> cut_{-1};
  std::atomic<double> limit_{0};                                                   // 0 = none
  std::chrono::steady_clock::time_point then_ = std::chrono::steady_clock::now();  // of the thread
  mutable std::mutex mutex_;
  uint16_t real_port_ = 0;  // these two guarded by mutex_
  std::string seen_;
  std::vector<std::unique_ptr<Way>> ways_;  // of the thread
  std::thread thread_;
};

/// The cards of two members, but that member 0 reaches member 1 through a proxy, which outlives
/// this.
class ProxiedExchange final : public AddressExchange {
 public:
  explicit ProxiedExchange(TamperingProxy& proxy) : proxy_(proxy) {}
  base::Result<std::vector<std::optional<AddressCard>>> Exchange(
      const ExchangeRequest& request, const AddressCard& mine,
      const OpDeadline& deadline) override {
    ASSIGN_OR_RETURN(auto cards, exchange_.Exchange(request, mine, deadline));
    if (request.member == 0) cards[1] = proxy_.InsteadOf(*cards[1]);
    return cards;
  }

 private:
  LocalExchange exchange_;
  TamperingProxy& proxy_;
};

}  // namespace lockstep::collectives::testing

#endif  // LOCKSTEP_COLLECTIVES_HOST_TCP_TAMPERING_PROXY_H_
