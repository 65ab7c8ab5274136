// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/diagnosis/stacks/python_stacks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "launcher/diagnosis/stacks/stack_text.h"
#include "runtime/base/testing/status_matchers.h"

namespace lockstep::launcher {
namespace {

using base::Code;
using base::testing::StatusIs;
using ::testing::_;

TEST(PythonStacksTest, TheMainThreadIsTheFirst) {
  // Cut from what py-spy 0.4.3 printed.
  const auto threads = ParsePySpy(R"([
    {"pid": 17, "thread_id": 1397, "thread_name": "loader", "os_thread_id": 18, "active": false,
     "owns_gil": false, "process_info": null,
     "frames": [{"name": "wait_here", "filename": "/t/p.py", "module": null,
                 "short_filename": "p.py", "line": 2, "locals": null, "is_entry": true}]},
    {"pid": 17, "thread_id": 1398, "thread_name": "MainThread", "os_thread_id": 17,
     "frames": [{"name": "train", "filename": "/t/p.py", "line": 5},
                {"name": "<module>", "filename": "/t/p.py", "line": 6}]}])");

  ASSERT_OK(threads);
  ASSERT_EQ(threads->size(), 2u);
  EXPECT_EQ((*threads)[0].tid(), 17);
  ASSERT_EQ((*threads)[0].frames_size(), 2);
  EXPECT_EQ(FrameText((*threads)[0].frames(0)), "train at p.py:5");
  EXPECT_EQ(FrameText((*threads)[0].frames(1)), "<module> at p.py:6");
  EXPECT_EQ((*threads)[1].name(), "loader");
}

TEST(PythonStacksTest, WhatIsNoListIsRefused) {
  for (const char* const text : {"", "{}", "[", "7", "Error: Permission Denied"})
    EXPECT_THAT(ParsePySpy(text), StatusIs(Code::kDataLoss, _)) << text;
}

TEST(PythonStacksTest, StrangeMembersAreNoReasonToFail) {
  const auto threads = ParsePySpy(
      R"([7, {"frames": {"a": 1}}, )"
      R"({"thread_name": "\u001b[2J", "frames": [null, {"line": 1e99}]}])");

  ASSERT_OK(threads);
  ASSERT_EQ(threads->size(), 3u);
  EXPECT_EQ((*threads)[2].name(), "?[2J");
  EXPECT_EQ((*threads)[2].frames(1).line(), 0);
}

TEST(PythonStacksTest, ManyThreadsAndDeepOnesAreCut) {
  std::string frames = "{}";
  for (int i = 0; i < 100; ++i) frames += ",{}";
  std::string json = "[{\"frames\":[" + frames + "]}";
  for (int i = 0; i < 100; ++i) json += ",{}";
  const auto threads = ParsePySpy(json + "]");

  ASSERT_OK(threads);
  EXPECT_EQ(threads->size(), 64u);
  EXPECT_EQ(threads->front().frames_size(), 64);
  EXPECT_EQ(threads->front().problem(), "further frames are left out");
}

}  // namespace
}  // namespace lockstep::launcher
