// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/placement/ssh_failure.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace lockstep::launcher {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

const process::Exit kFailed{.code = 255};

struct Case {
  const char* said;
  const char* what;
  bool may_pass;
};

TEST(SshFailureTest, WhatOpenSshSaysIsUnderstood) {
  // As OpenSSH 9.2 writes it.
  const Case cases[] = {
      {"ssh: Could not resolve hostname nosuch: Name or service not known",
       "nobody knows that name", false},
      {"ssh: Could not resolve hostname b: Temporary failure in name resolution",
       "the name service does not answer", true},
      {"ssh: connect to host b port 22: Connection refused", "no sshd takes connections there",
       true},
      {"ssh: connect to host b port 22: Connection timed out", "it does not answer", true},
      {"ssh: connect to host b port 22: No route to host", "there is no way to it", true},
      {"ssh: connect to host b port 22: Network is unreachable", "its network cannot be reached",
       true},
      {"kex_exchange_identification: read: Connection reset by peer\nConnection reset by 10.0.0.1 "
       "port 22",
       "it ended the connection", true},
      {"kex_exchange_identification: Connection closed by remote host\nConnection closed by "
       "10.0.0.1 "
       "port 22",
       "it ended the connection", true},
      {"Host key verification failed.", "its host key is not known here", false},
      {"@@@@@@@@@@@@\n@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\n@@@@\nHost key "
       "verification failed.",
       "its host key is not the one that is known", false},
      {"me@b: Permission denied (publickey,password).", "the log-in was denied", false},
      {"Received disconnect from 10.0.0.1 port 22:2: Too many authentication failures",
       "after too many keys", false},
      {"Can't open user config file /nowhere: No such file or directory",
       "the configuration for ssh cannot be read", false},
      {"/root/.ssh/config: line 1: Bad configuration option: hots\n/root/.ssh/config: terminating, "
       "1 "
       "bad configuration options",
       "ssh does not understand its configuration", false},
  };
  for (const Case& one : cases) {
    const SshFailure failure = ExplainSshEnd("me@b", kFailed, one.said);

    EXPECT_THAT(failure.what, HasSubstr(one.what)) << one.said;
    EXPECT_EQ(failure.may_pass, one.may_pass) << one.said;
    EXPECT_TRUE(failure.unreached) << one.said;
    EXPECT_THAT(failure.ToString(), AllOf(HasSubstr("; "), Not(HasSubstr("$")))) << one.said;
  }
}

TEST(SshFailureTest, TheCureNamesTheDestination) {
  EXPECT_THAT(ExplainSshEnd("me@b", kFailed, "Host key verification failed.").cure,
              HasSubstr("ssh me@b)"));
}

TEST(SshFailureTest, WhatIsNotKnownIsToldAsItIs) {
  const SshFailure failure = ExplainSshEnd("b", kFailed, "first\n\nsome news \n");

  EXPECT_EQ(failure.what, "ssh ended with exit code 255: some news");
  EXPECT_FALSE(failure.may_pass);
}

TEST(SshFailureTest, AnotherExitCodeIsOfTheMachineItself) {
  const SshFailure failure =
      ExplainSshEnd("b", {.code = 1}, "This account is currently not available.");

  EXPECT_THAT(failure.what, HasSubstr("exit code 1: This account is currently not available."));
  EXPECT_FALSE(failure.unreached);
}

TEST(SshFailureTest, AnAgentThatCannotRunThereNeedsAStaticOne) {
  const std::string loader =
      "/root/.cache/lockstep: /lib/x86_64-linux-gnu/libc.so.6: version `GLIBC_2.36' not found "
      "(required by /root/.cache/lockstep)";

  EXPECT_THAT(ExplainAgentEnd({.code = 1}, loader).ToString(),
              AllOf(HasSubstr("does not run there"), HasSubstr("--config=static")));
  EXPECT_THAT(ExplainAgentEnd({.code = 127}, "sh: 1: exec: /x/lockstep: not found").cure,
              HasSubstr("--config=static"));
  EXPECT_THAT(ExplainAgentEnd({.code = 126}, "sh: 1: exec: /x/lockstep: Permission denied").cure,
              HasSubstr("--config=static"));
}

TEST(SshFailureTest, AnAgentSaysItselfWhyItCannotRun) {
  const SshFailure failure = ExplainAgentEnd(
      {.code = 127}, "lockstep: note\nlockstep: agent on h1: the program is not there: no /x\n");

  EXPECT_EQ(failure.ToString(), "the program is not there: no /x");
  EXPECT_EQ(failure.code, base::Code::kNotFound);
}

TEST(SshFailureTest, AnAgentThatDiesSilentlyIsToldOf) {
  EXPECT_THAT(ExplainAgentEnd({.code = 137}, "").what, HasSubstr("exit code 137"));
}

}  // namespace
}  // namespace lockstep::launcher
