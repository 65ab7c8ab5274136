// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/net/unix_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>
#include <utility>

#include "runtime/base/errno_status.h"

namespace lockstep::net {
namespace {

constexpr int kBacklog = 64;

struct Address {
  const sockaddr* generic() const { return reinterpret_cast<const sockaddr*>(&value); }

  sockaddr_un value{};
  socklen_t size = sizeof(sockaddr_un);
};

base::Result<Address> AddressOf(const std::string& path) {
  Address address;
  static_assert(sizeof(address.value.sun_path) == kUnixPathBytesMax + 1);
  if (path.empty() || path.size() > kUnixPathBytesMax) {
    return base::InvalidArgumentError(
        "use socket path \"" + path + "\": it has " + std::to_string(path.size()) +
        " bytes, and a unix socket's has 1 to " + std::to_string(kUnixPathBytesMax) +
        "; choose a shorter folder (XDG_RUNTIME_DIR)");
  }
  address.value.sun_family = AF_UNIX;
  std::memcpy(address.value.sun_path, path.data(), path.size());
  if (IsAbstractName(path)) {
    address.value.sun_path[0] = '\0';
    // Zeros behind it would belong to the name.
    address.size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size());
  }
  return address;
}

base::Result<base::UniqueFd> MakeSocket(UnixSocketKind kind) {
  const int type = kind == UnixSocketKind::kStream ? SOCK_STREAM : SOCK_SEQPACKET;
  base::UniqueFd fd(::socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return base::ErrnoStatus(errno, "make a unix socket");
  return fd;
}

int Bind(const base::UniqueFd& fd, const Address& address) {
  // The mode of the file comes from the umask, which belongs to the whole process; so the socket's
  // own mode is set before it is bound. Linux takes it from there.
  if (::fchmod(fd.get(), 0600) != 0) return errno;
  return ::bind(fd.get(), address.generic(), address.size) == 0 ? 0 : errno;
}

bool IsAbandonedSocket(const std::string& path, UnixSocketKind kind) {
  struct stat status{};
  if (::lstat(path.c_str(), &status) != 0 || !S_ISSOCK(status.st_mode)) return false;
  const base::Result<base::UniqueFd> probe = ConnectUnix(path, kind);
  return probe.status().code() == base::Code::kUnavailable;
}

}  // namespace

base::Result<base::UniqueFd> ListenUnix(const std::string& path, UnixSocketKind kind) {
  ASSIGN_OR_RETURN(const Address address, AddressOf(path));
  ASSIGN_OR_RETURN(base::UniqueFd fd, MakeSocket(kind));
  int error = Bind(fd, address);
  if (error == EADDRINUSE && IsAbandonedSocket(path, kind) && ::unlink(path.c_str()) == 0) {
    error = Bind(fd, address);
  }
  if (error == EADDRINUSE) {
    return base::AlreadyExistsError("listen on " + path +
                                    ": another process does already, or it is no socket");
  }
  if (error != 0) return base::ErrnoStatus(error, "listen on " + path);
  if (::listen(fd.get(), kBacklog) != 0) return base::ErrnoStatus(errno, "listen on " + path);
  return fd;
}

base::Result<base::UniqueFd> ConnectUnix(const std::string& path, UnixSocketKind kind) {
  ASSIGN_OR_RETURN(const Address address, AddressOf(path));
  ASSIGN_OR_RETURN(base::UniqueFd fd, MakeSocket(kind));
  // A unix socket connects at once or not at all, also when it does not block.
  if (::connect(fd.get(), address.generic(), address.size) != 0) {
    const std::string what = "connect to " + path;
    if (errno == ECONNREFUSED) return base::UnavailableError(what + ": nobody listens");
    if (errno == EAGAIN) return base::ResourceExhaustedError(what + ": too many wait already");
    return base::ErrnoStatus(errno, what);
  }
  return fd;
}

base::Result<base::UniqueFd> AcceptUnix(int listener_fd) {
  base::UniqueFd fd(::accept4(listener_fd, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (fd.valid() || errno == EAGAIN || errno == EINTR || errno == ECONNABORTED) return fd;
  return base::ErrnoStatus(errno, "accept a connection");
}

base::Result<PeerCredentials> PeerOf(int socket_fd) {
  ucred peer{};
  socklen_t size = sizeof(peer);
  if (::getsockopt(socket_fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) {
    return base::ErrnoStatus(errno, "ask who is at the other end of a socket");
  }
  return PeerCredentials{.pid = peer.pid, .uid = peer.uid, .gid = peer.gid};
}

base::Status CheckPeerIsOurs(const PeerCredentials& peer, uid_t own_uid) {
  if (peer.uid == own_uid || peer.uid == 0) return base::OkStatus();
  return base::PermissionDeniedError("refuse process " + std::to_string(peer.pid) + " of user " +
                                     std::to_string(peer.uid) + ": only user " +
                                     std::to_string(own_uid) + " and root may talk to this one");
}

}  // namespace lockstep::net
