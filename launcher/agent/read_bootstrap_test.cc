// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/agent/read_bootstrap.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <string>
#include <thread>

#include "runtime/base/testing/status_matchers.h"
#include "runtime/base/unique_fd.h"
#include "runtime/net/frame.h"

namespace lockstep::launcher {
namespace {

using namespace std::chrono_literals;
using base::testing::IsOk;
using base::testing::StatusIs;
using ::testing::HasSubstr;

class ReadBootstrapTest : public ::testing::Test {
 protected:
  void SetUp() override {
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    read_end_.reset(ends[0]);
    write_end_.reset(ends[1]);
  }
  void Write(const std::string& bytes) {
    ASSERT_EQ(::write(write_end_.get(), bytes.data(), bytes.size()),
              static_cast<ssize_t>(bytes.size()));
  }
  base::Result<proto::Bootstrap> Read(base::Duration timeout = 20s) {
    return ReadBootstrap(read_end_.get(), timeout, clock_);
  }

  base::RealClock clock_;
  base::UniqueFd read_end_;
  base::UniqueFd write_end_;
};

std::string FrameOf(const proto::Bootstrap& bootstrap) {
  std::string frame;
  net::AppendFrameHeader(bootstrap.ByteSizeLong(), &frame);
  return frame + bootstrap.SerializeAsString();
}

proto::Bootstrap Large() {
  proto::Bootstrap bootstrap;
  bootstrap.set_job_id("mnist-x1y2z3");
  bootstrap.set_certificate(std::string(10'000, 'c'));
  return bootstrap;
}

TEST_F(ReadBootstrapTest, OneThatComesInPiecesIsReadWhole) {
  const std::string frame = FrameOf(Large());
  Write(frame.substr(0, 7));
  std::thread rest([&] { Write(frame.substr(7) + "what follows is dropped"); });

  const auto bootstrap = Read();
  rest.join();

  ASSERT_THAT(bootstrap, IsOk());
  EXPECT_EQ(bootstrap->SerializeAsString(), Large().SerializeAsString());
}

TEST_F(ReadBootstrapTest, AnInputThatEndsBeforeIsToldWhatItIsFor) {
  Write(FrameOf(Large()).substr(0, 5000));
  write_end_.reset();

  EXPECT_THAT(Read(), StatusIs(base::Code::kInvalidArgument, HasSubstr("`lockstep run`")));
}

TEST_F(ReadBootstrapTest, AnInputThatSaysNothingIsWaitedForSoLong) {
  EXPECT_THAT(Read(10ms), StatusIs(base::Code::kDeadlineExceeded, HasSubstr("no bootstrap came")));
}

TEST_F(ReadBootstrapTest, OtherBytesAreRefused) {
  Write(std::string("\x02\0\0\0\xff\xff", 6));
  EXPECT_THAT(Read(), StatusIs(base::Code::kInvalidArgument, HasSubstr("no bootstrap")));

  Write("#!/bin/sh\n");
  EXPECT_THAT(Read(), StatusIs(base::Code::kResourceExhausted, HasSubstr("the bootstrap")));
}

}  // namespace
}  // namespace lockstep::launcher
