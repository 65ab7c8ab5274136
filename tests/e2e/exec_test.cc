// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// `lockstep exec` under the simplest launcher that there is, a loop in a shell; and what it
// refuses.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <map>
#include <string>
#include <vector>

#include "tests/e2e/command.h"
#include "tests/e2e/exec_fixture.h"
#include "tests/e2e/run_fixture.h"
#include "tests/e2e/stage.h"

namespace lockstep::e2e {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class ExecTest : public ExecFixture {
 protected:
  Command::Options WithVariables(const std::map<std::string, std::string>& variables) const {
    Command::Options options = ExecOptions();
    for (const auto& [name, value] : variables) options.environment[name] = value;
    return options;
  }
  /// Of a job of this test: its process, as a launcher, has those of other tests too.
  std::vector<std::string> ExecOwn(const std::vector<std::string>& program) const {
    std::vector<std::string> words = {"--job", scratch_.path(), "--"};
    words.insert(words.end(), program.begin(), program.end());
    return Exec(words);
  }
  /// One rank alone in its world.
  Outcome RunAlone(const std::vector<std::string>& words) const {
    return Command(words, WithVariables(kAlone)).Wait(30s);
  }

  static inline const std::map<std::string, std::string> kAlone = {{"RANK", "0"},
                                                                   {"WORLD_SIZE", "1"}};
};

// --------------------------------------------------------------------------------------- in a loop

TEST_F(ExecTest, ALoopsRanksGetTheirPlaceASessionAndTheirGroup) {
  std::vector<std::string> words = Exec({"--name", "loop", "--checkpoint-dir", "/data"});
  for (const std::string& word : {std::string("--"), Runfile("tests/e2e/exec_rank")}) {
    words.push_back(word);
  }

  const Outcome outcome = RunWords(Loop(3, words));

  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_TRUE(AllSaidTheirPlace(outcome.out, 3)) << outcome.out;
  EXPECT_EQ(CountOf(outcome.out, "checkpoints /data;"), 3) << outcome.out;
  EXPECT_EQ(CountOf(outcome.out, SumLine("sum", 3)), 3) << outcome.out;
  EXPECT_THAT(JobOf(outcome.out), ::testing::StartsWith("loop-"));
  EXPECT_TRUE(HasEndedAfter(5s));
  EXPECT_THAT(WhatIsLeft(), IsEmpty());
}

// As srun starts them, but for srun.
TEST_F(ExecTest, RanksOfASlurmStepGetTheirPlaceASessionAndTheirGroup) {
  const std::string script =
      "export SLURM_JOB_ID=121 SLURM_STEP_ID=0 SLURM_NTASKS=3 SLURM_STEP_NUM_TASKS=3 "
      "SLURM_NNODES=1 SLURM_NODEID=0 SLURM_TASKS_PER_NODE=3 SLURM_STEP_TASKS_PER_NODE=3; "
      "for r in 0 1 2; do SLURM_PROCID=$r SLURM_LOCALID=$r \"$@\" & p=\"$p $!\"; done; "
      "s=0; for i in $p; do wait $i || s=$?; done; exit $s";
  std::vector<std::string> words = {"/bin/sh", "-c", script, "srun"};
  for (const std::string& word : ExecRank()) words.push_back(word);

  const Outcome outcome = RunWords(words);

  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_TRUE(AllSaidTheirPlace(outcome.out, 3)) << outcome.out;
  EXPECT_EQ(CountOf(outcome.out, SumLine("sum", 3)), 3) << outcome.out;
  EXPECT_EQ(CountOf(outcome.out, ", job " + JobOf(outcome.out) + ","), 3) << outcome.out;
  EXPECT_EQ(State().launcher(), "srun");
  EXPECT_TRUE(HasEndedAfter(5s));
}

TEST_F(ExecTest, JobsOfOneShellFollowEachOtherAtOnce) {
  std::string script =
      "for job in 1 2 3 4 5 6 7 8 9 10; do p=; for r in 0 1; do RANK=$r WORLD_SIZE=2 "
      "LOCAL_RANK=$r LOCAL_WORLD_SIZE=2 \"$@\" & p=\"$p $!\"; done; for i in $p; do "
      "wait $i || exit 1; done; done";
  std::vector<std::string> words = {"/bin/sh", "-c", script, "loop"};
  for (const std::string& word : ExecRank()) words.push_back(word);

  const Outcome outcome = RunWords(words);

  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(CountOf(outcome.out, SumLine("sum", 2)), 20) << outcome.out;
  EXPECT_EQ(JobFolders().size(), 10u);
  EXPECT_TRUE(Eventually([this] { return WhatIsLeft().empty(); }, 5s));
}

// The shell's first job lacks a rank, so that its agent still waits when those of the second come,
// whichever is the first of them.
TEST_F(ExecTest, AJobThatLackedARankIsNotInTheWayOfTheNext) {
  for (const char* order : {"0 1", "1 0"}) {
    const std::string script =
        "RANK=0 WORLD_SIZE=2 LOCAL_RANK=0 LOCAL_WORLD_SIZE=2 \"$1\" exec -- /bin/true; sleep 0.1; "
        "for r "
        "in " +
        std::string(order) +
        "; do RANK=$r WORLD_SIZE=2 LOCAL_RANK=$r LOCAL_WORLD_SIZE=2 \"$@\" & p=$!; "
        "until ls lockstep/exec-rank* >/dev/null 2>&1; do sleep 0.01; done; done; wait";
    std::vector<std::string> words = {"/bin/sh", "-c", script, "loop"};
    for (const std::string& word : ExecRank()) words.push_back(word);

    const Outcome outcome = RunWords(words);

    EXPECT_EQ(CountOf(outcome.out, SumLine("sum", 2)), 2) << outcome.out << outcome.err;
    EXPECT_EQ(JobFolders().size(), 2u);
    EXPECT_TRUE(Eventually([this] { return WhatIsLeft().empty(); }, 5s));
    Verb({"prune"});
  }
}

TEST_F(ExecTest, AnAgentWhoseOtherRanksNeverComeEndsByItself) {
  const Outcome outcome =
      Command(
          ExecOwn({"/bin/true"}),
          WithVariables(
              {{"RANK", "0"}, {"WORLD_SIZE", "2"}, {"LOCAL_RANK", "0"}, {"LOCAL_WORLD_SIZE", "2"}}))
          .Wait(30s);
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(Verb({"status", "true"}).out,
              HasSubstr("of 2 ranks 1 have come here, 1 are awaited"));

  EXPECT_TRUE(HasEndedAfter(15s));

  EXPECT_THAT(WhatIsLeft(), IsEmpty());
  EXPECT_THAT(Verb({"ps", "--all"}).out, HasSubstr("  ended  "));
}

TEST_F(ExecTest, TwoJobsOfOneProcessNeedKeysOrPortsOfTheirOwn) {
  const std::string start = "RANK=0 WORLD_SIZE=1 LOCAL_RANK=0 LOCAL_WORLD_SIZE=1 ";
  const std::string script =
      start + "\"$@\" & until ls lockstep/exec-rank* >/dev/null 2>&1; do sleep 0.01; done; " +  //
      start + "\"$1\" exec -- /bin/true; a=$?; " +                                              //
      start + "\"$1\" exec --job b -- /bin/true; b=$?; " +                                      //
      start + "MASTER_ADDR=here MASTER_PORT=1 \"$1\" exec -- /bin/true; " +
      "echo ended $a $b $?; echo >go; wait";
  std::vector<std::string> words = {"/bin/sh", "-c", script, "sh"};
  for (const std::string& word : ExecRank("hold")) words.push_back(word);

  const Outcome outcome = RunWords(words);

  EXPECT_THAT(outcome.out, HasSubstr("ended 69 0 0\n")) << outcome.err;
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("rank 0 has come as process"), HasSubstr("--job KEY")));
  EXPECT_THAT(outcome.out, HasSubstr("again 1\n"));
}

TEST_F(ExecTest, RanksOfSeveralHostsAreToldThatTheirGroupCannotBe) {
  const std::string script =
      "for r in 0 1; do RANK=$r WORLD_SIZE=4 LOCAL_RANK=$r LOCAL_WORLD_SIZE=2 \"$@\" & p=\"$p "
      "$!\"; "
      "done; s=0; for i in $p; do wait $i || s=$?; done; exit $s";
  std::vector<std::string> words = {"/bin/sh", "-c", script, "loop"};
  for (const std::string& word : ExecRank()) words.push_back(word);

  const Outcome outcome = RunWords(words);

  EXPECT_EQ(outcome.status, 3) << outcome.out;
  EXPECT_LT(outcome.elapsed, 20s);
  EXPECT_EQ(CountOf(outcome.err, "those of `lockstep exec` do not"), 2) << outcome.err;
  EXPECT_EQ(CountOf(outcome.err, "MASTER_ADDR and MASTER_PORT are not set"), 1) << outcome.err;
}

TEST_F(ExecTest, VerbsKnowWhoseTheJobIs) {
  Command job(Loop(2, Exec({"--name", "night", "--", "/bin/sleep", "60"})), ExecOptions());
  EXPECT_TRUE(Eventually(
      [this] { return Contains(Verb({"status", "night"}).out, "2 have come here"); }, 20s));

  EXPECT_THAT(Verb({"ps"}).out, AllOf(HasSubstr("night-"), HasSubstr("running")));
  EXPECT_THAT(Verb({"logs", "night"}).err, HasSubstr("the output of job night-"));
  EXPECT_NE(Verb({"rm", "night"}).status, 0) << "it is running";
  EXPECT_THAT(
      Command(Loop(1, Exec({"--name", "night", "--", "/bin/true"})), ExecOptions()).Wait(20s).err,
      HasSubstr("job name taken"));
  const Outcome removed = Verb({"rm", "--force", "night"});
  EXPECT_EQ(removed.status, 0) << removed.err;
  EXPECT_THAT(removed.out, AllOf(HasSubstr("has ended\n"), HasSubstr("removed night-")));
  EXPECT_EQ(job.Wait(20s).status, 143);
}

// scancel and the like signal whatever they find; the ranks may be saving their state.
TEST_F(ExecTest, SignalsThatGoAroundDoNotEndTheAgent) {
  Command job(ExecOwn({"/bin/sleep", "60"}), WithVariables(kAlone));
  // Its note is there before it listens.
  ASSERT_TRUE(Eventually([this] { return Contains(Verb({"status", "sleep"}).out, "alive"); }, 20s));
  const auto agent = static_cast<pid_t>(State().agent().pid());

  for (const int signal : {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGPIPE}) {
    EXPECT_EQ(::kill(agent, signal), 0) << signal;
  }

  EXPECT_THAT(Verb({"status", "sleep"}).out, HasSubstr("alive"));
  EXPECT_EQ(Verb({"stop", "sleep"}).status, 0);
  EXPECT_EQ(job.Wait(20s).status, 143);
}

// --------------------------------------------------------------------------------- what it becomes

TEST_F(ExecTest, TheProgramIsTheSameProcessAsItCame) {
  Command job(ExecOwn({"/bin/sleep", "60"}), WithVariables(kAlone));
  EXPECT_TRUE(Eventually(
      [&] {
        return ReadFile("/proc/" + std::to_string(job.pid()) + "/cmdline").starts_with("/bin/");
      },
      20s));

  EXPECT_THAT(ChildrenOf(job.pid()), IsEmpty());
  job.Signal(SIGUSR1);
  EXPECT_EQ(job.Wait(20s).status, 128 + SIGUSR1);
  EXPECT_TRUE(HasEndedAfter(5s));
}

TEST_F(ExecTest, IgnoredAndBlockedSignalsAreWhatTheyWere) {
  const std::vector<std::string> look = {"/bin/grep", "Sig[BIC]", "/proc/self/status"};
  Command::Options options = WithVariables(kAlone);
  options.wrapper = {"/bin/sh", "-c", "trap '' HUP USR2; exec \"$@\"", "sh"};

  const Outcome bare = Command(look, options).Wait(20s);
  const Outcome wrapped = Command(ExecOwn(look), options).Wait(20s);

  EXPECT_EQ(wrapped.out, bare.out) << wrapped.err;
  EXPECT_THAT(bare.out, HasSubstr("801\n"));
}

TEST_F(ExecTest, ProgramsThatCannotBeExecutedHaveTheStatusesOfShells) {
  scratch_.Write("script.py", "print()\n");
  const Outcome missing = RunAlone(ExecOwn({"lockstep-no-such-program"}));
  EXPECT_EQ(missing.status, 127);
  EXPECT_THAT(missing.err, HasSubstr("no program \"lockstep-no-such-program\" on PATH"));

  const Outcome script = RunAlone(ExecOwn({"./script.py"}));
  EXPECT_EQ(script.status, 126);
  EXPECT_THAT(script.err, HasSubstr("chmod +x"));
}

// --------------------------------------------------------------------------------- what it refuses

TEST_F(ExecTest, AnIncompletePlaceIsAnErrorThatNamesTheVariables) {
  const struct {
    std::map<std::string, std::string> variables;
    const char* said;
  } cases[] = {
      {{{"OMPI_COMM_WORLD_RANK", "1"}}, "OMPI_COMM_WORLD_RANK=1 is there, and not OMPI_COMM"},
      {{{"RANK", "1"}, {"WORLD_SIZE", "2"}}, "not LOCAL_RANK, LOCAL_WORLD_SIZE"},
      {{{"PMI_RANK", "4"}, {"PMI_SIZE", "2"}, {"MPI_LOCALRANKID", "0"}, {"MPI_LOCALNRANKS", "2"}},
       "rank 4 of 2"},
      {{}, "lockstep run -np N PROGRAM"},
  };
  for (const auto& [variables, said] : cases) {
    const Outcome outcome =
        Command(Exec({"--", "/bin/echo", "ran"}), WithVariables(variables)).Wait(20s);

    EXPECT_EQ(outcome.status, 64) << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr(said));
    EXPECT_EQ(outcome.out, "");
  }
  EXPECT_THAT(JobFolders(), IsEmpty());
}

TEST_F(ExecTest, AWrongCommandLineIsRefused) {
  EXPECT_THAT(RunAlone(Exec({})).err, HasSubstr("no program is named"));
  EXPECT_THAT(RunAlone(Exec({"--name", "Night_1", "true"})).err, HasSubstr("--name Night_1: must"));
  EXPECT_THAT(RunAlone(Exec({"--jobs", "x", "true"})).err, HasSubstr("did you mean --job?"));
  EXPECT_EQ(RunAlone(Exec({"--jobs", "x", "true"})).status, 64);
}

TEST_F(ExecTest, ARankOfLockstepRunBecomesTheProgramAsItIs) {
  const Outcome outcome = RunIt({"-np", "2", LockstepPath(), "exec", "--", "/bin/sh", "-c",
                                 "echo $RANK of $WORLD_SIZE in $LOCKSTEP_JOB_ID"});

  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(outcome.out,
              AllOf(HasSubstr("0 of 2 in lockstep-"), HasSubstr("1 of 2 in lockstep-")));
  EXPECT_EQ(JobFolders().size(), 1u) << "no second job";
}

TEST_F(ExecTest, ARankOfTwoLaunchersIsRefusedWithTheCure) {
  const Outcome outcome =
      RunScriptIt({"-np", "1"}, "PMI_RANK=0 PMI_SIZE=1 " + LockstepPath() + " exec -- /bin/true");

  EXPECT_EQ(outcome.status, 64) << outcome.err;
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("without `lockstep exec`"),
                                 HasSubstr("env -u LOCKSTEP_SOCKET -u LOCKSTEP_COOKIE")));
  EXPECT_EQ(RunScriptIt({"-np", "1"},
                        "PMI_RANK=0 PMI_SIZE=1 env -u LOCKSTEP_SOCKET -u "
                        "LOCKSTEP_COOKIE " +
                            LockstepPath() + " exec -- /bin/true")
                .status,
            0);
}

TEST_F(ExecTest, AnAgentThatIsStoppedIsNamedAndWaitedForNoLongerThanTheLimit) {
  const std::map<std::string, std::string> rank0 = {
      {"RANK", "0"}, {"WORLD_SIZE", "2"}, {"LOCAL_RANK", "0"}, {"LOCAL_WORLD_SIZE", "2"}};
  std::map<std::string, std::string> rank1 = rank0;
  rank1["RANK"] = rank1["LOCAL_RANK"] = "1";
  Command first(Exec({"--job", "j", "--", "/bin/sleep", "60"}), WithVariables(rank0));
  ASSERT_TRUE(Eventually([this] { return State().agent().pid() > 0; }, 20s));
  const auto agent = static_cast<pid_t>(State().agent().pid());
  ASSERT_EQ(::kill(agent, SIGSTOP), 0);

  const Outcome second =
      Command(Exec({"--job", "j", "--", "/bin/true"}), WithVariables(rank1)).Wait(30s);

  EXPECT_EQ(second.status, 69) << second.err;
  EXPECT_THAT(second.err, HasSubstr("is it stopped?"));
  EXPECT_LT(second.elapsed, 15s);
  ::kill(agent, SIGCONT);
  first.Signal(SIGTERM);
  first.Wait(10s);
  ::kill(agent, SIGKILL);  // it would wait for rank 1
  EXPECT_TRUE(Eventually([&] { return ProcessState(agent) == '?'; }, 5s));
}

// --------------------------------------------------------------------- folders that cannot be used

TEST_F(ExecTest, ASocketFolderOfSomebodyElseIsRefusedByEveryRank) {
  if (::getuid() != 0) GTEST_SKIP() << "needs root, to be two users";
  constexpr uid_t kUser = 64233;
  const Stage stage({.as_root = false, .cgroups = false}, scratch_, kUser);
  ASSERT_EQ(stage.why_not(), "");
  const std::string folder = "/tmp/lockstep-" + std::to_string(kUser);
  ASSERT_EQ(::mkdir(folder.c_str(), 0700), 0);  // root's
  Command::Options options = ExecOptions();
  options.environment.erase("XDG_RUNTIME_DIR");
  options.wrapper = stage.wrapper();

  const Outcome outcome =
      Command(Loop(2, {stage.lockstep(), "exec", "--", "/bin/echo", "ran"}), options).Wait(20s);
  ::rmdir(folder.c_str());

  EXPECT_EQ(outcome.status, 73) << outcome.err;
  EXPECT_EQ(CountOf(outcome.err, folder + ": Permission denied"), 2) << outcome.err;
  EXPECT_EQ(outcome.out, "");
}

TEST_F(ExecTest, AFullDiskUnderTheSocketsIsToldToEveryRank) {
  const std::string folder = scratch_.path() + "/r";  // short, as those of sockets must be
  ::mkdir(folder.c_str(), 0700);
  Command::Options options = ExecOptions();
  options.environment["XDG_RUNTIME_DIR"] = folder;
  // Room for the folder and for Lockstep's in it.
  options.wrapper = {"/usr/bin/unshare",
                     "--mount",
                     "/bin/sh",
                     "-c",
                     "mount -t tmpfs -o nr_inodes=2,mode=700 none " + folder + " && exec \"$@\"",
                     "sh"};
  if (const std::string why = WhyNotIn(options.wrapper); !why.empty()) GTEST_SKIP() << why;

  const Outcome outcome = Command(Loop(3, Exec({"--", "/bin/echo", "ran"})), options).Wait(20s);

  EXPECT_EQ(outcome.status, 73) << outcome.err;
  EXPECT_EQ(CountOf(outcome.err, "No space left"), 3) << outcome.err;
  EXPECT_EQ(outcome.out, "");
  EXPECT_TRUE(Eventually([this] { return scratch_.Leftovers().empty(); }, 5s));
}

}  // namespace
}  // namespace lockstep::e2e
