// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/proto/nearest_name.h"

#include <gtest/gtest.h>

#include <string>

namespace lockstep::proto {
namespace {

const std::vector<std::string_view> kNames = {"command", "args", "workingDirectory",
                                              "max-restarts"};

TEST(NearestNameTest, FindsAMistypedName) {
  EXPECT_EQ(NearestName("comand", kNames), "command");
  EXPECT_EQ(NearestName("agrs", kNames), "args");
  EXPECT_EQ(NearestName("nev", {"env"}), "env") << "two swapped letters are one mistake";
  EXPECT_EQ(NearestName("workingdirectory", kNames), "workingDirectory");
  EXPECT_EQ(NearestName("max_restart", kNames), "max-restarts");
}

TEST(NearestNameTest, SaysNothingRatherThanNonsense) {
  EXPECT_EQ(NearestName("zzz", kNames), std::nullopt);
  EXPECT_EQ(NearestName("", kNames), std::nullopt);
  EXPECT_EQ(NearestName(std::string(65, 'a'), kNames), std::nullopt);
  EXPECT_EQ(NearestName("args", {}), std::nullopt);
}

TEST(NearestNameTest, TakesNamesUpToTheLimit) {
  const std::string name(64, 'a');
  std::string mistyped = name;
  mistyped[40] = 'b';

  EXPECT_EQ(NearestName(mistyped, {name}), name);
}

}  // namespace
}  // namespace lockstep::proto
