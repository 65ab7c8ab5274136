// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// hostkit run N [--no-sshd] [-- COMMAND...]: N hosts for as long as COMMAND (default: a shell) runs
// on their controller. Exit status: COMMAND's.
// hostkit control N [--no-sshd]: N hosts for as long as standard input has commands that break and
// mend them. Exit status: 0; 1 when a command failed.
// Both: 2 wrong usage; 3 hosts cannot exist here; 4 other failures of the kit.
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/base/result.h"
#include "tests/hosts/delay_proxy.h"
#include "tests/hosts/hosts.h"

extern char** environ;

namespace {

using lockstep::base::InvalidArgumentError;
using lockstep::base::Result;
using lockstep::base::Status;
using lockstep::base::UnknownError;
using lockstep::hosts::DelayProxy;
using lockstep::hosts::Hosts;
using lockstep::hosts::kController;
using lockstep::hosts::Nic;
using lockstep::hosts::Nics;

constexpr auto kLong = std::chrono::hours(24 * 365);

constexpr char kUsage[] =
    "usage: hostkit run N [--no-sshd] [-- COMMAND...]\n"
    "  makes hosts h0 to h(N-1) and runs COMMAND (default: a shell) beside them, with\n"
    "  LOCKSTEP_HOSTS       their names: h0,h1,...\n"
    "  LOCKSTEP_SSH_CONFIG  for `ssh -F $LOCKSTEP_SSH_CONFIG h2`\n"
    "usage: hostkit control N [--no-sshd]\n"
    "  makes them and does what standard input says, a command a line; K is h0, h1 or controller:\n"
    "  boot K (or up), kill K (or down)   power on; power off, at once\n"
    "  cut K [NICS]         the link is down, and the host sees it; NICS: data or mgmt, else both\n"
    "  drop K [NICS]        nothing passes and nobody is told\n"
    "  oneway K L           nothing passes from K to L\n"
    "  lossy K PERCENT [NICS], slow K MBIT [NICS]\n"
    "  delay K L PORT MS    prints a port of K's 127.0.0.1 through which L's PORT is MS away\n"
    "  heal [K]             ends all faults but power off and delay\n"
    "  run K LINE           a line for its shell, without input; & as its last for later\n";

struct Wanted {
  Hosts::Options options;
  bool control = false;
  std::vector<std::string> command;
};

bool Parse(const std::vector<std::string>& words, Wanted& wanted) {
  if (words.size() < 2 || (words[0] != "run" && words[0] != "control")) return false;
  wanted.control = words[0] == "control";
  wanted.options.count = std::atoi(words[1].c_str());  // 0 for a word; Create names the bounds
  size_t at = 2;
  if (at < words.size() && words[at] == "--no-sshd") {
    wanted.options.sshd = false;
    ++at;
  }
  if (at < words.size() && (words[at] != "--" || wanted.control)) return false;
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

lockstep::hosts::ProgramOptions CommandOptions(const Hosts& hosts, bool has_sshd) {
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
  if (has_sshd) options.environment["LOCKSTEP_SSH_CONFIG"] = Hosts::SshConfig();
  return options;
}

/// Does what is said, a line after the other.
class Control {
 public:
  Control(Hosts& hosts, bool has_sshd) : hosts_(hosts), has_sshd_(has_sshd) {}

  /// False when the command is unknown or failed; it has said so.
  bool Do(const std::string& line) {
    std::istringstream words(line);
    std::string verb;
    if (!(words >> verb) || verb.starts_with('#')) return true;
    const Status done = Do(verb, words);
    std::cout << (done.ok() ? "ok" : "failed: " + done.ToString()) << std::endl;
    return done.ok();
  }

 private:
  Status Do(const std::string& verb, std::istream& words) {
    if (verb == "heal" && (words >> std::ws).eof()) return hosts_.Heal();
    ASSIGN_OR_RETURN(const int host, ReadHost(words));
    if (verb == "run") return RunLine(host, words);
    if (verb == "oneway" || verb == "delay") {
      ASSIGN_OR_RETURN(const int other, ReadHost(words));
      return verb == "delay" ? Delay(host, other, words) : hosts_.DropOneWay({host, other});
    }
    if (host == kController) return InvalidArgumentError("the controller has no such fault");
    if (verb == "boot" || verb == "up") return hosts_.Boot(host);
    if (verb == "kill" || verb == "down") return hosts_.Kill(host);
    if (verb == "heal") return hosts_.Heal(host);
    int number = 0;
    if ((verb == "lossy" || verb == "slow") && !(words >> number))
      return InvalidArgumentError(verb + " needs a number");
    ASSIGN_OR_RETURN(const Nics nics, ReadNics(words));
    if (verb == "cut") return hosts_.Cut(host, nics);
    if (verb == "drop") return hosts_.Drop(host, nics);
    if (verb == "lossy") return hosts_.Lossy(host, number, nics);
    if (verb == "slow") return hosts_.Slow(host, number, nics);
    return InvalidArgumentError("no command \"" + verb + "\"");
  }

  Result<int> ReadHost(std::istream& words) const {
    std::string word;
    words >> word;
    if (word == "controller") return kController;
    for (int host = 0; host < hosts_.count(); ++host) {
      if (word == Hosts::Name(host)) return host;
    }
    return InvalidArgumentError("no host \"" + word + "\"");
  }

  static Result<Nics> ReadNics(std::istream& words) {
    std::string word;
    if (!(words >> word)) return Nics::kBoth;
    if (word == "data") return Nics::kData;
    if (word == "mgmt") return Nics::kMgmt;
    return InvalidArgumentError("no network \"" + word + "\": data or mgmt");
  }

  Status RunLine(int host, std::istream& words) {
    std::string line;
    std::getline(words >> std::ws, line);
    // Our standard input is the commands'.
    lockstep::hosts::ProgramOptions options;
    if (host == kController) options = CommandOptions(hosts_, has_sshd_);
    options.terminal = true;
    const int status =
        hosts_.Run(host, {"/bin/sh", "-c", "exec </dev/null\n" + line}, options, kLong).status;
    return status == 0 ? Status() : UnknownError("exit status " + std::to_string(status));
  }

  Status Delay(int from, int to, std::istream& words) {
    int port = 0;
    int milliseconds = 0;
    if (!(words >> port >> milliseconds) || port < 1 || port > 65535 || milliseconds < 0)
      return InvalidArgumentError("delay needs a port and milliseconds");
    ASSIGN_OR_RETURN(auto proxy,
                     DelayProxy::Start({.target_address = Hosts::Ipv4(to, Nic::kMgmt),
                                        .target_port = static_cast<uint16_t>(port),
                                        .delay = std::chrono::milliseconds(milliseconds),
                                        .network = hosts_.OpenNetwork(from)}));
    std::cout << "port " << proxy->port() << std::endl;
    delays_.push_back(std::move(proxy));
    return {};
  }

  Hosts& hosts_;
  const bool has_sshd_;
  std::vector<std::unique_ptr<DelayProxy>> delays_;
};

int RunControl(Hosts& hosts, bool has_sshd) {
  Control control(hosts, has_sshd);
  int status = 0;
  for (std::string line; std::getline(std::cin, line);) {
    if (!control.Do(line)) status = 1;
  }
  return status;
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
  if (wanted.control) return RunControl(**hosts, wanted.options.sshd);
  auto command =
      (*hosts)->Spawn(kController, wanted.command, CommandOptions(**hosts, wanted.options.sshd));
  if (!command.ok()) {
    std::cerr << "hostkit: " << command.status() << "\n";
    return 4;
  }
  const int status = (*command)->Wait(kLong).status;
  return status < 0 ? 4 : status;
}
