// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// lockstep-bench-tcp SOCKET GANG STORE: a rank that `lockstep bench --backend tcp` measures, started
// by `lockstep run`. The ranks meet in the folder STORE; the network is that of
// $LOCKSTEP_BENCH_INTERFACE, or else the loopback.
#include <cstdio>
#include <cstdlib>
#include <string>

#include "launcher/bench/ranks/tcp_rank.h"

namespace {

std::string Variable(const char* name, const char* fallback) {
  const char* const text = std::getenv(name);
  return text == nullptr ? fallback : text;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: lockstep-bench-tcp SOCKET GANG STORE; lockstep bench starts it\n");
    return 64;
  }
  const lockstep::launcher::TcpRankPlace place{
      .rank = std::atoi(Variable("RANK", "0").c_str()),
      .size = std::atoi(Variable("WORLD_SIZE", "1").c_str()),
      .interface = Variable("LOCKSTEP_BENCH_INTERFACE", ""),
      .folder = argv[3]};
  const lockstep::base::Status served =
      lockstep::launcher::ServeAsTcpRank(place, argv[1], std::atoi(argv[2]));
  if (served.ok()) return 0;
  std::fprintf(stderr, "lockstep-bench-tcp: %s\n", served.ToString().c_str());
  return 1;
}
