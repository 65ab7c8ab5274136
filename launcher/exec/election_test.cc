// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/exec/election.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstddef>
#include <filesystem>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "runtime/base/testing/status_matchers.h"
#include "runtime/event/epoll_loop.h"
#include "runtime/net/channel_server.h"
#include "runtime/net/unix_socket.h"
#include "runtime/proto/status_conversion.h"

namespace lockstep::launcher {
namespace {

using namespace std::chrono_literals;
using base::Code;
using base::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;

class ElectionTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_NE(::mkdtemp(folder_.data()), nullptr); }
  void TearDown() override {
    for (const pid_t agent : Agents()) ::kill(agent, SIGKILL);
    std::filesystem::remove_all(folder_);
  }

  /// An agent leaves a file of its pid's name in the folder, and answers each request with its pid
  /// as the job's id, until it has answered `answers`.
  int Serve(base::UniqueFd listener, int answers) const {
    Leave();
    auto loop = event::EpollLoop::Create(clock_);
    int left = answers;
    std::unique_ptr<net::ChannelServer> server;
    server = net::ChannelServer::Serve(
        Address(), std::move(listener),
        {.on_message =
             [&](net::ConnectionId connection, std::string_view) {
               proto::AdoptReply reply;
               reply.mutable_adopted()->set_job_id(std::to_string(::getpid()));
               (void)server->Send(connection, reply);
             },
         .on_closed =
             [&](net::ConnectionId, const base::Status&) {
               if (--left == 0) (*loop)->Quit();
             }},
        {}, **loop);
    (*loop)->Run();
    return 0;
  }
  void Leave() const {
    ::close(::open((folder_ + "/" + std::to_string(::getpid())).c_str(),
                   O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
  }
  std::vector<pid_t> Agents() const {
    std::vector<pid_t> agents;
    for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
      agents.push_back(std::stoi(entry.path().filename().string()));
    }
    return agents;
  }

  std::string Address() const { return ElectionAddress(::getuid(), {}, folder_); }
  Election With(std::function<int(base::UniqueFd)> agent) const {
    return {.address = Address(), .agent = std::move(agent), .time_limit = 20s};
  }

  const base::RealClock clock_;
  std::string folder_ = "/tmp/lockstep_test_XXXXXX";
};

// All at once, again and again: whoever wins, there is one agent, and everybody meets it.
TEST_F(ElectionTest, RanksThatStartAtOnceMeetOneAgent) {
  constexpr int kRanks = 12;
  for (int round = 0; round < 10; ++round) {
    int gate[2], answers[2];
    ASSERT_EQ(::pipe2(gate, O_CLOEXEC), 0);
    ASSERT_EQ(::pipe2(answers, O_CLOEXEC), 0);
    for (int rank = 0; rank < kRanks; ++rank) {
      if (::fork() != 0) continue;
      ::close(gate[1]);
      char byte = 0;
      (void)!::read(gate[0], &byte, 1);  // until the gate opens for all
      const auto adopted = MeetAgent(
          With([this](base::UniqueFd listener) { return Serve(std::move(listener), kRanks); }), {},
          clock_);
      const pid_t agent = adopted.ok() ? std::stoi(adopted->job_id()) : -1;
      (void)!::write(answers[1], &agent, sizeof agent);
      ::_exit(0);
    }
    ::close(gate[0]);
    ::close(gate[1]);
    std::set<pid_t> met;
    for (int rank = 0; rank < kRanks; ++rank) {
      pid_t agent = 0;
      ASSERT_EQ(::read(answers[0], &agent, sizeof agent), static_cast<ssize_t>(sizeof agent));
      met.insert(agent);
      ::wait(nullptr);
    }
    ::close(answers[0]);
    ::close(answers[1]);
    EXPECT_EQ(met.size(), 1u) << round;
    EXPECT_EQ(Agents().size(), 1u) << "one was started, in round " << round;
    EXPECT_EQ(*met.begin(), Agents().front());
    std::filesystem::remove(folder_ + "/" + std::to_string(*met.begin()));
  }
}

// Killed right after its election, without a chance to say anything.
TEST_F(ElectionTest, AfterAnAgentThatDiedAnotherIsElected) {
  const auto agent = [this](base::UniqueFd listener) {
    if (Agents().size() >= 3) return Serve(std::move(listener), 1);
    Leave();
    ::raise(SIGKILL);
    return 0;
  };

  ASSERT_OK_AND_ASSIGN(const proto::Adopted adopted, MeetAgent(With(agent), {}, clock_));

  EXPECT_EQ(Agents().size(), 4u);
  EXPECT_GT(std::stoi(adopted.job_id()), 0);
}

TEST_F(ElectionTest, AgentsThatDieOneAfterTheOtherAreAnErrorSoon) {
  const base::SteadyTime begun = clock_.Now();
  EXPECT_THAT(MeetAgent(With([this](base::UniqueFd) {
                          Leave();
                          return 1;
                        }),
                        {}, clock_),
              StatusIs(Code::kUnavailable, HasSubstr("5 were started")));

  EXPECT_EQ(Agents().size(), 5u);
  EXPECT_LT(clock_.Now() - begun, 10s);
}

TEST_F(ElectionTest, AnAgentThatDoesNotAnswerIsAnErrorAtTheLimit) {
  Election election = With([this](base::UniqueFd) {
    Leave();
    while (true) ::pause();
    return 0;
  });
  election.time_limit = 100ms;

  EXPECT_THAT(MeetAgent(election, {}, clock_),
              StatusIs(Code::kDeadlineExceeded, HasSubstr("stopped")));
}

// As a rank leaves it that was stopped between bind() and listen().
TEST_F(ElectionTest, ANameThatIsHeldAndNotListenedOnIsAnErrorAtTheLimit) {
  const base::UniqueFd holder(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  Address().copy(address.sun_path, sizeof address.sun_path);
  address.sun_path[0] = '\0';
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + Address().size());
  ASSERT_EQ(::bind(holder.get(), reinterpret_cast<const sockaddr*>(&address), size), 0);
  Election election = With([](base::UniqueFd) { return 0; });
  election.time_limit = 100ms;

  EXPECT_THAT(MeetAgent(election, {}, clock_),
              StatusIs(Code::kDeadlineExceeded, HasSubstr("none has answered in 100ms")));
}

TEST_F(ElectionTest, WhatTheAgentRefusesIsTheError) {
  const auto agent = [this](base::UniqueFd listener) {
    Leave();
    auto loop = event::EpollLoop::Create(clock_);
    std::unique_ptr<net::ChannelServer> server;
    server = net::ChannelServer::Serve(
        Address(), std::move(listener),
        {.on_message =
             [&](net::ConnectionId connection, std::string_view) {
               proto::AdoptReply reply;
               *reply.mutable_error() = proto::ToProto(base::AlreadyExistsError("rank 3 has come"));
               (void)server->Send(connection, reply);
             },
         .on_closed = [&](net::ConnectionId, const base::Status&) { (*loop)->Quit(); }},
        {}, **loop);
    (*loop)->Run();
    return 0;
  };

  EXPECT_THAT(MeetAgent(With(agent), {}, clock_),
              StatusIs(Code::kAlreadyExists, HasSubstr("rank 3 has come")));
}

TEST_F(ElectionTest, AnotherUsersSocketIsNotBelieved) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can become another user";
  constexpr uid_t kNobody = 65534;
  const std::string address = Address();
  int ready[2];
  ASSERT_EQ(::pipe2(ready, O_CLOEXEC), 0);
  const pid_t squatter = ::fork();
  if (squatter == 0) {
    if (::setresuid(kNobody, kNobody, kNobody) != 0) ::_exit(1);
    const auto listener = net::ListenUnix(address);
    (void)!::write(ready[1], listener.ok() ? "y" : "n", 1);
    ::pause();
  }
  ::close(ready[1]);
  char byte = 'n';
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  ASSERT_EQ(byte, 'y');

  EXPECT_THAT(
      MeetAgent(With([](base::UniqueFd) { return 0; }), {}, clock_),
      StatusIs(Code::kAlreadyExists, AllOf(HasSubstr("user 65534"), HasSubstr("--job KEY"))));

  ::kill(squatter, SIGKILL);
  ::waitpid(squatter, nullptr, 0);
}

TEST(ElectionAddressTest, ItIsOneJobsOfOneUserAndFitsASocket) {
  const base::SipKey secret{1, 2, 3};
  EXPECT_EQ(ElectionAddress(7, secret, "slurm 121.0"), ElectionAddress(7, secret, "slurm 121.0"));
  EXPECT_NE(ElectionAddress(7, secret, "slurm 121.0"), ElectionAddress(7, secret, "slurm 121.1"));
  EXPECT_NE(ElectionAddress(7, secret, "slurm 121.0"), ElectionAddress(8, secret, "slurm 121.0"));
  EXPECT_LE(ElectionAddress(4294967294u, secret, std::string(10'000, 'k')).size(),
            net::kUnixPathBytesMax);
  EXPECT_TRUE(net::IsAbstractName(ElectionAddress(7, secret, "")));
}

// Any user knows uid and key of a job that is to come, and could hold its name.
TEST(ElectionAddressTest, WhoDoesNotHaveTheSecretCannotForeseeIt) {
  EXPECT_NE(ElectionAddress(7, {1}, "slurm 121.0"), ElectionAddress(7, {2}, "slurm 121.0"));
}

}  // namespace
}  // namespace lockstep::launcher
