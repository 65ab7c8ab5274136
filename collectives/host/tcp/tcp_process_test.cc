// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// Ranks that are processes, and end or stop in the middle of what they do.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <functional>
#include <new>
#include <thread>
#include <vector>

#include "collectives/engine/queued_group.h"
#include "collectives/host/tcp/local_tcp.h"
#include "runtime/base/testing/status_matchers.h"

namespace lockstep::collectives {
namespace {

using base::Code;
using base::testing::HasSubject;
using base::testing::StatusIs;
using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr int kRanks = 3;
constexpr int kGuilty = 1;

/// Memory that the ranks share: their cards, and how far they are.
struct Board {
  struct Place {
    std::atomic<bool> come{false};
    uint16_t port;
    std::array<uint8_t, 16> nonce;
    pid_t pid;
  };
  Place places[kRanks];
  std::atomic<int> ready{0};
  std::atomic<int> go{0};
};

void Until(const std::function<bool()>& reached) {
  const auto limit = std::chrono::steady_clock::now() + seconds(30);
  while (!reached()) {
    LOCKSTEP_CHECK(std::chrono::steady_clock::now() < limit, "the ranks get on");
    std::this_thread::yield();
  }
}

class BoardExchange final : public AddressExchange {
 public:
  explicit BoardExchange(Board& board) : board_(board) {}
  base::Result<std::vector<std::optional<AddressCard>>> Exchange(const ExchangeRequest& request,
                                                                 const AddressCard& mine,
                                                                 const OpDeadline&) override {
    Board::Place& own = board_.places[request.member];
    own.port = mine.port;
    own.nonce = mine.nonce;
    own.pid = static_cast<pid_t>(mine.pid);
    own.come = true;
    std::vector<std::optional<AddressCard>> cards;
    for (Board::Place& place : board_.places) {
      Until([&] { return place.come.load(); });
      AddressCard card = mine;
      card.port = place.port;
      card.nonce = place.nonce;
      card.pid = place.pid;
      cards.push_back(card);
    }
    return cards;
  }

 private:
  Board& board_;
};

/// `body` in a process for each rank; `meanwhile` here, with their pids. All but the guilty one must
/// end well.
void RunProcesses(const std::function<void(Group&, Board&)>& body,
                  const std::function<void(Board&, const std::vector<pid_t>&)>& meanwhile) {
  void* const memory =
      mmap(nullptr, sizeof(Board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(memory, MAP_FAILED);
  Board& board = *new (memory) Board;
  std::vector<pid_t> pids;
  for (int rank = 0; rank < kRanks; ++rank) {
    std::fflush(nullptr);
    const pid_t pid = fork();
    ASSERT_GE(pid, 0);
    if (pid == 0) {
      alarm(50);
      {
        QueuedGroup::Config config{
            .spec = {.job = "test",
                     .host = "here",
                     .rank = base::GroupRank(rank),
                     .world_ranks = {base::Rank(0), base::Rank(1), base::Rank(2)}},
            .timeout = seconds(40)};
        const auto maker = testing::LocalTcpMaker(std::make_shared<BoardExchange>(board));
        const auto group = QueuedGroup::Create(std::move(config), maker);
        LOCKSTEP_CHECK(group.ok(), "the gang forms");
        body(**group, board);
      }
      std::fflush(nullptr);
      _exit(::testing::Test::HasFailure() ? 1 : 0);
    }
    pids.push_back(pid);
  }
  meanwhile(board, pids);
  for (int rank = 0; rank < kRanks; ++rank) {
    if (rank == kGuilty) kill(pids[kGuilty], SIGKILL);
    int status = -1;
    waitpid(pids[static_cast<size_t>(rank)], &status, 0);
    if (rank != kGuilty) {
      EXPECT_EQ(status, 0) << "rank " << rank;
    }
  }
  munmap(memory, sizeof(Board));
}

/// All are through with an op, and the guilty one sits between two.
void Meet(Group& group, Board& board) {
  ASSERT_OK(group.Barrier()->Wait());
  ++board.ready;
  if (group.rank().value() == kGuilty) pause();
  Until([&] { return board.go.load() > 0; });
}

TEST(TcpProcessTest, AKilledProcessIsNamedWithPidAndHostAtOnce) {
  RunProcesses(
      [](Group& group, Board& board) {
        Meet(group, board);
        std::vector<float> data(200'000, 1.0f);
        const auto before = std::chrono::steady_clock::now();
        const base::Status status =
            group
                .AllReduce({data.data(), data.size()}, {data.data(), data.size()}, Reduction::kSum)
                ->Wait();
        EXPECT_THAT(status.root(), StatusIs(Code::kUnavailable, HasSubstr("rank 1 (process ")));
        EXPECT_THAT(status.root(), HasSubject(base::Rank(kGuilty)));
        EXPECT_EQ(status.root().failure_class(), base::FailureClass::kPeerDead);
        EXPECT_EQ(status.root().subjects()[0].pid, board.places[kGuilty].pid);
        EXPECT_LT(std::chrono::steady_clock::now() - before, seconds(10));
      },
      [](Board& board, const std::vector<pid_t>& pids) {
        Until([&] { return board.ready.load() == kRanks; });
        kill(pids[kGuilty], SIGKILL);
        board.go = 1;
      });
}

TEST(TcpProcessTest, AStoppedProcessRunsTheOthersIntoTheirDeadlineAndIsBlamedAlone) {
  RunProcesses(
      [](Group& group, Board& board) {
        Meet(group, board);
        std::vector<float> data(2'000'000, 1.0f);
        const base::Status status =
            group
                .AllReduce({data.data(), data.size()}, {data.data(), data.size()}, Reduction::kSum,
                           {.timeout = milliseconds(500)})
                ->Wait();
        EXPECT_THAT(status.root(), StatusIs(Code::kDeadlineExceeded, HasSubstr("never called")));
        EXPECT_THAT(status.root(), HasSubject(base::Rank(kGuilty)));
        EXPECT_THAT(status.root(), Not(HasSubject(base::Rank(0))));
        EXPECT_THAT(status.root(), Not(HasSubject(base::Rank(2))));
      },
      [](Board& board, const std::vector<pid_t>& pids) {
        Until([&] { return board.ready.load() == kRanks; });
        kill(pids[kGuilty], SIGSTOP);
        int status = 0;
        waitpid(pids[kGuilty], &status, WUNTRACED);
        board.go = 1;
      });
}

}  // namespace
}  // namespace lockstep::collectives
