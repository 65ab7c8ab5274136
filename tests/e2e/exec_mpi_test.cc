// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// `lockstep exec` under the launchers of Open MPI and MPICH.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <system_error>
#include <vector>

#include "collectives/recorder/ring_reader.h"
#include "runtime/base/unique_fd.h"
#include "tests/e2e/command.h"
#include "tests/e2e/exec_fixture.h"
#include "tests/e2e/run_fixture.h"

namespace lockstep::e2e {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr int kRanks = 4;

class ExecMpiTest : public ExecFixture, public ::testing::WithParamInterface<const char*> {
 protected:
  void SetUp() override {
    const std::string program = std::string("mpirun.") + GetParam();
    if (::access(("/usr/bin/" + program).c_str(), X_OK) != 0) {
      GTEST_SKIP() << program << " is not installed";
    }
  }
  std::vector<std::string> Mpi(int ranks, const std::vector<std::string>& words) const {
    return Mpirun(GetParam(), ranks, words);
  }
  /// hydra 4.0.2 dies of SIGPIPE in one of some 30 runs of short programs, of `true` alone too.
  bool IsHydrasOwnDeath(const Outcome& outcome) const {
    return outcome.status == 128 + SIGPIPE && GetParam() == std::string("mpich");
  }
  bool EndedWell(const Outcome& outcome) const {
    return outcome.status == 0 || IsHydrasOwnDeath(outcome);
  }
  /// Once more when hydra has died, and then as if for the first time.
  Outcome RunMpi(int ranks, const std::vector<std::string>& words,
                 const std::string& input = "") const {
    Command::Options options = ExecOptions();
    options.input = input;
    Outcome outcome = Command(Mpi(ranks, words), options).Wait(60s);
    for (int times = 1; times < 5 && IsHydrasOwnDeath(outcome); ++times) {
      EXPECT_TRUE(Eventually([this] { return WhatIsLeft().empty(); }, 10s));
      Verb({"prune"});
      outcome = Command(Mpi(ranks, words), options).Wait(60s);
    }
    return outcome;
  }
  /// mpirun with ranks that have computed once and wait for the test.
  std::unique_ptr<Command> StartHeld() const {
    auto job = std::make_unique<Command>(Mpi(kRanks, ExecRank("hold")), ExecOptions());
    EXPECT_TRUE(job->WaitForOutput(
        [](const std::string& out, const std::string&) {
          return CountOf(out, SumLine("sum", kRanks)) == kRanks;
        },
        30s));
    return job;
  }
  void LetAllGo() const { scratch_.Write("go", ""); }
};

TEST_P(ExecMpiTest, RanksGetTheirPlaceASessionAndTheirGroup) {
  const Outcome outcome = RunMpi(kRanks, ExecRank());

  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_TRUE(AllSaidTheirPlace(outcome.out, kRanks)) << outcome.out;
  EXPECT_EQ(CountOf(outcome.out, SumLine("sum", kRanks)), kRanks) << outcome.out;
  EXPECT_EQ(CountOf(outcome.out, ", job " + JobOf(outcome.out) + ","), kRanks) << outcome.out;
  EXPECT_TRUE(HasEndedAfter(5s));
  EXPECT_EQ(State().job_id(), JobOf(outcome.out));
  EXPECT_FALSE(State().has_exit_code()) << "nobody knows it";
  EXPECT_THAT(WhatIsLeft(), IsEmpty());
}

// hydra names no job, so that the job is its process's; mpirun's does.
TEST_P(ExecMpiTest, AShellBetweenMpirunAndTheRankIsNoHindrance) {
  std::vector<std::string> words = {"/bin/sh", "-c", "\"$@\"; exit $?", "sh"};
  for (const std::string& word : ExecRank()) words.push_back(word);

  const Outcome outcome = RunMpi(kRanks, words);

  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(CountOf(outcome.out, SumLine("sum", kRanks)), kRanks) << outcome.out;
  EXPECT_EQ(JobFolders().size(), 1u);
}

TEST_P(ExecMpiTest, InputOutputAndExitStatusStayWithMpirun) {
  const std::string reads = "[ $RANK != 0 ] || { read word; echo got $word; }";
  const Outcome read = RunMpi(kRanks, Exec({"--", "/bin/sh", "-c", reads}), "typed\n");
  const Outcome failed = RunMpi(
      kRanks, Exec({"--", "/bin/sh", "-c", "[ $RANK != 2 ] || { echo broken >&2; exit 9; }"}));

  EXPECT_EQ(read.status, 0) << read.err;
  EXPECT_EQ(read.out, "got typed\n");
  EXPECT_EQ(failed.status, 9) << failed.err;
  EXPECT_THAT(failed.err, HasSubstr("broken\n"));
}

TEST_P(ExecMpiTest, TheProgramGetsTheDescriptorsAndVariablesThatItWouldHaveHad) {
  const std::string script = "ls -1 /proc/$$/fd; env | grep -c '^\\(OMPI\\|PMI\\|PMIX\\|MPI\\)_'";
  const Outcome bare = RunMpi(1, {"/bin/sh", "-c", script});
  const Outcome wrapped = RunMpi(1, Exec({"/bin/sh", "-c", script}));

  EXPECT_EQ(wrapped.out, bare.out) << wrapped.err;
  EXPECT_GE(Lines(bare.out).size(), 4u) << bare.out << bare.err;
}

TEST_P(ExecMpiTest, RanksThatMeetByPyTorchsVariablesAreToldAPortThatIsTheirs) {
  const Outcome outcome = RunMpi(
      kRanks,
      Exec({"/bin/sh", "-c", "echo $RANK/$WORLD_SIZE at $MASTER_ADDR:$MASTER_PORT; sleep 1"}));

  EXPECT_EQ(outcome.status, 0) << outcome.err;
  const std::vector<std::string> lines = Lines(outcome.out);
  ASSERT_EQ(lines.size(), static_cast<size_t>(kRanks)) << outcome.out;
  const std::string place = lines[0].substr(lines[0].find(" at "));
  EXPECT_THAT(place, HasSubstr(" at 127.0.0.1:"));
  EXPECT_GT(std::stoi(place.substr(place.rfind(':') + 1)), 1023);
  for (int rank = 0; rank < kRanks; ++rank) {
    EXPECT_THAT(outcome.out, HasSubstr(std::to_string(rank) + "/4" + place + "\n"));
  }
}

TEST_P(ExecMpiTest, RanksGoOnWhenTheirAgentIsKilled) {
  const auto job = StartHeld();
  ASSERT_EQ(JobFolders().size(), 1u);
  ASSERT_EQ(::kill(AgentOf(JobFolders().front()), SIGKILL), 0);
  EXPECT_TRUE(Eventually([&] { return ProcessState(AgentOf(JobFolders().front())) == '?'; }, 5s));

  // Every command ends what lost jobs have left; of this one's, the ranks are not ours.
  const Outcome listed = Verb({"ps", "--all"});
  EXPECT_THAT(listed.err, HasSubstr("its ranks belong to"));
  EXPECT_THAT(listed.out, HasSubstr("lost"));
  EXPECT_THAT(WhatIsLeft(), IsEmpty());
  EXPECT_EQ(Verb({"ps"}).err, "lockstep: no job is running; `lockstep ps --all` shows 1 more\n");

  LetAllGo();
  const Outcome outcome = job->Wait(30s);
  EXPECT_TRUE(EndedWell(outcome)) << outcome.err;
  EXPECT_EQ(CountOf(outcome.out, SumLine("again", kRanks)), kRanks) << outcome.out;
}

TEST_P(ExecMpiTest, TheAgentGoesWithTheLastOfItsRanksHoweverTheyEnd) {
  const auto job = StartHeld();
  const std::string events_folder = JobFolders().front();
  const std::string status = Verb({"status", "--json", "exec-rank"}).out;
  std::vector<pid_t> ranks;
  for (size_t at = 0; (at = status.find("\"pid\":\"", at)) != std::string::npos; ++at) {
    ranks.push_back(std::stoi(status.substr(at + 7)));
  }
  ASSERT_EQ(ranks.size(), static_cast<size_t>(kRanks)) << status;

  for (const pid_t rank : ranks) ::kill(rank, SIGKILL);  // unless mpirun was faster

  EXPECT_TRUE(HasEndedAfter(1s));
  EXPECT_THAT(WhatIsLeft(), IsEmpty());
  EXPECT_NE(job->Wait(30s).status, 0);
  for (const auto& entry : std::filesystem::directory_iterator(events_folder)) {
    const std::string name = entry.path().filename();
    EXPECT_TRUE(name.starts_with("state.") || name.starts_with("events.")) << name;
  }
}

TEST_P(ExecMpiTest, TwoJobsAtOnceDoNotMix) {
  const auto first = StartHeld();
  const auto second = StartHeld();
  EXPECT_EQ(JobFolders().size(), 2u);
  EXPECT_THAT(Verb({"ps"}).out, HasSubstr("exec_rank hold"));

  LetAllGo();
  const Outcome one = first->Wait(30s);
  const Outcome two = second->Wait(30s);

  EXPECT_TRUE(EndedWell(one)) << one.err;
  EXPECT_TRUE(EndedWell(two)) << two.err;
  EXPECT_NE(JobOf(one.out), JobOf(two.out));
  EXPECT_EQ(CountOf(one.out, ", job " + JobOf(one.out) + ","), kRanks) << one.out;
  EXPECT_EQ(CountOf(two.out, ", job " + JobOf(two.out) + ","), kRanks) << two.out;
}

TEST_P(ExecMpiTest, StopAsksTheRanksAndKillsNone) {
  Command job(Mpi(kRanks, ExecRank("stop")), ExecOptions());
  ASSERT_TRUE(job.WaitForOutput(
      [](const std::string& out, const std::string&) { return CountOf(out, "sum ") == kRanks; },
      30s));
  EXPECT_THAT(Verb({"status", "exec-rank"}).out,
              HasSubstr("of 4 ranks 4 have come here, 0 are awaited"));

  const Outcome stopped = Verb({"stop", "--now", "exec-rank"});

  EXPECT_EQ(stopped.status, 0) << stopped.err;
  EXPECT_THAT(stopped.err, HasSubstr("were sent SIGTERM; none is killed"));
  EXPECT_THAT(stopped.out, HasSubstr("has ended\n"));
  const Outcome outcome = job.Wait(30s);
  EXPECT_TRUE(EndedWell(outcome)) << outcome.err;
  EXPECT_EQ(CountOf(outcome.out, "asked to stop\n"), kRanks) << outcome.out;
}

/// Names of what the ranks have called, of each that the agent has a recorder of.
std::map<int, std::vector<std::string>> CallsOf(pid_t agent) {
  std::map<int, std::vector<std::string>> calls;
  std::error_code error;
  const std::string folder = "/proc/" + std::to_string(agent) + "/fd";
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    if (std::filesystem::read_symlink(entry, error).string().find("lockstep-recorder") ==
        std::string::npos)
      continue;
    const base::UniqueFd ring(::open(entry.path().c_str(), O_RDONLY | O_CLOEXEC));
    const auto content = collectives::ReadRingFrom(ring.get());
    if (!content.ok()) continue;
    for (const lockstep_record& record : content->records)
      calls[content->head.rank].push_back(record.tag);
  }
  return calls;
}

TEST_P(ExecMpiTest, CallsOfAProgramThatIsNotOursAreRecordedWhereTheyAreWatched) {
  Command job(
      Mpi(2, Exec({"--watch=mpi", "--",
                   Runfile(std::string("tests/mpi_shim/shim_rank_") + GetParam()), "waits"})),
      ExecOptions());
  const std::map<int, std::vector<std::string>> expected = {{0, {"Init", "Irecv"}}, {1, {"Init"}}};
  std::map<int, std::vector<std::string>> calls;
  EXPECT_TRUE(Eventually(
      [&] {
        if (JobFolders().size() == 1) calls = CallsOf(AgentOf(JobFolders().front()));
        return calls == expected;
      },
      30s))
      << ::testing::PrintToString(calls);
  job.Signal(SIGTERM);
  (void)job.Wait(30s);  // hydra calls that a good end
}

TEST_P(ExecMpiTest, FiftyJobsLeaveNothing) {
  for (int job = 0; job < 50; ++job) {
    const Outcome outcome = RunWords(Mpi(2, ExecRank()));
    ASSERT_TRUE(EndedWell(outcome)) << job << ": " << outcome.err;
  }

  EXPECT_THAT(scratch_.LeftoversAfter(2s), IsEmpty());
  EXPECT_EQ(JobFolders().size(), 50u);
  EXPECT_THAT(WhatIsLeft(), IsEmpty());
  EXPECT_THAT(Verb({"ps", "--all"}).out, Not(HasSubstr("running")));
}

INSTANTIATE_TEST_SUITE_P(Under, ExecMpiTest, ::testing::Values("openmpi", "mpich"),
                         [](const auto& launcher) { return std::string(launcher.param); });

}  // namespace
}  // namespace lockstep::e2e
