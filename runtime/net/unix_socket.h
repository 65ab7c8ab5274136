// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_NET_UNIX_SOCKET_H_
#define LOCKSTEP_RUNTIME_NET_UNIX_SOCKET_H_

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"

/// Unix sockets by path. Every descriptor made here is close-on-exec and non-blocking.
/// Functions without state: callable from any thread.
///
/// A path that begins with '@' is no file but a name in the kernel's abstract namespace, which all
/// users of a network namespace share: it goes when the last descriptor of its listener is closed,
/// however that comes about, and no two can listen under it. Nothing keeps another user from taking
/// it first, so who connects must look at whom he has reached (PeerOf).
namespace lockstep::net {

/// sockaddr_un holds 108 bytes with the final zero.
inline constexpr size_t kUnixPathBytesMax = 107;

/// Whether that is a name without a file.
inline bool IsAbstractName(std::string_view path) { return path.starts_with('@'); }

enum class UnixSocketKind : uint8_t {
  kStream,   // bytes
  kPackets,  // messages, which arrive whole or not at all
};

struct PeerCredentials {
  pid_t pid = 0;
  uid_t uid = 0;
  gid_t gid = 0;
};

/// A listening socket that only our user (and root) may connect to: mode 0600. A socket file that
/// nobody listens on any more is replaced. Errors: InvalidArgument - empty path, or longer than
/// kUnixPathBytesMax; AlreadyExists - somebody listens there, or the path is no socket; else
/// errno's code (folder missing, no permission, no space).
base::Result<base::UniqueFd> ListenUnix(const std::string& path,
                                        UnixSocketKind kind = UnixSocketKind::kStream);

/// Blocks: no. Errors: InvalidArgument - path too long; NotFound - no such socket; Unavailable -
/// nobody listens; ResourceExhausted - its backlog is full.
base::Result<base::UniqueFd> ConnectUnix(const std::string& path,
                                         UnixSocketKind kind = UnixSocketKind::kStream);

/// The next connection; an invalid descriptor when none waits (or it was gone again).
/// Errors: ResourceExhausted - no descriptor or memory free: the connection stays in the backlog.
base::Result<base::UniqueFd> AcceptUnix(int listener_fd);

/// Who was at the other end when it connected (SO_PEERCRED).
base::Result<PeerCredentials> PeerOf(int socket_fd);

/// PermissionDenied unless the peer runs as our own user or root.
base::Status CheckPeerIsOurs(const PeerCredentials& peer, uid_t own_uid);

}  // namespace lockstep::net

#endif  // LOCKSTEP_RUNTIME_NET_UNIX_SOCKET_H_
