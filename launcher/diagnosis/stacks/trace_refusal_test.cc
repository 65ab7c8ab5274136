// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/diagnosis/stacks/trace_refusal.h"

#include <errno.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

namespace lockstep::launcher {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

TEST(TraceRefusalTest, AnotherTracerIsNamed) {
  EXPECT_THAT(ExplainRefusal({.pid = 7, .error = EPERM, .tracer_pid = 9, .tracer_name = "gdb"}),
              AllOf(HasSubstr("process 7"), HasSubstr("traced already, by process 9 (gdb)")));
}

TEST(TraceRefusalTest, AnotherUsersProcessSaysWhomToBe) {
  EXPECT_THAT(ExplainRefusal({.pid = 7, .error = EPERM, .own_user = 1000, .its_user = 1001}),
              HasSubstr("it is of user 1001 and this one of user 1000; run this as that user"));
}

TEST(TraceRefusalTest, YamaSaysHowItIsGranted) {
  EXPECT_THAT(ExplainRefusal({.pid = 7, .error = EPERM, .yama_scope = 1}),
              AllOf(HasSubstr("only ancestors"), HasSubstr("sysctl kernel.yama.ptrace_scope=0"),
                    HasSubstr("--cap-add SYS_PTRACE")));
  EXPECT_THAT(ExplainRefusal({.pid = 7, .error = EPERM, .yama_scope = 2}), HasSubstr("only root"));
  EXPECT_THAT(ExplainRefusal({.pid = 7, .error = EPERM, .may_trace_all = true, .yama_scope = 3}),
              HasSubstr("lets nobody trace"));
}

TEST(TraceRefusalTest, WithTheCapabilityItIsTheContainer) {
  EXPECT_THAT(ExplainRefusal({.pid = 7, .error = EPERM, .may_trace_all = true}),
              HasSubstr("although CAP_SYS_PTRACE is there"));
}

TEST(TraceRefusalTest, OfItsOwnUserWithoutYamaItIsNotDumpable) {
  EXPECT_THAT(ExplainRefusal({.pid = 7, .error = EPERM}),
              AllOf(HasSubstr("may not be dumped"), HasSubstr("CAP_SYS_PTRACE")));
}

TEST(TraceRefusalTest, WhoHasEndedHasEnded) {
  EXPECT_THAT(ExplainRefusal({.pid = 7, .error = ESRCH}), HasSubstr("it has ended"));
}

TEST(TraceRefusalTest, FactsOfThisProcess) {
  const TraceRefusal facts = LookAtRefusal(::getpid(), EPERM);
  EXPECT_EQ(facts.its_user, facts.own_user);
  EXPECT_EQ(facts.own_user, ::geteuid());
  EXPECT_EQ(facts.tracer_pid, 0);
}

}  // namespace
}  // namespace lockstep::launcher
