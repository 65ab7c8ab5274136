// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// What each agent answers itself, and what it passes on.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <chrono>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "launcher/agent/job_desk.h"
#include "launcher/agent/member_desk.h"
#include "launcher/agent/testing/no_news.h"
#include "runtime/base/testing/status_matchers.h"
#include "runtime/event/epoll_loop.h"
#include "runtime/proto/job_checks.h"
#include "runtime/proto/status_conversion.h"

namespace lockstep::launcher {
namespace {

using namespace std::chrono_literals;
using base::Code;
using base::NodeIndex;
using base::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

/// Node 1 of three, on which no rank has been spawned.
class DesksTest : public ::testing::Test {
 protected:
  DesksTest() : folder_(MakeFolder()) {
    auto loop = event::EpollLoop::Create(clock_);
    EXPECT_OK(loop.status());
    loop_ = *std::move(loop);
    record_ = std::make_unique<JobRecord>(
        JobRecord::Config{.directory = JobDirectory(folder_, "train-a1b2c3", "b", files_),
                          .state = {},
                          .here = {},
                          .socket_path = "",
                          .spec_text = "",
                          .log_directory = ""},
        *loop_, [](const base::Status& why) { ADD_FAILURE() << why; });
    proto::TrainingJob job;
    proto::ApplyDefaults(&job);
    job.mutable_spec()->mutable_logs()->clear_stdin_reader();
    auto node = NodeRuntime::Create({.spec = job.spec(),
                                     .arguments = {"true"},
                                     .environment = {},
                                     .job_id = "train-a1b2c3",
                                     .events_path = folder_ + "/events.jsonl",
                                     .host = "b",
                                     .boot_id = "",
                                     .socket_directory = folder_,
                                     .reads_stdin = false,
                                     .all_ranks_here = false},
                                    {clock_, *loop_, *record_, news_});
    EXPECT_OK(node.status());
    node_ = *std::move(node);
    node_->SetWorld({.nodes = {{"a", 1}, {"b", 1}, {"c", 1}}, .master_address = "a"}, NodeIndex(1));
  }
  ~DesksTest() override {
    node_.reset();
    std::filesystem::remove_all(folder_);
  }
  static std::string MakeFolder() {
    char path[] = "/tmp/lockstep-desks-XXXXXX";  // short, as those of sockets must be
    return ::mkdtemp(path);
  }

  static proto::ControlRequest Stacks(int node, int ranks) {
    proto::ControlRequest request;
    request.mutable_stacks()->set_node(node);
    for (int rank = 0; rank < ranks; ++rank) request.mutable_stacks()->add_ranks(rank);
    return request;
  }
  static proto::ControlRequest Output(int node, bool leaving) {
    proto::ControlRequest request;
    request.mutable_read_output()->set_node(node);
    request.mutable_read_output()->set_follower(7);
    request.mutable_read_output()->set_leaving(leaving);
    return request;
  }
  /// What has been answered since the last call; OK where it was no error.
  OnAnswer Answered() {
    answer_.reset();
    return [this](const proto::ControlReply& reply) {
      EXPECT_FALSE(answer_.has_value()) << "once";
      answer_ = reply.has_error() ? proto::FromProto(reply.error()) : base::OkStatus();
    };
  }

  const base::RealClock clock_;
  const std::string folder_;
  storage::RealFileSystem files_;
  testing::NoNews news_;
  std::unique_ptr<event::EpollLoop> loop_;
  std::unique_ptr<JobRecord> record_;
  std::unique_ptr<NodeRuntime> node_;
  std::optional<base::Status> answer_;
};

class JobDeskTest : public DesksTest {
 protected:
  std::vector<std::string> told_;
  JobDesk desk_{"train-a1b2c3",
                {.node = *node_,
                 .status =
                     [this](const proto::StatusRequest&, const OnAnswer& answer) {
                       told_.push_back("status");
                       answer({});
                     },
                 .stop =
                     [this](const proto::StopRequest&) {
                       told_.push_back("stop");
                       return proto::StopReply();
                     }}};
};

TEST_F(JobDeskTest, WhatTheJobIsAskedGoesToIt) {
  proto::ControlRequest request;
  request.mutable_status();
  desk_.Answer(request, Answered());
  EXPECT_OK(*answer_);
  request.mutable_stop();
  desk_.Answer(request, Answered());
  EXPECT_THAT(told_, ElementsAre("status", "stop"));

  request.mutable_look();
  desk_.Answer(request, Answered());
  EXPECT_THAT(*answer_, StatusIs(Code::kInvalidArgument, HasSubstr("does not know")));
}

TEST_F(JobDeskTest, OfAJobOfOneNodeNoOtherCanBeAsked) {
  for (const auto& request : {Stacks(2, 1), Output(2, false), Stacks(-1, 1)}) {
    desk_.Answer(request, Answered());
    EXPECT_THAT(*answer_, StatusIs(Code::kNotFound, HasSubstr("train-a1b2c3 has one node")));
  }
}

TEST_F(JobDeskTest, WhatIsAnotherNodesIsPassedOnAndItsOwnIsNot) {
  std::vector<int> asked;
  desk_.SetAskNode(
      [&](NodeIndex node, const proto::ControlRequest& request, const OnAnswer& answer) {
        asked.push_back(node.value());
        EXPECT_TRUE(request.has_stacks() || request.read_output().follower() == 7);
        proto::ControlReply reply;
        *reply.mutable_error() = proto::ToProto(base::NotFoundError("it has no such node"));
        answer(reply);
      });
  for (const auto& request : {Stacks(2, 1), Output(0, false), Stacks(99, 1)}) {
    desk_.Answer(request, Answered());
    EXPECT_THAT(*answer_, StatusIs(Code::kNotFound, HasSubstr("no such node")));
  }
  EXPECT_THAT(asked, ElementsAre(2, 0, 99));

  desk_.Answer(Stacks(1, NodeStacks::kRanksMax + 1), Answered());
  EXPECT_THAT(*answer_, StatusIs(Code::kInvalidArgument, HasSubstr("at most 8")));
  EXPECT_EQ(asked.size(), 3u);
}

class MemberDeskTest : public DesksTest {
 protected:
  NodeWatch watch_{
      {}, {.loop = *loop_, .ranks = [] { return std::vector<WatchedRank>(); }, .say = [](bool) {}}};
  std::vector<int> asked_;  // by node
  base::Result<proto::ControlReply> coordinator_says_ = proto::ControlReply();
  MemberDesk desk_{
      {.node = *node_,
       .watch = watch_,
       .ask = [this](const proto::ControlRequest& request, const Questions::OnReply& on_reply) {
         asked_.push_back(request.has_stacks() ? request.stacks().node()
                                               : request.read_output().node());
         on_reply(coordinator_says_);
       }}};
};

TEST_F(MemberDeskTest, WhatIsNotItsOwnTheCoordinatorIsAsked) {
  desk_.Answer(Stacks(2, 1), Answered());
  EXPECT_OK(*answer_);
  desk_.Answer(Output(0, true), Answered());
  EXPECT_THAT(asked_, ElementsAre(2, 0));

  coordinator_says_ = base::UnavailableError("the connection to the coordinator is gone");
  desk_.Answer(Stacks(2, 1), Answered());
  EXPECT_THAT(*answer_, StatusIs(Code::kUnavailable, HasSubstr("coordinator is gone")));

  asked_.clear();
  desk_.Answer(Stacks(1, NodeStacks::kRanksMax + 1), Answered());
  EXPECT_THAT(*answer_, StatusIs(Code::kInvalidArgument, HasSubstr("at most 8")));
  EXPECT_THAT(asked_, IsEmpty());
}

TEST_F(MemberDeskTest, TheCoordinatorAsksForNothingButTheNodes) {
  proto::ControlRequest request;
  request.mutable_look();
  desk_.AnswerCoordinator(request, Answered());
  EXPECT_OK(*answer_);
  for (const auto& others : {Stacks(2, 1), Output(0, false), proto::ControlRequest()}) {
    desk_.AnswerCoordinator(others, Answered());
    EXPECT_THAT(*answer_, StatusIs(Code::kUnimplemented));
  }
  EXPECT_THAT(asked_, IsEmpty()) << "else it went round for ever";
}

TEST_F(MemberDeskTest, AtTheEndItStaysForThoseWhoReadLogsThroughIt) {
  bool may_go = false;
  const auto await_none = [&] {
    node_->output_service().followers().AwaitNone(60s, [&] {
      may_go = true;
      loop_->Quit();
    });
  };
  desk_.Answer(Output(2, false), Answered());
  await_none();
  const event::Registration later = loop_->After(20ms, [&] {
    EXPECT_FALSE(may_go);
    desk_.Answer(Output(2, true), Answered());
  });
  loop_->Run();
  EXPECT_TRUE(may_go);
}

}  // namespace
}  // namespace lockstep::launcher
