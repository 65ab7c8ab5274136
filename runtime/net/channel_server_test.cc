// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/net/channel_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <ctime>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "runtime/base/clock.h"
#include "runtime/base/testing/status_matchers.h"
#include "runtime/event/epoll_loop.h"
#include "runtime/event/testing/run_until.h"
#include "runtime/net/blocking_client.h"
#include "runtime/net/unix_socket.h"
#include "runtime/proto/control.pb.h"

namespace lockstep::net {
namespace {

using base::Code;
using base::testing::IsOk;
using base::testing::StatusIs;
using ::testing::HasSubstr;

constexpr base::Duration kTimeout = std::chrono::seconds(30);

/// Answers each StatusReply by the same with "echo " before its job id; "quiet" gets no answer.
class ChannelServerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(loop_, event::EpollLoop::Create(clock_));
    ASSERT_NE(::mkdtemp(folder_.data()), nullptr);
    Listen({});
  }
  void TearDown() override {
    server_.reset();
    std::filesystem::remove_all(folder_);
  }

  void Listen(ChannelServer::Options options) {
    server_.reset();
    ASSERT_OK_AND_ASSIGN(
        server_, ChannelServer::Listen(
                     path(),
                     {.on_message =
                          [this](ConnectionId id, std::string_view payload) {
                            proto::StatusReply message;
                            ASSERT_TRUE(message.ParseFromArray(payload.data(),
                                                               static_cast<int>(payload.size())));
                            ++messages_;
                            if (message.job_id() == "quiet") return;
                            message.set_job_id("echo " + message.job_id());
                            EXPECT_OK(server_->Send(id, message));
                          },
                      .on_closed = [this](ConnectionId, const base::Status&) { ++closed_; }},
                     options, *loop_));
  }
  std::string path() const { return folder_ + "/s"; }
  base::SteadyTime Soon() const { return clock_.Now() + kTimeout; }
  bool RunUntil(const std::function<bool()>& done) {
    return event::testing::RunUntil(*loop_, done, kTimeout);
  }

  base::RealClock clock_;
  std::string folder_ = "/tmp/lockstep_test_XXXXXX";
  std::unique_ptr<event::EpollLoop> loop_;
  std::unique_ptr<ChannelServer> server_;
  uint64_t messages_ = 0;
  int closed_ = 0;
};

TEST_F(ChannelServerTest, CallsOfManyClientsAreAnswered) {
  std::vector<std::thread> clients;
  for (int i = 0; i < 20; ++i) {
    clients.emplace_back([this, i] {
      proto::StatusReply request, reply;
      request.set_job_id(std::to_string(i) + std::string(100'000, 'x'));
      ASSERT_OK(BlockingCall(path(), request, &reply, Soon(), clock_));
      EXPECT_EQ(reply.job_id(), "echo " + request.job_id());
    });
  }

  EXPECT_TRUE(RunUntil([&] { return closed_ == 20; }));
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(server_->connection_count(), 0u);
}

TEST_F(ChannelServerTest, OneConnectionCarriesManyMessages) {
  std::thread client([this] {
    ASSERT_OK_AND_ASSIGN(BlockingClient connection,
                         BlockingClient::Connect(path(), Soon(), clock_));
    proto::StatusReply message;
    for (int i = 0; i < 100; ++i) {
      message.set_job_id(std::to_string(i));
      ASSERT_OK(connection.Send(message, Soon()));
    }
    for (int i = 0; i < 100; ++i) {
      ASSERT_OK(connection.Receive(Soon(), &message));
      ASSERT_EQ(message.job_id(), "echo " + std::to_string(i));
    }
  });

  EXPECT_TRUE(RunUntil([&] { return closed_ == 1; }));
  client.join();
}

// Whoever made the socket may have had callers waiting in it for a while.
TEST_F(ChannelServerTest, WhoCameBeforeTheServerWasMadeIsServed) {
  const std::string name = "@lockstep-test-" + std::to_string(::getpid());
  ASSERT_OK_AND_ASSIGN(base::UniqueFd listener, ListenUnix(name));
  ASSERT_OK_AND_ASSIGN(BlockingClient early, BlockingClient::Connect(name, Soon(), clock_));
  ASSERT_OK(early.Send(proto::StatusReply(), Soon()));

  int heard = 0;
  auto server = ChannelServer::Serve(
      name, std::move(listener),
      {.on_message = [&heard](ConnectionId, std::string_view) { ++heard; }, .on_closed = nullptr},
      {}, *loop_);
  EXPECT_TRUE(RunUntil([&heard] { return heard == 1; }));

  server.reset();
  EXPECT_OK(ListenUnix(name));
}

TEST_F(ChannelServerTest, ConnectionOverTheLimitIsClosed) {
  Listen({.connections_max = 2});
  std::vector<BlockingClient> clients;
  for (int i = 0; i < 3; ++i) {
    ASSERT_OK_AND_ASSIGN(BlockingClient client, BlockingClient::Connect(path(), Soon(), clock_));
    clients.push_back(std::move(client));
  }

  ASSERT_TRUE(RunUntil([&] { return server_->refused_total() == 1; }));

  EXPECT_EQ(server_->connection_count(), 2u);
  proto::StatusReply message;
  EXPECT_THAT(clients[2].Receive(Soon(), &message),
              StatusIs(Code::kUnavailable, HasSubstr("closed")));
}

TEST_F(ChannelServerTest, AProcessOfAnotherUserIsTurnedAwayUnheard) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can become another user";
  // Nobody gets this far but where the folder and the socket were opened to others.
  ASSERT_EQ(::chmod(folder_.c_str(), 0755), 0);
  ASSERT_EQ(::chmod(path().c_str(), 0666), 0);
  std::thread stranger([this] {
    constexpr uid_t kNobody = 65534;
    // Of this thread alone, as the kernel has it.
    ASSERT_EQ(::syscall(SYS_setresuid, kNobody, kNobody, kNobody), 0);
    ASSERT_OK_AND_ASSIGN(BlockingClient client, BlockingClient::Connect(path(), Soon(), clock_));
    proto::StatusReply message;
    message.set_job_id("let me in");
    (void)client.Send(message, Soon());
    EXPECT_THAT(client.Receive(Soon(), &message), StatusIs(Code::kUnavailable));
  });

  EXPECT_TRUE(RunUntil([&] { return server_->refused_total() + messages_ > 0; }));
  event::testing::RunUntil(*loop_, [] { return false; }, std::chrono::milliseconds(20));
  stranger.join();
  EXPECT_EQ(server_->refused_total(), 1u);
  EXPECT_EQ(messages_, 0u);
}

TEST_F(ChannelServerTest, SilentConnectionIsClosed) {
  Listen({.idle_timeout = std::chrono::milliseconds(10)});
  ASSERT_OK_AND_ASSIGN(BlockingClient client, BlockingClient::Connect(path(), Soon(), clock_));

  EXPECT_TRUE(RunUntil([&] { return closed_ == 1; }));
}

TEST_F(ChannelServerTest, CallWithoutAnAnswerEndsAtItsDeadline) {
  std::thread client([this] {
    proto::StatusReply message;
    message.set_job_id("quiet");
    EXPECT_THAT(BlockingCall(path(), message, &message,
                             clock_.Now() + std::chrono::milliseconds(30), clock_),
                StatusIs(Code::kDeadlineExceeded, HasSubstr(path())));
  });

  EXPECT_TRUE(RunUntil([&] { return closed_ == 1; }));
  client.join();
}

TEST_F(ChannelServerTest, CallWithoutAServerFailsAtOnce) {
  server_.reset();
  proto::StatusReply message;

  EXPECT_THAT(BlockingCall(path(), message, &message, Soon(), clock_),
              StatusIs(Code::kNotFound, HasSubstr(path())));
}

TEST_F(ChannelServerTest, NoFreeDescriptorIsOvercome) {
  ASSERT_OK_AND_ASSIGN(BlockingClient client, BlockingClient::Connect(path(), Soon(), clock_));
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit none{.rlim_cur = 3, .rlim_max = before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  const std::clock_t cpu_before = std::clock();
  event::testing::RunUntil(*loop_, [] { return false; }, std::chrono::milliseconds(80));
  EXPECT_EQ(server_->connection_count(), 0u);
  EXPECT_LT(std::clock() - cpu_before, CLOCKS_PER_SEC * 40 / 1000)
      << "the loop must rest meanwhile";

  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);

  EXPECT_TRUE(RunUntil([&] { return server_->connection_count() == 1; }));
}

TEST_F(ChannelServerTest, SendToAClosedConnectionIsNotFound) {
  EXPECT_THAT(server_->Send(ConnectionId(99), proto::StatusReply()), StatusIs(Code::kNotFound));
  server_->Close(ConnectionId(99));
}

TEST_F(ChannelServerTest, SocketFileGoesWithTheServer) {
  EXPECT_TRUE(std::filesystem::exists(path()));
  server_.reset();
  EXPECT_FALSE(std::filesystem::exists(path()));
}

}  // namespace
}  // namespace lockstep::net
