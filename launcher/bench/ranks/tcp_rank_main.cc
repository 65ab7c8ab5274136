// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// lockstep-bench-tcp SOCKET GANG STORE: a rank that `lockstep bench --backend tcp` measures,
// started by `lockstep run`. The ranks meet in the folder STORE; the network is that of
// $LOCKSTEP_BENCH_INTERFACE, or else the loopback. $LOCKSTEP_BENCH_MACHINES, if there, has the
// number of each rank's machine, as in "0,0,1,1": ranks of one machine then go through shared
// memory. $LOCKSTEP_BENCH_LINK, "US,GB_PER_S" as for `lockstep run --tcp-link`, gives them what the
// way between them costs, instead of measuring that: which chooses algorithms.
// $LOCKSTEP_BENCH_SEALED=1 has their data encrypted, $LOCKSTEP_BENCH_FLOWS=N divided over N
// connections a pair.
#include <cstdio>
#include <cstdlib>
#include <string>

#include "launcher/bench/ranks/tcp_rank.h"
#include "runtime/proto/link_text.h"

namespace {

std::string Variable(const char* name, const char* fallback) {
  const char* const text = std::getenv(name);
  return text == nullptr ? fallback : text;
}

/// The number at that place of `machines`; -1 where it has none.
int MachineOf(int rank, const std::string& machines) {
  size_t at = 0;
  for (; rank > 0 && at != std::string::npos; --rank) {
    at = machines.find(',', at);
    if (at != std::string::npos) ++at;
  }
  return at >= machines.size() ? -1 : std::atoi(machines.c_str() + at);
}

/// Unset, it is measured; anything else is an error that ends this process.
lockstep::collectives::TcpLink LinkOf(const std::string& text) {
  if (text.empty()) return {};
  const auto figures = lockstep::proto::ParseLinkFigures(text);
  if (figures.ok())
    return lockstep::collectives::TcpLink::Measured(figures->latency_us, figures->bytes_per_us);
  std::fprintf(stderr, "lockstep-bench-tcp: LOCKSTEP_BENCH_LINK=%s %s\n", text.c_str(),
               figures.status().message().c_str());
  std::exit(64);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: lockstep-bench-tcp SOCKET GANG STORE; lockstep bench starts it\n");
    return 64;
  }
  const int rank = std::atoi(Variable("RANK", "0").c_str());
  const lockstep::launcher::TcpRankPlace place{
      .rank = rank,
      .size = std::atoi(Variable("WORLD_SIZE", "1").c_str()),
      .interface = Variable("LOCKSTEP_BENCH_INTERFACE", ""),
      .folder = argv[3],
      .machine = MachineOf(rank, Variable("LOCKSTEP_BENCH_MACHINES", "")),
      .link = LinkOf(Variable("LOCKSTEP_BENCH_LINK", "")),
      .encrypts_data = Variable("LOCKSTEP_BENCH_SEALED", "") == "1",
      .tcp_flows = std::atoi(Variable("LOCKSTEP_BENCH_FLOWS", "1").c_str()),
      .socket = Variable("LOCKSTEP_SOCKET", ""),
      .cookie = Variable("LOCKSTEP_COOKIE", "")};
  const lockstep::base::Status served =
      lockstep::launcher::ServeAsTcpRank(place, argv[1], std::atoi(argv[2]));
  if (served.ok()) return 0;
  std::fprintf(stderr, "lockstep-bench-tcp: %s\n", served.ToString().c_str());
  return 1;
}
