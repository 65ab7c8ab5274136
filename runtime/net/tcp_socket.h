// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_NET_TCP_SOCKET_H_
#define LOCKSTEP_RUNTIME_NET_TCP_SOCKET_H_

#include <netinet/in.h>
#include <sys/socket.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "runtime/base/clock.h"
#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"
#include "runtime/net/endpoint.h"
#include "runtime/net/port_claim.h"

/// TCP sockets, v4 and v6. Every descriptor made here is close-on-exec and non-blocking;
/// connections have TCP_NODELAY (messages are small, and each is waited for) and kTcpUserTimeout.
/// Keepalive is off: leases notice a silent peer sooner.
/// Functions without state: callable from any thread.
namespace lockstep::net {

/// How long sent bytes may go without an acknowledgement until the kernel gives the connection up.
/// Far above a lease (2 s), which decides about peers; this only frees what nobody waits for.
inline constexpr base::Duration kTcpUserTimeout = std::chrono::seconds(10);

/// An address of the kernel's, v4 or v6, with a port.
class SocketAddress {
 public:
  SocketAddress() = default;
  SocketAddress(const sockaddr* address, socklen_t size);
  static SocketAddress AnyV4();
  static SocketAddress AnyV6();

  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage_); }
  socklen_t size() const { return size_; }
  int family() const { return storage_.ss_family; }
  uint16_t port() const;
  SocketAddress WithPort(uint16_t port) const;
  /// "10.0.0.7:51712", "[fd00::7]:51712"; a v4 peer of a v6 socket as v4.
  std::string ToString() const;
  /// The same without brackets and port: "10.0.0.7", "fd00::7".
  std::string HostText() const;
  friend bool operator==(const SocketAddress& a, const SocketAddress& b);

 private:
  sockaddr_storage storage_{};
  socklen_t size_ = 0;
};

/// Of an address as text; nullopt for a name. Blocks: no.
std::optional<SocketAddress> NumericAddress(const Endpoint& endpoint);

/// All addresses of a name, in the order of preference (RFC 6724). Blocks: as long as the name
/// service does. Errors: NotFound - no such name, or one without addresses; Unavailable - the name
/// service does not answer.
base::Result<std::vector<SocketAddress>> LookUpAddresses(const Endpoint& endpoint);

struct TcpListenSockets {
  std::vector<base::UniqueFd> fds;  // at least one, all on one port
  uint16_t port = 0;
};

/// Listens on all addresses of `host`; "" = every address of the machine, v4 and v6 by one socket.
/// Blocks: no, unless `host` is a name. Errors: InvalidArgument - no address of this machine;
/// ResourceExhausted - no port of the range is free (and as errno says); else errno's code.
base::Result<TcpListenSockets> ListenTcp(const std::string& host, PortRange ports);

struct AcceptedSocket {
  base::UniqueFd fd;  // invalid when none waited, or it was gone again
  SocketAddress peer;
};
/// Errors: ResourceExhausted - no descriptor or memory is free: the connection stays in the
/// backlog; else errno's code.
base::Result<AcceptedSocket> AcceptTcp(int listener_fd);

/// The local address of a connected socket; one without family when it is no longer connected.
SocketAddress LocalAddressOf(int fd);

/// Begins to connect; the socket becomes writable when TcpConnectOutcome knows more.
base::Result<base::UniqueFd> BeginConnectTcp(const SocketAddress& address);
/// Errors: Unavailable - refused, unreachable or not answered.
base::Status TcpConnectOutcome(int fd);

}  // namespace lockstep::net

#endif  // LOCKSTEP_RUNTIME_NET_TCP_SOCKET_H_
