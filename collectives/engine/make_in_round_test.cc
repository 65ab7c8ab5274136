// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// Ranks as threads over shared memory, each with its own news of the rounds, as processes have
// them.
#include "collectives/engine/make_in_round.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <latch>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "collectives/engine/queued_group.h"
#include "collectives/testing/thread_gang.h"
#include "runtime/base/testing/status_matchers.h"

namespace lockstep::collectives {
namespace {

using base::Code;
using base::GroupRank;
using base::Rank;
using base::Round;
using base::testing::StatusIs;
using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::AllOf;
using ::testing::AnyOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;
using testing::ThreadGang;

class RoundsOfRanks {
 public:
  explicit RoundsOfRanks(int count) {
    for (int rank = 0; rank < count; ++rank) {
      all_.push_back(std::make_shared<Rounds>(
          Round(0), [this, rank](Rank accused, const std::string& why, base::Duration at_most) {
            if (patience_.has_value()) {
              *patience_ = at_most;
              return base::UnavailableError("the agent does not answer");
            }
            Begin(1, {{accused, "given up by rank " + std::to_string(rank) + ": " + why}});
            return base::OkStatus();
          }));
    }
  }
  /// What the coordinator commits, told to all one after the other.
  void Begin(uint32_t round, const std::vector<Rounds::Gone>& gone) {
    for (const auto& rounds : all_) rounds->Begin(Round(round), gone);
  }
  const std::shared_ptr<Rounds>& of(int rank) const { return all_[static_cast<size_t>(rank)]; }

  /// Set: the agent does not answer, and this is for how long it was asked at most.
  std::optional<base::Duration> patience_;

 private:
  std::vector<std::shared_ptr<Rounds>> all_;
};

class MakeInRoundTest : public ::testing::Test {
 protected:
  QueuedGroup::Config ConfigFor(int rank) {
    QueuedGroup::Config config = gang_.ConfigFor(rank);
    config.rounds = rounds_.of(rank);
    return config;
  }
  /// On the threads of those ranks, all of the group of four.
  template <class Body>
  void OnRanks(const std::vector<int>& ranks, const Body& body) {
    std::vector<std::thread> threads;
    for (const int rank : ranks) threads.emplace_back([&body, rank] { body(rank); });
    for (std::thread& thread : threads) thread.join();
  }
  void Form() {
    OnRanks({0, 1, 2, 3}, [this](int rank) {
      auto group = QueuedGroup::Create(ConfigFor(rank), maker_);
      ASSERT_OK(group.status());
      groups_[static_cast<size_t>(rank)] = *std::move(group);
    });
  }
  static base::Status AddUp(Group& group, float* sum) {
    const float mine = static_cast<float>(
        group.info().world_ranks[static_cast<size_t>(group.rank().value())].value() + 1);
    return group.AllReduce({&mine, 1}, {sum, 1}, Reduction::kSum)->Wait();
  }

  static base::Status AddUpWithin(base::Duration timeout, Group& group) {
    const float mine = 1;
    float sum = 0;
    return group.AllReduce({&mine, 1}, {&sum, 1}, Reduction::kSum, {.timeout = timeout})->Wait();
  }

  const std::shared_ptr<BackendMaker> maker_ = ThreadGang::InSharedMemory();
  ThreadGang gang_{4, maker_};
  RoundsOfRanks rounds_{4};
  std::shared_ptr<Group> groups_[4];
};

// Rank 3 never calls: as in a process that was killed.
TEST_F(MakeInRoundTest, AnOpThatWaitsForOneThatIsGoneEndsAtOnceAndTheOthersGoOn) {
  Form();
  std::latch called(3);
  std::thread agent([&] {
    called.wait();
    rounds_.Begin(1, {{Rank(3), "killed by signal 9 (SIGKILL)"}});
  });

  OnRanks({0, 1, 2}, [&](int rank) {
    Group& group = *groups_[rank];
    float sum = 0;
    const auto work = group.AllReduce({&sum, 1}, {&sum, 1}, Reduction::kSum);
    called.count_down();
    const base::Status failed = work->Wait();
    // The error itself, or as the cause where the round came before the op was begun.
    EXPECT_THAT(failed.code(), AnyOf(Code::kUnavailable, Code::kAborted));
    EXPECT_THAT(failed.ToString(), HasSubstr("rank 3 is gone (killed by signal 9 (SIGKILL))"));
    const base::Status& root = failed.cause() != nullptr ? *failed.cause() : failed;
    EXPECT_EQ(root.failure_class(), base::FailureClass::kPeerDead);
    EXPECT_THAT(root.subjects(), SizeIs(1));

    ASSERT_OK_AND_ASSIGN(const auto left, group.ShrinkToSurvivors({.timeout = seconds(60)}));
    EXPECT_THAT(left->info().world_ranks, ElementsAre(Rank(0), Rank(1), Rank(2)));
    EXPECT_EQ(left->info().epoch, Round(1));
    EXPECT_OK(AddUp(*left, &sum));
    EXPECT_EQ(sum, 6);
  });
  agent.join();
}

// Some are through with the group of round 1, and fail in it; others still wait there for rank 2.
TEST_F(MakeInRoundTest, ADeathWhileSurvivorsFormLeadsAllToTheNextRound) {
  Form();
  rounds_.Begin(1, {{Rank(3), "killed"}});
  std::latch called(2);
  std::thread agent([&] {
    called.wait();
    rounds_.Begin(2, {{Rank(3), "killed"}, {Rank(2), "killed too"}});
  });

  OnRanks({0, 1}, [&](int rank) {
    called.count_down();
    ASSERT_OK_AND_ASSIGN(const auto left,
                         groups_[rank]->ShrinkToSurvivors({.timeout = seconds(60)}));
    EXPECT_EQ(left->info().epoch, Round(2));
    float sum = 0;
    EXPECT_OK(AddUp(*left, &sum));
    EXPECT_EQ(sum, 3);
  });
  agent.join();
}

TEST_F(MakeInRoundTest, OneThatHasBeenThroughAGroupBetweenMeetsThoseThatHaveNot) {
  Form();
  rounds_.Begin(1, {{Rank(3), "killed"}});
  OnRanks({0, 1, 2}, [this](int rank) {
    ASSERT_OK_AND_ASSIGN(const auto left,
                         groups_[rank]->ShrinkToSurvivors({.timeout = seconds(60)}));
    if (rank == 1) groups_[rank] = left;  // the others did not get so far
  });
  rounds_.Begin(2, {{Rank(3), "killed"}, {Rank(2), "killed too"}});

  OnRanks({0, 1}, [this](int rank) {
    ASSERT_OK_AND_ASSIGN(const auto left,
                         groups_[rank]->ShrinkToSurvivors({.timeout = seconds(60)}));
    EXPECT_EQ(left->size(), 2);
  });
}

TEST_F(MakeInRoundTest, ShrinkGivesUpThoseThatHang) {
  Form();
  const GroupRank gone(3);

  OnRanks({0, 1, 2}, [&](int rank) {
    ASSERT_OK_AND_ASSIGN(const auto left,
                         groups_[rank]->Shrink({&gone, 1}, {.timeout = seconds(60)}));
    EXPECT_EQ(left->info().epoch, Round(1));
    float sum = 0;
    EXPECT_OK(AddUp(*left, &sum));
  });

  EXPECT_THAT(*rounds_.of(0)->WhyGone(Rank(3)), HasSubstr("shrank group world without it, at "));
}

// It asked for 10 s, whatever the caller's deadline.
TEST_F(MakeInRoundTest, TheAgentIsAskedForNoLongerThanTheShrinkMayTake) {
  Form();
  const GroupRank gone(3);
  rounds_.patience_.emplace();

  EXPECT_THAT(groups_[0]->Shrink({&gone, 1}, {.timeout = seconds(2)}),
              StatusIs(Code::kUnavailable, HasSubstr("shrinking group world")));

  EXPECT_GT(*rounds_.patience_, seconds(0));
  EXPECT_LE(*rounds_.patience_, seconds(2));
}

// Rank 0 heard of the round that 1 had begun before its own deadline passed, and waited in a group
// of another name than the others.
TEST_F(MakeInRoundTest, WhoShrinksAndWhoShrinksToSurvivorsMeet) {
  Form();
  const GroupRank gone(3);

  OnRanks({0, 1, 2}, [&](int rank) {
    ASSERT_OK_AND_ASSIGN(const auto left,
                         rank == 0 ? groups_[rank]->ShrinkToSurvivors({.timeout = seconds(60)})
                                   : groups_[rank]->Shrink({&gone, 1}, {.timeout = seconds(60)}));
    float sum = 0;
    EXPECT_OK(AddUp(*left, &sum));
    EXPECT_EQ(sum, 6);
  });
}

TEST_F(MakeInRoundTest, ASubsetIsNoVerdictOnTheOthers) {
  Form();
  const GroupRank members[] = {GroupRank(0), GroupRank(2)};

  OnRanks({0, 2}, [&](int rank) {
    ASSERT_OK_AND_ASSIGN(const auto part, groups_[rank]->Subset(members));
    float sum = 0;
    EXPECT_OK(AddUp(*part, &sum));
    EXPECT_EQ(sum, 4);
    EXPECT_TRUE(rounds_.of(rank)->gone().empty());
  });
}

TEST_F(MakeInRoundTest, ShrinkLeavesOutThoseWhoAreGoneAnyhow) {
  Form();
  rounds_.Begin(1, {{Rank(2), "killed"}, {Rank(3), "killed"}});
  const GroupRank gone(3);

  OnRanks({0, 1}, [&](int rank) {
    ASSERT_OK_AND_ASSIGN(const auto left,
                         groups_[rank]->Shrink({&gone, 1}, {.timeout = seconds(60)}));
    EXPECT_THAT(left->info().world_ranks, ElementsAre(Rank(0), Rank(1)));
  });
}

// Its op has run out of time on the others, as when it is stopped; nobody else says that it is
// gone.
TEST_F(MakeInRoundTest, OneThatIsBlamedAndDoesNotComeIsGivenUp) {
  Form();

  OnRanks({0, 1, 2}, [&](int rank) {
    EXPECT_FALSE(AddUpWithin(milliseconds(50), *groups_[rank]).ok());
    ASSERT_OK_AND_ASSIGN(const auto left,
                         groups_[rank]->ShrinkToSurvivors({.timeout = seconds(60)}));
    EXPECT_THAT(left->info().world_ranks, ElementsAre(Rank(0), Rank(1), Rank(2)));
    EXPECT_OK(AddUpWithin(seconds(60), *left));
  });

  EXPECT_THAT(*rounds_.of(0)->WhyGone(Rank(3)),
              AllOf(HasSubstr("did not come to the survivors of group world after all_reduce"),
                    HasSubstr("rank 3 never called it")));
}

// Late by more than the others wait for suspects, but suspected by nobody: they wait on.
TEST_F(MakeInRoundTest, OneThatIsSlowToComeIsNotGivenUpForAnother) {
  Form();

  OnRanks({0, 1, 2}, [&](int rank) {
    EXPECT_FALSE(AddUpWithin(milliseconds(50), *groups_[rank]).ok());
    if (rank == 2) std::this_thread::sleep_for(milliseconds(2500));  // tidy:allow sleep: it is late
    ASSERT_OK_AND_ASSIGN(const auto left,
                         groups_[rank]->ShrinkToSurvivors({.timeout = seconds(60)}));
    EXPECT_THAT(left->info().world_ranks, ElementsAre(Rank(0), Rank(1), Rank(2)));
  });
}

// The one that is blamed lives and comes: a new group of all.
TEST_F(MakeInRoundTest, WhenAllComeTheyAllGoOn) {
  Form();

  OnRanks({0, 1, 2, 3}, [&](int rank) {
    if (rank != 3) {
      EXPECT_FALSE(AddUpWithin(milliseconds(50), *groups_[rank]).ok());
    }
    ASSERT_OK_AND_ASSIGN(const auto left,
                         groups_[rank]->ShrinkToSurvivors({.timeout = seconds(60)}));
    EXPECT_EQ(left->size(), 4);
    EXPECT_EQ(left->info().epoch, Round(0));
    EXPECT_OK(AddUpWithin(seconds(60), *left));
  });
}

// The blamed one comes, and 2 late: the time of those who suspect is over for 3 as well, who
// suspects nobody, and 2 finds a try that the others have ended. All of them try again until they
// meet.
TEST_F(MakeInRoundTest, ATryThatAnotherOneEndsIsNotTheEnd) {
  Form();

  OnRanks({0, 1, 2, 3}, [&](int rank) {
    if (rank != 3) {
      EXPECT_FALSE(AddUpWithin(milliseconds(50), *groups_[rank]).ok());
    }
    if (rank == 2) std::this_thread::sleep_for(milliseconds(3500));  // tidy:allow sleep: it is late
    ASSERT_OK_AND_ASSIGN(const auto left,
                         groups_[rank]->ShrinkToSurvivors({.timeout = seconds(60)}));
    EXPECT_EQ(left->size(), 4);
    EXPECT_OK(AddUpWithin(seconds(60), *left));
  });
}

// As where a link between two is cut, and each answers to everybody else.
TEST_F(MakeInRoundTest, AGroupThatNeverServesIsNotMadeAgainForEver) {
  Form();

  OnRanks({0, 1, 2, 3}, [&](int rank) {
    std::shared_ptr<Group> group = groups_[rank];
    for (int repair = 0; repair < 3; ++repair) {
      group->Abort(base::UnavailableError("cut"));
      ASSERT_OK_AND_ASSIGN(group, group->ShrinkToSurvivors({.timeout = seconds(60)}));
    }
    group->Abort(base::UnavailableError("cut"));
    EXPECT_THAT(group->ShrinkToSurvivors({.timeout = seconds(60)}),
                StatusIs(Code::kFailedPrecondition, AllOf(HasSubstr("again 3 times"),
                                                          HasSubstr("none of its ops ends well"))));
  });
}

TEST_F(MakeInRoundTest, WhoNeverComesAndIsNotBlamedIsNamed) {
  Form();
  const auto left = groups_[0]->ShrinkToSurvivors({.timeout = milliseconds(30)});
  EXPECT_THAT(left, StatusIs(Code::kDeadlineExceeded, HasSubstr("never came within")));
  EXPECT_FALSE(rounds_.of(0)->WhyGone(Rank(1)));
}

TEST_F(MakeInRoundTest, OneThatIsGoneItselfIsToldSo) {
  Form();
  rounds_.Begin(1, {{Rank(0), "given up by rank 1: it hung"}});
  EXPECT_THAT(groups_[0]->ShrinkToSurvivors({.timeout = seconds(60)}),
              StatusIs(Code::kFailedPrecondition, HasSubstr("given up by rank 1")));
}

TEST_F(MakeInRoundTest, WithoutNewsOfRoundsItIsAnErrorThatSaysWhatToDo) {
  gang_.Run([](Group& group) {
    EXPECT_THAT(group.ShrinkToSurvivors({.timeout = seconds(60)}),
                StatusIs(Code::kFailedPrecondition, HasSubstr("--on-rank-failure keep")));
  });
}

}  // namespace
}  // namespace lockstep::collectives
