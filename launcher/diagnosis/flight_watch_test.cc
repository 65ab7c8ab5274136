// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/diagnosis/flight_watch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "collectives/diagnosis/imports/flight_dump.h"
#include "launcher/diagnosis/hang_watch_fixture.h"
#include "launcher/diagnosis/testing/scripted_torch.h"

namespace lockstep::launcher::testing {
namespace {

using base::Rank;
using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using Class = collectives::Finding::Class;

/// Three ranks without rings, which can be asked.
class FlightWatchTest : public HangWatchTest {
 protected:
  FlightWatchTest() {
    for (WatchedRank& rank : watched_) rank.ring_fd = -1;
    torch_.answer = [this](Rank rank) { return Told(rank, dumps_.at(rank.value())); };
    const auto waits = DumpOf(4, 3, Nanoseconds());
    dumps_ = {waits, DumpOf(3, 3, Nanoseconds()), waits};
    watch_.SetFlights(flights_);
    watch_.BeginRound();
  }

  int64_t Nanoseconds() const { return loop_.Now().time_since_epoch().count(); }
  static FlightAnswer Told(Rank rank, collectives::FlightDump dump) {
    return {.rank = rank, .status = {}, .dump = std::move(dump), .bytes = "as it was"};
  }
  void OnHangVerdict(const collectives::Finding& finding,
                     const collectives::Evidence& evidence) override {
    notes_ = evidence.notes;
    HangWatchTest::OnHangVerdict(finding, evidence);
  }

  std::vector<collectives::FlightDump> dumps_;
  ScriptedTorch torch_{loop_};
  uint64_t written_ = 0;
  std::vector<std::string> notes_, troubles_;
  FlightWatch flights_{
      {.loop = loop_,
       .source = torch_,
       .files_of =
           [](Rank rank) {
             return topology::FlightFiles{.pipe = "/p" + rank.ToString(), .dump = "/d"};
           },
       .bytes_written = [this] { return written_; },
       .on_trouble =
           [this](const base::Status& why) { troubles_.push_back(std::string(why.message())); }}};
};

TEST_F(FlightWatchTest, WhoDoesNotComeIsNamedByTheSecondAnswers) {
  loop_.RunFor(seconds(59));
  EXPECT_EQ(torch_.questions, 0) << "it is not quiet for long enough";

  loop_.RunFor(seconds(6));

  EXPECT_EQ(torch_.questions, 2);
  ASSERT_EQ(verdicts_.size(), 1U);
  EXPECT_EQ(verdicts_.front().verdict_class, Class::kMissingRank);
  EXPECT_THAT(Culprits(verdicts_.front()), ElementsAre(Rank(1)));
  EXPECT_THAT(verdicts_.front().victims, ElementsAre(Rank(0), Rank(2)));
  EXPECT_THAT(notes_, Contains(HasSubstr("torch's flight recorder, which ranks 0, 1, 2 were")));
  EXPECT_EQ(*watch_.TakeFlights().dumps.at(Rank(1)), "as it was");
  EXPECT_THAT(watch_.TakeFlights().dumps, IsEmpty()) << "there is one copy";
  loop_.RunFor(seconds(120));
  EXPECT_EQ(torch_.questions, 2) << "it has been said";
  EXPECT_EQ(verdicts_.size(), 1U);
  loop_.RunFor(std::chrono::hours(1));
  EXPECT_LE(torch_.questions, 15) << "once in five minutes";
  EXPECT_EQ(verdicts_.size(), 1U);
}

TEST_F(FlightWatchTest, WhoWritesIsNotAsked) {
  for (int time = 0; time < 10; ++time) {
    loop_.RunFor(seconds(50));
    ++written_;
  }

  EXPECT_EQ(torch_.questions, 0);
}

TEST_F(FlightWatchTest, AGangInWhichNobodyWaitsIsAskedLessAndLess) {
  torch_.answer = [this](Rank rank) { return Told(rank, DumpOf(4, 4, Nanoseconds())); };

  loop_.RunFor(std::chrono::hours(1));

  const auto& at = torch_.asked_at;
  ASSERT_GE(at.size(), 5U);
  EXPECT_LT(at[1] - at[0], seconds(125));
  EXPECT_GT(at[4] - at[3], seconds(299));
  EXPECT_LE(torch_.questions, 15);
  EXPECT_TRUE(verdicts_.empty() && notices_.empty());
  EXPECT_THAT(watch_.TakeFlights().dumps, IsEmpty());
}

TEST_F(FlightWatchTest, AGangThatGoesOnIsNotBlamedByAnswersOfDifferentMoments) {
  // Each has an op that is open, for long, and another one at the next question.
  int calls = 10;
  torch_.answer = [&](Rank rank) {
    ++calls;
    return Told(rank, DumpOf(calls, calls - 1, Nanoseconds() - 10'000'000'000));
  };

  loop_.RunFor(std::chrono::minutes(10));

  EXPECT_GT(torch_.questions, 3);
  EXPECT_TRUE(verdicts_.empty() && notices_.empty());
}

TEST_F(FlightWatchTest, ALongWaitIsToldAndActedUponOnlyIfItIsThereThen) {
  loop_.RunFor(seconds(40));
  // It waits since then only: the next answers are 20 s later.
  for (const int rank : {0, 2}) dumps_[static_cast<size_t>(rank)] = DumpOf(4, 3, Nanoseconds());
  loop_.RunFor(seconds(25));
  EXPECT_EQ(torch_.questions, 2);
  EXPECT_EQ(notices_.size(), 1U);
  EXPECT_TRUE(verdicts_.empty());

  dumps_[1] = DumpOf(4, 4, Nanoseconds());
  for (const int rank : {0, 2}) dumps_[static_cast<size_t>(rank)] = DumpOf(4, 4, Nanoseconds());
  loop_.RunFor(seconds(60));

  EXPECT_EQ(torch_.questions, 3) << "before it is acted upon";
  EXPECT_TRUE(verdicts_.empty());
}

TEST_F(FlightWatchTest, CallsThatDifferAreNamedWhenTheyAreFoundAgain) {
  dumps_[1] = DumpOf(4, 3, Nanoseconds(), 5);
  loop_.RunFor(seconds(64));
  EXPECT_THAT(verdicts_, IsEmpty()) << "the newest may be half told";
  loop_.RunFor(seconds(6));

  ASSERT_EQ(verdicts_.size(), 1U);
  EXPECT_EQ(verdicts_.front().verdict_class, Class::kMismatch);
  EXPECT_THAT(Culprits(verdicts_.front()), ElementsAre(Rank(1)));
}

/// Nobody waits in them: what one dump has of the newest may be half told.
TEST_F(FlightWatchTest, CallsThatDifferAndAreOverAreLeftToTheirEnd) {
  for (collectives::FlightDump& dump : dumps_) dump = DumpOf(4, 4, Nanoseconds());
  dumps_[1].entries.back().input_elements = {5};
  collectives::FlightEntry send = dumps_[0].entries.back();
  ++send.record_id;
  send.name = "nccl:send 0->1";
  send.is_transfer = true;
  send.state = collectives::FlightEntry::State::kStarted;
  dumps_[0].entries.push_back(send);

  loop_.RunFor(seconds(100));

  EXPECT_GE(torch_.questions, 2);
  for (const auto& verdict : verdicts_) EXPECT_NE(verdict.verdict_class, Class::kMismatch);
}

TEST_F(FlightWatchTest, WhoDoesNotAnswerIsNotBlamedAndSaid) {
  torch_.answer = [this](Rank rank) {
    if (rank != Rank(1)) return Told(rank, dumps_.at(rank.value()));
    return FlightAnswer{.rank = rank,
                        .status = base::DeadlineExceededError("torch was asked, and is silent"),
                        .dump = {},
                        .bytes = {}};
  };

  loop_.RunFor(std::chrono::minutes(12));

  for (const auto& verdict : verdicts_) {
    EXPECT_EQ(verdict.verdict_class, Class::kUnknown);
    EXPECT_THAT(Culprits(verdict), IsEmpty());
  }
  ASSERT_FALSE(verdicts_.empty());
  EXPECT_THAT(notes_, Contains("rank 1: torch was asked, and is silent"));
}

TEST_F(FlightWatchTest, ThatWhoeverAsksHangsIsSaidOnceAndTheWatchGoesOn) {
  torch_.hangs = base::DeadlineExceededError("reading has not ended");
  torch_.answer = [this](Rank rank) {
    return FlightAnswer{.rank = rank, .status = torch_.hangs, .dump = {}, .bytes = {}};
  };
  loop_.RunFor(std::chrono::minutes(20));
  EXPECT_GT(torch_.questions, 2) << "it is asked again";
  EXPECT_THAT(troubles_, ElementsAre("reading has not ended"));
  EXPECT_THAT(verdicts_, IsEmpty());

  torch_.hangs = base::OkStatus();
  torch_.answer = [this](Rank rank) { return Told(rank, dumps_.at(rank.value())); };
  loop_.RunFor(std::chrono::minutes(11));
  ASSERT_EQ(verdicts_.size(), 1U);
  EXPECT_THAT(Culprits(verdicts_.front()), ElementsAre(Rank(1)));
  EXPECT_THAT(troubles_, SizeIs(1));
}

TEST_F(FlightWatchTest, WhatWasFoundIsAskedForOnceMoreWhenSomebodyWantsToAct) {
  EXPECT_FALSE(watch_.FindAgain([](bool) { ADD_FAILURE() << "nothing was found"; }));
  loop_.RunFor(seconds(65));
  ASSERT_EQ(verdicts_.size(), 1U);
  ASSERT_TRUE(watch_.RestsOnFlights());
  std::vector<bool> found;
  const auto heard = [&](bool again) { found.push_back(again); };

  EXPECT_TRUE(watch_.FindAgain(heard));
  EXPECT_FALSE(watch_.FindAgain(heard)) << "it is being asked";
  EXPECT_THAT(found, IsEmpty());
  loop_.RunFor(seconds(1));
  EXPECT_THAT(found, ElementsAre(true));
  EXPECT_EQ(torch_.questions, 3);

  // It has come meanwhile, and all wait in the next one.
  for (auto& dump : dumps_) dump = DumpOf(5, 4, Nanoseconds() - 1'000'000'000);
  EXPECT_TRUE(watch_.FindAgain(heard));
  loop_.RunFor(seconds(1));
  EXPECT_THAT(found, ElementsAre(true, false));

  EXPECT_TRUE(watch_.FindAgain(heard));
  watch_.BeginRound();
  loop_.RunFor(seconds(1));
  EXPECT_EQ(found.size(), 2U) << "of a round that is over nothing is said";
}

TEST_F(FlightWatchTest, WhoDoesNotAnswerOnceMoreMayHaveGoneOn) {
  loop_.RunFor(seconds(65));
  ASSERT_EQ(verdicts_.size(), 1U);
  torch_.answer = [](Rank rank) {
    return FlightAnswer{
        .rank = rank, .status = base::UnavailableError("gone"), .dump = {}, .bytes = {}};
  };
  std::vector<bool> found;
  EXPECT_TRUE(watch_.FindAgain([&](bool again) { found.push_back(again); }));
  loop_.RunFor(seconds(1));
  EXPECT_THAT(found, ElementsAre(false));
}

TEST_F(FlightWatchTest, WhoIsHeldIsNotAskedAndNamedForThat) {
  const pid_t stopped = ::fork();
  if (stopped == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    while (true) ::pause();
  }
  ASSERT_GT(stopped, 0);
  ::kill(stopped, SIGSTOP);
  ::waitpid(stopped, nullptr, WUNTRACED);
  watched_[1].pid = stopped;
  torch_.answer = [this, told = torch_.answer](Rank rank) {
    EXPECT_NE(rank, Rank(1));
    return told(rank);
  };

  loop_.RunFor(seconds(66));
  ::kill(stopped, SIGKILL);
  ::waitpid(stopped, nullptr, 0);

  ASSERT_EQ(verdicts_.size(), 1U);
  EXPECT_THAT(Culprits(verdicts_.front()), ElementsAre(Rank(1)));
  EXPECT_EQ(verdicts_.front().culprits.front().absence, collectives::Absence::kStopped);
  EXPECT_THAT(notes_, Contains("rank 1: it is held, and was not asked what torch has recorded"));
}

/// By the clock of its machine, which may have been set.
TEST_F(FlightWatchTest, NoWaitIsOlderThanItsRound) {
  suspended_ = true;
  loop_.RunFor(std::chrono::hours(2));
  suspended_ = false;
  watch_.BeginRound();
  const auto waits = DumpOf(4, 3, Nanoseconds() - 3'600'000'000'000);
  dumps_ = {waits, DumpOf(3, 3, Nanoseconds()), waits};

  loop_.RunFor(seconds(66));

  ASSERT_EQ(verdicts_.size(), 1U);
  EXPECT_LE(verdicts_.front().waited, seconds(66));
}

/// Gloo lets go of an op that failed as of one that ended well: so all of this gang's did, perhaps.
TEST_F(FlightWatchTest, AVerdictIsNoSurerThanWhatWasTold) {
  for (size_t rank = 0; rank < 3; ++rank) {
    const int calls = rank == 1 ? 3 : 4;
    collectives::FlightDump dump = DumpOf(calls, calls, Nanoseconds());
    for (collectives::FlightEntry& entry : dump.entries) entry.name = "gloo:all_reduce";
    if (rank == 0) {
      collectives::FlightEntry send = dump.entries.back();
      ++send.record_id;
      send.name = "gloo:send 0->1";
      send.is_transfer = true;
      send.state = collectives::FlightEntry::State::kScheduled;
      dump.entries.push_back(send);
    }
    dumps_[rank] = dump;
  }

  loop_.RunFor(seconds(66));

  ASSERT_EQ(verdicts_.size(), 1U);
  EXPECT_THAT(Culprits(verdicts_.front()), ElementsAre(Rank(1)));
  EXPECT_EQ(verdicts_.front().confidence, collectives::Finding::Confidence::kMedium);
}

TEST_F(FlightWatchTest, WhereARingTellsTorchIsNotAsked) {
  for (size_t rank = 0; rank < watched_.size(); ++rank) watched_[rank].ring_fd = ranks_[rank]->fd();
  watch_.BeginRound();

  loop_.RunFor(std::chrono::minutes(10));

  EXPECT_EQ(torch_.questions, 0);
}

TEST_F(FlightWatchTest, AnswersOfARoundThatIsOverSayNothing) {
  loop_.RunFor(milliseconds(62'700));  // asked a second time
  ASSERT_EQ(torch_.questions, 2);
  watch_.BeginRound();

  loop_.RunFor(seconds(30));

  EXPECT_TRUE(verdicts_.empty() && notices_.empty());
  loop_.RunFor(seconds(60));
  EXPECT_EQ(verdicts_.size(), 1U) << "that round's own";
}

}  // namespace
}  // namespace lockstep::launcher::testing
