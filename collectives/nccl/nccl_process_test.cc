// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// Ranks as processes over the fake NCCL: they meet through shared memory, and one of them dies.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "collectives/nccl/testing/nccl_gang.h"
#include "runtime/base/testing/status_matchers.h"
#include "runtime/base/unique_fd.h"

namespace lockstep::collectives::testing {
namespace {

using base::Code;
using base::GroupRank;
using base::testing::HasSubject;
using base::testing::StatusIs;
using std::chrono::seconds;
using ::testing::HasSubstr;

/// Memory of each group in a file that all processes of the test find.
class FileSegments final : public SegmentSource {
 public:
  /// `gang` tells the gangs of the test apart, whose groups have the same names.
  explicit FileSegments(int gang) : gang_(gang) {}
  base::Result<std::shared_ptr<Segment>> Open(const SegmentRequest& request,
                                              base::Duration) override {
    const std::string path = std::string(std::getenv("TEST_TMPDIR")) + "/board_" +
                             std::to_string(gang_) + "_" + std::to_string(request.group.value());
    const base::UniqueFd fd(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    LOCKSTEP_CHECK(fd.get() >= 0 && ftruncate(fd.get(), static_cast<off_t>(request.bytes)) == 0,
                   "a file for the board");
    return Segment::Map(fd, request.bytes);
  }

 private:
  const int gang_;
};

/// The wait statuses of `size` processes that each run `body` with their member.
std::vector<int> RunProcesses(int size, const std::function<void(NcclGang&, Group&)>& body) {
  static int gangs = 0;
  ++gangs;
  std::vector<pid_t> pids;
  for (int rank = 0; rank < size; ++rank) {
    std::fflush(nullptr);
    const pid_t pid = fork();
    LOCKSTEP_CHECK(pid >= 0, "fork");
    if (pid == 0) {
      alarm(50);
      NcclGang gang(size, FakeGpu("2_30").Load());
      gang.runtime_config.boards =
          std::make_shared<SegmentBoards>(std::make_shared<FileSegments>(gangs));
      gang.timeout = seconds(2);
      (void)gang.runtime();
      {
        auto group = gang.Join(rank);
        LOCKSTEP_CHECK(group.ok(), "the gang forms");
        body(gang, **group);
      }
      std::fflush(nullptr);
      _exit(::testing::Test::HasFailure() ? 1 : 0);
    }
    pids.push_back(pid);
  }
  std::vector<int> statuses;
  for (const pid_t pid : pids) waitpid(pid, &statuses.emplace_back(), 0);
  return statuses;
}

TEST(NcclProcessTest, ProcessesReduceAndExchange) {
  const auto statuses = RunProcesses(3, [](NcclGang& gang, Group& group) {
    const auto memory = gang.Allocate(4);
    int32_t value = group.rank().value() + 1;
    std::memcpy(memory.get(), &value, 4);
    const Buffer buffer{memory.get(), 1, Dtype::kI32, gang.device()};
    ASSERT_OK(group.AllReduce(buffer, buffer, Reduction::kSum)->Wait());
    std::memcpy(&value, memory.get(), 4);
    EXPECT_EQ(value, 6);
    if (group.rank() == GroupRank(0)) {
      ASSERT_OK(group.Send(buffer, GroupRank(2))->Wait());
    } else if (group.rank() == GroupRank(2)) {
      ASSERT_OK(group.Recv(buffer, GroupRank(0))->Wait());
    }
    ASSERT_OK(group.Barrier()->Wait());
  });
  EXPECT_EQ(statuses, std::vector<int>(3, 0));
}

TEST(NcclProcessTest, AKilledRankIsBlamedByTheOthersAndTheyExit) {
  const base::SteadyTime begun = base::RealClock().Now();
  const auto statuses = RunProcesses(3, [](NcclGang&, Group& group) {
    ASSERT_OK(group.Barrier()->Wait());
    if (group.rank() == GroupRank(1)) raise(SIGKILL);
    const base::Status end = group.Barrier()->Wait().root();
    EXPECT_THAT(end, StatusIs(Code::kDeadlineExceeded, HasSubstr("never called by rank 1")));
    EXPECT_THAT(end, HasSubject(base::Rank(1)));
  });
  EXPECT_EQ(statuses[0], 0);
  EXPECT_EQ(statuses[1], SIGKILL);
  EXPECT_EQ(statuses[2], 0);
  EXPECT_LT(base::RealClock().Now() - begun, seconds(20));
}

}  // namespace
}  // namespace lockstep::collectives::testing
