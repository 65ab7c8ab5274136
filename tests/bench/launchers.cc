// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "tests/bench/launchers.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <system_error>

#include "runtime/base/unique_fd.h"
#include "runtime/process/descendants.h"

namespace lockstep::bench {
namespace {

using namespace std::chrono_literals;

constexpr char kPython[] = "/usr/bin/python3";  // Debian's, which has python3-torch

/// torchrun's default port may be anybody's.
int FreePort() {
  const base::UniqueFd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  if (::bind(socket.get(), generic, size) != 0) return 29500;
  if (::getsockname(socket.get(), generic, &size) != 0) return 29500;
  return ntohs(address.sin_port);
}

bool HasTorch() {
  Command command({kPython, "-c", "import torch.distributed.run"});
  return command.WaitForEnd(60s, true).has_value();
}

}  // namespace

Setting::Setting(int argc, char** argv) {
  const Words words(argv + 1, argv + argc);
  quick_ = words.size() == 4 && words[3] == "--quick";
  if (words.size() != 3 && !quick_) {
    std::fprintf(stderr, "usage: %s LOCKSTEP RANK_PROGRAM TORCHRUN [--quick]\n", argv[0]);
    std::exit(64);
  }
  lockstep_ = std::filesystem::absolute(words[0]);
  rank_program_ = std::filesystem::absolute(words[1]);
  torchrun_ = std::filesystem::absolute(words[2]);
  char folder[] = "/tmp/lsbench.XXXXXX";  // short: sockets live in it
  const base::Status subreaper = process::BecomeSubreaper();
  if (::mkdtemp(folder) == nullptr || !subreaper.ok()) {
    std::perror("prepare the benchmark");
    std::exit(71);
  }
  folder_ = folder;
  ::setenv("LOCKSTEP_HOME", (folder_ + "/home").c_str(), 1);
  ::setenv("XDG_RUNTIME_DIR", folder, 1);
  ::setenv("USER", "nobody", 0);  // every log-in sets it; without, glog asks for the user's entry
}

Words Setting::Picture(const std::string& name) const {
  const char* const folder = std::getenv("LOCKSTEP_BENCH_PICTURES");
  if (folder == nullptr || quick_) return {};
  return {"--plot", std::string(folder) + "/" + name + ".svg"};
}

Setting::~Setting() {
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

int Setting::Runs(const Launcher& launcher, int full, int when_quick) const {
  return quick_ ? std::min(when_quick, launcher.quick_runs_max) : std::min(full, launcher.runs_max);
}

std::vector<Launcher> Launchers(const Setting& setting, int ranks, Peers peers) {
  const std::string count = std::to_string(ranks);
  const bool no_grace = peers == Peers::kNoGrace;
  std::vector<Launcher> launchers;

  launchers.push_back({.name = kLockstep,
                       .words = {setting.lockstep(), "run", "-np", count},
                       .patience = 20s,
                       .restart_flag = "--max-restarts=1"});
  if (no_grace) launchers.back().words.push_back("--grace=0s");

  if (OnPath("mpirun.openmpi")) {
    const Words words = {"mpirun.openmpi", "--allow-run-as-root", "--oversubscribe", "-np", count};
    if (no_grace) {
      launchers.push_back({.name = kMpirunAsItComes,
                           .words = words,
                           .patience = 5s,
                           .runs_max = 7,
                           .quick_runs_max = 1});
    }
    launchers.push_back(
        {.name = kMpirun, .words = words, .patience = 5s, .runs_max = 15, .quick_runs_max = 1});
    if (no_grace) {
      Words& mpirun = launchers.back().words;
      mpirun.insert(mpirun.end(), {"--mca", "odls_base_sigkill_timeout", "0"});
    }
  }
  if (OnPath("mpiexec.hydra")) {
    launchers.push_back({.name = kHydra, .words = {"mpiexec.hydra", "-n", count}, .patience = 5s});
  }
  static const bool has_torch = HasTorch();
  if (has_torch) {
    const Words words = {kPython, setting.torchrun(), "--no_python", "--nproc_per_node=" + count,
                         "--master_port=" + std::to_string(FreePort())};
    Launcher torchrun{.name = kTorchrunAsItComes,
                      .words = words,
                      .patience = setting.quick() ? 15s : 30s,
                      .runs_max = 3,
                      .quick_runs_max = 0,
                      .restart_flag = "--max_restarts=1"};
    if (no_grace) launchers.push_back(torchrun);
    torchrun.name = kTorchrun;
    torchrun.words.push_back("--monitor_interval=0.01");
    torchrun.runs_max = 5;
    torchrun.quick_runs_max = 1;
    launchers.push_back(torchrun);
  }
  return launchers;
}

Words With(const Launcher& launcher, const Words& program) {
  Words words = launcher.words;
  words.insert(words.end(), program.begin(), program.end());
  return words;
}

}  // namespace lockstep::bench
