// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/net/tcp_socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/tcp.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <utility>

#include "runtime/base/errno_status.h"

namespace lockstep::net {
namespace {

constexpr int kBacklog = 4096;      // the kernel takes less where net.core.somaxconn says so
constexpr int kAnyPortTries = 100;  // for a port that is free on several addresses at once

base::Result<base::UniqueFd> MakeSocket(int family) {
  base::UniqueFd fd(::socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP));
  if (!fd.valid()) return base::ErrnoStatus(errno, "make a TCP socket");
  return fd;
}

base::Status Set(int fd, int level, int option, int value, const char* what) {
  if (::setsockopt(fd, level, option, &value, sizeof(value)) == 0) return base::OkStatus();
  return base::ErrnoStatus(errno, what);
}

base::Status SetUpConnection(int fd) {
  constexpr int kUserTimeoutMs = static_cast<int>(
      std::chrono::duration_cast<std::chrono::milliseconds>(kTcpUserTimeout).count());
  RETURN_IF_ERROR(Set(fd, IPPROTO_TCP, TCP_NODELAY, 1, "set TCP_NODELAY"));
  return Set(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, kUserTimeoutMs, "set TCP_USER_TIMEOUT");
}

base::Result<std::vector<SocketAddress>> GetAddresses(const Endpoint& endpoint, int flags) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_protocol = IPPROTO_TCP;
  hints.ai_flags = flags | AI_NUMERICSERV;
  addrinfo* list = nullptr;
  const int error =
      ::getaddrinfo(endpoint.host.c_str(), std::to_string(endpoint.port).c_str(), &hints, &list);
  const std::string what = "look up " + endpoint.host;
  if (error == EAI_SYSTEM) return base::UnavailableError(base::ErrnoStatus(errno, what).message());
  if (error == EAI_AGAIN || error == EAI_MEMORY || error == EAI_FAIL)
    return base::UnavailableError(what + ": " + ::gai_strerror(error));
  if (error != 0) return base::NotFoundError(what + ": " + ::gai_strerror(error));
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(list, ::freeaddrinfo);
  std::vector<SocketAddress> addresses;
  for (const addrinfo* one = list; one != nullptr; one = one->ai_next) {
    if (one->ai_family == AF_INET || one->ai_family == AF_INET6)
      addresses.emplace_back(one->ai_addr, one->ai_addrlen);
  }
  if (addresses.empty()) return base::NotFoundError(what + ": it has no address");
  return addresses;
}

/// A listening socket and its port, or errno's status; `error` gets errno's value.
base::Result<base::UniqueFd> ListenOn(const SocketAddress& address, bool v4_too, int* error) {
  const std::string what = "listen on " + address.ToString();
  base::UniqueFd fd(
      ::socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP));
  const auto failed = [&]() -> base::Status {
    *error = errno;
    return base::ErrnoStatus(*error, what);
  };
  if (!fd.valid()) return failed();
  // Connections of an earlier job that linger on the port do not keep it from us.
  const int on = 1;
  if (::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0) return failed();
  const int v6_only = v4_too ? 0 : 1;
  if (address.family() == AF_INET6 &&
      ::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &v6_only, sizeof(v6_only)) != 0) {
    return failed();
  }
  if (::bind(fd.get(), address.get(), address.size()) != 0 || ::listen(fd.get(), kBacklog) != 0)
    return failed();
  return fd;
}

bool IsMissingHere(int error) { return error == EADDRNOTAVAIL || error == EAFNOSUPPORT; }

base::Result<uint16_t> PortOf(int fd) {
  const SocketAddress address = LocalAddressOf(fd);
  if (address.family() == AF_UNSPEC)
    return base::ErrnoStatus(errno, "ask for the port of a socket");
  return address.port();
}

/// All addresses on one port (0 = any); those that this machine does not have are left out while
/// there is another. `error` as in ListenOn.
base::Result<TcpListenSockets> ListenOnAll(const std::vector<SocketAddress>& addresses, bool v4_too,
                                           uint16_t port, int* error) {
  TcpListenSockets sockets{.port = port};
  base::Status missing;
  for (const SocketAddress& address : addresses) {
    auto fd = ListenOn(address.WithPort(sockets.port), v4_too, error);
    if (!fd.ok() && IsMissingHere(*error)) {
      missing = fd.status();
      continue;
    }
    if (!fd.ok()) return fd.status();
    ASSIGN_OR_RETURN(sockets.port, PortOf(fd->get()));
    sockets.fds.push_back(*std::move(fd));
  }
  if (sockets.fds.empty()) return missing;
  return sockets;
}

/// The first port of the range that is free on all of them.
base::Result<TcpListenSockets> ListenOnRange(const std::vector<SocketAddress>& addresses,
                                             bool v4_too, PortRange ports, int* error) {
  const bool any_port = ports == PortRange{0, 0};
  const int tries = any_port ? kAnyPortTries : ports.last - ports.first + 1;
  base::Status last = base::InvalidArgumentError("listen: the range of ports is empty");
  for (int i = 0; i < tries; ++i) {
    const int port = any_port ? 0 : ports.first + i;
    *error = 0;
    auto sockets = ListenOnAll(addresses, v4_too, static_cast<uint16_t>(port), error);
    if (sockets.ok() || *error != EADDRINUSE) return sockets;
    last = base::ResourceExhaustedError("listen: no port from " + std::to_string(ports.first) +
                                        " to " + std::to_string(ports.last) +
                                        " is free; give another range");
  }
  return last;
}

}  // namespace

SocketAddress::SocketAddress(const sockaddr* address, socklen_t size)
    : size_(std::min<socklen_t>(size, sizeof(storage_))) {
  std::memcpy(&storage_, address, size_);
}

SocketAddress SocketAddress::AnyV4() {
  sockaddr_in any{};
  any.sin_family = AF_INET;
  return SocketAddress(reinterpret_cast<const sockaddr*>(&any), sizeof(any));
}

SocketAddress SocketAddress::AnyV6() {
  sockaddr_in6 any{};
  any.sin6_family = AF_INET6;
  return SocketAddress(reinterpret_cast<const sockaddr*>(&any), sizeof(any));
}

uint16_t SocketAddress::port() const {
  // Both families have it at the same place.
  return ntohs(reinterpret_cast<const sockaddr_in*>(&storage_)->sin_port);
}

SocketAddress SocketAddress::WithPort(uint16_t port) const {
  SocketAddress copy = *this;
  reinterpret_cast<sockaddr_in*>(&copy.storage_)->sin_port = htons(port);
  return copy;
}

std::string SocketAddress::ToString() const { return Endpoint{HostText(), port()}.ToString(); }

std::string SocketAddress::HostText() const {
  char text[INET6_ADDRSTRLEN] = "";
  if (family() == AF_INET) {
    const auto* v4 = reinterpret_cast<const sockaddr_in*>(&storage_);
    (void)::inet_ntop(AF_INET, &v4->sin_addr, text, sizeof(text));
    return text;
  }
  const auto* v6 = reinterpret_cast<const sockaddr_in6*>(&storage_);
  if (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) {
    (void)::inet_ntop(AF_INET, v6->sin6_addr.s6_addr + 12, text, sizeof(text));
    return text;
  }
  (void)::inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof(text));
  std::string host = text;
  char zone[IF_NAMESIZE];
  if (v6->sin6_scope_id != 0 && ::if_indextoname(v6->sin6_scope_id, zone) != nullptr)
    host += std::string("%") + zone;
  return host;
}

bool operator==(const SocketAddress& a, const SocketAddress& b) {
  return a.size_ == b.size_ && std::memcmp(&a.storage_, &b.storage_, a.size_) == 0;
}

std::optional<SocketAddress> NumericAddress(const Endpoint& endpoint) {
  const auto addresses = GetAddresses(endpoint, AI_NUMERICHOST);
  if (!addresses.ok()) return std::nullopt;
  return addresses->front();
}

base::Result<std::vector<SocketAddress>> LookUpAddresses(const Endpoint& endpoint) {
  return GetAddresses(endpoint, 0);
}

base::Result<TcpListenSockets> ListenTcp(const std::string& host, PortRange ports) {
  int error = 0;
  if (host.empty()) {
    auto sockets = ListenOnRange({SocketAddress::AnyV6()}, true, ports, &error);
    if (sockets.ok() || !IsMissingHere(error)) return sockets;
    return ListenOnRange({SocketAddress::AnyV4()}, false, ports, &error);
  }
  const auto addresses = LookUpAddresses({.host = host, .port = 0});
  if (!addresses.ok()) {
    return base::InvalidArgumentError("listen on " + host + ": " + addresses.status().message());
  }
  auto sockets = ListenOnRange(*addresses, false, ports, &error);
  if (sockets.ok() || !IsMissingHere(error)) return sockets;
  return base::InvalidArgumentError(sockets.status().message() +
                                    "; it is no address of this machine");
}

base::Result<AcceptedSocket> AcceptTcp(int listener_fd) {
  sockaddr_storage storage{};
  socklen_t size = sizeof(storage);
  base::UniqueFd fd(::accept4(listener_fd, reinterpret_cast<sockaddr*>(&storage), &size,
                              SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!fd.valid()) {
    switch (errno) {
      // Nobody waits, or what happened on the network is the connection's own affair (accept(2)).
      case EAGAIN:
      case EINTR:
      case ECONNABORTED:
      case ENETDOWN:
      case EPROTO:
      case ENOPROTOOPT:
      case EHOSTDOWN:
      case ENONET:
      case EHOSTUNREACH:
      case ENETUNREACH:
      case EOPNOTSUPP: return AcceptedSocket{};
      default: return base::ErrnoStatus(errno, "accept a connection");
    }
  }
  RETURN_IF_ERROR(SetUpConnection(fd.get()));
  return AcceptedSocket{.fd = std::move(fd),
                        .peer = SocketAddress(reinterpret_cast<const sockaddr*>(&storage), size)};
}

SocketAddress LocalAddressOf(int fd) {
  sockaddr_storage storage{};
  socklen_t size = sizeof(storage);
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&storage), &size) != 0) return {};
  return SocketAddress(reinterpret_cast<const sockaddr*>(&storage), size);
}

base::Result<base::UniqueFd> BeginConnectTcp(const SocketAddress& address) {
  ASSIGN_OR_RETURN(base::UniqueFd fd, MakeSocket(address.family()));
  RETURN_IF_ERROR(SetUpConnection(fd.get()));
  if (::connect(fd.get(), address.get(), address.size()) == 0 || errno == EINPROGRESS ||
      errno == EINTR) {
    return fd;
  }
  return base::UnavailableError(base::ErrnoStatus(errno, "connect").message());
}

base::Status TcpConnectOutcome(int fd) {
  int error = 0;
  socklen_t size = sizeof(error);
  if (::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
  if (error != 0) return base::UnavailableError(base::ErrnoStatus(error, "connect").message());
  // A port of the ephemeral range that nobody listens on: the kernel may choose it for our own end,
  // and then we have reached ourselves.
  sockaddr_storage ends[2] = {};
  socklen_t sizes[2] = {sizeof(ends[0]), sizeof(ends[1])};
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&ends[0]), &sizes[0]) != 0 ||
      ::getpeername(fd, reinterpret_cast<sockaddr*>(&ends[1]), &sizes[1]) != 0) {
    return base::UnavailableError(base::ErrnoStatus(errno, "connect").message());
  }
  if (SocketAddress(reinterpret_cast<sockaddr*>(&ends[0]), sizes[0]) ==
      SocketAddress(reinterpret_cast<sockaddr*>(&ends[1]), sizes[1])) {
    return base::UnavailableError("connect: nobody listens there");
  }
  return base::OkStatus();
}

}  // namespace lockstep::net
