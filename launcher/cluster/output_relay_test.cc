// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/cluster/output_relay.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <string>

#include "runtime/event/epoll_loop.h"

namespace lockstep::launcher {
namespace {

using namespace std::chrono_literals;

class OutputRelayTest : public ::testing::Test {
 protected:
  void SetUp() override {
    loop_ = *event::EpollLoop::Create(clock_);
    relay_ = *OutputRelay::Create(
        [this](const proto::Output& output) {
          out_ += output.standard_output();
          err_ += output.standard_error();
          dropped_ += output.dropped_lines();
          ++messages_;
          largest_ = std::max(largest_, output.standard_output().size());
        },
        *loop_);
  }
  void Write(int fd, const std::string& text) {
    ASSERT_EQ(::write(fd, text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }
  void Turn(base::Duration time = 10ms) {
    const event::Registration quit = loop_->After(time, [this] { loop_->Quit(); });
    loop_->Run();
  }
  void Finish(base::Duration timeout) {
    bool finished = false;
    relay_->Finish(timeout, [&] {
      finished = true;
      loop_->Quit();
    });
    const event::Registration late = loop_->After(10s, [this] { loop_->Quit(); });
    loop_->Run();
    EXPECT_TRUE(finished);
  }

  base::RealClock clock_;
  std::unique_ptr<event::EpollLoop> loop_;
  std::unique_ptr<OutputRelay> relay_;
  std::string out_, err_;
  uint64_t dropped_ = 0;
  int messages_ = 0;
  size_t largest_ = 0;
};

TEST_F(OutputRelayTest, NothingGoesWithoutCredit) {
  Write(relay_->stdout_fd(), "[0] a\n");
  Turn();
  EXPECT_EQ(messages_, 0);

  relay_->AddCredit(1000);

  EXPECT_EQ(out_, "[0] a\n");
}

TEST_F(OutputRelayTest, WholeLinesAloneGoUntilTheEnd) {
  relay_->AddCredit(1000);
  Write(relay_->stdout_fd(), "[0] a\n[0] b");
  Write(relay_->stderr_fd(), "[1] oh\n");
  Turn();
  EXPECT_EQ(out_, "[0] a\n");
  EXPECT_EQ(err_, "[1] oh\n");

  Finish(1s);

  EXPECT_EQ(out_, "[0] a\n[0] b");
  EXPECT_EQ(dropped_, 0U);
}

TEST_F(OutputRelayTest, CreditBoundsAMessageAtALine) {
  std::string lines;
  for (int i = 0; i < 100; ++i) lines += "[0] 123456\n";  // 11 bytes each
  Write(relay_->stdout_fd(), lines);
  Turn();

  relay_->AddCredit(33);

  EXPECT_EQ(out_, lines.substr(0, 33));
}

TEST_F(OutputRelayTest, ALineThatIsLongerThanTheCreditGoesWhole) {
  const std::string line = "[0] " + std::string(5000, 'x') + "\n";
  Write(relay_->stdout_fd(), line + line);
  Turn();

  relay_->AddCredit(10);

  EXPECT_EQ(out_, line);
  relay_->AddCredit(10);
  EXPECT_EQ(out_, line) << "it was more than its credit";
}

// Seen on a console that was too slow: 4 of 42 million lines were torn, where credit ran out.
TEST_F(OutputRelayTest, ALineThatHasNoEndYetWaitsForItHoweverLittleCreditThereIs) {
  Write(relay_->stdout_fd(), "[0] it begins and");
  Turn();
  relay_->AddCredit(5);
  EXPECT_EQ(out_, "");

  Write(relay_->stdout_fd(), " ends\n");
  Turn();

  EXPECT_EQ(out_, "[0] it begins and ends\n");
}

TEST_F(OutputRelayTest, WhatCannotBeHeldIsCountedAndWholeLinesStay) {
  const std::string line = std::string(1023, 'x') + "\n";
  const size_t lines = 6 * 1024;  // 6 MiB
  for (size_t i = 0; i < lines; i += 256) {
    std::string block;
    for (int j = 0; j < 256; ++j) block += line;
    Write(relay_->stdout_fd(), block);
    Turn(2ms);
  }

  relay_->AddCredit(uint64_t{1} << 30);
  Finish(1s);

  EXPECT_EQ(out_.size() / line.size() + dropped_, lines);
  EXPECT_EQ(out_.size() % line.size(), 0U);
  EXPECT_GT(dropped_, 1000U);
  EXPECT_LE(largest_, OutputRelay::kMessageBytes);
}

TEST_F(OutputRelayTest, ACoordinatorThatGivesNoCreditDoesNotKeepTheEnd) {
  Write(relay_->stdout_fd(), "[0] a\n[0] b\n");

  Finish(50ms);

  EXPECT_EQ(out_, "");
  EXPECT_EQ(dropped_, 2U);
}

}  // namespace
}  // namespace lockstep::launcher
