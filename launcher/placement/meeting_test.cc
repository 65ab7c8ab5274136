// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/placement/meeting.h"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <fstream>
#include <utility>
#include <vector>

#include "runtime/base/testing/status_matchers.h"
#include "runtime/event/sim_loop.h"

namespace lockstep::launcher {
namespace {

using base::Code;
using base::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using namespace std::chrono_literals;

/// A machine called "node-b" whose name service knows what the test lets it.
class MeetingTest : public ::testing::Test {
 protected:
  base::Result<Meeting> Arrange(const MeetingOptions& options = {}) {
    return ArrangeMeeting(spec_, options,
                          {.clock = loop_.clock(),
                           .is_this_machine = [this](std::string_view) { return answer_; },
                           .host_name = "node-b",
                           .sleep = [this](base::Duration time) { Sleep(time); },
                           .say = [this](const std::string& line) { said_.push_back(line); }});
  }
  void Sleep(base::Duration time) {
    loop_.RunFor(time);
    slept_ += time;
    if (slept_ >= known_after_) answer_ = false;
  }
  proto::JoinPlacement& join() { return *spec_.mutable_placement()->mutable_join(); }
  static std::string WriteToken(const std::string& name, mode_t mode = 0600) {
    const std::string path = ::testing::TempDir() + "/" + name;
    std::ofstream(path) << "a secret of some length\n";
    ::chmod(path.c_str(), mode);
    return path;
  }

  event::SimLoop loop_;
  proto::JobSpec spec_;
  base::Result<bool> answer_ = false;
  base::Duration known_after_ = base::Duration::max();
  base::Duration slept_{0};
  std::vector<std::string> said_;
};

TEST_F(MeetingTest, WhereTheHostIsThisMachineTheCoordinatorIs) {
  join().set_endpoint("node-b:4000");
  for (const bool here : {true, false}) {
    answer_ = here;
    ASSERT_OK_AND_ASSIGN(const Meeting meeting, Arrange());
    EXPECT_EQ(meeting.is_here, here);
    EXPECT_EQ(meeting.endpoint, (net::Endpoint{"node-b", 4000}));
  }
  ASSERT_OK_AND_ASSIGN(const Meeting forced, Arrange({.is_here = true}));
  EXPECT_TRUE(forced.is_here) << "as rdzv-conf says";
}

TEST_F(MeetingTest, PortAndIdHaveTorchrunsDefaults) {
  join().set_endpoint("node-a");

  ASSERT_OK_AND_ASSIGN(const Meeting meeting, Arrange());

  EXPECT_EQ(meeting.endpoint.port, 29400);
  EXPECT_EQ(meeting.id, "none");
  EXPECT_EQ(meeting.join_timeout, 10min);
}

TEST_F(MeetingTest, TheKeyIsOfTheTokenAndTheJob) {
  join().set_endpoint("node-a:1");
  join().set_token_file(WriteToken("token"));
  join().set_id("one");
  ASSERT_OK_AND_ASSIGN(const Meeting one, Arrange());
  join().set_id("two");
  ASSERT_OK_AND_ASSIGN(const Meeting two, Arrange());
  join().clear_token_file();
  ASSERT_OK_AND_ASSIGN(const Meeting plain, Arrange());

  ASSERT_TRUE(one.key && two.key);
  EXPECT_NE(one.key->key.view(), two.key->key.view());
  EXPECT_FALSE(plain.key);
}

TEST_F(MeetingTest, ATokenThatCannotBeUsedIsAnErrorOfTheLine) {
  join().set_endpoint("node-a:1");
  join().set_token_file(::testing::TempDir() + "/no-such-token");
  EXPECT_THAT(Arrange(), StatusIs(Code::kInvalidArgument, HasSubstr("no-such-token")));
  join().set_token_file(WriteToken("open", 0644));
  EXPECT_THAT(Arrange(), StatusIs(Code::kInvalidArgument, HasSubstr("chmod 600")));
}

TEST_F(MeetingTest, ANameThatIsKnownLaterIsWaitedFor) {
  join().set_endpoint("job-master-0:29400");
  answer_ = base::NotFoundError("no such host");
  known_after_ = 10s;

  ASSERT_OK_AND_ASSIGN(const Meeting meeting, Arrange());

  EXPECT_FALSE(meeting.is_here);
  EXPECT_THAT(said_, ElementsAre(HasSubstr("job-master-0: no such host")));
}

TEST_F(MeetingTest, ANameThatStaysUnknownIsAnErrorWithTheCure) {
  join().set_endpoint("node-x:29400");
  answer_ = base::NotFoundError("no such host");

  EXPECT_THAT(Arrange(),
              StatusIs(Code::kInvalidArgument, AllOf(HasSubstr("node-x:29400"), HasSubstr("node-b"),
                                                     HasSubstr("name it by an address"))));
  EXPECT_EQ(slept_, kNamePatience);
  spec_.mutable_placement()->mutable_join_timeout()->set_seconds(2);
  slept_ = base::Duration(0);
  said_.clear();
  EXPECT_THAT(Arrange(), StatusIs(Code::kInvalidArgument));
  EXPECT_EQ(slept_, 2s);
  EXPECT_THAT(said_, IsEmpty());
}

TEST_F(MeetingTest, OwnFullNameIsOursBeforeTheNameServiceKnowsIt) {
  join().set_endpoint("node-b.jobs.svc:29400");
  answer_ = base::NotFoundError("no such host");

  ASSERT_OK_AND_ASSIGN(const Meeting meeting, Arrange());

  EXPECT_TRUE(meeting.is_here);
}

TEST_F(MeetingTest, RankZeroIsWhereTheMasterAddressSays) {
  join().set_endpoint("node-b:29400");
  spec_.mutable_gang()->set_master_address("node-b");
  answer_ = true;

  EXPECT_THAT(Arrange({.node_rank = 1}),
              StatusIs(Code::kInvalidArgument, HasSubstr("is to be node 0, not 1")));
  EXPECT_OK(Arrange({.node_rank = 0}));
  answer_ = false;
  EXPECT_OK(Arrange({.node_rank = 1}));
}

TEST_F(MeetingTest, TheCoordinatorsNodeHasItsPlaceAmongThoseThatCome) {
  const PlannedNode other{.host = "node-1", .slots = 2, .start = AgentStart::kByItself};
  std::vector<PlannedNode> nodes(3, other);

  TakePlace({.node_rank = 2, .address = "10.0.0.7"}, "node-b", &nodes);

  EXPECT_THAT(nodes, ElementsAre(other, other,
                                 PlannedNode{.host = "node-b",
                                             .address = "10.0.0.7",
                                             .slots = 2,
                                             .start = AgentStart::kByLauncher}));
  nodes.assign(3, other);
  TakePlace({}, "node-b", &nodes);
  EXPECT_TRUE(nodes[0].is_here()) << "the first, when it has none of its own";
}

}  // namespace
}  // namespace lockstep::launcher
