// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/agent/side_writer.h"

#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <memory>
#include <thread>
#include <utility>

#include "runtime/base/testing/status_matchers.h"
#include "runtime/event/epoll_loop.h"

namespace lockstep::launcher {
namespace {

using namespace std::chrono_literals;
using base::testing::StatusIs;

class SideWriterTest : public ::testing::Test {
 protected:
  const base::RealClock clock_;
  const std::unique_ptr<event::EpollLoop> loop_ = *event::EpollLoop::Create(clock_);
};

TEST_F(SideWriterTest, TheLoopDoesNotWaitAndAnotherWritingIsRefusedMeanwhile) {
  const auto hang = std::make_shared<std::promise<void>>();
  std::shared_future<void> released = hang->get_future().share();
  SideWriter writer(*loop_, [](const base::Status&) { ADD_FAILURE() << "nothing has failed"; });
  const auto thread = std::make_shared<std::thread::id>();

  ASSERT_OK(writer.Start([released, thread] {
    released.wait();
    *thread = std::this_thread::get_id();
    return base::OkStatus();
  }));

  EXPECT_TRUE(writer.IsBusy());
  EXPECT_FALSE(writer.Await(1ms));
  EXPECT_THAT(writer.Start([] { return base::OkStatus(); }),
              StatusIs(base::Code::kDeadlineExceeded));
  hang->set_value();
  ASSERT_TRUE(writer.Await(20s));
  EXPECT_NE(*thread, std::this_thread::get_id());
  EXPECT_OK(writer.Start([] { return base::OkStatus(); }));
}

TEST_F(SideWriterTest, WhatFailsIsToldOnTheLoop) {
  base::Status told;
  SideWriter writer(*loop_, [&](const base::Status& why) {
    told = why;
    loop_->Quit();
  });

  ASSERT_OK(writer.Start([] { return base::ResourceExhaustedError("the disk is full"); }));

  loop_->Run();
  EXPECT_THAT(told, StatusIs(base::Code::kResourceExhausted));
}

TEST_F(SideWriterTest, ItsEndAwaitsTheWritingAndNobodyIsToldAfterwards) {
  const auto is_written = std::make_shared<bool>(false);
  {
    SideWriter writer(*loop_, [](const base::Status&) { ADD_FAILURE() << "nobody is there"; });
    ASSERT_OK(writer.Start([is_written] {
      std::this_thread::sleep_for(20ms);  // tidy:allow sleep: a disk that is slow
      *is_written = true;
      return base::ResourceExhaustedError("the disk is full");
    }));
  }

  EXPECT_TRUE(*is_written);
  const auto later = loop_->After(20ms, [&] { loop_->Quit(); });
  loop_->Run();
}

}  // namespace
}  // namespace lockstep::launcher
