// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/verbs/show_stacks.h"

#include <gmock/gmock.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "launcher/jobs/job_addresses.h"
#include "launcher/verbs/testing/verb_fixture.h"
#include "runtime/base/testing/status_matchers.h"
#include "runtime/proto/status_conversion.h"

namespace lockstep::launcher {
namespace {

using base::Code;
using base::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

class ShowStacksTest : public VerbTest {
 protected:
  /// Of ranks that run at these pids.
  proto::StatusReply Reply(const JobDirectory& job, const std::vector<int64_t>& pids) {
    proto::StatusReply reply;
    reply.set_job_id(job.job_id());
    reply.set_host(here_.host);
    for (const int64_t pid : pids) {
      proto::RankStatus& rank = *reply.add_ranks();
      rank.set_rank(reply.ranks_size() - 1);
      rank.set_pid(pid);
      rank.set_life("alive");
    }
    return reply;
  }
};

// The helper is not beside this test: it says so, and tells what /proc tells.
TEST_F(ShowStacksTest, RanksOfThisMachineAreLookedAt) {
  const JobDirectory job = MakeLiveJob("train");
  const MarkedProcess first(JobMark(job.job_id()) + "/x");
  const MarkedProcess second(JobMark(job.job_id()) + "/y");
  FakeAgent agent(ControlSocket(job));
  agent.reply = Reply(job, {first.pid(), second.pid()});

  ASSERT_OK(ShowStacks(context_, {.job = "train"}));

  EXPECT_THAT(out_.text(), AllOf(HasSubstr("ranks 0, 1 of 2 are:"), HasSubstr("  | thread"),
                                 HasSubstr("lockstep-stacks is not in ")));
}

TEST_F(ShowStacksTest, OneRankIsToldInFull) {
  const JobDirectory job = MakeLiveJob("train");
  const MarkedProcess rank(JobMark(job.job_id()) + "/x");
  FakeAgent agent(ControlSocket(job));
  agent.reply = Reply(job, {rank.pid()});

  ASSERT_OK(ShowStacks(context_, {.job = "train", .rank = base::Rank(0)}));

  EXPECT_THAT(out_.text(), HasSubstr("process " + std::to_string(rank.pid()) + " "));
}

TEST_F(ShowStacksTest, JsonIsAGangStacks) {
  const JobDirectory job = MakeLiveJob("train");
  const MarkedProcess rank(JobMark(job.job_id()) + "/x");
  FakeAgent agent(ControlSocket(job));
  agent.reply = Reply(job, {rank.pid()});

  ASSERT_OK(ShowStacks(context_, {.job = "train", .json = true}));

  proto::GangStacks stacks;
  ASSERT_TRUE(google::protobuf::util::JsonStringToMessage(out_.text(), &stacks).ok());
  EXPECT_EQ(stacks.job(), job.job_id());
  ASSERT_EQ(stacks.ranks_size(), 1);
  EXPECT_EQ(stacks.ranks(0).process().pid(), rank.pid());
}

TEST_F(ShowStacksTest, AProcessOfAnotherJobIsNotLookedAt) {
  const JobDirectory job = MakeLiveJob("train");
  const MarkedProcess stranger(JobMark("other-a1b2c3") + "/x");
  FakeAgent agent(ControlSocket(job));
  agent.reply = Reply(job, {stranger.pid()});

  EXPECT_THAT(ShowStacks(context_, {.job = "train"}),
              StatusIs(Code::kNotFound, HasSubstr("none of its ranks runs now")));
}

/// Rank 0 is here, ranks 1 to 10 on node 1 and rank 11 on node 2.
class FarStacksVerbTest : public ShowStacksTest {
 protected:
  proto::StatusReply ReplyOfThree(const JobDirectory& job, int64_t pid) {
    proto::StatusReply reply = Reply(job, {pid});
    for (const char* host : {"", "near", "far"}) reply.add_nodes()->set_host(host);
    for (int rank = 1; rank <= 11; ++rank) {
      proto::RankStatus& far = *reply.add_ranks();
      far.set_rank(rank);
      far.set_pid(1);  // here that is somebody else
      far.set_node(rank == 11 ? 2 : 1);
      far.set_life("alive");
    }
    return reply;
  }
};

TEST_F(FarStacksVerbTest, AgentsOfOtherMachinesAreAskedForTheirs) {
  const JobDirectory job = MakeLiveJob("train");
  const MarkedProcess rank(JobMark(job.job_id()) + "/x");
  FakeAgent agent(ControlSocket(job));
  agent.reply = ReplyOfThree(job, rank.pid());
  agent.stacks = [](const proto::StacksRequest& request) {
    EXPECT_LE(request.ranks_size(), 8) << "an agent takes no more";
    proto::ControlReply reply;
    if (request.node() == 2) {
      *reply.mutable_error() = proto::ToProto(base::DeadlineExceededError("node 2 is silent"));
      return reply;
    }
    for (const int asked : request.ranks()) {
      proto::RankStacks& told = *reply.mutable_stacks()->add_ranks();
      told.set_rank(asked);
      told.mutable_process()->add_threads()->add_frames()->set_function("FarAway");
    }
    reply.mutable_stacks()->add_ranks()->set_rank(0);  // none of its business
    return reply;
  };

  ASSERT_OK(ShowStacks(context_, {.job = "train"}));

  EXPECT_THAT(out_.text(),
              AllOf(HasSubstr("ranks 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 of 11 are in FarAway"),
                    HasSubstr("rank 0 of 11")));
  EXPECT_THAT(err_.text(), AllOf(HasSubstr("ranks on far are not seen: "),
                                 HasSubstr("node 2 is silent"), Not(HasSubstr("ranks on near"))));
}

TEST_F(FarStacksVerbTest, WhoMayNotTraceAsksTheAgentHere) {
  const JobDirectory job = MakeLiveJob("train");
  const MarkedProcess rank(JobMark(job.job_id()) + "/x");
  FakeAgent agent(ControlSocket(job));
  agent.reply = Reply(job, {rank.pid()});
  agent.stacks = [](const proto::StacksRequest& request) {
    EXPECT_EQ(request.node(), 0);
    EXPECT_THAT(request.ranks(), ElementsAre(0));
    proto::ControlReply reply;
    proto::RankStacks& told = *reply.mutable_stacks()->add_ranks();
    told.mutable_process()->add_threads()->add_frames()->set_function("SeenByTheAgent");
    return reply;
  };

  ASSERT_OK(ShowStacks(context_, {.job = "train", .may_trace = false}));

  EXPECT_THAT(out_.text(), HasSubstr("SeenByTheAgent"));
}

TEST_F(FarStacksVerbTest, WhereNobodyAnswersThatIsTheError) {
  const JobDirectory job = MakeLiveJob("train");
  FakeAgent agent(ControlSocket(job));
  agent.reply = ReplyOfThree(job, 0);
  agent.stacks = [](const proto::StacksRequest&) {
    proto::ControlReply reply;
    *reply.mutable_error() = proto::ToProto(base::DeadlineExceededError("nobody is there"));
    return reply;
  };

  EXPECT_THAT(
      ShowStacks(context_, {.job = "train", .rank = base::Rank(11)}),
      StatusIs(Code::kUnavailable, AllOf(HasSubstr("ranks on far"), HasSubstr("nobody is there"))));
}

TEST_F(ShowStacksTest, ARankThatIsNotThere) {
  const JobDirectory job = MakeLiveJob("train");
  FakeAgent agent(ControlSocket(job));
  agent.reply = Reply(job, {0});

  EXPECT_THAT(ShowStacks(context_, {.job = "train", .rank = base::Rank(7)}),
              StatusIs(Code::kNotFound, HasSubstr("it has no rank 7")));
  EXPECT_THAT(ShowStacks(context_, {.job = "train", .rank = base::Rank(0)}),
              StatusIs(Code::kNotFound, HasSubstr("rank 0 does not run now")));
}

TEST_F(ShowStacksTest, AJobThatHasEndedHasNone) {
  MakeEndedJob("train", 0);

  EXPECT_THAT(ShowStacks(context_, {.job = "train"}),
              StatusIs(Code::kNotFound, HasSubstr("it does not run")));
}

// ------------------------------------------------------------------------------------ the words

proto::RankStacks Rank(int rank, const std::string& function) {
  proto::RankStacks stacks;
  stacks.set_rank(rank);
  proto::ThreadStack& thread = *stacks.mutable_process()->add_threads();
  thread.set_doing("runs");
  for (const std::string& name : {function, std::string("main")}) {
    proto::Frame& frame = *thread.add_frames();
    frame.set_function(name);
    frame.set_file("/src/train.cc");
    frame.set_line(7);
  }
  return stacks;
}

TEST(StacksTextTest, GroupsAndTheOneThatIsElsewhere) {
  proto::GangStacks stacks;
  for (int rank = 0; rank < 3; ++rank)
    *stacks.add_ranks() = Rank(rank, rank == 1 ? "Load\x1b[2J" : "MPI_Allreduce");
  stacks.mutable_ranks(1)->mutable_process()->add_problems("py-spy is not on PATH");
  proto::StackGroup& most = *stacks.add_groups();
  most.add_ranks(0);
  most.add_ranks(2);
  most.add_path("main");
  most.add_path("MPI_Allreduce");
  proto::StackGroup& other = *stacks.add_groups();
  other.add_ranks(1);
  other.add_path("Load");
  other.set_is_outlier(true);

  EXPECT_EQ(StacksText(stacks),
            "ranks 0, 2 of 3 are in MPI_Allreduce, called by main:\n"
            "  runs\n"
            "  | MPI_Allreduce at train.cc:7\n"
            "  | main at train.cc:7\n"
            "\n"
            "rank 1 of 3 is elsewhere, in Load:\n"
            "  runs\n"
            "  | Load?[2J at train.cc:7\n"
            "  | main at train.cc:7\n"
            "\n"
            "note: py-spy is not on PATH\n");
}

}  // namespace
}  // namespace lockstep::launcher
