// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/placement/ssh_failure.h"

#include <algorithm>
#include <cctype>

namespace lockstep::launcher {
namespace {

constexpr int kNotExecutable = 126;  // of a shell
constexpr int kNotFound = 127;
constexpr size_t kLineBytes = 400;

/// What OpenSSH says (its messages are not translated), and what that means. The first that is
/// found counts, so the more special ones stand first; $ stands for the destination.
struct Known {
  std::string_view text;
  std::string_view what;
  std::string_view cure;
  bool may_pass;
};

constexpr Known kKnown[] = {
    {"REMOTE HOST IDENTIFICATION HAS CHANGED", "its host key is not the one that is known for it",
     "if the machine was set up anew: ssh-keygen -R HOST, then ssh $ once; else somebody may be in "
     "between",
     false},
    {"Host key verification failed", "its host key is not known here",
     "log in once by hand (ssh $) and accept the key, or have it put into known_hosts", false},
    {"Permission denied", "the log-in was denied",
     "`ssh -o BatchMode=yes $ true` must work without a password: see --ssh-user, --ssh-identity, "
     "ssh-add -l",
     false},
    {"Too many authentication failures", "the log-in was denied after too many keys",
     "name the right one: --ssh-identity", false},
    {"Temporary failure in name resolution", "the name service does not answer", "try again later",
     true},
    {"Could not resolve hostname", "nobody knows that name",
     "check its spelling, /etc/hosts and ~/.ssh/config", false},
    {"Connection refused", "no sshd takes connections there",
     "start it, or name its port (--ssh-port)", true},
    {"Connection timed out", "it does not answer",
     "see whether it is up and no firewall is between", true},
    {"No route to host", "there is no way to it", "see whether it is up and in this network", true},
    {"Network is unreachable", "its network cannot be reached",
     "see whether this machine's network is up", true},
    {"Connection reset", "it ended the connection", "see MaxStartups of its sshd, and its log",
     true},
    {"Connection closed by", "it ended the connection", "see MaxStartups of its sshd, and its log",
     true},
    {"kex_exchange_identification", "what answers there is no sshd, or turned us away",
     "see MaxStartups of its sshd, and its port (--ssh-port)", true},
    {"Can't open user config file", "the configuration for ssh cannot be read",
     "check --ssh-config", false},
    {"Bad configuration option", "ssh does not understand its configuration",
     "check ~/.ssh/config, or name another one (--ssh-config)", false},
};

bool IsBlank(char c) { return std::isspace(static_cast<unsigned char>(c)) != 0; }

/// The last line that says something, cut.
std::string LastLine(std::string_view text) {
  while (!text.empty() && IsBlank(text.back())) text.remove_suffix(1);
  const size_t newline = text.rfind('\n');
  if (newline != text.npos) text.remove_prefix(newline + 1);
  return std::string(text.substr(0, kLineBytes));
}

std::string InDestination(std::string_view text, const std::string& destination) {
  std::string filled(text);
  if (const size_t at = filled.find('$'); at != filled.npos) filled.replace(at, 1, destination);
  return filled;
}

bool Contains(std::string_view text, std::string_view part) { return text.find(part) != text.npos; }

/// "lockstep: agent on h1: WHY" is told with the host's name in front already.
std::string WithoutPrefix(std::string_view line) {
  constexpr std::string_view kOwn = "lockstep: ";
  constexpr std::string_view kAgent = "agent on ";
  if (line.starts_with(kOwn)) line.remove_prefix(kOwn.size());
  const size_t colon = line.find(": ");
  if (line.starts_with(kAgent) && colon != line.npos) line.remove_prefix(colon + 2);
  return std::string(line);
}

constexpr std::string_view kStaticCure =
    "build a lockstep that needs nothing of the machine (bazel build --config=static "
    "//launcher:lockstep) and start the job with that";

}  // namespace

SshFailure ExplainSshEnd(const std::string& destination, const process::Exit& exit,
                         std::string_view said) {
  for (const Known& known : kKnown) {
    if (exit.code != kSshFailed || !Contains(said, known.text)) continue;
    return {.what = std::string(known.what) + " (" + LastLine(said) + ")",
            .cure = InDestination(known.cure, destination),
            .may_pass = known.may_pass};
  }
  const std::string line = LastLine(said);
  SshFailure failure;
  failure.what = "ssh ended with " + exit.ToString() + (line.empty() ? "" : ": " + line);
  failure.cure = "see whether `ssh " + destination + " true` works";
  failure.unreached = exit.code == kSshFailed || exit.signal != 0;
  return failure;
}

SshFailure ExplainAgentEnd(const process::Exit& exit, std::string_view said) {
  std::string line = LastLine(said);
  SshFailure failure;
  failure.unreached = false;
  if (Contains(said, "GLIBC") || exit.code == kNotExecutable ||
      (exit.code == kNotFound && !Contains(said, "lockstep: agent on "))) {
    failure.what = "this lockstep does not run there" + (line.empty() ? "" : ": " + line);
    failure.cure = kStaticCure;
    return failure;
  }
  failure.what = WithoutPrefix(line);
  if (line.empty()) failure.what = "its agent ended before it had joined: " + exit.ToString();
  if (exit.code == kNotFound) failure.code = base::Code::kNotFound;
  return failure;
}

SshFailure ExplainOtherMachine(std::string_view machine, std::string_view own_machine) {
  return {.what = "it is a machine of kind " + std::string(machine) +
                  ", and this lockstep is for " + std::string(own_machine),
          .cure = "a job is for machines of one kind; leave it out",
          .may_pass = false,
          .unreached = false};
}

}  // namespace lockstep::launcher
