// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/verbs/show_status.h"

#include <gmock/gmock.h>
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "launcher/verbs/testing/verb_fixture.h"
#include "runtime/base/testing/status_matchers.h"

namespace lockstep::launcher {
namespace {

using base::Code;
using base::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Not;

class ShowStatusTest : public VerbTest {
 protected:
  /// Two ranks, one of which has died.
  proto::StatusReply Reply(const JobDirectory& job) {
    proto::StatusReply reply;
    reply.set_job_id(job.job_id());
    reply.set_host("a");
    reply.set_phase("running");
    reply.set_round(1);
    reply.set_restarts_used(1);
    reply.set_restarts_max(3);
    reply.set_job_age_ns(90'000'000'000);
    reply.set_best_step(120);
    proto::RankStatus& first = *reply.add_ranks();
    first.set_pid(1234);
    first.set_life("alive");
    first.set_step(120);
    proto::RankStatus& second = *reply.add_ranks();
    second.set_rank(1);
    second.set_life("exited");
    second.set_exit("signal 9 (SIGKILL)");
    return reply;
  }
  google::protobuf::Struct Json() {
    google::protobuf::Struct object;
    EXPECT_TRUE(google::protobuf::util::JsonStringToMessage(out_.text(), &object).ok())
        << out_.text();
    return object;
  }
};

TEST_F(ShowStatusTest, SurvivorsThatHaveGoneOnAreCounted) {
  const JobDirectory job = MakeLiveJob("train");
  FakeAgent agent(ControlSocket(job));
  agent.reply = Reply(job);
  agent.reply.set_rank_count(4);
  agent.reply.set_member_count(3);
  agent.reply.set_membership_round(agent.reply.round() + 1);

  ASSERT_OK(ShowStatus(context_, {.job = "train"}));

  EXPECT_THAT(out_.text(), HasSubstr("3 of 4 ranks, which go on in round "));
}

TEST_F(ShowStatusTest, WhatTheAgentSaysOfEachRank) {
  const JobDirectory job = MakeLiveJob("train");
  FakeAgent agent(ControlSocket(job));
  agent.reply = Reply(job);

  ASSERT_OK(ShowStatus(context_, {.job = "train"}));

  EXPECT_THAT(out_.text(), AllOf(HasSubstr(job.job_id() + " on a\n"), HasSubstr("running"),
                                 HasSubstr("1 of 3 restarts used"), HasSubstr("1m30s")));
  EXPECT_THAT(out_.text(), HasSubstr("RANK  PID   LIFE    STEP  EXIT\n"
                                     "0     1234  alive   120\n"
                                     "1     -     exited  -     signal 9 (SIGKILL)\n"));
}

TEST_F(ShowStatusTest, GroupsAreToldWithWhoIsAwaitedThere) {
  const JobDirectory job = MakeLiveJob("train");
  FakeAgent agent(ControlSocket(job));
  agent.reply = Reply(job);
  proto::GroupStatus& group = *agent.reply.add_groups();
  group.set_name("world");
  group.set_state("waiting");
  group.set_size(8);
  group.set_called(3);
  group.set_op("all_reduce(f32, sum, 1000)");
  group.set_seq(12);
  group.set_wait_ns(4'200'000'000);
  group.set_awaited_count(5);
  for (const int rank : {1, 2, 4, 5}) {
    group.add_awaited()->set_rank(rank);
    group.mutable_awaited(group.awaited_size() - 1)->set_state("runs");
  }
  agent.reply.set_groups_left_out(2);
  agent.reply.mutable_ranks(0)->set_phase("checkpoint");
  agent.reply.mutable_ranks(0)->set_samples_per_second(640);

  ASSERT_OK(ShowStatus(context_, {.job = "train"}));

  EXPECT_THAT(out_.text(),
              HasSubstr("GROUP  STATE    SEQ  IN IT   WAITED  OP                          FOR\n"
                        "world  waiting  12   3 of 8  4.2s    all_reduce(f32, sum, 1000)  rank 1: "
                        "runs; rank 2: runs; rank 4: runs; 2 more\n"
                        "and 2 groups more\n"));
  EXPECT_THAT(out_.text(), HasSubstr("samples  640 a second\n"));
  EXPECT_THAT(out_.text(), HasSubstr("0     1234  alive   120   640        checkpoint\n"));
}

TEST_F(ShowStatusTest, OfSeveralNodesEachAndItsHost) {
  const JobDirectory job = MakeLiveJob("train");
  FakeAgent agent(ControlSocket(job));
  agent.reply = Reply(job);
  agent.reply.mutable_ranks(0)->set_host("a");
  agent.reply.mutable_ranks(1)->set_node(1);
  agent.reply.mutable_ranks(1)->set_host("b\x1b[2J");
  for (const char* state : {"alive", "alive", "lost", "awaited"}) {
    proto::NodeStatus& node = *agent.reply.add_nodes();
    node.set_node(agent.reply.nodes_size() - 1);
    node.set_host("host-" + std::to_string(node.node()));
    node.set_state(state);
    node.set_is_coordinator(node.node() == 0);
  }
  proto::NodeStatus& second = *agent.reply.mutable_nodes(1);
  second.set_slots(1);
  second.set_heartbeat_age_ns(120'000'000);
  second.set_clock_offset_ns(-1'500'000);
  second.set_clock_error_ns(40'000);
  second.set_log_folder("/jobs/train");

  ASSERT_OK(ShowStatus(context_, {.job = "train"}));

  EXPECT_THAT(out_.text(), HasSubstr("NODE  HOST    STATE    SLOTS  HEARD      CLOCK"));
  EXPECT_THAT(out_.text(), HasSubstr("1     host-1  alive    1      120ms ago  -1.5ms +-40us"));
  EXPECT_THAT(out_.text(), HasSubstr("2     host-2  lost     -      -"));
  EXPECT_THAT(out_.text(), HasSubstr("RANK  NODE  HOST"));
  EXPECT_THAT(out_.text(), Not(HasSubstr("\x1b")));
}

TEST_F(ShowStatusTest, AGreatJobIsShownWholeAlthoughNoReplyHoldsIt) {
  const JobDirectory job = MakeLiveJob("train");
  FakeAgent agent(ControlSocket(job));
  agent.reply = Reply(job);
  for (int node = 0; node < 64; ++node) {
    agent.reply.add_nodes()->set_node(node);
    agent.reply.mutable_nodes(node)->set_host("host-" + std::to_string(node));
  }
  agent.reply.clear_ranks();
  for (int rank = 0; rank < 65'536; ++rank) {
    proto::RankStatus& status = *agent.reply.add_ranks();
    status.set_rank(rank);
    status.set_node(rank / 1024);
    status.set_exit("signal 9 (SIGKILL)");
  }

  ASSERT_OK(ShowStatus(context_, {.job = "train"}));

  const std::string text = out_.text();
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 65'536 + 64 + 2 + 2 + 5);
  EXPECT_THAT(text, ContainsRegex("\n65535 +63 +host-63 "));
}

TEST_F(ShowStatusTest, AnotherLaunchersJobSaysWhoseItIsAndNothingOfRestarts) {
  const JobDirectory job = MakeLiveJob("train");
  FakeAgent agent(ControlSocket(job));
  agent.reply = Reply(job);
  agent.reply.set_launcher("srun");
  agent.reply.set_rank_count(8);
  agent.reply.set_ranks_awaited(1);

  ASSERT_OK(ShowStatus(context_, {.job = "train"}));

  EXPECT_THAT(out_.text(),
              AllOf(ContainsRegex("launcher +srun; of 8 ranks 2 have come here, 1 are awaited\n"),
                    Not(HasSubstr("restarts"))));
}

TEST_F(ShowStatusTest, AnotherLaunchersJobHasNeitherExitStatusNorOutput) {
  JobDirectory job = MakeDeadJob("train");
  proto::JobState state = Entry(job).state;
  state.set_launcher("srun");
  state.set_phase(proto::JOB_PHASE_ENDED);
  ASSERT_OK(job.WriteState(state));

  ASSERT_OK(ShowStatus(context_, {.job = "train"}));

  EXPECT_THAT(out_.text(), AllOf(ContainsRegex("state +ended, "), ContainsRegex("launcher +srun\n"),
                                 Not(HasSubstr("lockstep logs")), Not(HasSubstr("exit status"))));
}

TEST_F(ShowStatusTest, JsonHasRankAndPidOfEachRank) {
  const JobDirectory job = MakeLiveJob("train");
  FakeAgent agent(ControlSocket(job));
  agent.reply = Reply(job);

  ASSERT_OK(ShowStatus(context_, {.job = job.job_id(), .json = true}));

  const auto object = Json();
  const auto& ranks = object.fields().at("ranks").list_value();
  ASSERT_EQ(ranks.values_size(), 2);
  EXPECT_EQ(ranks.values(0).struct_value().fields().at("rank").number_value(), 0);
  EXPECT_EQ(ranks.values(0).struct_value().fields().at("pid").string_value(), "1234");
  EXPECT_EQ(ranks.values(1).struct_value().fields().at("rank").number_value(), 1);
  EXPECT_EQ(ranks.values(1).struct_value().fields().at("pid").string_value(), "0");
}

// What `lockstep run` was given as XDG_RUNTIME_DIR need not be what this command was given.
TEST_F(ShowStatusTest, AgentIsAskedWhereItSaysThatItListens) {
  const std::string socket = folder_ + "/elsewhere.sock";
  proto::JobState state;
  state.set_socket_path(socket);
  const JobDirectory job = MakeLiveJob("train", state);
  FakeAgent agent(socket);
  agent.reply = Reply(job);

  EXPECT_OK(ShowStatus(context_, {.job = "train"}));
}

TEST_F(ShowStatusTest, JobThatIsStartingHasNoRanksYet) {
  proto::JobState state;
  state.set_phase(proto::JOB_PHASE_STARTING);
  MakeLiveJob("train", state);

  ASSERT_OK(ShowStatus(context_, {.job = "train", .json = true}));

  EXPECT_EQ(Json().fields().at("phase").string_value(), "starting");
}

// The last log-out of a user removes /run/user/UID, under the feet of a job that runs on.
TEST_F(ShowStatusTest, RunningJobWhoseSocketIsGoneShowsItsLastNote) {
  proto::JobState state;
  state.set_socket_path("/run/user/1000/lockstep/train.sock");
  state.set_rank_count(3);
  const JobDirectory job = MakeLiveJob("train", state);

  ASSERT_OK(ShowStatus(context_, {.job = "train"}));
  EXPECT_THAT(out_.text(),
              AllOf(ContainsRegex("state +unreachable at /run/user/1000/lockstep/train.sock"),
                    ContainsRegex("ranks +3"), HasSubstr("lockstep stop " + job.job_id())));
}

// A signal to its agent would not end the ranks.
TEST_F(ShowStatusTest, AnAgentThatRefusesIsNotUnreachable) {
  const JobDirectory job = MakeLiveJob("train");
  FakeAgent agent(ControlSocket(job));
  agent.refused = base::UnavailableError("there is no coordinator");

  EXPECT_THAT(ShowStatus(context_, {.job = "train"}),
              StatusIs(Code::kUnavailable, HasSubstr("there is no coordinator")));
  EXPECT_EQ(out_.text(), "");
}

TEST_F(ShowStatusTest, AnotherLaunchersJobThatIsUnreachableIsNotSaidToBeStoppable) {
  proto::JobState state;
  state.set_launcher("srun");
  MakeLiveJob("train", state);

  ASSERT_OK(ShowStatus(context_, {.job = "train"}));

  EXPECT_THAT(out_.text(), AllOf(HasSubstr("unreachable"), Not(HasSubstr("lockstep stop"))));
}

TEST_F(ShowStatusTest, RunningJobWhoseSocketIsGoneIsUnreachableInJson) {
  MakeLiveJob("train");

  ASSERT_OK(ShowStatus(context_, {.job = "train", .json = true}));

  EXPECT_EQ(Json().fields().at("phase").string_value(), "unreachable");
}

TEST_F(ShowStatusTest, EndedJobShowsItsVerdict) {
  JobDirectory job = MakeEndedJob("train", 137);
  ASSERT_OK(job.WriteVerdict(R"json({"class":"DEAD_RANK","exit_code":137,"victims":[0,1],
      "culprits":[{"rank":2,"host":"a","pid":17,"why":"killed by signal 9 (SIGKILL)"}],
      "field_of_a_newer_version":true})json"));

  ASSERT_OK(ShowStatus(context_, {.job = "train"}));

  EXPECT_THAT(out_.text(), ContainsRegex("state +ended with exit status 137"));
  EXPECT_THAT(out_.text(), ContainsRegex("verdict +DEAD_RANK; rank 2 on a .pid 17.: killed by "
                                         "signal 9 .SIGKILL.; 2 ranks ended because of it"));
  EXPECT_THAT(out_.text(), HasSubstr(job.path()));
}

TEST_F(ShowStatusTest, JsonOfAnEndedJobHoldsExitCodeAndVerdict) {
  JobDirectory job = MakeEndedJob("train", 137);
  ASSERT_OK(job.WriteVerdict(R"({"class":"DEAD_RANK"})"));

  ASSERT_OK(ShowStatus(context_, {.job = "train", .json = true}));

  const auto object = Json();
  EXPECT_EQ(object.fields().at("phase").string_value(), "ended");
  EXPECT_EQ(object.fields().at("exit_code").number_value(), 137);
  EXPECT_EQ(object.fields().at("verdict").struct_value().fields().at("class").string_value(),
            "DEAD_RANK");
}

TEST_F(ShowStatusTest, DamagedVerdictIsLeftOut) {
  JobDirectory job = MakeEndedJob("train", 1);
  ASSERT_OK(job.WriteVerdict(R"({"class":"DEAD_)"));

  ASSERT_OK(ShowStatus(context_, {.job = "train"}));

  EXPECT_THAT(out_.text(), Not(HasSubstr("verdict")));
}

TEST_F(ShowStatusTest, LostJobHasNoExitCode) {
  MakeDeadJob("train");

  ASSERT_OK(ShowStatus(context_, {.job = "train", .json = true}));

  EXPECT_EQ(Json().fields().at("phase").string_value(), "lost");
  EXPECT_FALSE(Json().fields().contains("exit_code"));
}

TEST_F(ShowStatusTest, UnknownJobIsNotFound) {
  EXPECT_THAT(ShowStatus(context_, {.job = "train"}), StatusIs(Code::kNotFound));
}

}  // namespace
}  // namespace lockstep::launcher
