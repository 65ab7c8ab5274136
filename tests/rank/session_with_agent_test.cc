// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// The session of runtime/rank with the attach server of launcher/attach, each rank a thread.
#include "runtime/rank/session.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <functional>
#include <future>
#include <mutex>
#include <thread>
#include <vector>

#include "collectives/recorder/ring_reader.h"
#include "launcher/attach/card_carrier.h"
#include "runtime/base/testing/status_matchers.h"
#include "runtime/rank/session_factory.h"
#include "tests/rank/agent_in_process.h"

namespace lockstep::rank {
namespace {

using base::Code;
using base::Rank;
using base::testing::HasSubject;
using base::testing::StatusIs;
using collectives::Dtype;
using collectives::Reduction;
using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;

/// Takes cards, and no others ever come.
class NobodyElse final : public launcher::CardCarrier {
 public:
  base::Status Publish(launcher::MemberCard) override { return base::OkStatus(); }
  void GiveUp(uint64_t) override {}
  void Forget(uint64_t) override {}
};

/// Outlives the agent that writes it.
struct SeenProgress {
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::pair<int, int64_t>> progress_;
};

class SessionWithAgentTest : public ::testing::Test,
                             protected SeenProgress,
                             protected AgentInProcess {
 protected:
  SessionWithAgentTest()
      : AgentInProcess([this](Rank rank, base::Incarnation, int64_t step) {
          const std::lock_guard<std::mutex> lock(mutex_);
          progress_.emplace_back(rank.value(), step);
          changed_.notify_all();
        }) {}

  collectives::RingContent ReadRingOf(int rank) {
    collectives::RingContent content;
    OnLoop([&] {
      content = std::move(collectives::ReadRingFrom(server_->RecorderFd(Rank(rank)))).value();
    });
    return content;
  }
};

TEST_F(SessionWithAgentTest, TheAgentsWorldCountsNotTheEnvironments) {
  const auto session = Join(1, 3);
  EXPECT_TRUE(session->has_agent());
  EXPECT_EQ(session->world().job, "job-1");
  EXPECT_EQ(session->world().rank, Rank(1));
  EXPECT_EQ(session->world().world_size, 3);
  EXPECT_EQ(session->world().round, base::Round(2));
  EXPECT_EQ(session->world().restart_count, 2);
  EXPECT_EQ(session->world().checkpoint_directory, "/data");
}

TEST_F(SessionWithAgentTest, RanksReduceOverTheAgentsMemoryAndRecordIt) {
  RunRanks(4, [](Session& session) {
    ASSERT_OK_AND_ASSIGN(const auto group, session.WorldGroup());
    session.ReportProgress(5);
    std::vector<double> data(100'000, session.world().rank.value() + 1);
    EXPECT_OK(group
                  ->AllReduce({data.data(), data.size(), Dtype::kF64},
                              {data.data(), data.size(), Dtype::kF64}, Reduction::kSum,
                              {.tag = "bucket 1"})
                  ->Wait());
    EXPECT_EQ(data.back(), 10.0);
    EXPECT_OK(group->Barrier()->Wait());
  });

  for (int rank = 0; rank < 4; ++rank) {
    const collectives::RingContent ring = ReadRingOf(rank);
    EXPECT_EQ(ring.head.rank, rank);
    EXPECT_EQ(ring.head.step, 5);
    ASSERT_EQ(ring.records.size(), 3u);
    EXPECT_EQ(ring.records[0].op, static_cast<uint8_t>(collectives::OpKind::kInit));
    EXPECT_EQ(ring.records[0].state, LOCKSTEP_RECORD_COMPLETED);
    EXPECT_EQ(ring.records[0].seq, 0u) << "making the group";
    const lockstep_record& reduced = ring.records[1];
    EXPECT_EQ(reduced.op, static_cast<uint8_t>(collectives::OpKind::kAllReduce));
    EXPECT_EQ(reduced.state, LOCKSTEP_RECORD_COMPLETED);
    EXPECT_EQ(reduced.bytes_done, 800'000u);
    EXPECT_EQ(reduced.epoch, 2u);
    EXPECT_EQ(reduced.step, 5);
    EXPECT_STREQ(reduced.tag, "bucket 1");
    EXPECT_THAT(reduced.call_site, HasSubstr("session_with_agent_test.cc:"));
    EXPECT_LE(reduced.enqueued_ns, reduced.started_ns);
    EXPECT_LE(reduced.started_ns, reduced.ended_ns);
    EXPECT_EQ(ring.records[2].seq, 2u);
    EXPECT_EQ(reduced.fingerprint, ReadRingOf(0).records[1].fingerprint);
    EXPECT_TRUE(ring.seats.empty()) << "the group is gone";
  }
}

TEST_F(SessionWithAgentTest, TheRingNamesTheRankThatIsWaitedFor) {
  std::atomic<bool> go{false};
  auto first = Join(0, 2), second = Join(1, 2);
  std::thread late([&] {
    ASSERT_OK_AND_ASSIGN(const auto group, second->WorldGroup());
    while (!go.load()) std::this_thread::yield();
    EXPECT_OK(group->Barrier()->Wait());
  });
  ASSERT_OK_AND_ASSIGN(const auto group, first->WorldGroup());
  const auto work = group->Barrier();
  work->OnComplete([](const base::Status&) {});  // runs on the progress thread

  const auto limit = std::chrono::steady_clock::now() + seconds(10);
  int32_t waiting_on = -1;
  while (waiting_on != 1 && std::chrono::steady_clock::now() < limit) {
    const collectives::RingContent ring = ReadRingOf(0);
    if (ring.records.size() > 1)
      waiting_on = ring.records[1].waiting_on;  // none while the slot is being written
  }
  EXPECT_EQ(waiting_on, 1);
  go = true;
  EXPECT_OK(work->Wait());
  late.join();
}

// It once stayed ENQUEUED for ever.
TEST_F(SessionWithAgentTest, TheRecordOfARefusedCallSaysThatItFailed) {
  const auto session = Join(0, 1);
  ASSERT_OK_AND_ASSIGN(const auto group, session->WorldGroup());
  EXPECT_THAT(group->AllReduce({nullptr, 1}, {nullptr, 1}, Reduction::kSum)->Wait(),
              StatusIs(Code::kInvalidArgument));
  const collectives::RingContent ring = ReadRingOf(0);
  ASSERT_EQ(ring.records.size(), 1u);
  EXPECT_EQ(ring.records[0].state, LOCKSTEP_RECORD_ERROR);
  EXPECT_EQ(ring.records[0].seq, 1u);
}

TEST_F(SessionWithAgentTest, AMissingRankIsNamed) {
  const auto session = Join(0, 2);
  const auto group = session->WorldGroup(milliseconds(50));
  EXPECT_THAT(group, StatusIs(Code::kDeadlineExceeded, HasSubstr("rank 1 never came")));
  EXPECT_THAT(group, HasSubject(Rank(1)));
}

// The second try once met the memory of the first, and was told that the rank was in the group
// already.
TEST_F(SessionWithAgentTest, AfterAMissingRankTheWorldGroupCanBeTriedAgain) {
  const auto first = Join(0, 2), second = Join(1, 2);
  EXPECT_THAT(first->WorldGroup(milliseconds(50)), StatusIs(Code::kDeadlineExceeded));
  EXPECT_THAT(second->WorldGroup(),
              StatusIs(Code::kDeadlineExceeded, HasSubstr("rank 1 never came within 50ms")));

  std::thread peer([&] {
    ASSERT_OK_AND_ASSIGN(const auto group, second->WorldGroup());
    EXPECT_OK(group->Barrier()->Wait());
  });
  ASSERT_OK_AND_ASSIGN(const auto group, first->WorldGroup());
  EXPECT_EQ(group->info().instance, 2u);
  EXPECT_OK(group->Barrier()->Wait());
  peer.join();
}

TEST_F(SessionWithAgentTest, AProcessMayMakeItsSessionAnew) {
  std::vector<RankEnvironment> environments;
  for (int rank = 0; rank < 2; ++rank) environments.push_back(EnvironmentOf(rank, 2, 2));
  for (int time = 0; time < 3; ++time) {
    std::vector<std::thread> threads;
    for (const RankEnvironment& environment : environments) {
      threads.emplace_back([&environment] {
        ASSERT_OK_AND_ASSIGN(const auto session, CreateSessionFrom(environment));
        ASSERT_OK_AND_ASSIGN(const auto group, session->WorldGroup());
        EXPECT_OK(group->Barrier()->Wait());
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
}

TEST_F(SessionWithAgentTest, RanksOfSeveralMachinesNeedAnAgentThatKnowsTheOthers) {
  ASSERT_OK_AND_ASSIGN(const auto session, CreateSessionFrom(EnvironmentOf(0, 4, 2)));
  EXPECT_THAT(session->WorldGroup(),
              StatusIs(Code::kFailedPrecondition, HasSubstr("knows no other machine of the job")));
}

// Of an interface that is gone, for one. 192.0.2.0/24 is for documents.
TEST_F(SessionWithAgentTest, AnAddressThatThisMachineDoesNotHaveIsAnErrorAtOnce) {
  ASSERT_OK_AND_ASSIGN(const auto session, CreateSessionFrom(EnvironmentOf(0, 4, 2)));
  OnLoop([this] {
    server_->SetNetwork({.round = base::Round(2),
                         .key = net::Secret(std::string(32, 'k')),
                         .ports = {0, 0},
                         .host_id = "boot",
                         .listen_address = "192.0.2.77",
                         .address = ""});
  });
  EXPECT_THAT(session->WorldGroup(), StatusIs(Code::kInvalidArgument, HasSubstr("192.0.2.77")));
}

// It waited for 10 s, whatever the timeout.
TEST_F(SessionWithAgentTest, AnAgentThatDoesNotAnswerHoldsUpAGroupForItsTimeoutAtMost) {
  ASSERT_OK_AND_ASSIGN(const auto session, CreateSessionFrom(EnvironmentOf(0, 4, 2)));
  std::promise<void> go;
  Hold(go.get_future().share(), seconds(20));
  const auto since = std::chrono::steady_clock::now();

  EXPECT_THAT(session->WorldGroup(milliseconds(50)),
              StatusIs(Code::kUnavailable, HasSubstr("did not answer in time")));

  EXPECT_LT(std::chrono::steady_clock::now() - since, seconds(5));
  go.set_value();
}

TEST_F(SessionWithAgentTest, WhatTheAgentTookIsNoLongerThereToJoin) {
  ASSERT_OK_AND_ASSIGN(const auto session, CreateSessionFrom(EnvironmentOf(0, 4, 2)));
  NobodyElse cards;
  OnLoop([&] {
    server_->SetCarrier(&cards);
    server_->SetNetwork({.round = base::Round(2),
                         .key = net::Secret(std::string(32, 'k')),
                         .ports = {0, 0},
                         .host_id = "boot",
                         .listen_address = "127.0.0.1",
                         .address = ""});
  });
  std::promise<void> never;
  Hold(never.get_future().share(), milliseconds(500));

  const auto group = session->WorldGroup(seconds(2));

  EXPECT_THAT(group, StatusIs(Code::kDeadlineExceeded, HasSubstr("not all came within 1.")));
  OnLoop([&] {
    server_->EndRound();
    server_->SetCarrier(nullptr);
  });
}

TEST_F(SessionWithAgentTest, AWrongCookieIsUnauthenticated) {
  auto environment = EnvironmentOf(0, 1, 1);
  environment["LOCKSTEP_COOKIE"] = std::string(64, '0');
  EXPECT_THAT(CreateSessionFrom(environment), StatusIs(Code::kUnauthenticated));
}

TEST_F(SessionWithAgentTest, ProgressIsCoalescedAndTheLastStepArrives) {
  auto session = Join(0, 1);
  for (int64_t step = 0; step < 10'000; ++step) session->ReportProgress(step);
  session.reset();

  std::unique_lock<std::mutex> lock(mutex_);
  ASSERT_TRUE(changed_.wait_for(
      lock, seconds(10), [&] { return !progress_.empty() && progress_.back().second == 9999; }));
  EXPECT_EQ(progress_.front(), std::make_pair(0, int64_t{0}));
  EXPECT_LT(progress_.size(), 500u) << "10 a second, on a machine that may be slow";
}

TEST_F(SessionWithAgentTest, StopAndCheckpointRequestsArrive) {
  const auto session = Join(0, 1);
  EXPECT_FALSE(session->stop_requested());
  EXPECT_FALSE(session->TakeCheckpointRequest());
  OnLoop([&] {
    server_->RequestCheckpoint();
    server_->RequestCheckpoint();
  });
  EXPECT_TRUE(session->TakeCheckpointRequest());
  EXPECT_FALSE(session->TakeCheckpointRequest());
  OnLoop([&] { server_->RequestCheckpoint(); });
  EXPECT_TRUE(session->TakeCheckpointRequest());
  OnLoop([&] { server_->RequestStop(seconds(30)); });
  EXPECT_TRUE(session->stop_requested());
  OnLoop([&] { server_->EndRound(); });
  EXPECT_TRUE(session->stop_requested());
}

// A thread that had read an older number put it over the newer one, and the request was taken
// twice.
TEST_F(SessionWithAgentTest, EachCheckpointRequestIsTakenOnceByWhicheverThread) {
  constexpr int kRequestsMax = 1500;
  const auto session = Join(0, 1);
  std::atomic<int> taken{0};
  std::atomic<bool> done{false};
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&] {
      while (!done) taken += session->TakeCheckpointRequest();
    });
  }
  const auto limit = std::chrono::steady_clock::now() + seconds(30);
  int requests = 0;  // as many as a busy machine has time for
  while (requests < kRequestsMax && std::chrono::steady_clock::now() < limit - seconds(10)) {
    OnLoop([&] { server_->RequestCheckpoint(); });
    ++requests;
    while (taken < requests && std::chrono::steady_clock::now() < limit) std::this_thread::yield();
  }
  done = true;
  for (std::thread& thread : threads) thread.join();

  EXPECT_EQ(taken + session->TakeCheckpointRequest(), requests);
  EXPECT_GT(requests, 20);
}

TEST_F(SessionWithAgentTest, AForkedChildDisturbsNothing) {
  auto first = Join(0, 2), second = Join(1, 2);
  std::thread peer([&] {
    ASSERT_OK_AND_ASSIGN(const auto group, second->WorldGroup());
    EXPECT_OK(group->Barrier()->Wait());
    EXPECT_OK(group->Barrier()->Wait());
  });
  ASSERT_OK_AND_ASSIGN(auto group, first->WorldGroup());
  ASSERT_OK(group->Barrier()->Wait());

  const pid_t child = fork();
  if (child == 0) {
    first->ReportProgress(99);
    const bool stop = first->stop_requested();
    const base::Status status = group->Barrier()->Wait();
    group->Abort(base::CancelledError("from a child"));
    group.reset();
    first.reset();  // as a child that returns from main would
    _exit(!stop && status.code() == Code::kFailedPrecondition ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);

  EXPECT_EQ(status, 0);
  EXPECT_OK(group->Barrier()->Wait());
  peer.join();
  EXPECT_EQ(ReadRingOf(0).records.size(), 3u) << "making the group, and two barriers";
  EXPECT_EQ(ReadRingOf(0).head.step, -1);
  // Nor did the agent hear of its step: the first that it hears of is its parent's.
  first->ReportProgress(1);
  std::unique_lock<std::mutex> lock(mutex_);
  ASSERT_TRUE(changed_.wait_for(lock, seconds(10), [&] { return !progress_.empty(); }));
  EXPECT_EQ(progress_[0], (std::pair<int, int64_t>(0, 1)));
}

class KeptRanksTest : public ::testing::Test, protected AgentInProcess {
 protected:
  KeptRanksTest() : AgentInProcess([](Rank, base::Incarnation, int64_t) {}, true) {}
};

// The thread that hears of rounds may hold their lock while another one forks.
TEST_F(KeptRanksTest, AForkedChildAsksNothingOfRounds) {
  const auto session = Join(0, 2);
  OnLoop([this] { server_->GoOn(base::Round(3), {{Rank(1), "killed"}}); });
  const auto limit = std::chrono::steady_clock::now() + seconds(30);
  while (session->lost_ranks().empty() && std::chrono::steady_clock::now() < limit)
    std::this_thread::yield();
  ASSERT_EQ(session->lost_ranks().size(), 1u);

  const pid_t child = fork();
  if (child == 0) {
    const bool none = session->lost_ranks().empty();
    const base::Status made = session->WorldGroup(milliseconds(10)).status();
    _exit(none && made.code() == Code::kFailedPrecondition ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);

  EXPECT_EQ(status, 0);
}

TEST_F(SessionWithAgentTest, AGroupOutlivesItsSession) {
  auto session = Join(0, 1);
  ASSERT_OK_AND_ASSIGN(const auto group, session->WorldGroup());
  session.reset();
  EXPECT_OK(group->Barrier()->Wait());
  EXPECT_EQ(ReadRingOf(0).records.size(), 1u);
}

}  // namespace
}  // namespace lockstep::rank
