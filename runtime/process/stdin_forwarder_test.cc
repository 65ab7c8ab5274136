// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/process/stdin_forwarder.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <thread>

#include "runtime/base/clock.h"
#include "runtime/base/testing/status_matchers.h"
#include "runtime/base/unique_fd.h"
#include "runtime/event/epoll_loop.h"
#include "runtime/event/testing/run_until.h"

namespace lockstep::process {
namespace {

constexpr base::Duration kTimeout = std::chrono::seconds(30);

class StdinForwarderTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ::signal(SIGPIPE, SIG_IGN);
    ASSERT_OK_AND_ASSIGN(loop_, event::EpollLoop::Create(clock_));
    int ends[2];
    ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    source_.reset(ends[0]);
    keyboard_.reset(ends[1]);
  }

  void Make(int source_fd) {
    ASSERT_OK_AND_ASSIGN(forwarder_, StdinForwarder::Create(source_fd, *loop_));
  }
  bool RunUntil(const std::function<bool()>& done) {
    return event::testing::RunUntil(*loop_, done, kTimeout);
  }
  void Type(std::string_view text) {
    ASSERT_EQ(::write(keyboard_.get(), text.data(), text.size()),
              static_cast<ssize_t>(text.size()));
  }
  static std::string ReadOnce(const base::UniqueFd& fd) {
    char buffer[256];
    const ssize_t count = ::read(fd.get(), buffer, sizeof(buffer));
    return std::string(buffer, count > 0 ? static_cast<size_t>(count) : 0);
  }

  base::RealClock clock_;
  std::unique_ptr<event::EpollLoop> loop_;
  base::UniqueFd source_;
  base::UniqueFd keyboard_;
  std::unique_ptr<StdinForwarder> forwarder_;
};

TEST_F(StdinForwarderTest, TypedTextReachesTheRankAndItsEndToo) {
  Make(source_.get());
  ASSERT_OK_AND_ASSIGN(const base::UniqueFd child, forwarder_->Open());

  Type("hello\n");
  ASSERT_TRUE(RunUntil([&] { return forwarder_->bytes_forwarded_total() == 6; }));
  EXPECT_EQ(ReadOnce(child), "hello\n");
  keyboard_.reset();
  std::thread run([&] { EXPECT_EQ(ReadOnce(child), ""); });
  RunUntil([&, polls = 0]() mutable { return ++polls > 20; });
  run.join();
}

TEST_F(StdinForwarderTest, WhilePausedItLeavesWhatIsTypedToOthers) {
  Make(source_.get());
  forwarder_->SetPaused(true);
  ASSERT_OK_AND_ASSIGN(const base::UniqueFd child, forwarder_->Open());
  Type("for the shell\n");
  RunUntil([polls = 0]() mutable { return ++polls > 20; });
  EXPECT_EQ(forwarder_->bytes_forwarded_total(), 0u);
  EXPECT_EQ(ReadOnce(source_), "for the shell\n");

  forwarder_->SetPaused(false);
  Type("for the rank\n");
  ASSERT_TRUE(RunUntil([&] { return forwarder_->bytes_forwarded_total() == 13; }));
  EXPECT_EQ(ReadOnce(child), "for the rank\n");

  forwarder_->SetPaused(true);
  Type("again for the shell\n");
  RunUntil([polls = 0]() mutable { return ++polls > 20; });
  EXPECT_EQ(forwarder_->bytes_forwarded_total(), 13u);
}

TEST_F(StdinForwarderTest, RankThatDoesNotReadStopsTheReading) {
  Make(source_.get());
  ASSERT_OK_AND_ASSIGN(const base::UniqueFd child, forwarder_->Open());
  constexpr size_t kBytes = size_t{2} << 20;
  std::thread keyboard([&] {
    const std::string chunk(4096, 'k');
    for (size_t typed = 0; typed < kBytes; typed += chunk.size()) Type(chunk);
    keyboard_.reset();
  });

  ASSERT_TRUE(RunUntil([&] { return forwarder_->bytes_forwarded_total() >= 65536; }));
  event::testing::RunUntil(*loop_, [] { return false; }, std::chrono::milliseconds(20));
  EXPECT_LE(forwarder_->bytes_forwarded_total(), size_t{128} << 10);
  size_t got = 0;
  std::thread rank([&] {
    char buffer[65536];
    for (ssize_t count; (count = ::read(child.get(), buffer, sizeof(buffer))) > 0;)
      got += static_cast<size_t>(count);
  });
  ASSERT_TRUE(RunUntil([&] { return forwarder_->bytes_forwarded_total() == kBytes; }));
  event::testing::RunUntil(*loop_, [] { return false; }, std::chrono::milliseconds(5));
  keyboard.join();
  forwarder_->Close();
  rank.join();

  EXPECT_EQ(got, kBytes);
}

TEST_F(StdinForwarderTest, RestartedRankGoesOnWhereTheLastOneStopped) {
  Make(source_.get());
  ASSERT_OK_AND_ASSIGN(base::UniqueFd first, forwarder_->Open());
  Type("one");
  ASSERT_TRUE(RunUntil([&] { return forwarder_->bytes_forwarded_total() == 3; }));
  first.reset();
  Type("two");  // meets a closed pipe
  event::testing::RunUntil(*loop_, [] { return false; }, std::chrono::milliseconds(20));

  ASSERT_OK_AND_ASSIGN(const base::UniqueFd second, forwarder_->Open());
  ASSERT_TRUE(RunUntil([&] { return forwarder_->bytes_forwarded_total() == 6; }));

  EXPECT_EQ(ReadOnce(second), "two");
}

TEST_F(StdinForwarderTest, FileIsHandedToTheRankItself) {
  const std::string path = std::string(::getenv("TEST_TMPDIR")) + "/input";
  const base::UniqueFd file(::open(path.c_str(), O_CREAT | O_RDWR | O_TRUNC | O_CLOEXEC, 0600));
  ASSERT_EQ(::write(file.get(), "whole file", 10), 10);
  ASSERT_EQ(::lseek(file.get(), 6, SEEK_SET), 6);
  Make(file.get());

  ASSERT_OK_AND_ASSIGN(const base::UniqueFd child, forwarder_->Open());

  EXPECT_EQ(ReadOnce(child), "file");
}

TEST_F(StdinForwarderTest, SocketWhichCannotBeOpenedAnewIsReadWithoutBlocking) {
  int ends[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  const base::UniqueFd source(ends[0]), peer(ends[1]);
  Make(source.get());
  ASSERT_OK_AND_ASSIGN(const base::UniqueFd child, forwarder_->Open());

  ASSERT_EQ(::write(peer.get(), "hi", 2), 2);
  ASSERT_TRUE(RunUntil([&] { return forwarder_->bytes_forwarded_total() == 2; }));

  EXPECT_EQ(ReadOnce(child), "hi");
  forwarder_.reset();  // before its source
}

TEST_F(StdinForwarderTest, FlagsOfTheSharedSourceStayAsTheyWere) {
  const int before = ::fcntl(source_.get(), F_GETFL);
  Make(source_.get());
  ASSERT_OK(forwarder_->Open());

  EXPECT_EQ(::fcntl(source_.get(), F_GETFL), before);
}

TEST_F(StdinForwarderTest, ClosedSourceIsAnError) {
  EXPECT_THAT(StdinForwarder::Create(-1, *loop_), ::testing::Not(base::testing::IsOk()));
}

}  // namespace
}  // namespace lockstep::process
