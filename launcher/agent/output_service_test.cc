// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/agent/output_service.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <string>

#include "runtime/base/testing/status_matchers.h"
#include "runtime/event/epoll_loop.h"
#include "runtime/event/sim_loop.h"
#include "runtime/proto/status_conversion.h"
#include "runtime/storage/file_system.h"

namespace lockstep::launcher {
namespace {

using namespace std::chrono_literals;
using base::Code;
using base::testing::StatusIs;
using ::testing::HasSubstr;

proto::ReadOutputRequest RequestOf(int rank, uint64_t offset, uint32_t bytes_max) {
  proto::ReadOutputRequest request;
  request.set_node(1);
  request.set_bytes_max(bytes_max);
  proto::OutputPosition& position = *request.add_positions();
  position.set_rank(rank);
  position.set_offset(offset);
  return request;
}

/// The second of two nodes with two ranks each: its ranks are 2 and 3.
class OutputServiceTest : public ::testing::Test {
 protected:
  OutputServiceTest() {
    folder_ = ::testing::TempDir() + "/service-XXXXXX";
    if (::mkdtemp(folder_.data()) == nullptr) std::abort();
    loop_ = *event::EpollLoop::Create(clock_);
    record_ = std::make_unique<JobRecord>(
        JobRecord::Config{.directory = JobDirectory(folder_, "j", "b", files_),
                          .state = {},
                          .here = {.host = "b", .boot_id = ""},
                          .socket_path = "",
                          .spec_text = "",
                          .log_directory = ""},
        *loop_, [](const base::Status&) {});
    service_ = std::make_unique<OutputService>(*record_, ledger_, *loop_);
    service_->SetWorld({.nodes = {{.host = "a", .slots = 2}, {.host = "b", .slots = 2}}},
                       base::NodeIndex(1));
    service_->SetRound(base::Round(0));
  }
  ~OutputServiceTest() override { std::filesystem::remove_all(folder_); }

  void Write(const std::string& name, const std::string& text) {
    std::filesystem::create_directories(folder_ + "/round-0");
    std::ofstream(folder_ + "/round-0/" + name) << text;
  }
  base::Result<proto::ReadOutputReply> Read(const proto::ReadOutputRequest& request) {
    std::optional<proto::ControlReply> got;
    service_->Answer(request, [&](const proto::ControlReply& reply) {
      got = reply;
      loop_->Quit();
    });
    if (!got) loop_->Run();
    if (got->has_error()) return proto::FromProto(got->error());
    return got->output();
  }

  base::RealClock clock_;
  storage::RealFileSystem files_;
  std::string folder_;
  std::unique_ptr<event::EpollLoop> loop_;
  std::unique_ptr<JobRecord> record_;
  const std::shared_ptr<process::RotationLedger> ledger_ =
      std::make_shared<process::RotationLedger>();
  std::unique_ptr<OutputService> service_;
};

TEST_F(OutputServiceTest, ReadsFromWhereItIsAsked) {
  Write("rank-3.stdout", "one\ntwo\n");
  Write("rank-3.stderr", "oops\n");
  proto::ReadOutputRequest request = RequestOf(3, 4, 100);
  *request.add_positions() = request.positions(0);
  request.mutable_positions(1)->set_standard_error(true);
  request.mutable_positions(1)->set_offset(0);

  const auto reply = Read(request);

  ASSERT_OK(reply.status());
  EXPECT_EQ(reply->pieces(0).content(), "two\n");
  EXPECT_EQ(reply->pieces(0).offset(), 4U);
  EXPECT_EQ(reply->pieces(0).file_bytes(), 8U);
  EXPECT_EQ(reply->pieces(1).content(), "oops\n");
  EXPECT_FALSE(reply->complete());
}

TEST_F(OutputServiceTest, NoAnswerIsLongerThanALimitWhateverIsAsked) {
  Write("rank-2.stdout", std::string(size_t{1} << 20, 'x'));

  const auto reply = Read(RequestOf(2, 0, 0xffffffff));

  ASSERT_OK(reply.status());
  EXPECT_EQ(reply->pieces(0).content().size(), size_t{256} << 10);
  EXPECT_EQ(reply->pieces(0).file_bytes(), size_t{1} << 20);
}

TEST_F(OutputServiceTest, OnlyRanksOfThisNodeAndRoundsThatHaveBegun) {
  Write("rank-1.stdout", "of a folder that the nodes share\n");
  proto::ReadOutputRequest later = RequestOf(2, 0, 10);
  later.set_round(1);

  EXPECT_THAT(Read(RequestOf(1, 0, 10)).status(), StatusIs(Code::kOutOfRange, HasSubstr("rank 1")));
  EXPECT_THAT(Read(RequestOf(4, 0, 10)).status(), StatusIs(Code::kOutOfRange));
  EXPECT_THAT(Read(RequestOf(-1, 0, 10)).status(), StatusIs(Code::kOutOfRange));
  EXPECT_THAT(Read(later).status(), StatusIs(Code::kOutOfRange, HasSubstr("round 1")));
}

TEST_F(OutputServiceTest, OneStreamMoreThanTheLimitIsRefused) {
  proto::ReadOutputRequest request = RequestOf(2, 0, 10);
  for (size_t i = 1; i < OutputService::kPositionsMax; ++i) {
    *request.add_positions() = request.positions(0);
  }
  EXPECT_OK(Read(request).status());

  *request.add_positions() = request.positions(0);
  EXPECT_THAT(Read(request).status(), StatusIs(Code::kInvalidArgument));
}

TEST_F(OutputServiceTest, SaysWhenNothingMoreWillCome) {
  Write("rank-2.stdout", "last\n");
  service_->SetComplete();

  const auto reply = Read(RequestOf(2, 5, 10));

  ASSERT_OK(reply.status());
  EXPECT_TRUE(reply->complete());
  EXPECT_EQ(reply->pieces(0).content(), "");
}

class OutputFollowersTest : public ::testing::Test {
 protected:
  void Asks(uint64_t follower, bool leaving = false) {
    proto::ReadOutputRequest request = RequestOf(2, 0, 10);
    request.set_follower(follower);
    request.set_leaving(leaving);
    followers_.Note(request, {});
  }
  void AwaitNone() {
    followers_.AwaitNone(3s, [this] { done_at_ = loop_.Now(); });
    EXPECT_FALSE(done_at_) << "called from within";
  }

  event::SimLoop loop_;
  OutputFollowers followers_{loop_};
  std::optional<base::SteadyTime> done_at_;
};

TEST_F(OutputFollowersTest, NobodyWaitsForReadersWhoDoNotFollow) {
  Asks(0);
  const base::SteadyTime begin = loop_.Now();

  AwaitNone();
  loop_.RunFor(5s);

  EXPECT_EQ(done_at_, begin);
}

TEST_F(OutputFollowersTest, WaitsUntilTheLastHasLeft) {
  Asks(1);
  Asks(2);
  AwaitNone();
  loop_.RunFor(500ms);
  Asks(1, /*leaving=*/true);
  loop_.RunFor(100ms);
  EXPECT_FALSE(done_at_);

  Asks(2, /*leaving=*/true);
  loop_.RunFor(1ms);

  EXPECT_TRUE(done_at_);
}

TEST_F(OutputFollowersTest, OneThatIsSilentForASecondIsGivenUp) {
  Asks(1);
  const base::SteadyTime begin = loop_.Now();

  AwaitNone();
  loop_.RunFor(5s);

  EXPECT_EQ(done_at_, begin + 1s);
}

TEST_F(OutputFollowersTest, OneThatAsksForEverIsGivenUpInTheEnd) {
  Asks(1);
  const base::SteadyTime begin = loop_.Now();
  AwaitNone();
  for (int i = 0; i < 50; ++i) {
    loop_.RunFor(100ms);
    Asks(1);
  }

  EXPECT_EQ(done_at_, begin + 3s);
}

}  // namespace
}  // namespace lockstep::launcher
