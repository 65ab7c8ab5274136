// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/net/channel.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "runtime/base/clock.h"
#include "runtime/base/testing/status_matchers.h"
#include "runtime/event/epoll_loop.h"
#include "runtime/event/testing/run_until.h"
#include "runtime/proto/control.pb.h"

namespace lockstep::net {
namespace {

using base::Code;
using base::testing::IsOk;
using base::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr base::Duration kTimeout = std::chrono::seconds(30);

proto::StatusReply Message(const std::string& text) {
  proto::StatusReply message;
  message.set_job_id(text);
  return message;
}

struct End {
  std::unique_ptr<Channel> channel;
  std::vector<std::string> received;
  std::optional<base::Status> closed;
};

class ChannelTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(loop_, event::EpollLoop::Create(clock_));
    int ends[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    peer_.reset(ends[1]);
    Make(base::UniqueFd(ends[0]), &a_, {});
  }

  void Make(base::UniqueFd fd, End* end, Channel::Options options) {
    end->channel = std::make_unique<Channel>(
        std::move(fd),
        Channel::Handlers{.on_message =
                              [end](std::string_view payload) {
                                proto::StatusReply message;
                                ASSERT_TRUE(message.ParseFromArray(
                                    payload.data(), static_cast<int>(payload.size())));
                                end->received.push_back(message.job_id());
                              },
                          .on_closed =
                              [end](const base::Status& why) {
                                ASSERT_FALSE(end->closed.has_value()) << "closed twice";
                                end->closed = why;
                              }},
        options, *loop_);
  }
  void MakePeerChannel() { Make(std::move(peer_), &b_, {}); }
  bool RunUntil(const std::function<bool()>& done) {
    return event::testing::RunUntil(*loop_, done, kTimeout);
  }
  void PeerWrites(std::string_view bytes) {
    ASSERT_EQ(::write(peer_.get(), bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  }

  base::RealClock clock_;
  std::unique_ptr<event::EpollLoop> loop_;
  base::UniqueFd peer_;
  End a_;
  End b_;
};

TEST_F(ChannelTest, MessagesArriveInOrderBothWays) {
  MakePeerChannel();

  for (int i = 0; i < 3; ++i) ASSERT_OK(a_.channel->Send(Message("to b " + std::to_string(i))));
  ASSERT_OK(b_.channel->Send(Message("to a")));
  ASSERT_TRUE(RunUntil([&] { return b_.received.size() == 3 && a_.received.size() == 1; }));

  EXPECT_THAT(b_.received, ElementsAre("to b 0", "to b 1", "to b 2"));
  EXPECT_THAT(a_.received, ElementsAre("to a"));
}

TEST_F(ChannelTest, MegabytesGoThroughASlowSocket) {
  MakePeerChannel();
  const std::string big(1'000'000, 'x');

  for (int i = 0; i < 4; ++i) ASSERT_OK(a_.channel->Send(Message(big)));
  EXPECT_GT(a_.channel->queued_bytes(), 0u);
  ASSERT_TRUE(RunUntil([&] { return b_.received.size() == 4; }));

  EXPECT_EQ(b_.received[3], big);
  EXPECT_EQ(a_.channel->queued_bytes(), 0u);
}

TEST_F(ChannelTest, PeerThatDoesNotReadFillsTheQueueAndIsCutOff) {
  const std::string big(1'000'000, 'x');
  base::Status status;
  int sent = 0;
  while ((status = a_.channel->Send(Message(big))).ok()) ++sent;

  EXPECT_THAT(status, StatusIs(Code::kResourceExhausted, HasSubstr("does not read")));
  EXPECT_GE(sent, 4);
  EXPECT_LE(sent, 5);
  EXPECT_TRUE(a_.channel->closed());
  EXPECT_FALSE(a_.closed.has_value()) << "never inside a call";
  EXPECT_THAT(a_.channel->Send(Message("more")), StatusIs(Code::kFailedPrecondition));
  ASSERT_TRUE(RunUntil([&] { return a_.closed.has_value(); }));
  EXPECT_THAT(*a_.closed, StatusIs(Code::kResourceExhausted));
}

TEST_F(ChannelTest, MessageOverTheLimitClosesTheChannelSinceNobodyWouldMissItOtherwise) {
  MakePeerChannel();

  EXPECT_THAT(a_.channel->Send(Message(std::string(kFramePayloadBytesMax, 'x'))),
              StatusIs(Code::kInvalidArgument, HasSubstr("1048576")));
  EXPECT_TRUE(a_.channel->closed());
  EXPECT_FALSE(a_.closed.has_value()) << "never inside a call";
  EXPECT_THAT(a_.channel->Send(Message("more")), StatusIs(Code::kFailedPrecondition));
  ASSERT_TRUE(RunUntil([&] { return a_.closed && b_.closed; }));

  EXPECT_THAT(*a_.closed, StatusIs(Code::kInvalidArgument, HasSubstr("1048576")));
  EXPECT_TRUE(b_.received.empty());
}

TEST_F(ChannelTest, MessageOfExactlyTheLimitPasses) {
  MakePeerChannel();
  std::string text(kFramePayloadBytesMax, 'x');
  text.resize(text.size() - (Message(text).ByteSizeLong() - kFramePayloadBytesMax));

  ASSERT_EQ(Message(text).ByteSizeLong(), kFramePayloadBytesMax);
  ASSERT_OK(a_.channel->Send(Message(text)));
  ASSERT_TRUE(RunUntil([&] { return b_.received.size() == 1; }));

  EXPECT_EQ(b_.received[0], text);
}

TEST_F(ChannelTest, PeerThatClosesBetweenMessagesIsNoError) {
  std::string frame;
  AppendFrameHeader(0, &frame);
  PeerWrites(frame);
  peer_.reset();

  ASSERT_TRUE(RunUntil([&] { return a_.closed.has_value(); }));

  EXPECT_EQ(a_.received.size(), 1u);
  EXPECT_THAT(*a_.closed, IsOk());
}

TEST_F(ChannelTest, PeerThatClosesWithinAMessageIsDataLoss) {
  PeerWrites(std::string("\x09\0\0\0half", 8));
  peer_.reset();

  ASSERT_TRUE(RunUntil([&] { return a_.closed.has_value(); }));

  EXPECT_THAT(*a_.closed, StatusIs(Code::kDataLoss));
}

TEST_F(ChannelTest, AnnouncedFrameOverTheLimitCloses) {
  PeerWrites(std::string("\xff\xff\xff\xff", 4));

  ASSERT_TRUE(RunUntil([&] { return a_.closed.has_value(); }));

  EXPECT_THAT(*a_.closed, StatusIs(Code::kResourceExhausted, HasSubstr("4294967295")));
}

TEST_F(ChannelTest, CloseTellsOnceAndThePeerSeesTheEnd) {
  MakePeerChannel();

  a_.channel->Close();
  a_.channel->Close();
  ASSERT_TRUE(RunUntil([&] { return a_.closed.has_value() && b_.closed.has_value(); }));

  EXPECT_THAT(*a_.closed, StatusIs(Code::kCancelled));
  EXPECT_THAT(*b_.closed, IsOk());
}

TEST_F(ChannelTest, SendToAPeerThatIsGoneIsNoSignal) {
  peer_.reset();

  (void)a_.channel->Send(Message("anybody there?"));
  ASSERT_TRUE(RunUntil([&] { return a_.closed.has_value(); }));

  EXPECT_THAT(*a_.closed, ::testing::Not(IsOk()));
}

TEST_F(ChannelTest, HandlerMayDestroyItsChannel) {
  int ends[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  const base::UniqueFd peer(ends[1]);
  std::unique_ptr<Channel> channel;
  int messages = 0;
  channel = std::make_unique<Channel>(
      base::UniqueFd(ends[0]),
      Channel::Handlers{.on_message =
                            [&](std::string_view) {
                              channel.reset();
                              ++messages;
                            },
                        .on_closed = [](const base::Status&) { ADD_FAILURE(); }},
      Channel::Options(), *loop_);
  const char two_empty_frames[8] = {};
  ASSERT_EQ(::write(peer.get(), two_empty_frames, 8), 8);

  ASSERT_TRUE(RunUntil([&] { return messages > 0; }));

  EXPECT_EQ(messages, 1);
}

TEST_F(ChannelTest, NothingIsCalledAfterDestruction) {
  PeerWrites(std::string(4, '\0'));
  a_.channel->Close();
  a_.channel.reset();

  event::testing::RunUntil(*loop_, [] { return false; }, std::chrono::milliseconds(5));

  EXPECT_TRUE(a_.received.empty());
  EXPECT_FALSE(a_.closed.has_value());
}

}  // namespace
}  // namespace lockstep::net
