// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/verbs/live_screen.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "runtime/base/testing/status_matchers.h"

namespace lockstep::launcher {
namespace {

using namespace std::chrono_literals;
using base::Code;
using base::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

std::vector<ScreenEvent> Keys(std::string pending) {
  std::vector<ScreenEvent> keys;
  while (true) {
    keys.push_back(TakeKey(pending));
    if (keys.back() == ScreenEvent::kNothing) return keys;
  }
}

TEST(TakeKeyTest, KnowsKeysAndLeavesOutWhatItDoesNotKnow) {
  EXPECT_THAT(Keys("jx\x1b[A\x1b[6~\x1b[1;5C\x1bOBq"),
              ElementsAre(ScreenEvent::kDown, ScreenEvent::kUp, ScreenEvent::kPageDown,
                          ScreenEvent::kDown, ScreenEvent::kQuit, ScreenEvent::kNothing));
}

TEST(TakeKeyTest, ASequenceMayComeInPieces) {
  std::string pending = "\x1b";
  EXPECT_EQ(TakeKey(pending), ScreenEvent::kNothing);
  pending += "[5";
  EXPECT_EQ(TakeKey(pending), ScreenEvent::kNothing);
  pending += "~";
  EXPECT_EQ(TakeKey(pending), ScreenEvent::kPageUp);
  EXPECT_EQ(pending, "");
}

TEST(TakeKeyTest, ASequenceWithoutAnEndIsGivenUp) {
  std::string pending = "\x1b[" + std::string(1000, '1') + "q";
  while (TakeKey(pending) != ScreenEvent::kNothing) {
  }
  EXPECT_LT(pending.size(), 64u);
}

/// A terminal of the test's own; what comes to its screen is read by Shown().
class LiveScreenTest : public ::testing::Test {
 protected:
  LiveScreenTest() {
    user_.reset(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK));
    EXPECT_TRUE(user_.valid());
    EXPECT_EQ(::grantpt(user_.get()), 0);
    EXPECT_EQ(::unlockpt(user_.get()), 0);
    char name[128];
    EXPECT_EQ(::ptsname_r(user_.get(), name, sizeof name), 0);
    terminal_.reset(::open(name, O_RDWR | O_NOCTTY | O_CLOEXEC));
    Resize(30, 100);
    EXPECT_EQ(::tcgetattr(terminal_.get(), &before_), 0);
  }
  void Resize(unsigned short rows, unsigned short columns) {
    const winsize size{.ws_row = rows, .ws_col = columns};
    EXPECT_EQ(::ioctl(user_.get(), TIOCSWINSZ, &size), 0);
  }
  std::unique_ptr<LiveScreen> Open() {
    auto screen = LiveScreen::Open(terminal_.get(), clock_);
    EXPECT_TRUE(screen.ok()) << screen.status();
    return *std::move(screen);
  }
  std::string Shown() {
    std::string text;
    char bytes[4096];
    for (ssize_t count = 0; (count = ::read(user_.get(), bytes, sizeof bytes)) > 0;)
      text.append(bytes, static_cast<size_t>(count));
    return text;
  }
  void Type(const std::string& keys) {
    EXPECT_EQ(::write(user_.get(), keys.data(), keys.size()), static_cast<ssize_t>(keys.size()));
  }
  ScreenEvent Await(LiveScreen& screen, base::Duration at_most = 10s) {
    return screen.Await(clock_.Now() + at_most);
  }
  void ExpectAsBefore() {
    termios now{};
    EXPECT_EQ(::tcgetattr(terminal_.get(), &now), 0);
    EXPECT_EQ(now.c_lflag, before_.c_lflag);
    EXPECT_EQ(::fcntl(terminal_.get(), F_GETFL) & O_NONBLOCK, 0) << "the shell's is not ours";
  }

  const base::RealClock clock_;
  base::UniqueFd user_;
  base::UniqueFd terminal_;
  termios before_{};
};

TEST_F(LiveScreenTest, TakesTheScreenAndGivesItBack) {
  auto screen = Open();
  EXPECT_THAT(Shown(), StartsWith("\x1b[?1049h\x1b[?25l"));
  termios now{};
  EXPECT_EQ(::tcgetattr(terminal_.get(), &now), 0);
  EXPECT_EQ(now.c_lflag & static_cast<tcflag_t>(ECHO | ICANON), 0u);
  EXPECT_NE(now.c_lflag & static_cast<tcflag_t>(ISIG), 0u);

  screen->Draw({{"first", TopStyle::kAlert}, {"second", TopStyle::kPlain}});
  EXPECT_EQ(Shown(), "\x1b[H\x1b[1;31mfirst\x1b[0m\x1b[K\r\r\nsecond\x1b[K\x1b[J");

  screen.reset();
  EXPECT_THAT(Shown(), EndsWith("\x1b[?25h\x1b[?1049l"));
  ExpectAsBefore();
}

TEST_F(LiveScreenTest, KeysSignalsAndTheTimeAreEvents) {
  auto screen = Open();
  Type("j\x1b[5~");
  EXPECT_EQ(Await(*screen), ScreenEvent::kDown);
  EXPECT_EQ(Await(*screen), ScreenEvent::kPageUp);
  EXPECT_EQ(Await(*screen, 1ms), ScreenEvent::kNothing);
  Resize(50, 120);
  ::raise(SIGWINCH);  // as the kernel does for the foreground
  EXPECT_EQ(Await(*screen), ScreenEvent::kResize);
  EXPECT_EQ(screen->size().rows, 50u);
  EXPECT_EQ(screen->size().columns, 120u);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) {
    ::raise(signal);
    EXPECT_EQ(Await(*screen), ScreenEvent::kQuit);
  }
  Type("q");
  EXPECT_EQ(Await(*screen), ScreenEvent::kQuit);
  screen.reset();
  sigset_t blocked;
  ::sigprocmask(SIG_SETMASK, nullptr, &blocked);
  EXPECT_FALSE(::sigismember(&blocked, SIGTERM));
}

/// Another process stops as a shell's job does, and goes on where the shell has set its own modes.
TEST_F(LiveScreenTest, WhatStopsItGetsTheTerminalAsItWasAndItsModesAreNotTakenForThat) {
  const pid_t pid = ::fork();
  if (pid == 0) {
    auto screen = Open();
    ::raise(SIGTSTP);
    const bool is_back = Await(*screen) == ScreenEvent::kResize;
    screen.reset();
    ::_exit(is_back && !::testing::Test::HasFailure() ? 0 : 1);
  }
  ASSERT_GT(pid, 0);
  int state = 0;
  ASSERT_EQ(::waitpid(pid, &state, WUNTRACED), pid);
  ASSERT_TRUE(WIFSTOPPED(state));
  EXPECT_THAT(Shown(), EndsWith("\x1b[?25h\x1b[?1049l"));
  ExpectAsBefore();
  termios shells = before_;
  shells.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
  EXPECT_EQ(::tcsetattr(terminal_.get(), TCSANOW, &shells), 0);

  ::kill(pid, SIGCONT);

  ASSERT_EQ(::waitpid(pid, &state, 0), pid);
  EXPECT_EQ(WEXITSTATUS(state), 0);
  EXPECT_THAT(Shown(), StartsWith("\x1b[?1049h\x1b[?25l")) << "it is drawn anew";
  ExpectAsBefore();
}

TEST_F(LiveScreenTest, ATerminalThatIsGoneEndsIt) {
  auto screen = Open();
  user_.reset();
  EXPECT_EQ(Await(*screen), ScreenEvent::kQuit);
}

TEST_F(LiveScreenTest, WhoDoesNotReadItsTerminalKeepsNobodyFromEndingIt) {
  auto screen = Open();
  ::raise(SIGTERM);
  screen->Draw({{std::string(1 << 20, 'x'), TopStyle::kPlain}});
  EXPECT_EQ(Await(*screen), ScreenEvent::kQuit);
  screen.reset();
  ExpectAsBefore();
}

TEST_F(LiveScreenTest, AFileIsNoTerminal) {
  const base::UniqueFd file(::open("/dev/null", O_RDWR | O_CLOEXEC));
  EXPECT_THAT(LiveScreen::Open(file.get(), clock_),
              StatusIs(Code::kFailedPrecondition, HasSubstr("no terminal")));
}

}  // namespace
}  // namespace lockstep::launcher
