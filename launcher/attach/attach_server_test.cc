// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// A real server on its loop's thread; ranks are attach clients on threads and in forked processes.
#include "launcher/attach/attach_server.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <condition_variable>
#include <csignal>
#include <cstring>
#include <functional>
#include <future>
#include <mutex>
#include <thread>
#include <vector>

#include "collectives/recorder/recorder.h"
#include "collectives/recorder/ring_reader.h"
#include "launcher/attach/attach_fixture.h"
#include "runtime/attach/attach_client.h"
#include "runtime/base/testing/named_tracers.h"
#include "runtime/base/testing/status_matchers.h"
#include "runtime/event/epoll_loop.h"

namespace lockstep::launcher {
namespace {

using base::Code;
using base::Incarnation;
using base::Rank;
using base::Round;
using base::testing::NamedTracers;
using base::testing::StatusIs;
using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;

class AttachServerTest : public AttachFixture {
 protected:
  /// What becomes of `ask` in a program that the rank starts, and that knows the rank's cookie: 0 =
  /// it is answered; 1 = it is told that another process is the rank; 2 = another error.
  template <class Ask>
  int AskInHelper(const std::string& cookie, const Ask& ask) {
    const pid_t child = fork();
    if (child == 0) {
      const auto helper = Attach(cookie);
      if (ask(*helper) == LOCKSTEP_ATTACH_OK) _exit(0);
      _exit(helper->error.status == static_cast<uint32_t>(Code::kAlreadyExists) &&
                    std::strstr(helper->error.text, "LOCKSTEP_COOKIE") != nullptr
                ? 1
                : 2);
    }
    int status = -1;
    waitpid(child, &status, 0);
    return WEXITSTATUS(status);
  }
};

TEST_F(AttachServerTest, ARankGetsItsWorldAndRing) {
  Start();
  const auto client = Attach(Add(1));

  ASSERT_EQ(client->result, LOCKSTEP_ATTACH_OK) << client->error.text;
  EXPECT_EQ(client->world.rank, 1);
  EXPECT_EQ(client->world.world_size, 2);
  EXPECT_EQ(client->world.restart_count, 3u);
  EXPECT_STREQ(client->world.job, "job-1");
  EXPECT_STREQ(client->world.checkpoint_directory, "/data/checkpoints");
  ASSERT_OK_AND_ASSIGN(const collectives::RingContent ring,
                       collectives::ReadRingFrom(client->ring));
  EXPECT_EQ(ring.head.rank, 1);
  EXPECT_EQ(ring.head.host, "node-a");
  EXPECT_FALSE(ring.head.boot_id.empty());
  OnLoop([&] {
    struct stat ours, agents;
    fstat(client->ring, &ours);
    fstat(server_->RecorderFd(Rank(1)), &agents);
    EXPECT_EQ(ours.st_ino, agents.st_ino);
    EXPECT_EQ(server_->RecorderFd(Rank(0)), -1);
  });
}

TEST_F(AttachServerTest, ARankNamesItsAgentAsItsTracer) {
  Start();
  const std::string cookie = Add(1);
  std::thread([&] {
    NamedTracers tracers;
    if (!tracers.works()) GTEST_SKIP() << "nobody tells of the calls of others here";
    const auto client = Attach(cookie);
    EXPECT_EQ(client->result, LOCKSTEP_ATTACH_OK) << client->error.text;
    EXPECT_EQ(tracers.Pids(), std::vector<int64_t>{getpid()});
  }).join();
}

TEST_F(AttachServerTest, AWrongCookieIsUnauthenticated) {
  Start();
  std::string cookie = Add(0);
  cookie[5] = cookie[5] == '0' ? '1' : '0';
  const auto client = Attach(cookie);
  EXPECT_EQ(client->result, LOCKSTEP_ATTACH_REJECTED);
  EXPECT_EQ(client->error.status, static_cast<uint32_t>(Code::kUnauthenticated));
  EXPECT_THAT(client->error.text, HasSubstr("LOCKSTEP_COOKIE"));
}

TEST_F(AttachServerTest, AnotherUsersProcessIsRefusedAndToldWhy) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can become another user";
  Start();
  const std::string cookie = Add(0);  // even with the right one
  // Nobody gets this far but where the folder and the socket were opened to others.
  ASSERT_EQ(chmod(folder_.c_str(), 0755), 0);
  ASSERT_EQ(chmod(config.socket_path.c_str(), 0666), 0);
  const pid_t child = fork();
  if (child == 0) {
    constexpr uid_t kNobody = 65534;
    if (setresuid(kNobody, kNobody, kNobody) != 0) _exit(1);
    // Whether the agent closes before it is told hello or after is a matter of luck.
    for (int run = 0; run < 50; ++run) {
      const auto client = Attach(cookie);
      if (client->result != LOCKSTEP_ATTACH_REJECTED) _exit(2);
      if (client->error.status != static_cast<uint32_t>(Code::kPermissionDenied)) _exit(3);
      if (std::strstr(client->error.text, "of user 65534: only user 0 and root") == nullptr)
        _exit(4);
    }
    _exit(0);
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 0);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(Attach(cookie)->result, LOCKSTEP_ATTACH_OK);
}

TEST_F(AttachServerTest, CookiesOfAnEndedRoundAndAnEarlierIncarnationAreVoid) {
  Start();
  const std::string first = Add(0);
  const std::string second = Add(0, 2, 1);
  EXPECT_EQ(Attach(first)->result, LOCKSTEP_ATTACH_REJECTED);
  EXPECT_EQ(Attach(second)->result, LOCKSTEP_ATTACH_OK);
  OnLoop([&] { server_->EndRound(); });
  EXPECT_EQ(Attach(second)->result, LOCKSTEP_ATTACH_REJECTED);
}

TEST_F(AttachServerTest, MembersThatAskForOneKeyGetOneMemory) {
  Start();
  const auto a = Attach(Add(0)), b = Attach(Add(1));
  int fds[3] = {-1, -1, -1};
  ASSERT_EQ(AskForSegment(*a, 8192, 0, &fds[0]), LOCKSTEP_ATTACH_OK) << a->error.text;
  ASSERT_EQ(AskForSegment(*b, 8192, 0, &fds[1]), LOCKSTEP_ATTACH_OK) << b->error.text;
  ASSERT_EQ(AskForSegment(*b, 8192, 0, &fds[2], 10), LOCKSTEP_ATTACH_OK) << b->error.text;

  EXPECT_EQ(pwrite(fds[0], "hello", 5, 100), 5);
  char text[6] = {};
  EXPECT_EQ(pread(fds[1], text, 5, 100), 5);
  EXPECT_STREQ(text, "hello");
  EXPECT_EQ(pread(fds[2], text, 5, 100), 5);
  EXPECT_STREQ(text, "");
  for (const int fd : fds) close(fd);
}

// They were kept to the round's end: at most 1,024 groups a round, and a second one of the same
// members met the first's.
TEST_F(AttachServerTest, ASegmentIsForgottenOnceAllMembersHaveIt) {
  config.limits.segments.held = 1;
  Start();
  const auto a = Attach(Add(0)), b = Attach(Add(1));
  ino_t last = 0;
  for (int time = 0; time < 5; ++time) {
    int fds[3] = {-1, -1, -1};
    ASSERT_EQ(AskForSegment(*a, 8192, 0, &fds[0]), LOCKSTEP_ATTACH_OK) << a->error.text;
    ASSERT_EQ(AskForSegment(*a, 8192, 0, &fds[1]), LOCKSTEP_ATTACH_OK) << a->error.text;
    ASSERT_EQ(AskForSegment(*b, 8192, 0, &fds[2]), LOCKSTEP_ATTACH_OK) << b->error.text;
    struct stat info[3];
    for (int i = 0; i < 3; ++i) {
      ASSERT_EQ(fstat(fds[i], &info[i]), 0);
      close(fds[i]);
    }
    EXPECT_EQ(info[0].st_ino, info[1].st_ino);
    EXPECT_EQ(info[0].st_ino, info[2].st_ino);
    EXPECT_NE(info[0].st_ino, last);
    last = info[0].st_ino;
  }
}

TEST_F(AttachServerTest, OneOfARanksProcessesMakesGroups) {
  Start();
  const std::string cookie = Add(0);
  auto client = Attach(cookie);
  int fd = -1;
  ASSERT_EQ(AskForSegment(*client, 8192, 0, &fd), LOCKSTEP_ATTACH_OK);
  close(fd);
  const auto ask_in_helper = [&] {
    return AskInHelper(cookie, [](Client& helper) {
      int helper_fd = -1;
      return AskForSegment(helper, 8192, 0, &helper_fd);
    });
  };
  EXPECT_EQ(ask_in_helper(), 1);
  client.reset();
  EXPECT_TRUE(Eventually([&] { return ask_in_helper() == 0; }))
      << "the next program of the same rank";
}

// Its connection for cards is closed when it has met the others: the groups were then nobody's.
TEST_F(AttachServerTest, OneOfARanksProcessesMakesGroupsOverTcp) {
  Start();
  OnLoop([&] {
    server_->SetNetwork({.round = base::Round(0),
                         .key = net::Secret(std::string(32, 'k')),
                         .ports = {0, 0},
                         .host_id = "boot",
                         .listen_address = "10.0.0.1",
                         .address = ""});
  });
  const std::string cookie = Add(0);
  auto client = Attach(cookie);
  lockstep_attach_network network{};
  ASSERT_EQ(lockstep_attach_get_network(client->attach, 10'000, &network, &client->error),
            LOCKSTEP_ATTACH_OK)
      << client->error.text;
  const auto ask_in_helper = [&] {
    return AskInHelper(cookie, [&](Client& helper) {
      return lockstep_attach_get_network(helper.attach, 10'000, &network, &helper.error);
    });
  };
  EXPECT_EQ(ask_in_helper(), 1);
  client.reset();
  EXPECT_TRUE(Eventually([&] { return ask_in_helper() == 0; }))
      << "the next program of the same rank";
}

TEST_F(AttachServerTest, SegmentsThatDoNotAgreeAreRefused) {
  Start();
  const auto a = Attach(Add(0)), b = Attach(Add(1));
  int fd = -1;
  ASSERT_EQ(AskForSegment(*a, 8192, 0, &fd), LOCKSTEP_ATTACH_OK);
  close(fd);
  EXPECT_EQ(AskForSegment(*b, 4096, 0, &fd), LOCKSTEP_ATTACH_REJECTED);
  EXPECT_EQ(b->error.status, static_cast<uint32_t>(Code::kFailedPrecondition));
  EXPECT_THAT(b->error.text, HasSubstr("4096 bytes for 2 members, and before 8192"));
  EXPECT_EQ(AskForSegment(*b, 8192, 7, &fd), LOCKSTEP_ATTACH_REJECTED);
  EXPECT_THAT(b->error.text, HasSubstr("epoch 7"));
  EXPECT_EQ(fd, -1);
}

TEST_F(AttachServerTest, SegmentsAreBoundedInNumberAndBytes) {
  config.limits.segments.held = 2;
  config.limits.segments.bytes_held = 10'000;
  Start();
  const auto client = Attach(Add(0));
  int fd = -1;
  EXPECT_EQ(AskForSegment(*client, 10'001, 0, &fd, 1), LOCKSTEP_ATTACH_REJECTED);
  EXPECT_EQ(client->error.status, static_cast<uint32_t>(Code::kResourceExhausted));
  for (const uint64_t group : {1, 2}) {
    EXPECT_EQ(AskForSegment(*client, 5000, 0, &fd, group), LOCKSTEP_ATTACH_OK)
        << client->error.text;
    close(fd);
  }
  EXPECT_EQ(AskForSegment(*client, 1, 0, &fd, 3), LOCKSTEP_ATTACH_REJECTED);
}

TEST_F(AttachServerTest, ARankHasABoundedNumberOfConnections) {
  config.limits.connections_per_rank = 2;
  Start();
  const std::string cookie = Add(0);
  auto first = Attach(cookie), second = Attach(cookie);
  EXPECT_EQ(second->result, LOCKSTEP_ATTACH_OK);
  const auto third = Attach(cookie);
  EXPECT_EQ(third->error.status, static_cast<uint32_t>(Code::kResourceExhausted));
  EXPECT_THAT(third->error.text, HasSubstr("attached 2 times already, the limit"));
  EXPECT_THAT(third->error.text, HasSubstr("make fewer of these at a time"));
  first.reset();
  EXPECT_TRUE(Eventually([&] { return Attach(cookie)->result == LOCKSTEP_ATTACH_OK; }));
}

TEST_F(AttachServerTest, BeyondTheLimitConnectionsWaitForAFreePlace) {
  config.limits.connections = 1;
  Start();
  const std::string cookie = Add(0);
  auto first = Attach(cookie);
  ASSERT_EQ(first->result, LOCKSTEP_ATTACH_OK);
  auto second = std::async(std::launch::async, [&] { return Attach(cookie)->result; });
  EXPECT_EQ(second.wait_for(milliseconds(20)), std::future_status::timeout);
  first.reset();
  EXPECT_EQ(second.get(), LOCKSTEP_ATTACH_OK);
}

TEST_F(AttachServerTest, ProgressReachesTheCallback) {
  Start();
  const auto client = Attach(Add(1, 2, 5));
  EXPECT_EQ(lockstep_attach_send_progress(client->attach, 42), LOCKSTEP_ATTACH_OK);
  std::unique_lock<std::mutex> lock(mutex_);
  ASSERT_TRUE(changed_.wait_for(lock, seconds(10), [&] { return !progress_.empty(); }));
  EXPECT_EQ(progress_[0], (std::array<int64_t, 3>{1, 5, 42}));
}

TEST_F(AttachServerTest, NoticesReachTheRanksAlsoTheLateOne) {
  Start();
  const auto early = Attach(Add(0));
  const std::string late_cookie = Add(1);
  OnLoop([&] {
    server_->RequestCheckpoint();
    server_->RequestCheckpoint();
    server_->RequestStop(milliseconds(2500));
  });
  lockstep_attach_notices notices{};
  ASSERT_EQ(lockstep_attach_poll(early->attach, &notices), LOCKSTEP_ATTACH_OK);
  EXPECT_TRUE(notices.stop);
  EXPECT_EQ(notices.stop_grace_ms, 2500u);
  EXPECT_EQ(notices.checkpoint_number, 2u);

  const auto late = Attach(late_cookie);
  EXPECT_TRUE(Eventually([&] {
    return lockstep_attach_poll(late->attach, &notices) == LOCKSTEP_ATTACH_OK && notices.stop;
  }));
  EXPECT_EQ(notices.checkpoint_number, 0u);
}

TEST_F(AttachServerTest, NoticesThatAFullSocketRefusesComeLater) {
  Start();
  const auto client = Attach(Add(0));
  constexpr int kRequests = 5000;  // more than a socket's buffer holds
  OnLoop([&] {
    for (int i = 0; i < kRequests; ++i) server_->RequestCheckpoint();
    server_->RequestStop(seconds(1));
  });
  lockstep_attach_notices notices{};
  EXPECT_TRUE(Eventually([&] {
    return lockstep_attach_poll(client->attach, &notices) == LOCKSTEP_ATTACH_OK && notices.stop &&
           notices.checkpoint_number == kRequests;
  }));
}

TEST_F(AttachServerTest, NoticesDuringAQuestionAreKept) {
  Start();
  const auto client = Attach(Add(0));
  OnLoop([&] { server_->RequestStop(seconds(1)); });
  int fd = -1;
  ASSERT_EQ(AskForSegment(*client, 4096, 0, &fd), LOCKSTEP_ATTACH_OK);
  close(fd);
  lockstep_attach_notices notices{};
  ASSERT_EQ(lockstep_attach_poll(client->attach, &notices), LOCKSTEP_ATTACH_OK);
  EXPECT_TRUE(notices.stop);
}

TEST_F(AttachServerTest, TheEndOfARoundClosesItsRanks) {
  Start();
  const auto client = Attach(Add(0));
  OnLoop([&] {
    server_->EndRound();
    EXPECT_EQ(server_->RecorderFd(Rank(0)), -1);
  });
  lockstep_attach_notices notices{};
  EXPECT_EQ(lockstep_attach_poll(client->attach, &notices), LOCKSTEP_ATTACH_OK);
  int fd = -1;
  EXPECT_EQ(AskForSegment(*client, 4096, 0, &fd), LOCKSTEP_ATTACH_CLOSED);
  EXPECT_EQ(lockstep_attach_send_progress(client->attach, 1), LOCKSTEP_ATTACH_CLOSED);
}

TEST_F(AttachServerTest, WhoSaysNothingOrNonsenseIsClosed) {
  config.limits.hello_timeout = milliseconds(30);
  Start();
  const std::string cookie = Add(0);
  const auto answer_to = [&](const void* bytes, size_t length) {
    const int fd = RawConnection();
    if (length > 0) send(fd, bytes, length, MSG_NOSIGNAL);
    lockstep_attach_message message{};
    const ssize_t got = recv(fd, &message, sizeof message, 0);
    close(fd);
    return got <= 0 ? std::string("closed") : std::string(message.refused.text);
  };
  EXPECT_EQ(answer_to("", 0), "closed");
  EXPECT_THAT(answer_to("GET / HTTP/1.1\r\n\r\n", 18), HasSubstr("magic"));
  const std::string huge(100'000, 'x');
  EXPECT_THAT(answer_to(huge.data(), huge.size()), HasSubstr("magic"));
  lockstep_attach_progress progress{};
  lockstep_attach_set_header(&progress.header, LOCKSTEP_ATTACH_PROGRESS, 1, sizeof progress);
  EXPECT_THAT(answer_to(&progress, sizeof progress), HasSubstr("hello"));
  lockstep_attach_hello hello{};
  lockstep_attach_set_header(&hello.header, LOCKSTEP_ATTACH_HELLO, 0, sizeof hello);
  hello.lowest_version = LOCKSTEP_ATTACH_VERSION + 1;
  hello.highest_version = LOCKSTEP_ATTACH_VERSION + 3;
  EXPECT_THAT(answer_to(&hello, sizeof hello), HasSubstr("versions 4 to 6, this agent 1 to 3"));
  EXPECT_EQ(Attach(cookie)->result, LOCKSTEP_ATTACH_OK);
}

// It was called a protocol fault of the agent.
TEST_F(AttachServerTest, ARankWithoutAFreeDescriptorIsToldSo) {
  Start();
  const std::string cookie = Add(0);
  const pid_t child = fork();
  if (child == 0) {
    const int next = fcntl(0, F_DUPFD_CLOEXEC, 0);
    close(next);
    const rlimit limit{static_cast<rlim_t>(next) + 1, static_cast<rlim_t>(next) + 1};
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0) _exit(1);
    const auto client = Attach(cookie);  // the socket takes the last one
    if (client->result != LOCKSTEP_ATTACH_SYSTEM || client->error.system_error != EMFILE) _exit(2);
    _exit(std::strstr(client->error.text, "RLIMIT_NOFILE") != nullptr &&
                  std::strstr(client->error.text, "ulimit -n") != nullptr
              ? 0
              : 3);
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

TEST_F(AttachServerTest, TextsThatDoNotFitAreRefusedAtTheStart) {
  Start();
  config.socket_path = folder_ + "/t";
  config.host = std::string(256, 'h');
  OnLoop([&] {
    EXPECT_THAT(AttachServer::Create(config, *loop_),
                StatusIs(Code::kInvalidArgument, HasSubstr("256 bytes")));
  });
  config.socket_path = folder_ + "/s";
}

TEST_F(AttachServerTest, AForkedChildMayNotUseItsParentsConnection) {
  Start();
  const auto client = Attach(Add(0));
  const pid_t child = fork();
  if (child == 0) {
    lockstep_attach_notices notices;
    int fd = -1;
    const bool refused =
        lockstep_attach_send_progress(client->attach, 1) == LOCKSTEP_ATTACH_FORKED &&
        lockstep_attach_poll(client->attach, &notices) == LOCKSTEP_ATTACH_FORKED &&
        AskForSegment(*client, 4096, 0, &fd) == LOCKSTEP_ATTACH_FORKED;
    lockstep_attach_close(client->attach);
    _exit(refused ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  int fd = -1;
  EXPECT_EQ(AskForSegment(*client, 4096, 0, &fd), LOCKSTEP_ATTACH_OK);
  close(fd);
}

TEST_F(AttachServerTest, ARingOutlivesTheProcessThatWroteIt) {
  Start();
  const std::string cookie = Add(0);
  const pid_t child = fork();
  if (child == 0) {
    auto client = Attach(cookie);
    if (client->result != LOCKSTEP_ATTACH_OK) _exit(1);
    auto recorder = collectives::Recorder::Create(base::UniqueFd(client->ring));
    if (!recorder.ok()) _exit(2);
    (void)(*recorder)->Begin({.group = base::GroupId(1), .seq = base::OpSeq(77)});
    raise(SIGKILL);
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status)) << status;
  OnLoop([&] {
    ASSERT_OK_AND_ASSIGN(const collectives::RingContent ring,
                         collectives::ReadRingFrom(server_->RecorderFd(Rank(0))));
    ASSERT_EQ(ring.records.size(), 1u);
    EXPECT_EQ(ring.records[0].seq, 77u);
    EXPECT_EQ(ring.head.pid, child);
  });
}

TEST(AttachClientTest, EveryCallIsBoundedAndSaysWhatIsWrong) {
  lockstep_attach* client = nullptr;
  lockstep_attach_world world;
  int ring = -1;
  lockstep_attach_error error{};
  const std::string cookie(64, 'a');
  EXPECT_EQ(lockstep_attach_open("/nonexistent/socket", cookie.c_str(), 100, &client, &world, &ring,
                                 &error),
            LOCKSTEP_ATTACH_SYSTEM);
  EXPECT_THAT(error.text, HasSubstr("/nonexistent/socket"));
  EXPECT_EQ(lockstep_attach_open("/tmp/x", "short", 100, &client, &world, &ring, &error),
            LOCKSTEP_ATTACH_USAGE);
  EXPECT_EQ(lockstep_attach_open(std::string(200, 'p').c_str(), cookie.c_str(), 100, &client,
                                 &world, &ring, &error),
            LOCKSTEP_ATTACH_USAGE);

  // An agent that is stopped: its kernel accepts, and nobody answers.
  char folder[] = "/tmp/lsattachXXXXXX";
  ASSERT_NE(mkdtemp(folder), nullptr);
  const std::string path = std::string(folder) + "/s";
  const base::UniqueFd listener(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strcpy(address.sun_path, path.c_str());
  ASSERT_EQ(bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(listen(listener.get(), 1), 0);
  EXPECT_EQ(lockstep_attach_open(path.c_str(), cookie.c_str(), 50, &client, &world, &ring, &error),
            LOCKSTEP_ATTACH_TIMEOUT);
  EXPECT_THAT(error.text, HasSubstr("did not answer in time"));
  unlink(path.c_str());
  rmdir(folder);
}

}  // namespace
}  // namespace lockstep::launcher
