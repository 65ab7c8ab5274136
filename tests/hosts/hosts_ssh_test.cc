// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// Hosts with sshd, which needs more than Bazel's sandbox gives.
#include <gtest/gtest.h>

#include <chrono>
#include <string>

#include "runtime/base/testing/status_matchers.h"
#include "tests/hosts/hosts.h"

namespace lockstep::hosts {
namespace {

using base::testing::IsOk;
using ::testing::HasSubstr;
using ::testing::Not;
using namespace std::chrono_literals;

class HostsSshTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto hosts = Hosts::Create({.count = 4});
    if (!hosts.ok() && Hosts::Unsupported(hosts.status())) GTEST_SKIP() << hosts.status();
    ASSERT_THAT(hosts, IsOk());
    hosts_ = std::move(hosts).value();
  }

  std::unique_ptr<Hosts> hosts_;
};

TEST_F(HostsSshTest, OneHostLogsInToAnotherByEachOfItsNames) {
  for (const std::string name : {"h3", "h3-data", "h3-mgmt6", "10.77.0.4", "fd78::4"}) {
    const e2e::Outcome outcome =
        hosts_->Run(0, {"ssh", "-F", Hosts::SshConfig(), name, "hostname; echo $SSH_CONNECTION"});
    EXPECT_EQ(outcome.status, 0) << name << ": " << outcome.err;
    EXPECT_THAT(outcome.out, HasSubstr("h3\n")) << name;
  }
}

TEST_F(HostsSshTest, PlainSshFindsTheKeysOnHostsAndTheConfigFileOnTheController) {
  EXPECT_EQ(hosts_->Run(1, {"ssh", "h2", "hostname"}).out, "h2\n");
  EXPECT_EQ(hosts_->Run(kController, {"ssh", "-F", Hosts::SshConfig(), "h2", "hostname"}).out,
            "h2\n");
}

TEST_F(HostsSshTest, TerminalIsGivenWhenAsked) {
  EXPECT_THAT(hosts_->Run(0, {"ssh", "-tt", "h1", "tty"}).out, HasSubstr("/dev/pts/0"));
}

TEST_F(HostsSshTest, HostKeysAreChecked) {
  // h3's name with h2's address: the key is not the one that is known for the name.
  const e2e::Outcome outcome = hosts_->Run(
      0, {"ssh", "-F", Hosts::SshConfig(), "-o", "HostKeyAlias=h3", "10.78.0.3", "hostname"});

  EXPECT_EQ(outcome.status, 255);
  EXPECT_THAT(outcome.out, Not(HasSubstr("h2")));
}

TEST_F(HostsSshTest, SessionsOfSshdAreNotCounted) {
  auto login = hosts_->Spawn(0, {"ssh", "h1", "echo in; exec sleep 1000"});
  ASSERT_THAT(login, IsOk());
  ASSERT_TRUE((*login)->WaitForOutput(
      [](const std::string& out, const std::string&) { return out == "in\n"; }, 20s));

  EXPECT_TRUE(e2e::Eventually([&] { return hosts_->CountProcesses(1) == 1; }, 10s));
}

TEST_F(HostsSshTest, PeerOfAHostWithoutPowerHearsNothing) {
  auto login = hosts_->Spawn(0, {"ssh", "h1", "echo in; exec sleep 1000"});
  ASSERT_THAT(login, IsOk());
  ASSERT_TRUE((*login)->WaitForOutput(
      [](const std::string& out, const std::string&) { return out == "in\n"; }, 20s));

  ASSERT_THAT(hosts_->Kill(1), IsOk());

  // An end or a reset of the connection would end ssh, with "closed by remote host".
  EXPECT_EQ((*login)->Wait(500ms).status, -1) << (*login)->err();
  ASSERT_THAT(hosts_->Boot(1), IsOk());
  EXPECT_EQ(hosts_->Run(0, {"ssh", "h1", "hostname"}).out, "h1\n");
}

}  // namespace
}  // namespace lockstep::hosts
