// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/front/shared_text.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <utility>

#include "runtime/base/testing/status_matchers.h"

namespace lockstep::launcher {
namespace {

SharedText Make() {
  auto text = SharedText::Create();
  EXPECT_OK(text.status());
  return *std::move(text);
}

TEST(SharedTextTest, WhatAChildHasWrittenOutlivesItsKill) {
  SharedText text = Make();
  EXPECT_EQ(text.Get(), "");

  const pid_t child = ::fork();
  if (child == 0) {
    text.Set("mnist-x1y2");
    ::kill(::getpid(), SIGKILL);
  }
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);

  EXPECT_EQ(text.Get(), "mnist-x1y2");
}

TEST(SharedTextTest, TheFirstTextStays) {
  SharedText text = Make();

  text.Set("first");
  text.Set("second");

  EXPECT_EQ(text.Get(), "first");
}

TEST(SharedTextTest, WhatIsTooLongIsCut) {
  SharedText text = Make();

  text.Set(std::string(SharedText::kBytesMax + 1, 'x'));

  EXPECT_EQ(text.Get(), std::string(SharedText::kBytesMax, 'x'));
}

}  // namespace
}  // namespace lockstep::launcher
