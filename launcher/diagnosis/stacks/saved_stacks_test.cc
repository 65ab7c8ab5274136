// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/diagnosis/stacks/saved_stacks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>

#include "runtime/base/testing/status_matchers.h"

namespace lockstep::launcher {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

proto::RankStacks Stands(int rank) {
  proto::RankStacks stacks;
  stacks.set_rank(rank);
  stacks.mutable_process()->set_pid(7);
  stacks.mutable_process()->set_program("train");
  proto::ThreadStack& thread = *stacks.mutable_process()->add_threads();
  thread.set_doing("runs");
  for (const char* function : {"Load\x1b[2J", "main", "_start"})
    thread.add_frames()->set_function(function);
  return stacks;
}

class SavedStacksTest : public ::testing::Test {
 protected:
  SavedStacksTest() {
    folder_ = std::string(std::getenv("TEST_TMPDIR")) + "/" +
              ::testing::UnitTest::GetInstance()->current_test_info()->name();
  }
  std::string Text(const std::string& path) const {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  storage::RealFileSystem files_;
  std::string folder_;
};

TEST_F(SavedStacksTest, WhatIsSavedIsFoundAgain) {
  ASSERT_OK(SaveStacks(folder_, Stands(3), files_));

  EXPECT_THAT(Text(folder_ + "/stacks-rank-3.txt"),
              ::testing::AllOf(HasSubstr("process 7 train\n"), HasSubstr("  #1 main\n"),
                               Not(HasSubstr("\x1b"))));
  const auto again = LoadStacks(folder_, base::Rank(3), files_);
  ASSERT_TRUE(again.has_value());
  EXPECT_EQ(again->SerializeAsString(), Stands(3).SerializeAsString());
  EXPECT_FALSE(LoadStacks(folder_, base::Rank(4), files_).has_value());
}

TEST_F(SavedStacksTest, AFileThatIsDamagedOrAnotherRanksIsNone) {
  ASSERT_OK(SaveStacks(folder_, Stands(3), files_));
  std::ofstream(folder_ + "/stacks-rank-4.json") << Text(folder_ + "/stacks-rank-3.json");
  std::ofstream(folder_ + "/stacks-rank-3.json") << "{\"rank\":3,\"process\":{\"pid\":";

  EXPECT_FALSE(LoadStacks(folder_, base::Rank(3), files_).has_value());
  EXPECT_FALSE(LoadStacks(folder_, base::Rank(4), files_).has_value());
}

TEST_F(SavedStacksTest, AVerdictHasTheMainThreadAndWhereTheRestIs) {
  const std::vector<proto::Evidence> all = StackEvidence("/job/evidence", Stands(3));
  ASSERT_EQ(all.size(), 1U);
  const proto::Evidence& evidence = all[0];

  EXPECT_EQ(evidence.kind(), proto::Evidence::STACK);
  EXPECT_EQ(evidence.rank(), 3);
  EXPECT_EQ(evidence.path(), "/job/evidence/stacks-rank-3.txt");
  EXPECT_THAT(evidence.lines(), ElementsAre("Load?[2J", "main"));
}

TEST_F(SavedStacksTest, AVerdictHasWhatIsKnownOfTheGpus) {
  proto::RankStacks stacks = Stands(3);
  proto::GpuState& gpu = *stacks.mutable_process()->add_gpus();
  gpu.set_index(2);
  gpu.set_name("NVIDIA H200\x1b");
  gpu.set_is_used(true);
  gpu.set_busy_percent(100);

  const std::vector<proto::Evidence> all = StackEvidence("/job/evidence", stacks);

  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(all[0].kind(), proto::Evidence::STACK);
  EXPECT_EQ(all[1].kind(), proto::Evidence::GPU);
  EXPECT_EQ(all[1].rank(), 3);
  EXPECT_THAT(all[1].lines(), ElementsAre("gpu 2 (NVIDIA H200?): 100 % busy, no faults"));
}

}  // namespace
}  // namespace lockstep::launcher
