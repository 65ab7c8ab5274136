// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_TESTS_HOSTS_HOSTS_H_
#define LOCKSTEP_TESTS_HOSTS_HOSTS_H_

#include <sys/types.h>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"
#include "tests/e2e/command.h"
#include "tests/hosts/faults.h"
#include "tests/hosts/init.h"
#include "tests/hosts/program.h"

namespace lockstep::hosts {

/// Hosts h0 .. h(N-1) made out of this machine: each has its own processes, hostname, /tmp, /run,
/// /root, /dev/shm, two NICs (data0, mgmt0) and sshd, and sees the rest of the machine read-only.
/// Around them stands the controller: a place with the machine's file system and an address in both
/// networks, where a program can stand that is on none of the hosts.
///
/// Owned by a test; one thread at a time. Kits do not see each other nor the machine's network.
/// Everything is gone when this is destroyed, and as well when its process is killed.
///
///   auto hosts = Hosts::Create({.count = 4});
///   if (!hosts.ok() && Hosts::Unsupported(hosts.status())) GTEST_SKIP() << hosts.status();
///   ASSERT_THAT(hosts, IsOk());
///   auto agent = (*hosts)->Spawn(3, {"/usr/bin/sleep", "1000"});
///   ASSERT_THAT((*hosts)->Drop(3), IsOk());     // silently gone from the network
///   ...
///   EXPECT_EQ((*hosts)->CountProcesses(3), 0);
class Hosts {
 public:
  static constexpr int kCountMax = 64;

  struct Options {
    int count = 4;     // 1 to kCountMax
    bool sshd = true;  // needs setgroups, which a user namespace (Bazel's sandbox) denies
    /// Folders below /tmp, /run and the like that hosts shall see, read-only. Those that this
    /// program was started from, its runfiles and its working directory, are always among them.
    std::vector<std::string> visible;
    /// Folders that all hosts see and may write: a network file system.
    std::vector<std::string> shared;
  };

  /// Boots them all and waits for their sshd. About 0.3 s for 4; at most 30 s.
  /// Errors: FailedPrecondition - hosts cannot exist here (namespaces forbidden, a program missing;
  /// the message says what): a test skips. Others are failures.
  static base::Result<std::unique_ptr<Hosts>> Create(Options options);
  /// Whether an error of Create is this machine's and not ours.
  static bool Unsupported(const base::Status& status);
  ~Hosts();
  Hosts(const Hosts&) = delete;
  Hosts& operator=(const Hosts&) = delete;

  int count() const { return options_.count; }
  bool up(int host) const { return At(host).init.pidfd.valid(); }

  // --- Names ---

  static std::string Name(int host) { return "h" + std::to_string(host); }
  /// "10.77.0.4", "10.78.0.4"; also of kController. Names hK and hK-mgmt mean mgmt0, hK-data data0,
  /// hK-mgmt6 and hK-data6 the same in IPv6; "controller" is the controller.
  static std::string Ipv4(int host, Nic nic);
  static std::string Ipv6(int host, Nic nic);
  /// For `ssh -F`, on any host and on the controller; on hosts plain ssh reads it too.
  static std::string SshConfig();

  // --- Programs; `host` may be kController ---

  /// Starts it and waits for its end; at the deadline it is killed and status is -1.
  /// A start that failed has status 127 and the reason in err.
  e2e::Outcome Run(int host, const std::vector<std::string>& arguments,
                   const ProgramOptions& options = {},
                   std::chrono::milliseconds at_most = std::chrono::seconds(30));
  /// Errors: see Program::Start; FailedPrecondition - the host is down.
  base::Result<std::unique_ptr<Program>> Spawn(int host, const std::vector<std::string>& arguments,
                                               const ProgramOptions& options = {});
  /// How many live there beside pid 1 and sshd with its sessions; zombies do not count.
  int CountProcesses(int host) const;
  /// /proc/PID/root of it: the host's files as we can open them. "" when it is down.
  std::string Root(int host) const;
  /// For setns in a thread of ours (DelayProxy does); invalid when the host is down.
  base::UniqueFd OpenNetwork(int host) const;

  // --- Power ---

  /// The machine loses its power: no packet leaves it any more, then all its processes die at once.
  /// Files in its fresh folders are lost. OK when it is down already.
  base::Status Kill(int host);
  /// Errors: FailedPrecondition - it is up.
  base::Status Boot(int host);

  // --- Network; faults add up, survive Kill and Boot, and end with Heal ---

  /// The link goes down, and the host sees it.
  base::Status Cut(int host, Nics nics = Nics::kBoth);
  /// From now on no packet reaches or leaves it, and nobody is told.
  base::Status Drop(int host, Nics nics = Nics::kBoth);
  base::Status DropOneWay(Way way, Nics nics = Nics::kBoth);
  base::Status DropBetween(int one, int other, Nics nics = Nics::kBoth);
  /// From all of them in one moment.
  base::Status DropBetween(int one, const std::vector<int>& others, Nics nics = Nics::kBoth);
  /// So many of its packets are lost, each way. percent: 0 to 100.
  base::Status Lossy(int host, int percent, Nics nics = Nics::kBoth);
  /// Its NIC passes so much, each way. rate_mbit: 1 to 100,000.
  base::Status Slow(int host, int rate_mbit, Nics nics = Nics::kBoth);
  /// Ends all faults of one host, those between it and others included; or all there are.
  base::Status Heal(int host);
  base::Status Heal();

 private:
  struct Host {
    Init init;  // pidfd invalid: the host is down
  };

  explicit Hosts(Options options);

  const Host& At(int host) const;
  int PidfdOf(int host) const;
  base::Status StartOuter();
  base::Status WriteSshFiles();
  base::Status BootAll(const std::vector<int>& which);
  base::Status StartHost(int host);
  base::Status ConnectHost(int host);
  base::Status WaitForSshd(int host);
  void AddWay(Way way, Nics nics);
  base::Status ApplyRules();
  base::Status ApplyLink(int host, Nic nic);
  base::Status ApplyRate(int host, Nic nic, bool limited_before);
  base::Status Tool(int host, const std::vector<std::string>& arguments, const std::string& input);

  const Options options_;
  std::vector<KeptFolder> kept_;
  base::UniqueFd life_;  // closed by our death: the outer pid 1 then ends, and all below it
  Init outer_;
  std::vector<Host> hosts_;
  Faults faults_;
};

}  // namespace lockstep::hosts

#endif  // LOCKSTEP_TESTS_HOSTS_HOSTS_H_
