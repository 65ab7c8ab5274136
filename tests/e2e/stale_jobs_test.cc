// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// Job directories that a power loss, a reboot or another host has left: the verbs show what is
// there, believe nothing that is stale, and clear it away.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include "runtime/proto/job_state.pb.h"
#include "tests/e2e/command.h"
#include "tests/e2e/run_fixture.h"
#include "tests/e2e/stage.h"

namespace lockstep::e2e {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kOtherBoot[] = "00000000-1111-2222-3333-444444444444";

class StaleJobsTest : public RunFixture {
 protected:
  /// The directory of a job that has said "kept" and ended with status 3.
  std::string EndedJob() const {
    EXPECT_EQ(RunScriptIt({"-np", "2", "--name", "job"}, "echo kept; exit 3").status, 3);
    return JobFolder("job");
  }

  static std::string StatePath(const std::string& folder) {
    for (const auto& entry : fs::directory_iterator(folder)) {
      if (entry.path().filename().string().starts_with("state.")) return entry.path();
    }
    return "";
  }

  static void ChangeState(const std::string& folder,
                          const std::function<void(proto::JobState&)>& change) {
    const std::string path = StatePath(folder);
    proto::JobState state;
    ASSERT_TRUE(state.ParseFromString(ReadFile(path)));
    change(state);
    std::ofstream(path, std::ios::binary) << state.SerializeAsString();
  }

  /// As an agent writes it while ranks run.
  static void MakeRunning(proto::JobState& state, pid_t pid, const std::string& boot_id) {
    state.set_phase(proto::JOB_PHASE_RUNNING);
    state.clear_exit_code();
    state.clear_ended();
    for (proto::ProcessIdentity* process : {state.mutable_front(), state.mutable_agent()}) {
      process->set_pid(pid);
      if (!boot_id.empty()) process->set_boot_id(boot_id);
    }
  }

  /// Starts a job named "job", whose front and agent are then killed: its rank lives on.
  static void LoseJob(const Command::Options& options) {
    Command job(RunScript({"-np", "1", "--name", "job"}, "echo up; exec sleep 60"), options);
    ASSERT_TRUE(job.WaitForOutput(
        [](const std::string& out, const std::string&) { return Contains(out, "up"); }, 10s));
    const std::vector<pid_t> agent = ChildrenOf(job.pid());
    ASSERT_EQ(agent.size(), 1u);
    job.Signal(SIGSTOP);  // else it would see to what its agent leaves
    ::kill(agent[0], SIGKILL);
    job.Signal(SIGKILL);
    job.Wait(10s);
  }

  /// Every verb does something sensible with the one job that is there, which is not running.
  void ExpectLost() const {
    EXPECT_THAT(Verb({"ps"}).out, Not(HasSubstr("job-")));
    const Outcome all = Verb({"ps", "--all"});
    EXPECT_EQ(all.status, 0) << all.err;
    EXPECT_THAT(all.out, AllOf(HasSubstr("job-"), HasSubstr("lost")));
    EXPECT_EQ(Verb({"ps", "--all", "--json"}).status, 0);
    const Outcome status = Verb({"status", "job"});
    EXPECT_EQ(status.status, 0) << status.err;
    EXPECT_THAT(status.out, HasSubstr("lost"));
    const Outcome logs = Verb({"logs", "job", "--rank", "1"});
    EXPECT_EQ(logs.status, 0) << logs.err;
    EXPECT_EQ(logs.out, "kept\n");
    EXPECT_NE(Verb({"stop", "job"}).status, 70);
  }
};

TEST_F(StaleJobsTest, ARebootEndsAJobWhateverItsPidsAreNow) {
  const std::string folder = EndedJob();
  // This process lives, and had the same pid before the power went off.
  ChangeState(folder, [](proto::JobState& state) { MakeRunning(state, ::getpid(), kOtherBoot); });

  ExpectLost();
  EXPECT_EQ(RunScriptIt({"-np", "1", "--name", "job"}, "exit 0").status, 0) << "the name is free";
  EXPECT_EQ(Verb({"rm", fs::path(folder).filename()}).status, 0);
  EXPECT_FALSE(fs::exists(folder));
}

TEST_F(StaleJobsTest, APidThatWasUsedAgainIsNotBelieved) {
  const std::string folder = EndedJob();
  ChangeState(folder, [](proto::JobState& state) {
    MakeRunning(state, ::getpid(), "");
    state.mutable_front()->set_start_ticks(1);
    state.mutable_agent()->set_start_ticks(1);
  });

  ExpectLost();
}

TEST_F(StaleJobsTest, ARunningJobIsBelieved) {  // else the two above would show nothing
  Command command(RunScript({"-np", "1", "--name", "job"}, "echo kept; exec sleep 60"), Options());
  ASSERT_TRUE(command.WaitForOutput(
      [](const std::string& out, const std::string&) { return Contains(out, "kept"); }, 20s));

  // Its first words may come before its agent has written down that it runs.
  std::string shown;
  EXPECT_TRUE(Eventually([&] { return Contains(shown = Verb({"ps"}).out, "running"); }, 10s));
  EXPECT_THAT(shown, HasSubstr("job-"));
  EXPECT_NE(Verb({"rm", "job"}).status, 0);
  command.Signal(SIGTERM);
  EXPECT_EQ(command.Wait(20s).status, 143);
}

TEST_F(StaleJobsTest, AStateThatWasCutShortHidesNothingElse) {
  const std::string folder = EndedJob();
  const std::string state = StatePath(folder);
  const std::string whole = ReadFile(state);
  for (size_t bytes = 0; bytes < whole.size(); bytes += whole.size() / 8) {
    std::ofstream(state, std::ios::binary) << whole.substr(0, bytes);
    const Outcome all = Verb({"ps", "--all"});
    EXPECT_EQ(all.status, 0) << all.err;
    EXPECT_THAT(all.out, HasSubstr("job-")) << bytes;
    EXPECT_EQ(Verb({"status", "job"}).status, 0) << bytes;
    EXPECT_EQ(Verb({"logs", "job", "--rank", "1"}).out, "kept\n") << bytes;
  }
  std::ofstream(state, std::ios::binary).close();

  ExpectLost();
  EXPECT_EQ(Verb({"rm", "job"}).status, 0);
  EXPECT_FALSE(fs::exists(folder));
}

TEST_F(StaleJobsTest, NoiseInEveryFileIsNoReasonToFail) {
  const std::string folder = EndedJob();
  const std::string noise = std::string(300, '\xff') + std::string(300, '\0') + "{]\n";
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.is_regular_file()) std::ofstream(entry.path(), std::ios::binary) << noise;
  }

  ExpectLost();
  EXPECT_EQ(Verb({"prune", "--older", "0s"}).status, 0);
  EXPECT_FALSE(fs::exists(folder));
}

TEST_F(StaleJobsTest, AJobThatDiedBeforeItsFirstStateCanBeRemoved) {
  const std::string jobs = fs::path(EndedJob()).parent_path();
  fs::create_directory(jobs + "/empty-000000");
  fs::create_directory(jobs + "/half-000000");
  std::ofstream(jobs + "/half-000000/state.vm.pb.tmp", std::ios::binary) << "\x0a";

  EXPECT_THAT(Verb({"ps", "--all"}).out,
              AllOf(HasSubstr("empty-000000"), HasSubstr("half-000000")));
  EXPECT_EQ(Verb({"status", "half"}).status, 0);
  EXPECT_EQ(Verb({"logs", "empty"}).status, 0);
  EXPECT_EQ(Verb({"rm", "empty"}).status, 0);
  EXPECT_THAT(Verb({"prune", "--older", "0s"}).out,
              AllOf(HasSubstr("half-000000"), HasSubstr("job-")));
}

TEST_F(StaleJobsTest, ForeignFoldersAreNeitherShownNorRemoved) {
  const std::string jobs = fs::path(EndedJob()).parent_path();
  fs::create_directory(jobs + "/photos");
  std::ofstream(jobs + "/photos/one.jpg") << "x";
  std::ofstream(jobs + "/note.txt") << "x";

  EXPECT_THAT(Verb({"ps", "--all"}).out, AllOf(Not(HasSubstr("photos")), Not(HasSubstr("note"))));
  EXPECT_EQ(Verb({"rm", "photos"}).status, 66);
  EXPECT_EQ(Verb({"prune", "--older", "0s"}).status, 0);
  EXPECT_TRUE(fs::exists(jobs + "/photos/one.jpg"));
  EXPECT_TRUE(fs::exists(jobs + "/note.txt"));
}

TEST_F(StaleJobsTest, AJobOfAnotherHostIsLeftToIt) {
  const std::string folder = EndedJob();
  ChangeState(folder, [](proto::JobState& state) {
    MakeRunning(state, 1, kOtherBoot);
    state.mutable_front()->set_host("node-b");
    state.mutable_agent()->set_host("node-b");
  });
  fs::rename(StatePath(folder), folder + "/state.node-b.pb");

  EXPECT_THAT(Verb({"ps"}).out, Not(HasSubstr("job-")));
  EXPECT_THAT(Verb({"ps", "--all"}).out, HasSubstr("node-b"));
  EXPECT_THAT(Verb({"status", "job"}).out, HasSubstr("on node-b"));
  const Outcome rm = Verb({"rm", "job"});
  EXPECT_NE(rm.status, 0);
  EXPECT_THAT(rm.err, HasSubstr("node-b"));
  EXPECT_EQ(Verb({"prune", "--older", "0s"}).status, 0);
  EXPECT_TRUE(fs::exists(folder));
}

// A container often has the host's name and its user's home; a job in one was ended by the host's
// next command, which took its pids for those of dead processes.
TEST_F(StaleJobsTest, AJobInAContainerIsLeftToIt) {
  std::vector<std::string> wrapper = {"/usr/bin/unshare", "--pid", "--fork", "--kill-child",
                                      "--mount-proc"};
  if (::getuid() != 0) wrapper.push_back("--map-root-user");
  if (const std::string why = WhyNotIn(wrapper); !why.empty()) GTEST_SKIP() << why;
  Command::Options options = Options();
  // Where its sockets are is not seen from outside.
  options.environment["XDG_RUNTIME_DIR"] = scratch_.path() + "/r";
  fs::create_directory(options.environment["XDG_RUNTIME_DIR"]);
  fs::permissions(options.environment["XDG_RUNTIME_DIR"], fs::perms::owner_all);
  options.wrapper = wrapper;
  MakeGo();
  Command command(RunScript({"-np", "1", "--name", "job"}, "echo up; read word <go; exit 4"),
                  options);
  ASSERT_TRUE(command.WaitForOutput(
      [](const std::string& out, const std::string&) { return Contains(out, "up"); }, 20s));
  fs::remove_all(scratch_.path() + "/r/lockstep");

  const Outcome shown = Verb({"ps", "--all"});

  EXPECT_EQ(shown.err, "");
  EXPECT_THAT(shown.out, HasSubstr("in another container"));
  EXPECT_THAT(Verb({"ps"}).out, Not(HasSubstr("job-")));
  EXPECT_THAT(Verb({"status", "job"}).out, HasSubstr("container"));
  for (const char* verb : {"stop", "rm"}) {
    const Outcome refused = Verb({verb, "job"});
    EXPECT_NE(refused.status, 0) << verb;
    EXPECT_THAT(refused.err, HasSubstr("container")) << verb;
  }
  EXPECT_TRUE(LetGo());
  const Outcome outcome = command.Wait(20s);
  EXPECT_EQ(outcome.status, 4) << outcome.err;
  EXPECT_THAT(Verb({"ps", "--all"}).out, HasSubstr("ended (4)"));
}

TEST_F(StaleJobsTest, AJobDirectoryThatIsRemovedUnderARunningJobDoesNotEndIt) {
  MakeGo();
  Command command(RunScript({"-np", "1", "--name", "job"}, "echo up; read word <go; exit 4"),
                  Options());
  ASSERT_TRUE(command.WaitForOutput(
      [](const std::string& out, const std::string&) { return Contains(out, "up"); }, 20s));
  // The agent may be writing into it.
  EXPECT_TRUE(Eventually(
      [folder = JobFolder("job")] {
        std::error_code error;
        fs::remove_all(folder, error);
        return !error && !fs::exists(folder);
      },
      10s));
  EXPECT_EQ(Verb({"ps", "--all"}).status, 0);

  EXPECT_TRUE(LetGo());

  const Outcome outcome = command.Wait(20s);
  EXPECT_EQ(outcome.status, 4) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("rank 0 failed first: exit code 4"));
}

// -------------------------------------------------------------------------------------------------
// a runtime folder that the last log-out of its user removes

TEST_F(StaleJobsTest, AJobWhoseRuntimeFolderIsRemovedIsSeenAndStopped) {
  const struct {
    std::vector<std::string> stop;
    int status;
  } cases[] = {{{"stop", "job"}, 143}, {{"stop", "--now", "job"}, 75}};
  for (const auto& [stop, status] : cases) {
    Command command(RunScript({"-np", "2", "--name", "job"}, "echo up; exec sleep 60"), Options());
    ASSERT_TRUE(command.WaitForOutput(
        [](const std::string& out, const std::string&) { return CountOf(out, "up") == 2; }, 20s));
    fs::remove_all(scratch_.path() + "/lockstep");

    EXPECT_TRUE(Eventually(
        [&] { return Contains(Verb({"status", "job"}).out, "unreachable at " + scratch_.path()); },
        10s));
    const Outcome stopped = Verb(stop);

    EXPECT_EQ(stopped.status, 0) << stopped.err;
    EXPECT_THAT(stopped.err, HasSubstr("was sent SIG"));
    EXPECT_THAT(stopped.out, HasSubstr("has ended with exit status " + std::to_string(status)));
    EXPECT_EQ(command.Wait(20s).status, status);
  }
}

TEST_F(StaleJobsTest, ADetachedJobsSocketsAreNotInTheRuntimeFolder) {
  const Outcome started = Verb({"run", "--detach", "--name", "job", "/bin/sleep", "60"});
  ASSERT_EQ(started.status, 0) << started.err;
  fs::remove_all(scratch_.path() + "/lockstep");

  EXPECT_THAT(Verb({"status", "job"}).out, HasSubstr("running"));
  const Outcome stopped = Verb({"stop", "job"});

  EXPECT_EQ(stopped.status, 0) << stopped.err;
  EXPECT_EQ(stopped.err, "");
}

/// Whichever command comes next, and whether it names the job, another one, or starts one.
TEST_F(StaleJobsTest, ALostJobIsEndedByEveryVerbWhereverItsSocketsAre) {
  const std::vector<std::string> verbs[] = {{"ps"},
                                            {"status", "job"},
                                            {"logs", "job"},
                                            {"stop", "job"},
                                            {"rm", "job"},
                                            {"prune", "--older", "1h"},
                                            {"status", "nobody"},
                                            {"run", "/bin/true"},
                                            {"run", "--detach", "/bin/true"}};
  for (const std::vector<std::string>& verb : verbs) {
    SCOPED_TRACE(::testing::PrintToString(verb));
    const std::string folder = scratch_.path() + "/r";  // short, as those of sockets must be
    ASSERT_EQ(::mkdir(folder.c_str(), 0700), 0);
    Command::Options elsewhere = Options();
    elsewhere.environment["XDG_RUNTIME_DIR"] = folder;
    LoseJob(elsewhere);
    ASSERT_FALSE(fs::is_empty(folder + "/lockstep"));

    EXPECT_THAT(Verb(verb).err, HasSubstr("was lost"));

    EXPECT_THAT(scratch_.LeftoversAfter(5s), ::testing::IsEmpty());
    EXPECT_TRUE(fs::is_empty(folder + "/lockstep"));
    EXPECT_THAT(Verb({"ps"}).err, Not(HasSubstr("was lost"))) << "said once";
    fs::remove_all(folder);
    Verb({"prune", "--older", "0s"});
  }
}

TEST_F(StaleJobsTest, ALostJobWhoseRuntimeFolderIsGoneIsEndedBeforeTheNextOneRuns) {
  LoseJob(Options());
  fs::remove_all(scratch_.path() + "/lockstep");

  EXPECT_THAT(Verb({"run", "/bin/true"}).err, HasSubstr("was lost"));

  EXPECT_THAT(scratch_.LeftoversAfter(5s), ::testing::IsEmpty());
}

TEST_F(StaleJobsTest, ALostDetachedJobIsFoundByTheNextCommand) {
  ASSERT_EQ(Verb({"run", "--detach", "--name", "job", "/bin/sleep", "60"}).status, 0);
  proto::JobState state;
  ASSERT_TRUE(state.ParseFromString(ReadFile(StatePath(JobFolder("job")))));
  const auto front = static_cast<pid_t>(state.front().pid());
  ::kill(front, SIGSTOP);  // else it would see to what its agent leaves
  ::kill(static_cast<pid_t>(state.agent().pid()), SIGKILL);
  ::kill(front, SIGKILL);

  EXPECT_TRUE(Eventually([&] { return Contains(Verb({"ps"}).err, "was lost"); }, 10s));
  EXPECT_THAT(scratch_.LeftoversAfter(5s), ::testing::IsEmpty());
}

TEST_F(StaleJobsTest, ARuntimeFolderTooLongForASocketIsPassedOver) {
  Command::Options options = Options();
  options.environment["XDG_RUNTIME_DIR"] = scratch_.path() + "/" + std::string(90, 'x');
  fs::create_directory(options.environment["XDG_RUNTIME_DIR"]);

  const Outcome outcome = Command(RunWords({"/bin/echo", "ran"}), options).Wait(20s);

  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(outcome.out, "[0] ran\n");
}

}  // namespace
}  // namespace lockstep::e2e
