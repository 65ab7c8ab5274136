// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// Whom an op that runs out of its time blames, by what its member knows of the others.
#include "collectives/host/tcp/tcp_wait.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "collectives/engine/own_deadline.h"
#include "collectives/host/tcp/local_tcp.h"
#include "collectives/host/tcp/tcp_end.h"
#include "collectives/host/tcp/tcp_members.h"
#include "collectives/host/tcp/tcp_service.h"
#include "runtime/base/testing/status_matchers.h"

namespace lockstep::collectives {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr int kMembers = 3;
constexpr uint64_t kSeq = 5;

/// Member 0 of three waits for the calls of the others, which answer for themselves.
class TcpWaitTest : public ::testing::Test {
 protected:
  /// `unreachable`: has no address, so that whoever asks it finds the trouble at home.
  void Meet(std::optional<int> unreachable = std::nullopt) {
    MakeEnds(unreachable);
    for (const auto& end : ends_) service_->Register(end);
  }
  void MakeEnds(std::optional<int> unreachable = std::nullopt) {
    for (int self = 0; self < kMembers; ++self) {
      GroupSpec spec{.job = "test", .host = "here", .name = "waits", .rank = base::GroupRank(self)};
      for (int rank = 0; rank < kMembers; ++rank) spec.world_ranks.emplace_back(rank);
      std::vector<AddressCard> cards(kMembers, service_->card());
      if (unreachable.has_value()) cards[static_cast<size_t>(*unreachable)].addresses.clear();
      ends_.push_back(std::make_shared<TcpEnd>(TcpMembers(spec, cards)));
    }
  }
  void Calls(int member) {
    ends_[static_cast<size_t>(member)]->called_seq = kSeq;
    ends_[static_cast<size_t>(member)]->waits = true;
  }
  /// How a wait for the calls of the others ends.
  ErrorRecord EndOfWait(base::Duration timeout) {
    CpuShare cpu_share;
    const std::atomic<bool> interrupted{false};
    const OwnDeadline own(timeout);
    const OpWatch watch{.deadline = own.deadline, .on_long_wait = {}, .gives_up = {}};
    const Op op{.kind = OpKind::kBarrier};
    TcpWait wait({.service = *service_,
                  .end = ends_[0],
                  .interrupted = interrupted,
                  .members_here = kMembers,
                  .oversubscribed = false,
                  .cpu_share = cpu_share},
                 op, kSeq, watch);
    const auto began = std::chrono::steady_clock::now();
    while (wait.Idle(TcpWait::Phase::kArrival,
                     [](TcpWait::Wants& wants) { wants.missing = wants.direct = {1, 2}; })) {
    }
    const auto took = std::chrono::steady_clock::now() - began;
    EXPECT_GE(took, timeout);
    EXPECT_LT(took, timeout + std::chrono::seconds(1));
    return ends_[0]->error().value();
  }

  const std::shared_ptr<TcpService> service_ = TcpService::Start(testing::LocalTcpConfig()).value();
  std::vector<std::shared_ptr<TcpEnd>> ends_;
};

/// The least of several times from the begin of a wait until it sleeps, among kMembers on a machine
/// of these files.
base::Duration TimeUntilSleep(TcpService& service, const std::shared_ptr<TcpEnd>& end,
                              const CpuShare::Files& files) {
  CpuShare cpu_share(files);
  cpu_share.Look();
  const std::atomic<bool> interrupted{false};
  const OwnDeadline own(std::chrono::seconds(60));
  const OpWatch watch{.deadline = own.deadline, .on_long_wait = {}, .gives_up = {}};
  const Op op{.kind = OpKind::kBarrier};
  base::Duration least = std::chrono::hours(1);
  for (int i = 0; i < 50; ++i) {
    TcpWait wait({.service = service,
                  .end = end,
                  .interrupted = interrupted,
                  .members_here = kMembers,
                  .oversubscribed = false,
                  .cpu_share = cpu_share},
                 op, kSeq, watch);
    const auto began = std::chrono::steady_clock::now();
    std::optional<base::Duration> took;
    while (!took.has_value()) {
      EXPECT_TRUE(wait.Idle(TcpWait::Phase::kData, [&](TcpWait::Wants&) {
        took = std::chrono::steady_clock::now() - began;
      }));
    }
    least = std::min(least, *took);
  }
  return least;
}

TEST_F(TcpWaitTest, WhereProcessorsAreScarceItSleepsSooner) {
  Meet();
  const auto folder = std::filesystem::path(::getenv("TEST_TMPDIR")) / "processors";
  std::filesystem::create_directories(folder / "cgroup");
  const auto write = [&folder](const char* name, const char* text) {
    std::ofstream(folder / name) << text;
  };
  const auto time_until_sleep = [&] {
    return TimeUntilSleep(*service_, ends_[0],
                          {folder / "membership", folder / "cgroup", folder / "pressure"});
  };
  write("membership", "0::/\n");
  write("cgroup/cpu.max", "300000 100000\n");  // as many as members
  write("pressure", "some avg10=5.00 avg60=0.00 avg300=0.00 total=1\n");
  const base::Duration alone = time_until_sleep();
  write("pressure", "some avg10=80.00 avg60=0.00 avg300=0.00 total=1\n");
  const base::Duration pressed = time_until_sleep();
  write("cgroup/cpu.max", "200000 100000\n");
  const base::Duration scarce = time_until_sleep();

  // A half and a tenth of it, and what a machine that has other things to do adds to each.
  EXPECT_LT(pressed, alone);
  EXPECT_LT(scarce, pressed);
  EXPECT_LT(2 * scarce, alone);
}

auto Blames(int member) {
  return Field(&ErrorRecord::blamed, ElementsAre(Field(&ErrorRecord::Blamed::member, member)));
}

TEST_F(TcpWaitTest, WhoHasNotCalledIsBlamedAlone) {
  Meet();
  Calls(2);

  const ErrorRecord error = EndOfWait(std::chrono::milliseconds(60));

  EXPECT_THAT(error, Blames(1));
  EXPECT_EQ(error.failure_class, base::FailureClass::kPeerStalled);
  EXPECT_THAT(error.message, HasSubstr("rank 1 never called it"));
}

TEST_F(TcpWaitTest, WhoCannotBeAskedFromHereIsNotBlamedForIt) {
  Meet(1);
  Calls(1);
  Calls(2);

  const ErrorRecord error = EndOfWait(std::chrono::milliseconds(60));

  EXPECT_THAT(error, Blames(0));
  EXPECT_EQ(error.code, base::Code::kDeadlineExceeded);
  EXPECT_EQ(error.failure_class, base::FailureClass::kNetwork);
  EXPECT_THAT(error.message, AllOf(HasSubstr("waited for rank 1 and could not ask why"),
                                   HasSubstr("has no address"), Not(HasSubstr("never called"))));
}

TEST_F(TcpWaitTest, WhoMayBeLateAndCannotBeAskedNowIsWaitedForAllTheSame) {
  Meet(1);
  Calls(2);
  const base::SteadyTime now = base::RealClock().Now();
  ends_[0]->SetFact(1, {.kind = PeerFact::Kind::kAnswered,
                        .late_until = now + std::chrono::milliseconds(400),
                        .at = now,
                        .asked_at = now});

  const auto began = std::chrono::steady_clock::now();
  const ErrorRecord error = EndOfWait(std::chrono::milliseconds(60));

  EXPECT_THAT(error, Blames(0));
  EXPECT_GE(std::chrono::steady_clock::now() - began, std::chrono::milliseconds(400));
}

TEST_F(TcpWaitTest, TheErrorOfOneThatHasLeftBecauseOfItIsWaitedFor) {
  Meet();
  ends_[0]->SetFact(2, {.kind = PeerFact::Kind::kLeft,
                        .called_seq = kSeq,
                        .failed = true,
                        .at = base::RealClock().Now()});
  std::jthread tells([this] {
    std::this_thread::sleep_for(std::chrono::milliseconds(200));  // tidy:allow sleep: it comes late
    ErrorRecord record;
    record.message = "what member 2 found";
    record.from_seq = kSeq;
    record.blamed = {{1, ""}};
    ends_[0]->SetError(record);
  });

  EXPECT_THAT(EndOfWait(std::chrono::milliseconds(60)).message, "what member 2 found");
}

TEST_F(TcpWaitTest, OneThatIsLateIsBlamedBesideOneThatCannotBeAsked) {
  Meet(1);
  Calls(1);

  const ErrorRecord error = EndOfWait(std::chrono::milliseconds(60));

  EXPECT_THAT(error, Blames(2));
  EXPECT_THAT(error.message, HasSubstr("rank 2 never called it"));
}

TEST_F(TcpWaitTest, AnAnswerToAnEarlierQuestionDoesNotJudge) {
  MakeEnds();
  service_->Register(ends_[0]);
  for (const int member : {1, 2}) {
    const TcpMembers& members = ends_[static_cast<size_t>(member)]->members();
    ASSERT_OK(service_->Reserve(members.id(), members.spec().epoch, member));
  }
  const base::SteadyTime now = base::RealClock().Now();
  const PeerFact before{.kind = PeerFact::Kind::kAnswered,
                        .at = now + std::chrono::hours(1),  // as if it came in this moment
                        .asked_at = now - std::chrono::hours(1)};
  for (const int member : {1, 2}) ends_[0]->SetFact(member, before);
  Calls(2);
  std::jthread answers([this] {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));  // tidy:allow sleep: late
    for (const int member : {1, 2}) service_->Register(ends_[static_cast<size_t>(member)]);
  });

  EXPECT_THAT(EndOfWait(std::chrono::milliseconds(1)), Blames(1));
}

TEST(TcpEndTest, AConnectionThatCannotBeMadeFromHereStaysSo) {
  GroupSpec spec{.job = "test", .host = "here", .name = "cut", .rank = base::GroupRank(0)};
  for (int rank = 0; rank < 2; ++rank) spec.world_ranks.emplace_back(rank);
  TcpEnd end(TcpMembers(spec, std::vector<AddressCard>(2)), TcpEnd::Bells::kNone);

  end.SetFact(1, {.kind = PeerFact::Kind::kLost, .loss = PeerFact::Loss::kUnasked});
  end.SetFact(1, {.kind = PeerFact::Kind::kAnswered, .called_seq = 3});
  EXPECT_EQ(end.fact(1).kind, PeerFact::Kind::kAnswered);
  end.SetFact(1, {.kind = PeerFact::Kind::kLost, .loss = PeerFact::Loss::kLocal});
  end.SetFact(1, {.kind = PeerFact::Kind::kAnswered, .called_seq = 4});
  EXPECT_TRUE(end.fact(1).is_cut_here());
  EXPECT_EQ(end.fact(1).called_seq, 3u);
  end.SetFact(1, {.kind = PeerFact::Kind::kLeft});
  EXPECT_EQ(end.fact(1).kind, PeerFact::Kind::kLeft);
}

}  // namespace
}  // namespace lockstep::collectives
