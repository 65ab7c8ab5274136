// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/mpi/pmi_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "runtime/base/clock.h"
#include "runtime/base/testing/status_matchers.h"
#include "runtime/event/epoll_loop.h"

namespace lockstep::launcher {
namespace {

using base::testing::IsOk;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

constexpr char kClosed[] = "closed";

class PmiServerTest : public ::testing::Test {
 protected:
  PmiServerTest() {
    EXPECT_THAT(server_.BeginRound(base::Round(0), 2), IsOk());
    for (int rank = 0; rank < 2; ++rank) {
      base::Result<MpiSeat> seat = server_.SeatOf(base::Rank(rank));
      EXPECT_THAT(seat, IsOk());
      seats_.push_back(*std::move(seat));
    }
  }

  void Write(int rank, const std::string& text) {
    EXPECT_EQ(::send(Fd(rank), text.data(), text.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(text.size()));
  }
  /// The next line that has come, kClosed, or "" when nothing comes.
  std::string Read(int rank, base::Duration at_most = std::chrono::seconds(10)) {
    const base::SteadyTime deadline = loop_->Now() + at_most;
    std::string line;
    while (loop_->Now() < deadline) {
      char byte = 0;
      const ssize_t size = ::recv(Fd(rank), &byte, 1, MSG_DONTWAIT);
      if (size == 0) return kClosed;
      if (size < 0) {
        RunFor(std::chrono::milliseconds(1));
      } else if (byte == '\n') {
        return line;
      } else {
        line += byte;
      }
    }
    return line;
  }
  std::string Ask(int rank, const std::string& request) {
    Write(rank, request + "\n");
    return Read(rank);
  }
  void RunFor(base::Duration time) {
    const event::Registration end = loop_->After(time, [this] { loop_->Quit(); });
    loop_->Run();
  }
  int Fd(int rank) const { return seats_[static_cast<size_t>(rank)].fd.get(); }

  const base::RealClock clock_;
  std::unique_ptr<event::EpollLoop> loop_ = *event::EpollLoop::Create(clock_);
  std::vector<std::pair<int, int>> aborts_;
  PmiServer server_{
      {.job_id = "job",
       .on_abort = [this](base::Rank rank, int code) { aborts_.emplace_back(rank.value(), code); }},
      *loop_};
  std::vector<MpiSeat> seats_;
};

TEST_F(PmiServerTest, ARankLearnsWhoItIsByItsVariables) {
  EXPECT_THAT(seats_[1].variables,
              ElementsAre(Pair("MPI_LOCALNRANKS", "2"), Pair("MPI_LOCALRANKID", "1"),
                          Pair("PMI_FD", "20"), Pair("PMI_RANK", "1"), Pair("PMI_SIZE", "2")));
  EXPECT_EQ(seats_[1].rank_fd, 20);
}

TEST_F(PmiServerTest, AnswersWhatMpichAsksAtItsStart) {
  EXPECT_EQ(Ask(0, "cmd=init pmi_version=1 pmi_subversion=1"),
            "cmd=response_to_init pmi_version=1 pmi_subversion=1 rc=0");
  EXPECT_EQ(Ask(0, "cmd=get_maxes"),
            "cmd=maxes kvsname_max=256 keylen_max=64 vallen_max=1024 rc=0");
  EXPECT_EQ(Ask(0, "cmd=get_universe_size"), "cmd=universe_size size=2 rc=0");
  EXPECT_EQ(Ask(0, "cmd=get_appnum"), "cmd=appnum appnum=0 rc=0");
  EXPECT_EQ(Ask(0, "cmd=get_my_kvsname"), "cmd=my_kvsname kvsname=job-0 rc=0");
  EXPECT_EQ(Ask(0, "cmd=get kvsname=job-0 key=PMI_process_mapping"),
            "cmd=get_result rc=0 msg=success value=(vector,(0,1,2))");
  EXPECT_EQ(Ask(0, "cmd=finalize"), "cmd=finalize_ack rc=0");
}

TEST_F(PmiServerTest, AnotherVersionIsRefused) {
  EXPECT_THAT(Ask(0, "cmd=init pmi_version=2 pmi_subversion=0"), HasSubstr("rc=-1"));
}

TEST_F(PmiServerTest, WhatOneRankPutsTheOtherGetsBehindABarrier) {
  EXPECT_EQ(Ask(0, "cmd=put kvsname=job-0 key=card value=a#b=c"),
            "cmd=put_result rc=0 msg=success");
  Write(0, "cmd=barrier_in\n");
  EXPECT_EQ(Read(0, std::chrono::milliseconds(50)), "") << "the other one is not there";
  EXPECT_EQ(Ask(1, "cmd=barrier_in"), "cmd=barrier_out rc=0");
  EXPECT_EQ(Read(0), "cmd=barrier_out rc=0");

  EXPECT_EQ(Ask(1, "cmd=get kvsname=job-0 key=card"),
            "cmd=get_result rc=0 msg=success value=a#b=c");
  EXPECT_THAT(Ask(1, "cmd=get kvsname=job-0 key=none"), HasSubstr("rc=-1 msg=key_not_found"));
  EXPECT_THAT(Ask(1, "cmd=get kvsname=job-1 key=card"), HasSubstr("rc=-1"));
}

TEST_F(PmiServerTest, ALineMayComeInPieces) {
  Write(0, "cmd=get_");
  RunFor(std::chrono::milliseconds(5));
  Write(0, "appnum\ncmd=get_appnum\n");
  EXPECT_EQ(Read(0), "cmd=appnum appnum=0 rc=0");
  EXPECT_EQ(Read(0), "cmd=appnum appnum=0 rc=0");
}

TEST_F(PmiServerTest, WhatIsTooLongOrThereAlreadyIsRefused) {
  const std::string put = "cmd=put kvsname=job-0 key=";
  EXPECT_THAT(Ask(0, put + std::string(65, 'k') + " value=v"), HasSubstr("msg=bad_key"));
  EXPECT_THAT(Ask(0, put + "k value=" + std::string(1025, 'v')), HasSubstr("msg=value_too_long"));
  EXPECT_THAT(Ask(0, put + std::string(64, 'k') + " value=" + std::string(1024, 'v')),
              HasSubstr("rc=0"));
  EXPECT_THAT(Ask(0, put + std::string(64, 'k') + " value=w"), HasSubstr("msg=duplicate_key"));
  EXPECT_THAT(Ask(0, "cmd=put kvsname=another key=k value=v"), HasSubstr("msg=no_such_kvs"));
}

TEST_F(PmiServerTest, WhoBreaksTheRulesIsCutOffAndTheOthersAreServed) {
  Write(0, std::string(PmiServer::kLineBytesMax, 'x'));
  EXPECT_EQ(Read(0), kClosed);
  EXPECT_THAT(Ask(1, "cmd=get_appnum"), HasSubstr("rc=0"));
  EXPECT_EQ(Ask(1, "cmd=sing"), kClosed);
}

TEST_F(PmiServerTest, OneThatHasLeftTheBarrierByItsEndIsNotCounted) {
  Write(0, "cmd=barrier_in\n");
  RunFor(std::chrono::milliseconds(5));
  seats_[0].fd.reset();
  RunFor(std::chrono::milliseconds(5));
  Write(1, "cmd=barrier_in\n");
  EXPECT_EQ(Read(1, std::chrono::milliseconds(50)), "");
}

TEST_F(PmiServerTest, SpawningIsRefusedAtTheEndOfItsLines) {
  EXPECT_THAT(Ask(0, "mcmd=spawn\nnprocs=2\nexecname=./other\nendcmd"),
              AllOf(HasSubstr("cmd=spawn_result"), HasSubstr("rc=-1")));
  EXPECT_THAT(Ask(0, "cmd=get_appnum"), HasSubstr("rc=0"));
}

TEST_F(PmiServerTest, AnAbortIsToldAndAwaitsItsEnd) {
  Write(1, "cmd=abort exitcode=7\n");
  EXPECT_EQ(Read(1, std::chrono::milliseconds(50)), "");
  EXPECT_THAT(aborts_, ElementsAre(Pair(1, 7)));
}

TEST_F(PmiServerTest, ARoundKnowsNothingOfTheOneBefore) {
  Ask(0, "cmd=put kvsname=job-0 key=card value=old");
  server_.EndRound();
  EXPECT_EQ(Read(1), kClosed);

  EXPECT_THAT(server_.BeginRound(base::Round(1), 1), IsOk());
  base::Result<MpiSeat> seat = server_.SeatOf(base::Rank(0));
  ASSERT_THAT(seat, IsOk());
  seats_[0] = *std::move(seat);
  EXPECT_EQ(Ask(0, "cmd=get_my_kvsname"), "cmd=my_kvsname kvsname=job-1 rc=0");
  EXPECT_THAT(Ask(0, "cmd=get kvsname=job-1 key=card"), HasSubstr("rc=-1"));
  EXPECT_EQ(Ask(0, "cmd=barrier_in"), "cmd=barrier_out rc=0") << "of one";
  EXPECT_THAT(aborts_, IsEmpty());
}

}  // namespace
}  // namespace lockstep::launcher
