// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/diagnosis/stacks/socket_looks.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <memory>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <utility>

namespace lockstep::launcher {
namespace {

constexpr size_t kDescriptorsMax = 65536;
constexpr unsigned kListens = 10;

const char* StateName(unsigned state) {
  constexpr const char* kNames[] = {"?",          "established", "syn sent",  "syn received",
                                    "fin wait 1", "fin wait 2",  "time wait", "closed",
                                    "close wait", "last ack",    "listening", "closing"};
  return state < std::size(kNames) ? kNames[state] : "?";
}

/// "0100007F:0FA0": the address in words of the machine, each as hexadecimal digits.
std::string AddressText(std::string_view hexadecimal) {
  const size_t colon = hexadecimal.find(':');
  if (colon != 8 && colon != 32) return "?";
  uint32_t words[4] = {};
  for (size_t i = 0; i < colon / 8; ++i) {
    if (std::sscanf(std::string(hexadecimal.substr(i * 8, 8)).c_str(), "%" SCNx32, &words[i]) != 1)
      return "?";
  }
  unsigned port = 0;
  if (std::sscanf(std::string(hexadecimal.substr(colon + 1)).c_str(), "%x", &port) != 1) return "?";
  char text[INET6_ADDRSTRLEN];
  ::inet_ntop(colon == 8 ? AF_INET : AF_INET6, words, text, sizeof text);
  return (colon == 8 ? std::string(text) : "[" + std::string(text) + "]") + ":" +
         std::to_string(port);
}

bool LeavesTheMachine(const proto::TcpSocket& socket) {
  const std::string_view local = socket.local();
  const std::string_view remote = socket.remote();
  return local.substr(0, local.rfind(':')) != remote.substr(0, remote.rfind(':'));
}

/// What is in trouble comes first, and of what is idle what leaves the machine.
auto Weight(const proto::TcpSocket& socket) {
  return std::tuple(socket.retransmits(), socket.unacked_bytes(), socket.unread_bytes(),
                    LeavesTheMachine(socket));
}

std::unordered_set<uint64_t> SocketsOf(pid_t pid) {
  std::unordered_set<uint64_t> inodes;
  const std::string path = "/proc/" + std::to_string(pid) + "/fd";
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(::opendir(path.c_str()), ::closedir);
  if (folder == nullptr) return inodes;
  size_t looked_at = 0;
  while (const dirent* const entry = ::readdir(folder.get())) {
    if (++looked_at > kDescriptorsMax) break;
    char target[64];
    const ssize_t length =
        ::readlink((path + "/" + entry->d_name).c_str(), target, sizeof target - 1);
    if (length <= 0) continue;
    target[length] = 0;
    uint64_t inode = 0;
    if (std::sscanf(target, "socket:[%" SCNu64 "]", &inode) == 1) inodes.insert(inode);
  }
  return inodes;
}

}  // namespace

std::optional<TcpRow> ParseTcpRow(const std::string& line) {
  char local[64];
  char remote[64];
  unsigned state = 0;
  unsigned unacked = 0;
  unsigned unread = 0;
  unsigned retransmits = 0;
  TcpRow row;
  // Connections that wait for their end have no fields after the inode's; rto is in clock ticks.
  unsigned rto_ticks = 0;
  const int fields =
      std::sscanf(line.c_str(),
                  " %*u: %63[0-9A-Fa-f:] %63[0-9A-Fa-f:] %x %x:%x %*x:%*x %x %*u %*u "
                  "%" SCNu64 " %*u %*s %u",
                  local, remote, &state, &unacked, &unread, &retransmits, &row.inode, &rto_ticks);
  if (fields < 7 || state == kListens) return std::nullopt;
  row.socket.set_local(AddressText(local));
  row.socket.set_remote(AddressText(remote));
  row.socket.set_state(StateName(state));
  row.socket.set_unacked_bytes(unacked);
  row.socket.set_unread_bytes(unread);
  row.socket.set_retransmits(retransmits);
  const long ticks_a_second = ::sysconf(_SC_CLK_TCK);
  if (fields == 8 && ticks_a_second > 0) {
    row.socket.set_rto_ms(
        static_cast<uint32_t>(uint64_t{rto_ticks} * 1000 / static_cast<uint64_t>(ticks_a_second)));
  }
  return row;
}

std::string SocketText(const proto::TcpSocket& socket) {
  std::string text = socket.local() + " to " + socket.remote() + ", " + socket.state() + ": " +
                     std::to_string(socket.unacked_bytes()) + " bytes unacknowledged, " +
                     std::to_string(socket.unread_bytes()) + " unread";
  if (socket.retransmits() > 0)
    text += ", sent again " + std::to_string(socket.retransmits()) + " times in vain";
  if (socket.rto_ms() > 0) text += ", rto " + std::to_string(socket.rto_ms()) + " ms";
  return text;
}

std::vector<proto::TcpSocket> LookAtSockets(pid_t pid, size_t sockets_max) {
  const SocketBounds bounds{.of_each = sockets_max, .of_each_in_peace = sockets_max};
  return std::move(LookAtSocketsOf({pid}, bounds).of[pid]);
}

bool IsInTrouble(const proto::TcpSocket& socket) {
  return socket.unacked_bytes() > 0 && socket.retransmits() >= 2;
}

uint64_t ResentInVain(const proto::TcpSocket& socket) {
  return socket.retransmits() > 0 ? uint64_t{socket.retransmits()} + 1 : 0;
}

SocketsOfProcesses LookAtSocketsOf(const std::vector<pid_t>& pids, const SocketBounds& bounds) {
  SocketsOfProcesses seen;
  auto& sockets = seen.of;
  std::unordered_map<uint64_t, std::vector<pid_t>> owners;  // of sockets, which forks share
  std::map<ino_t, pid_t> networks;                          // with one of those that are in it
  for (const pid_t pid : pids) {
    if (!sockets.try_emplace(pid).second) continue;
    const std::unordered_set<uint64_t> inodes = SocketsOf(pid);
    struct stat network{};
    const std::string name = "/proc/" + std::to_string(pid) + "/ns/net";
    if (inodes.empty() || ::stat(name.c_str(), &network) != 0) continue;
    networks.emplace(network.st_ino, pid);
    for (const uint64_t inode : inodes) owners[inode].push_back(pid);
  }
  size_t left = bounds.table_bytes;
  size_t networks_left = networks.size();
  for (const auto& [_, pid] : networks) {
    const size_t share = left / networks_left--;  // what one does not need the next ones have
    size_t bytes = 0;
    for (const char* const table : {"tcp", "tcp6"}) {
      std::ifstream file("/proc/" + std::to_string(pid) + "/net/" + table);
      for (std::string line; std::getline(file, line);) {
        if (bytes + line.size() > share) {
          seen.is_cut = true;
          break;
        }
        bytes += line.size();
        const std::optional<TcpRow> row = ParseTcpRow(line);
        if (row.has_value()) seen.resent_in_vain += ResentInVain(row->socket);
        const auto found = row.has_value() ? owners.find(row->inode) : owners.end();
        if (found == owners.end()) continue;
        for (const pid_t owner : found->second) sockets[owner].push_back(row->socket);
      }
    }
    left -= bytes;
  }
  bool is_trouble = false;
  for (const auto& [_, of_one] : sockets)
    is_trouble |= std::any_of(of_one.begin(), of_one.end(), IsInTrouble);
  const size_t at_most =
      is_trouble ? bounds.of_each : std::min(bounds.of_each, bounds.of_each_in_peace);
  for (auto& [_, of_one] : sockets) {
    std::stable_sort(
        of_one.begin(), of_one.end(),
        [](const proto::TcpSocket& a, const proto::TcpSocket& b) { return Weight(a) > Weight(b); });
    if (of_one.size() > at_most) of_one.resize(at_most);
  }
  return seen;
}

}  // namespace lockstep::launcher
