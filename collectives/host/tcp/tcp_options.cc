// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/host/tcp/tcp_options.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>
#include <cstring>

namespace lockstep::collectives {
namespace {

void SetOption(int fd, int level, int option, int value) {
  (void)::setsockopt(fd, level, option, &value, sizeof value);
}

// Within a machine room a round trip takes less.
constexpr uint32_t kShortRoundTripUs = 1000;

// BBR paces what it sends with timers, by a model of the path that it learns from round trips. On a
// path this short those are shorter than the time for which a member may be without its processor,
// and each such time shrinks the model: 64 MiB took 1.2 to 1.7 times as long (two namespaces, a
// busy machine). Reno is in every kernel and open to every user, and on such a path CUBIC is no
// other.
void ChooseCongestionControl(int fd) {
  tcp_info info{};
  socklen_t length = sizeof info;
  if (::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) != 0) return;
  // The least: the others hold what both processes took to answer.
  char name[16] = {};
  socklen_t name_bytes = sizeof name - 1;
  if (::getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &name_bytes) != 0) return;
  if (info.tcpi_min_rtt >= kShortRoundTripUs || std::strcmp(name, "bbr") != 0) return;
  constexpr char kReno[] = "reno";
  (void)::setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, kReno, sizeof kReno - 1);
}

}  // namespace

// A member may compute for minutes with its window full, which TCP_USER_TIMEOUT would take for its
// death (Linux counts it from the first window probe, answered or not). Deadlines of ops decide
// here; keepalive only frees what a lost machine has left.
void MakeReadyForData(int fd) {
  SetOption(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, 0);
  SetOption(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  SetOption(fd, IPPROTO_TCP, TCP_KEEPIDLE, 10);
  SetOption(fd, IPPROTO_TCP, TCP_KEEPINTVL, 5);
  SetOption(fd, IPPROTO_TCP, TCP_KEEPCNT, 3);
  ChooseCongestionControl(fd);
}

}  // namespace lockstep::collectives
