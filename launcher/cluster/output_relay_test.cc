// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/cluster/output_relay.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "runtime/event/epoll_loop.h"

namespace lockstep::launcher {
namespace {

using namespace std::chrono_literals;

class OutputRelayTest : public ::testing::Test {
 protected:
  void SetUp() override {
    loop_ = *event::EpollLoop::Create(clock_);
    relay_.emplace(
        [this](const proto::Output& output) {
          out_ += output.standard_output();
          err_ += output.standard_error();
          dropped_ += output.dropped_lines();
          ++messages_;
          largest_ = std::max(largest_, output.standard_output().size());
        },
        *loop_);
  }
  void Turn() {
    const event::Registration quit = loop_->After(10ms, [this] { loop_->Quit(); });
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
  std::optional<OutputRelay> relay_;
  std::string out_, err_;
  uint64_t dropped_ = 0;
  int messages_ = 0;
  size_t largest_ = 0;
};

TEST_F(OutputRelayTest, NothingGoesWithoutCredit) {
  relay_->Take(false, "[0] a\n");
  Turn();
  EXPECT_EQ(messages_, 0);

  relay_->AddCredit(1000);

  EXPECT_EQ(out_, "[0] a\n");
}

TEST_F(OutputRelayTest, WhatComesInOneTurnGoesInOneMessage) {
  relay_->AddCredit(1000);

  relay_->Take(false, "[0] a\n");
  relay_->Take(true, "[1] oh\n");
  relay_->Take(false, "[2] b\n[2] c\n");
  EXPECT_EQ(messages_, 0) << "not within the call";
  Turn();

  EXPECT_EQ(messages_, 1);
  EXPECT_EQ(out_, "[0] a\n[2] b\n[2] c\n");
  EXPECT_EQ(err_, "[1] oh\n");
}

TEST_F(OutputRelayTest, CreditBoundsAMessageAtALine) {
  std::string lines;
  for (int i = 0; i < 100; ++i) lines += "[0] 123456\n";  // 11 bytes each
  relay_->Take(false, lines);

  relay_->AddCredit(33);
  EXPECT_EQ(out_, lines.substr(0, 33));
  relay_->AddCredit(25);
  EXPECT_EQ(out_, lines.substr(0, 66)) << "a line may overdraw the last 3 bytes";
}

TEST_F(OutputRelayTest, ALineThatIsLongerThanTheCreditGoesWhole) {
  const std::string line = "[0] " + std::string(5000, 'x') + "\n";
  relay_->Take(false, line + line);

  relay_->AddCredit(10);

  EXPECT_EQ(out_, line);
  relay_->AddCredit(10);
  EXPECT_EQ(out_, line) << "it was more than its credit";
}

TEST_F(OutputRelayTest, WhatCannotBeHeldIsCountedAndWholeLinesStayInTheirOrder) {
  constexpr size_t kLines = 6 * 1024;  // of 1 KiB
  const auto line = [](size_t number) {
    std::string text = std::to_string(number);
    return text.append(1023 - text.size(), 'x') + "\n";
  };
  std::string lines;
  for (size_t i = 0; i < kLines; ++i) lines += line(i);
  relay_->Take(false, std::string_view(lines).substr(0, size_t{5} << 20));
  EXPECT_FALSE(relay_->HasRoom(false));
  EXPECT_TRUE(relay_->HasRoom(true));
  relay_->CountDropped(1024);

  relay_->AddCredit(uint64_t{1} << 30);
  EXPECT_TRUE(relay_->HasRoom(false));
  Finish(1s);

  EXPECT_EQ(out_.size() / 1024 + dropped_, kLines);
  EXPECT_EQ(out_, lines.substr(0, out_.size()));
  EXPECT_GE(out_.size(), OutputRelay::kHeldBytes);
  EXPECT_LT(out_.size(), OutputRelay::kHeldBytes + OutputRelay::kMessageBytes);
  EXPECT_LE(largest_, OutputRelay::kMessageBytes);
}

TEST_F(OutputRelayTest, LinesOfAllLengthsArriveAsTheyCameHoweverCreditComes) {
  std::string lines;
  for (size_t i = 0; i < 3000; ++i) {
    lines += std::string(i * 7919 % 997, static_cast<char>('a' + i % 26)) + "\n";
    if (i % 500 == 0) lines += std::string(300'000, 'L') + "\n";  // more than a message should be
  }
  for (std::string_view rest = lines; !rest.empty();) {
    const size_t size = rest.find('\n', std::min<size_t>(rest.size() - 1, 40'000)) + 1;
    relay_->Take(false, rest.substr(0, size));
    rest.remove_prefix(size);
    relay_->AddCredit(30'011);
  }
  relay_->AddCredit(uint64_t{1} << 30);

  Finish(1s);

  EXPECT_EQ(dropped_, 0U);
  EXPECT_TRUE(out_ == lines);
}

TEST_F(OutputRelayTest, ACoordinatorThatGivesNoCreditDoesNotKeepTheEnd) {
  relay_->Take(false, "[0] a\n[0] b\n");

  Finish(50ms);

  EXPECT_EQ(out_, "");
  EXPECT_EQ(dropped_, 2U);
}

TEST_F(OutputRelayTest, OfABlockThatHasGoneInPartTheRestAloneIsDroppedAtTheEnd) {
  relay_->Take(false, "[0] a\n[0] b\n[0] c\n");
  relay_->AddCredit(6);

  Finish(50ms);

  EXPECT_EQ(out_, "[0] a\n");
  EXPECT_EQ(dropped_, 2U);
}

}  // namespace
}  // namespace lockstep::launcher
