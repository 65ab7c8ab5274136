// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/agent/gang_watch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "launcher/agent/testing/test_record.h"
#include "launcher/diagnosis/testing/scripted_torch.h"
#include "launcher/diagnosis/testing/sim_rank.h"
#include "runtime/event/sim_loop.h"
#include "runtime/process/sim_processes.h"
#include "runtime/proto/duration_text.h"

namespace lockstep::launcher {
namespace {

using base::Rank;
using elastic::Phase;
using Fate = HangNews::Fate;
using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using testing::SimRank;

constexpr int kRanks = 3;

/// Ranks that are spawned at once, and do nothing. Whoever ends them is told first.
class IdleRanks final : public NodeRanks {
 public:
  void SetNews(NodeNews& news) { news_ = &news; }
  void SetEnding(std::function<void()> ending) { ending_ = std::move(ending); }
  void Spawn(base::Round, int, const Processes& processes) override {
    for (const elastic::RankProcess& process : processes) news_->OnSpawned(process, ::getpid());
  }
  void CancelSpawns() override {}
  void SignalLeaders(int, const Processes&) override { ending_(); }
  void SignalTrees(int, const Processes&) override { ending_(); }
  void KillTrees(const Processes&, base::Duration) override { ending_(); }
  void ForwardSignal(int) override {}
  void RequestStop(base::Duration) override {}
  void GoOn(base::Round, const std::vector<elastic::GoneRank>&) override {}
  void EndRound() override {}

 private:
  NodeNews* news_ = nullptr;
  std::function<void()> ending_ = [] {};
};

class IgnoreGang final : public GangDelegate {
 public:
  void OnRoundBegins(const elastic::SpawnRanks&) override {}
  void OnAllSpawned() override {}
  void PersistRestarts(int) override {}
  void OnNotice(const elastic::Notice&) override {}
  void OnRoundEnded(const elastic::RoundOutcome&, std::map<Rank, RankEvidence>) override {}
  void OnSurvivorsGoOn(const elastic::RoundOutcome&, const std::vector<elastic::GoneRank>&,
                       std::map<Rank, RankEvidence>) override {}
  void OnJobEnded(const elastic::JobOutcome&) override {}
};

class HeardNews final : public HangNews {
 public:
  void OnHangNotice(const collectives::Finding&, const collectives::Evidence&) override {
    ++notices;
  }
  void OnHangVerdict(const collectives::Finding& finding, const collectives::Evidence& evidence,
                     const std::vector<proto::Evidence>& told, Fate fate) override {
    notes = evidence.notes;
    for (const auto& culprit : finding.culprits) culprits.push_back(culprit.rank);
    stacks = told;
    fates.push_back(fate);
  }
  void OnPace(proto::Verdict) override {}
  void OnWatchTrouble(const std::string& text) override { troubles.push_back(text); }
  void OnLastLook(const collectives::Finding& finding, const collectives::Evidence&) override {
    last_looks.push_back(finding.verdict_class);
  }

  int notices = 0;
  std::vector<Fate> fates;
  std::vector<Rank> culprits;
  std::vector<proto::Evidence> stacks;
  std::vector<collectives::Finding::Class> last_looks;
  std::vector<std::string> troubles, notes;
};

/// Three ranks whose process is this one; two of them wait for the third, which is to be blamed
/// after 3 s.
class GangWatchTest : public ::testing::Test {
 protected:
  GangWatchTest() {
    for (int rank = 0; rank < kRanks; ++rank)
      ranks_.push_back(std::make_unique<SimRank>(loop_, rank, kRanks));
    for (const auto& rank : ranks_) rank->Call();
    for (const auto& rank : ranks_) rank->End();
    idle_.SetNews(driver_);
    idle_.SetEnding([this] { kept_before_the_end_.push_back(IsKept()); });
  }

  void Begin(proto::HangAction action) {
    proto::Hangs& hangs = *spec_.mutable_hangs();
    hangs.set_action(action);
    *hangs.mutable_grace() = proto::ToProto(seconds(1));
    *hangs.mutable_action_after() = proto::ToProto(seconds(3));
    *hangs.mutable_deadline() = proto::ToProto(seconds(60));
    watch_ = std::make_unique<GangWatch>(
        spec_, EvidenceFacts{.job = "train-a1b2c3", .host = "h0"},
        [this](Rank rank) {
          if (on_kept_ && IsKept()) std::exchange(on_kept_, nullptr)();
          return torch_.answer ? -1 : ranks_[static_cast<size_t>(rank.value())]->fd();
        },
        GangWatch::Deps{loop_, driver_, news_, record_.record()});
    watch_->SetStacks(stacks_);
    if (torch_.answer) {
      watch_->AskTorch([](Rank) { return topology::FlightFiles{.pipe = "/p", .dump = "/d"}; },
                       [] { return 0; }, &torch_);
    }
    driver_.Start(std::vector<NodeRanks*>(kRanks, &idle_));
    watch_->BeginRound();
    for (const int rank : {0, 1}) {
      ranks_[static_cast<size_t>(rank)]->Call();
      ranks_[static_cast<size_t>(rank)]->Wait();
    }
  }
  bool IsKept() const {
    return std::filesystem::exists(record_.folder() + "/round-0/evidence/processes.json");
  }

  void ExpectKeptBeforeTheEnd() const {
    EXPECT_THAT(kept_before_the_end_, AllOf(Not(IsEmpty()), Each(true)));
  }

  event::SimLoop loop_;
  process::SimProcesses processes_{loop_, 1};
  std::vector<std::unique_ptr<SimRank>> ranks_;
  testing::TestRecord record_{loop_};
  proto::JobSpec spec_;
  IgnoreGang gang_;
  IdleRanks idle_;
  HeardNews news_;
  GangDriver driver_{{.rank_count = kRanks, .max_restarts = 1}, {loop_, gang_}};
  CulpritStacks stacks_{{}, {.loop = loop_, .processes = processes_, .record = record_.record()}};
  std::vector<bool> kept_before_the_end_;  // at each signal to the ranks
  std::function<void()> on_kept_;          // once, before stacks are taken
  testing::ScriptedTorch torch_{loop_};    // where it answers ranks have no rings
  std::unique_ptr<GangWatch> watch_;
};

TEST_F(GangWatchTest, NobodyIsWatchedBeforeTheGangRunsOrWhileItIsSuspendedOrComesDown) {
  Begin(proto::HANG_ACTION_RESTART);
  ASSERT_EQ(watch_->RanksToWatch().size(), 3U);
  EXPECT_EQ(watch_->RanksToWatch()[2].pid, ::getpid());
  driver_.Suspend();
  EXPECT_THAT(watch_->RanksToWatch(), IsEmpty());
  EXPECT_EQ(watch_->RanksThatRun().size(), 3U) << "to look at";
  driver_.Resume();
  EXPECT_EQ(watch_->RanksToWatch().size(), 3U);
  driver_.RequestStop(SIGTERM, false, seconds(1));
  EXPECT_THAT(watch_->RanksToWatch(), IsEmpty());
}

TEST_F(GangWatchTest, ANoticeComesFirstAndThenTheGangComesDown) {
  Begin(proto::HANG_ACTION_RESTART);
  loop_.RunFor(seconds(2));
  EXPECT_EQ(news_.notices, 1);
  EXPECT_THAT(news_.fates, IsEmpty());
  loop_.RunFor(seconds(2));

  EXPECT_THAT(news_.fates, ElementsAre(Fate::kRoundEnds));
  EXPECT_THAT(news_.culprits, ElementsAre(Rank(2)));
  ASSERT_EQ(news_.stacks.size(), 1U);
  EXPECT_EQ(news_.stacks[0].rank(), 2);
  EXPECT_TRUE(std::filesystem::exists(news_.stacks[0].path()));
  ExpectKeptBeforeTheEnd();
  EXPECT_EQ(driver_.state().phase, Phase::kTerminating);
  EXPECT_EQ(driver_.state().culprit, Rank(2));
  EXPECT_FALSE(driver_.state().told_to_end);
}

TEST_F(GangWatchTest, ReportSaysItAndKeepsNothing) {
  Begin(proto::HANG_ACTION_REPORT);
  loop_.RunFor(seconds(30));
  EXPECT_THAT(news_.fates, ElementsAre(Fate::kSaid));
  EXPECT_THAT(news_.stacks, IsEmpty());
  EXPECT_FALSE(IsKept());
  EXPECT_EQ(driver_.state().phase, Phase::kRunning);
}

TEST_F(GangWatchTest, DumpKeepsWhatWasSeenAndDoesNothing) {
  Begin(proto::HANG_ACTION_DUMP);
  loop_.RunFor(seconds(30));
  EXPECT_THAT(news_.fates, ElementsAre(Fate::kKept));
  EXPECT_EQ(news_.stacks.size(), 1U);
  EXPECT_TRUE(IsKept());
  EXPECT_EQ(driver_.state().phase, Phase::kRunning);
}

TEST_F(GangWatchTest, FailEndsTheJobThoughRestartsAreLeft) {
  Begin(proto::HANG_ACTION_FAIL);
  loop_.RunFor(seconds(4));
  EXPECT_THAT(news_.fates, ElementsAre(Fate::kRoundEnds));
  ExpectKeptBeforeTheEnd();
  EXPECT_EQ(driver_.state().phase, Phase::kTerminating);
  EXPECT_TRUE(driver_.state().told_to_end);
}

TEST_F(GangWatchTest, AbortEndsItAtOnce) {
  Begin(proto::HANG_ACTION_ABORT);
  loop_.RunFor(seconds(4));
  EXPECT_THAT(news_.fates, ElementsAre(Fate::kRoundEnds));
  ExpectKeptBeforeTheEnd();
  EXPECT_EQ(driver_.state().phase, Phase::kKilling);
  EXPECT_TRUE(driver_.state().told_to_end);
}

TEST_F(GangWatchTest, WhereAllStandInAnOpTheyFailTogetherAtTheDeadline) {
  Begin(proto::HANG_ACTION_RESTART);
  ranks_[2]->Call();
  ranks_[2]->Wait();
  loop_.RunFor(seconds(59));
  EXPECT_EQ(news_.notices, 1);
  EXPECT_THAT(news_.fates, IsEmpty()) << "it may be a large op";
  loop_.RunFor(seconds(3));

  EXPECT_THAT(news_.fates, ElementsAre(Fate::kRoundEnds));
  EXPECT_THAT(news_.culprits, IsEmpty()) << "nobody is to blame";
  EXPECT_EQ(news_.stacks.size(), 3U);
  EXPECT_NE(driver_.state().phase, Phase::kRunning);
  EXPECT_EQ(driver_.state().culprit, std::nullopt);
  EXPECT_TRUE(driver_.state().standstill.has_value());
}

TEST_F(GangWatchTest, WhoGoesOnWhileStacksAreReadIsNotBlamed) {
  Begin(proto::HANG_ACTION_RESTART);
  on_kept_ = [this] {
    ranks_[2]->Call();
    for (const auto& rank : ranks_) rank->End();
  };
  loop_.RunFor(milliseconds(3600));
  EXPECT_FALSE(on_kept_) << "it was about to be blamed";
  EXPECT_THAT(news_.fates, IsEmpty());
  EXPECT_EQ(driver_.state().phase, Phase::kRunning);
}

TEST_F(GangWatchTest, AGangThatIsSuspendedMeanwhileIsLetAlone) {
  Begin(proto::HANG_ACTION_RESTART);
  on_kept_ = [this] { driver_.Suspend(); };
  loop_.RunFor(seconds(10));
  EXPECT_THAT(news_.fates, IsEmpty());
  driver_.Resume();
  loop_.RunFor(seconds(10));
  EXPECT_THAT(news_.fates, ElementsAre(Fate::kRoundEnds)) << "it still stands";
}

TEST_F(GangWatchTest, AGangThatComesDownMeanwhileIsNotBlamedAgain) {
  Begin(proto::HANG_ACTION_RESTART);
  on_kept_ = [this] { driver_.RequestStop(SIGTERM, false, seconds(1)); };
  loop_.RunFor(seconds(10));
  EXPECT_THAT(news_.fates, IsEmpty());
  EXPECT_EQ(driver_.state().culprit, std::nullopt);
}

/// Rank 2 has not come to op 4, in which the others have waited since the beginning.
class GangOfTorchTest : public GangWatchTest {
 protected:
  GangOfTorchTest() {
    torch_.answer = [this, began = Nanoseconds()](Rank rank) {
      const bool goes_on = torch_.questions >= goes_on_at_;
      const int calls = goes_on ? 5 : rank == Rank(2) ? 3 : 4;
      const int over = goes_on ? 4 : 3;
      return FlightAnswer{.rank = rank,
                          .status = {},
                          .dump = testing::DumpOf(calls, over, goes_on ? Nanoseconds() : began),
                          .bytes = rank == Rank(1) ? bytes_of_1_ : "a dump"};
    };
  }
  int64_t Nanoseconds() const { return loop_.Now().time_since_epoch().count(); }

  int goes_on_at_ = 1000;  // question
  std::string bytes_of_1_ = "a dump";
};

TEST_F(GangOfTorchTest, TorchIsAskedOnceMoreAfterStacksWereReadAndThenTheGangComesDown) {
  Begin(proto::HANG_ACTION_RESTART);
  loop_.RunFor(seconds(12));

  EXPECT_EQ(torch_.questions, 3);
  EXPECT_THAT(news_.fates, ElementsAre(Fate::kRoundEnds));
  EXPECT_THAT(news_.culprits, ElementsAre(Rank(2)));
  EXPECT_EQ(driver_.state().culprit, Rank(2));
  record_.record().AwaitFlights();
  EXPECT_TRUE(IsKept());
  EXPECT_TRUE(std::filesystem::exists(record_.folder() + "/round-0/evidence/rank-1.flight"));
}

TEST_F(GangOfTorchTest, WhoGoesOnWhileStacksAreReadIsNotBlamed) {
  goes_on_at_ = 3;
  Begin(proto::HANG_ACTION_RESTART);
  loop_.RunFor(seconds(12));

  EXPECT_GE(torch_.questions, 3);
  EXPECT_THAT(news_.fates, IsEmpty());
  EXPECT_EQ(driver_.state().phase, Phase::kRunning);
}

TEST_F(GangOfTorchTest, DumpsForWhichThereIsNoRoomAreSaid) {
  bytes_of_1_ = std::string(kFlightsBytesMax, 'x');
  Begin(proto::HANG_ACTION_DUMP);
  loop_.RunFor(seconds(12));

  EXPECT_THAT(news_.notes, Contains(HasSubstr("recorded of rank 1 was looked at and is not kept")));
  record_.record().AwaitFlights();
  const std::string folder = record_.folder() + "/round-0/evidence/";
  EXPECT_TRUE(std::filesystem::exists(folder + "rank-2.flight")) << "the culprit's";
  EXPECT_TRUE(std::filesystem::exists(folder + "rank-0.flight"));
  EXPECT_FALSE(std::filesystem::exists(folder + "rank-1.flight"));
}

TEST_F(GangOfTorchTest, ThatNobodyCanBeAskedIsSaid) {
  torch_.hangs = base::DeadlineExceededError("reading has not ended");
  Begin(proto::HANG_ACTION_RESTART);
  loop_.RunFor(seconds(12));

  EXPECT_THAT(news_.troubles, ElementsAre(HasSubstr("is not seen: reading has not ended")));
}

TEST_F(GangWatchTest, OfARoundThatFailsTheLastLookTells) {
  Begin(proto::HANG_ACTION_RESTART);
  watch_->OnRoundFails();
  elastic::RoundOutcome outcome{
      .end = elastic::RoundEnd::kRankFailed, .culprit = Rank(2), .ranks = driver_.state().ranks};
  outcome.ranks[2].exit = elastic::RankExit{.exit_code = 3};
  outcome.ranks[2].ended_before_signal = true;
  watch_->OnRoundEnded(outcome);

  EXPECT_THAT(news_.last_looks, ElementsAre(collectives::Finding::Class::kDeadRank));
  EXPECT_TRUE(IsKept());
}

TEST_F(GangWatchTest, OfOneThatWasStoppedItSaysNothing) {
  Begin(proto::HANG_ACTION_RESTART);
  watch_->OnRoundFails();
  watch_->OnRoundEnded({.end = elastic::RoundEnd::kStoppedByUser, .ranks = driver_.state().ranks});
  EXPECT_THAT(news_.last_looks, IsEmpty());
  EXPECT_FALSE(IsKept());
}

}  // namespace
}  // namespace lockstep::launcher
