// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/host/tcp/tcp_probe.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "collectives/host/tcp/tcp_line.h"

namespace lockstep::collectives {
namespace {

class Prober {
 public:
  Prober(TcpService& service, const std::shared_ptr<TcpEnd>& end, int member)
      : service_(service), end_(end), member_(member), by_(clock_.Now() + kProbeTimeout) {}

  TcpLink Run() {
    if (!Connect()) return {};
    std::optional<base::Duration> turn, stream;
    for (int i = 0; i < kProbeRounds; ++i) Shortest(turn, 0);
    for (int i = 0; i < kProbeStreams; ++i) Shortest(stream, TcpService::kProbeBytesMax);
    if (!turn.has_value() || !stream.has_value()) return {};
    const double turn_us = std::max(Microseconds(*turn), 0.1);
    const double stream_us = std::max(Microseconds(*stream) - turn_us, 0.1);
    return TcpLink::Measured(turn_us / 2,
                             static_cast<double>(TcpService::kProbeBytesMax) / stream_us);
  }

 private:
  static double Microseconds(base::Duration duration) {
    return std::chrono::duration<double, std::micro>(duration).count();
  }

  bool Connect() {
    service_.OpenFlow(end_, {member_, FlowPurpose::kMeasure});
    while (true) {
      line_ = end_->TakeOutgoing({member_, FlowPurpose::kMeasure});
      if (line_.valid()) return true;
      if (!Await(end_->bell(false), POLLIN)) return false;
      end_->ClearBell(false);
    }
  }

  bool Await(int fd, short events) {
    while (true) {
      const base::Duration left = by_ - clock_.Now();
      if (left.count() <= 0) return false;
      pollfd waits{.fd = fd, .events = events, .revents = 0};
      const auto ms = std::chrono::ceil<std::chrono::milliseconds>(left).count();
      const int ready = ::poll(&waits, 1, static_cast<int>(ms));
      if (ready >= 0 || errno != EINTR) return ready > 0;
    }
  }

  void Shortest(std::optional<base::Duration>& shortest, uint64_t bytes) {
    const base::SteadyTime since = clock_.Now();
    uint64_t answer = 0;
    if (!Send(&bytes, sizeof bytes)) return;
    if (bytes > 0) {
      data_.resize(bytes);
      if (!Send(data_.data(), bytes)) return;
    }
    if (!Receive(&answer, sizeof answer) || answer != bytes) return;
    const base::Duration took = clock_.Now() - since;
    if (!shortest.has_value() || took < *shortest) shortest = took;
  }

  bool Send(const void* data, size_t bytes) {
    const auto* at = static_cast<const std::byte*>(data);
    while (bytes > 0) {
      const ssize_t sent = ::send(line_.fd(), at, bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
      if (sent < 0 && errno != EAGAIN && errno != EINTR) return false;
      if (sent < 0 && !Await(line_.fd(), POLLOUT)) return false;
      if (sent < 0) continue;
      at += sent;
      bytes -= static_cast<size_t>(sent);
    }
    return true;
  }

  bool Receive(void* data, size_t bytes) {
    auto* at = static_cast<std::byte*>(data);
    while (bytes > 0) {
      const ssize_t got = ::recv(line_.fd(), at, bytes, MSG_DONTWAIT);
      if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) return false;
      if (got < 0 && !Await(line_.fd(), POLLIN)) return false;
      if (got < 0) continue;
      at += got;
      bytes -= static_cast<size_t>(got);
    }
    return true;
  }

  TcpService& service_;
  const std::shared_ptr<TcpEnd>& end_;
  const int member_;
  base::RealClock clock_;
  const base::SteadyTime by_;
  TcpLine line_;
  std::vector<std::byte> data_;
};

}  // namespace

TcpLink Probe(TcpService& service, const std::shared_ptr<TcpEnd>& end, int member) {
  return Prober(service, end, member).Run();
}

int MemberToProbe(const TcpMembers& members) {
  const AddressCard& mine = members.card(members.self());
  for (int step = 1; step < members.count(); ++step) {
    const int member = (members.self() + step) % members.count();
    const AddressCard& card = members.card(member);
    if (card.host_id != mine.host_id || card.memory != mine.memory || card.memory < 0)
      return member;
  }
  return -1;
}

}  // namespace lockstep::collectives
