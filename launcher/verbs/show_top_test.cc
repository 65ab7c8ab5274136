// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/verbs/show_top.h"

#include <gmock/gmock.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>

#include <string>

#include "launcher/verbs/show_metrics.h"
#include "launcher/verbs/testing/verb_fixture.h"
#include "runtime/base/testing/status_matchers.h"

namespace lockstep::launcher {
namespace {

using base::Code;
using base::testing::StatusIs;
using ::testing::HasSubstr;
using ::testing::Not;

class ShowTopTest : public VerbTest {
 protected:
  static proto::StatusReply Reply(const JobDirectory& job) {
    proto::StatusReply reply;
    reply.set_job_id(job.job_id());
    reply.set_host("a");
    reply.set_phase("running");
    for (const int rank : {0, 1}) {
      proto::RankStatus& row = *reply.add_ranks();
      row.set_rank(rank);
      row.set_pid(1234 + rank);
      row.set_life("alive");
    }
    reply.add_groups()->set_name("world");
    return reply;
  }
};

TEST_F(ShowTopTest, WhereThereIsNoTerminalItPrintsOneFrameWithoutEscapes) {
  const JobDirectory job = MakeLiveJob("train");
  FakeAgent agent(ControlSocket(job));
  agent.reply = Reply(job);

  ASSERT_OK(ShowTop(context_, {.job = "train"}));

  EXPECT_THAT(out_.text(), HasSubstr(job.job_id() + " on a: running"));
  EXPECT_THAT(out_.text(), HasSubstr("world"));
  EXPECT_THAT(out_.text(), HasSubstr("\n  1     -"));
  EXPECT_THAT(out_.text(), Not(HasSubstr("\x1b")));
}

TEST_F(ShowTopTest, AsJsonItIsOneObjectInALine) {
  const JobDirectory job = MakeLiveJob("train");
  FakeAgent agent(ControlSocket(job));
  agent.reply = Reply(job);

  ASSERT_OK(ShowTop(context_, {.job = "train", .once = true, .json = true}));

  EXPECT_EQ(out_.text().find('\n'), out_.text().size() - 1);
  proto::StatusReply printed;
  ASSERT_TRUE(google::protobuf::util::JsonStringToMessage(out_.text(), &printed).ok());
  EXPECT_EQ(printed.groups(0).name(), "world");
  EXPECT_EQ(printed.ranks_size(), 2);
}

/// As the agent of a member does that has lost its coordinator, and tries to reach it.
TEST_F(ShowTopTest, AnAgentThatRefusesIsNoEndOfTheJob) {
  const JobDirectory job = MakeLiveJob("train");
  FakeAgent agent(ControlSocket(job));
  agent.reply = Reply(job);
  agent.then_refused = base::UnavailableError("the connection to the coordinator is gone");

  EXPECT_THAT(ShowTop(context_, {.job = "train", .json = true}),
              StatusIs(Code::kUnavailable, HasSubstr("connection to the coordinator is gone")));
}

TEST_F(ShowTopTest, WhatDoesNotRunCannotBeLookedAt) {
  const JobDirectory job = MakeEndedJob("done", 0);

  EXPECT_THAT(ShowTop(context_, {.job = "done"}),
              StatusIs(Code::kNotFound, HasSubstr("lockstep status " + job.job_id())));
  EXPECT_THAT(ShowMetrics(context_, {.job = "done"}),
              StatusIs(Code::kNotFound, HasSubstr("does not run")));
}

TEST_F(ShowTopTest, MetricsAreThoseOfTheStatus) {
  const JobDirectory job = MakeLiveJob("train");
  FakeAgent agent(ControlSocket(job));
  agent.reply = Reply(job);

  ASSERT_OK(ShowMetrics(context_, {.job = "train"}));

  EXPECT_THAT(out_.text(), HasSubstr("lockstep_job_ranks_alive{job=\"" + job.job_id() + "\"} 2\n"));
}

}  // namespace
}  // namespace lockstep::launcher
