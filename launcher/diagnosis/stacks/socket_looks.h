// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_DIAGNOSIS_STACKS_SOCKET_LOOKS_H_
#define LOCKSTEP_LAUNCHER_DIAGNOSIS_STACKS_SOCKET_LOOKS_H_

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "runtime/proto/stacks.pb.h"

namespace lockstep::launcher {

/// A connection of /proc/net/tcp or tcp6, and whose it is.
struct TcpRow {
  uint64_t inode = 0;
  proto::TcpSocket socket;
};
/// nullopt of what is no such row: the title, a listening socket. Pure; any thread.
std::optional<TcpRow> ParseTcpRow(const std::string& line);

/// "10.0.0.1:4000 to 10.0.0.2:50000, established: 14480 bytes unacknowledged, 0 unread". Pure.
std::string SocketText(const proto::TcpSocket& socket);

/// The TCP connections that a process has open, at most `sockets_max`: those with bytes under way
/// or retransmits first. Reads the tables of its network namespace, at most 16 MiB of them; costs
/// some microseconds for each connection of the machine. Empty also where its descriptors may not
/// be read. Any thread.
std::vector<proto::TcpSocket> LookAtSockets(pid_t pid, size_t sockets_max);

/// What it sent was sent again twice or more, and nothing has answered. Pure.
bool IsInTrouble(const proto::TcpSocket& socket);

struct SocketBounds {
  size_t of_each = 64;
  /// The same where no connection of any of the processes is in trouble.
  size_t of_each_in_peace = 64;
  /// Of all tables together: 2 MiB are 14,000 connections.
  size_t table_bytes = size_t{16} << 20;
};
/// Segments of what it sent again, and nothing has answered: with the probe by which the kernel
/// begins, and which it does not count there. Pure.
uint64_t ResentInVain(const proto::TcpSocket& socket);

struct SocketsOfProcesses {
  std::map<pid_t, std::vector<proto::TcpSocket>> of;  // all that were asked for
  bool is_cut = false;          // tables were longer than the bound: connections are missing
  uint64_t resent_in_vain = 0;  // of all connections of those tables, whosever they are
};
/// The same of many. The tables of a network namespace are read once, each namespace within its
/// share of the bound.
SocketsOfProcesses LookAtSocketsOf(const std::vector<pid_t>& pids, const SocketBounds& bounds);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_DIAGNOSIS_STACKS_SOCKET_LOOKS_H_
