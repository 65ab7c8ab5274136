// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/agent/culprit_stacks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "launcher/agent/testing/test_record.h"
#include "runtime/event/sim_loop.h"
#include "runtime/process/sim_processes.h"

namespace lockstep::launcher {
namespace {

using base::Rank;
using base::Round;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

/// Ranks 0 and 1 are this process; ranks 2 and 3 are another node's, whose agent answers at once.
/// Without the helper there is what /proc tells.
class CulpritStacksTest : public ::testing::Test {
 protected:
  CulpritStacksTest() { far_.SetWorld({.nodes = {{"h0", 2}, {"h1", 2}}, .master_address = "h0"}); }
  void Take(CulpritStacks::Culprits culprits) {
    stacks_.Take(Round(4), std::move(culprits), [this](std::vector<proto::Evidence> taken) {
      EXPECT_FALSE(told_.has_value()) << "once";
      told_ = std::move(taken);
    });
    EXPECT_FALSE(told_.has_value()) << "not inside the call";
    loop_.RunFor(seconds(3));
    ASSERT_TRUE(told_.has_value());
  }
  std::vector<int> Ranks() const {
    std::vector<int> ranks;
    for (const proto::Evidence& one : *told_) ranks.push_back(one.rank());
    return ranks;
  }
  StackTaking::Target Self(int rank) const { return {Rank(rank), ::getpid()}; }

  event::SimLoop loop_;
  process::SimProcesses processes_{loop_, 1};
  testing::TestRecord record_{loop_};
  bool is_silent_ = false;
  FarStacks far_{[this](base::NodeIndex, const proto::ControlRequest& request, OnAnswer answer) {
                   if (is_silent_) return;
                   proto::ControlReply reply;
                   for (const int rank : request.stacks().ranks()) {
                     proto::RankStacks& told = *reply.mutable_stacks()->add_ranks();
                     told.set_rank(rank);
                     told.mutable_process()->add_threads()->add_frames()->set_function("Far\x1b");
                   }
                   answer(std::move(reply));
                 },
                 loop_};
  CulpritStacks stacks_{{}, {.loop = loop_, .processes = processes_, .record = record_.record()}};
  std::optional<std::vector<proto::Evidence>> told_;
};

TEST_F(CulpritStacksTest, ThoseHereAndElsewhereAreToldByRankAndKept) {
  stacks_.SetFar(far_);
  Take({.here = {Self(1)}, .far = {Rank(3), Rank(2)}});

  EXPECT_THAT(Ranks(), ElementsAre(1, 2, 3));
  EXPECT_THAT(told_->at(1).lines(), ElementsAre("Far?")) << "it came from another machine";
  for (const proto::Evidence& one : *told_) {
    EXPECT_EQ(one.kind(), proto::Evidence::STACK);
    EXPECT_EQ(one.path(), record_.folder() + "/round-4/evidence/stacks-rank-" +
                              std::to_string(one.rank()) + ".txt");
    EXPECT_TRUE(std::filesystem::exists(one.path()));
  }
}

TEST_F(CulpritStacksTest, AnAgentThatIsSilentCostsItsRanksAlone) {
  stacks_.SetFar(far_);
  is_silent_ = true;
  const base::SteadyTime begun = loop_.Now();
  bool done = false;
  stacks_.Take(Round(0), {.here = {Self(0)}, .far = {Rank(3)}},
               [&](const std::vector<proto::Evidence>& taken) {
                 done = true;
                 EXPECT_EQ(taken.size(), 1U);
                 EXPECT_LE(loop_.Now() - begun, FarStacks::kLimit);
               });
  loop_.RunFor(seconds(10));
  EXPECT_TRUE(done);
}

TEST_F(CulpritStacksTest, OfAJobOfOneNode) {
  Take({.here = {Self(0)}, .far = {Rank(3)}});
  EXPECT_THAT(Ranks(), ElementsAre(0));
}

TEST_F(CulpritStacksTest, OfManyTheFirstOnes) {
  CulpritStacks::Culprits culprits;
  for (int rank = 0; rank < 20; ++rank) culprits.here.push_back(Self(rank));
  Take(std::move(culprits));
  EXPECT_EQ(told_->size(), CulpritStacks::kRanksMax);
  EXPECT_EQ(Ranks().back(), static_cast<int>(CulpritStacks::kRanksMax) - 1);
}

TEST_F(CulpritStacksTest, ProcessesThatHaveEndedMeanwhile) {
  Take({.here = {{Rank(0), 0x7ffffffe}}, .far = {}});
  EXPECT_THAT(*told_, IsEmpty());
}

TEST_F(CulpritStacksTest, AnotherCallTakesTheFirstOnesPlace) {
  stacks_.SetFar(far_);
  stacks_.Take(Round(0), {.here = {Self(0)}, .far = {Rank(2)}},
               [](const std::vector<proto::Evidence>&) { ADD_FAILURE() << "it was replaced"; });
  Take({.here = {Self(1)}, .far = {Rank(3)}});
  EXPECT_THAT(Ranks(), ElementsAre(1, 3));
}

TEST_F(CulpritStacksTest, AnAnswerThatComesForAnEarlierCallIsForgotten) {
  stacks_.SetFar(far_);
  is_silent_ = true;
  stacks_.Take(Round(0), {.here = {}, .far = {Rank(2)}},
               [](const std::vector<proto::Evidence>&) { ADD_FAILURE() << "it was replaced"; });
  Take({.here = {Self(1)}, .far = {}});
  EXPECT_THAT(Ranks(), ElementsAre(1));
  loop_.RunFor(seconds(5));  // past the limit of the first one's question
  EXPECT_THAT(Ranks(), ElementsAre(1));
}

}  // namespace
}  // namespace lockstep::launcher
