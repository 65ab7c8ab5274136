// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// hostkit run N [--no-sshd] [-- COMMAND...]: N hosts for as long as COMMAND (default: a shell) runs
// on their controller. Exit status: COMMAND's; 2 wrong usage; 3 hosts cannot exist here; 4 other
// failures of the kit.
#include <unistd.h>

#include <cstdlib>
#include <iostream>
#include <string>
#include <string_view>
#include <vector>

#include "tests/hosts/hosts.h"

extern char** environ;

namespace {

using lockstep::hosts::Hosts;
using lockstep::hosts::kController;
using lockstep::hosts::Nic;

constexpr char kUsage[] =
    "usage: hostkit run N [--no-sshd] [-- COMMAND...]\n"
    "  makes hosts h0 to h(N-1) and runs COMMAND (default: a shell) beside them, with\n"
    "  LOCKSTEP_HOSTS       their names: h0,h1,...\n"
    "  LOCKSTEP_SSH_CONFIG  for `ssh -F $LOCKSTEP_SSH_CONFIG h2`\n";

struct Wanted {
  Hosts::Options options;
  std::vector<std::string> command;
};

bool Parse(const std::vector<std::string>& words, Wanted& wanted) {
  if (words.size() < 2 || words[0] != "run") return false;
  wanted.options.count = std::atoi(words[1].c_str());  // 0 for a word; Create names the bounds
  size_t at = 2;
  if (at < words.size() && words[at] == "--no-sshd") {
    wanted.options.sshd = false;
    ++at;
  }
  if (at < words.size() && words[at] != "--") return false;
  if (at < words.size())
    wanted.command.assign(words.begin() + static_cast<long>(at) + 1, words.end());
  if (wanted.command.empty()) {
    const char* shell = std::getenv("SHELL");
    wanted.command = {shell != nullptr ? shell : "/bin/sh"};
  }
  return true;
}

void Print(const Hosts& hosts) {
  for (int host = 0; host < hosts.count(); ++host) {
    std::cerr << Hosts::Name(host);
    for (Nic nic : lockstep::hosts::kNics)
      std::cerr << "  " << NicName(nic) << " " << Hosts::Ipv4(host, nic) << " "
                << Hosts::Ipv6(host, nic);
    std::cerr << "\n";
  }
}

lockstep::hosts::ProgramOptions CommandOptions(const Hosts& hosts, const Hosts::Options& asked) {
  lockstep::hosts::ProgramOptions options;
  options.terminal = true;
  // Under `bazel run` this is where the user stands, not the runfiles.
  const char* standing = std::getenv("BUILD_WORKING_DIRECTORY");
  char* here = ::getcwd(nullptr, 0);
  options.directory = standing != nullptr ? standing : here != nullptr ? here : "/";
  std::free(here);
  for (char** pair = environ; *pair != nullptr; ++pair) {
    const std::string_view text = *pair;
    const size_t equals = text.find('=');
    if (equals != std::string_view::npos)
      options.environment[std::string(text.substr(0, equals))] = text.substr(equals + 1);
  }
  std::string names;
  for (int host = 0; host < hosts.count(); ++host)
    names += (host > 0 ? "," : "") + Hosts::Name(host);
  options.environment["LOCKSTEP_HOSTS"] = names;
  if (asked.sshd) options.environment["LOCKSTEP_SSH_CONFIG"] = Hosts::SshConfig();
  return options;
}

}  // namespace

int main(int argc, char** argv) {
  Wanted wanted;
  if (!Parse({argv + 1, argv + argc}, wanted)) {
    std::cerr << kUsage;
    return 2;
  }
  auto hosts = Hosts::Create(wanted.options);
  if (!hosts.ok()) {
    std::cerr << "hostkit: " << hosts.status() << "\n";
    return Hosts::Unsupported(hosts.status()) ? 3 : 4;
  }
  Print(**hosts);
  auto command =
      (*hosts)->Spawn(kController, wanted.command, CommandOptions(**hosts, wanted.options));
  if (!command.ok()) {
    std::cerr << "hostkit: " << command.status() << "\n";
    return 4;
  }
  const int status = (*command)->Wait(std::chrono::hours(24 * 365)).status;
  return status < 0 ? 4 : status;
}
