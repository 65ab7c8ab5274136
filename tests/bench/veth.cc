// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "tests/bench/veth.h"

#include <errno.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <sstream>

#include "runtime/base/errno_status.h"

namespace lockstep::bench {
namespace {

using namespace std::chrono_literals;

constexpr char kFolder[] = "/run/netns";
constexpr char kSecondAddress[] = "10.79.0.2";

const std::vector<std::vector<std::string>>& Steps() {
  static const std::vector<std::vector<std::string>> steps = {
      {"ip", "netns", "add", "h0"},
      {"ip", "netns", "add", "h1"},
      {"ip", "link", "add", Veth::kInterface, "netns", "h0", "type", "veth", "peer", "name",
       Veth::kInterface, "netns", "h1"},
      {"ip", "-n", "h0", "addr", "add", "10.79.0.1/24", "dev", Veth::kInterface},
      {"ip", "-n", "h1", "addr", "add", std::string(kSecondAddress) + "/24", "dev",
       Veth::kInterface},
      {"ip", "-n", "h0", "link", "set", "lo", "up"},
      {"ip", "-n", "h1", "link", "set", "lo", "up"},
      {"ip", "-n", "h0", "link", "set", Veth::kInterface, "up"},
      {"ip", "-n", "h1", "link", "set", Veth::kInterface, "up"},
  };
  return steps;
}

e2e::Command::Options OwnEnvironment() {
  e2e::Command::Options options;
  for (const char* const name :
       {"PATH", "HOME", "USER", "TMPDIR", "LOCKSTEP_HOME", "XDG_RUNTIME_DIR"}) {
    if (const char* const value = std::getenv(name)) options.environment[name] = value;
  }
  return options;
}

/// "[  5]  0.00-2.04  sec  3.0 GBytes  12.9 Gbits/sec  receiver", of both directions: their mean.
std::optional<double> RateIn(const std::string& text) {
  std::istringstream lines(text);
  double sum = 0;
  int directions = 0;
  for (std::string line; std::getline(lines, line);) {
    const size_t unit = line.find(" Mbits/sec");
    if (unit == std::string::npos || line.find("receiver") == std::string::npos) continue;
    const size_t begin = line.rfind(' ', unit - 1) + 1;
    sum += std::atof(line.c_str() + begin) / 8000;
    ++directions;
  }
  return directions == 2 ? std::optional(sum / 2) : std::nullopt;
}

}  // namespace

base::Status Veth::Make() {
  if (::unshare(CLONE_NEWNS) != 0)
    return base::ErrnoStatus(errno, "make a mount namespace; it needs root");
  if (::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
    return base::ErrnoStatus(errno, "keep mounts to ourselves");
  if (::mkdir(kFolder, S_IRWXU) != 0 && errno != EEXIST)
    return base::ErrnoStatus(errno, std::string("mkdir ") + kFolder);
  if (::mount("none", kFolder, "tmpfs", 0, nullptr) != 0)
    return base::ErrnoStatus(errno, std::string("mount a tmpfs on ") + kFolder);
  for (const auto& step : Steps()) {
    const e2e::Outcome outcome = Run(step, 10s);
    if (outcome.status == 0) continue;
    std::string line;
    for (const std::string& word : step) line += word + " ";
    return base::FailedPreconditionError(line + "failed: " + outcome.err);
  }
  return base::OkStatus();
}

e2e::Outcome Veth::Run(const std::vector<std::string>& words, std::chrono::milliseconds at_most) {
  return e2e::Command(words, OwnEnvironment()).Wait(at_most);
}

std::optional<double> IperfRate(std::chrono::seconds time) {
  e2e::Command server({"ip", "netns", "exec", "h1", "iperf3", "--server", "--forceflush"},
                      OwnEnvironment());
  const bool listens = server.WaitForOutput(
      [](const std::string& out, const std::string&) {
        return out.find("listening") != std::string::npos;
      },
      5s);
  if (!listens) return std::nullopt;
  std::optional<double> best;
  for (const char* const congestion : {"", "reno"}) {
    std::vector<std::string> words = {"ip",           "netns",
                                      "exec",         "h0",
                                      "iperf3",       "--client",
                                      kSecondAddress, "--bidir",
                                      "--time",       std::to_string(time.count()),
                                      "--format",     "m",
                                      "--affinity",   "0,1"};
    if (congestion[0] != 0) words.insert(words.end(), {"--congestion", congestion});
    const auto rate = RateIn(Veth::Run(words, time + 20s).out);
    if (rate.has_value()) best = std::max(best.value_or(0), *rate);
  }
  return best;
}

}  // namespace lockstep::bench
