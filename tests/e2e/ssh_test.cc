// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// Jobs on four real hosts that ssh reaches: how they start, and what keeps them from it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "runtime/base/testing/status_matchers.h"
#include "tests/e2e/command.h"
#include "tests/e2e/run_fixture.h"
#include "tests/e2e/ssh_fixture.h"
#include "tests/hosts/hosts.h"

namespace lockstep::e2e {
namespace {

using namespace std::chrono_literals;
using base::testing::IsOk;
using hosts::Hosts;
using hosts::kController;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using Clock = std::chrono::steady_clock;

std::vector<std::string> SortedLines(const std::string& text) {
  std::vector<std::string> lines = Lines(text);
  std::sort(lines.begin(), lines.end());
  return lines;
}

/// What `seq FIRST LAST` prints.
std::string Numbered(int first, int last) {
  std::string text;
  for (int i = first; i <= last; ++i) text += std::to_string(i) + "\n";
  return text;
}

class SshTest : public SshFixture {
 protected:
  std::string AgentOn(int host) const {
    std::error_code error;
    const std::string folder = kit_->Root(host) + "/root/.cache/lockstep/agents";
    for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
      return entry.path().string() + "/lockstep";
    }
    return "";
  }
  /// For ranks of two a host that wait in `read word </tmp/go.$RANK`.
  void MakeGo(const std::vector<int>& on_hosts) const {
    for (const int host : on_hosts) {
      const std::string ranks = FifosOf(host);
      ASSERT_EQ(kit_->Run(host, {"/bin/sh", "-c", "mkfifo " + ranks}).status, 0);
    }
  }
  void LetGo(const std::vector<int>& on_hosts) const {
    for (const int host : on_hosts) {
      const std::string script = "for go in " + FifosOf(host) + "; do echo go >$go; rm $go; done";
      ASSERT_EQ(kit_->Run(host, {"/bin/sh", "-c", script}).status, 0);
    }
  }
  static std::string FifosOf(int host) {
    return "/tmp/go." + std::to_string(2 * host) + " /tmp/go." + std::to_string(2 * host + 1);
  }
  /// `lockstep logs job --rank RANK`, on that host or the controller.
  Outcome Logs(int where, const std::string& rank) const {
    return kit_->Run(where, {LockstepPath(), "logs", "job", "--rank", rank}, OptionsOn(where));
  }
  std::unique_ptr<hosts::Program> Follow(int where, const std::string& rank) const {
    auto started =
        kit_->Spawn(where, {LockstepPath(), "logs", "job", "--rank", rank, "-f"}, OptionsOn(where));
    EXPECT_THAT(started, IsOk());
    return started.ok() ? *std::move(started) : nullptr;
  }
  hosts::ProgramOptions OptionsOn(int where) const {
    return where == kController ? Options() : hosts::ProgramOptions();
  }
  void CopyTo(int host, const std::string& from, const std::string& to) const {
    ASSERT_EQ(kit_->Run(host, {"cp", from, to}).status, 0);
  }
};

// ---------------------------------------------------------------------------------- coming to life

TEST_F(SshTest, TheFirstRunCopiesTheAgentAndTheSecondDoesNot) {
  ASSERT_THAT(kit_->Kill(0), IsOk());
  ASSERT_THAT(kit_->Boot(0), IsOk());
  ASSERT_EQ(AgentOn(0), "");

  EXPECT_EQ(RunIt({"--host", "h0", "hostname"}).out, "[0] h0\n");
  struct stat first{};
  ASSERT_EQ(::stat(AgentOn(0).c_str(), &first), 0);
  EXPECT_EQ(first.st_mode & 0777u, 0700u);
  const Outcome again = RunIt({"--host", "h0", "hostname"});

  EXPECT_EQ(again.out, "[0] h0\n") << again.err;
  struct stat second{};
  ASSERT_EQ(::stat(AgentOn(0).c_str(), &second), 0);
  EXPECT_EQ(second.st_ino, first.st_ino);
}

TEST_F(SshTest, TwoJobsThatCopyAtOnceDoNotDisturbEachOther) {
  ASSERT_THAT(kit_->Kill(1), IsOk());
  ASSERT_THAT(kit_->Boot(1), IsOk());

  const auto one = Start({"--host", "h1"}, "echo one");
  const auto two = Start({"--host", "h1"}, "echo two");

  EXPECT_EQ(one->Wait(60s).out, "[0] one\n");
  EXPECT_EQ(two->Wait(60s).out, "[0] two\n");
  int files = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(
           kit_->Root(1) + "/root/.cache/lockstep/agents")) {
    if (entry.is_regular_file()) ++files;
  }
  EXPECT_EQ(files, 1);
}

TEST_F(SshTest, RanksOfUnequalHostsKnowTheirPlacesAndMeetAtTheFirst) {
  const Outcome outcome = RunScriptIt(
      {"--host", "h2:1,h0:3,h1:2"},
      "echo $RANK of $WORLD_SIZE, $LOCAL_RANK of $LOCAL_WORLD_SIZE, node $GROUP_RANK $(hostname) "
      "$MASTER_ADDR");

  EXPECT_EQ(outcome.status, 0) << outcome.err;
  std::vector<std::string> lines = SortedLines(outcome.out);
  ASSERT_EQ(lines.size(), 6U);
  const std::string master = lines[0].substr(lines[0].rfind(' ') + 1);
  EXPECT_THAT(lines, ElementsAre("[0.0] 0 of 6, 0 of 1, node 0 h2 " + master,
                                 "[1.1] 1 of 6, 0 of 3, node 1 h0 " + master,
                                 "[1.2] 2 of 6, 1 of 3, node 1 h0 " + master,
                                 "[1.3] 3 of 6, 2 of 3, node 1 h0 " + master,
                                 "[2.4] 4 of 6, 0 of 2, node 2 h1 " + master,
                                 "[2.5] 5 of 6, 1 of 2, node 2 h1 " + master));
  EXPECT_THAT(master, ::testing::AnyOf(Hosts::Ipv4(2, hosts::Nic::kData),
                                       Hosts::Ipv4(2, hosts::Nic::kMgmt)));
}

TEST_F(SshTest, ThisMachineMayStandAnywhereInTheList) {
  // h0 starts the job, under another name than its own.
  const Outcome outcome = kit_->Run(0, RunWords({"--host", "h1,h0-data:2,h2", "--", "/bin/sh", "-c",
                                                 "echo $RANK $(hostname) $MASTER_ADDR"}));

  EXPECT_EQ(outcome.status, 0) << outcome.err;
  const std::vector<std::string> lines = SortedLines(outcome.out);
  ASSERT_EQ(lines.size(), 4U) << outcome.err;
  EXPECT_THAT(lines[0], HasSubstr("[0.0] 0 h1 "));
  EXPECT_THAT(lines[1], HasSubstr("[1.1] 1 h0 "));
  EXPECT_THAT(lines[2], HasSubstr("[1.2] 2 h0 "));
  EXPECT_THAT(lines[3], HasSubstr("[2.3] 3 h2 "));
}

TEST_F(SshTest, WithThisMachineFirstTheMasterIsWhereOthersReachIt) {
  const Outcome outcome =
      kit_->Run(0, RunWords({"--host", "h0,h1", "--", "/bin/sh", "-c", "echo $MASTER_ADDR"}));

  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(outcome.out, AllOf(HasSubstr("[0.0] 10."), Not(HasSubstr("127.0.0"))));
}

TEST_F(SshTest, TheEnvironmentIsThatOfTheLogInThereAndWhatIsPassedOn) {
  hosts::ProgramOptions options = Options();
  options.environment["PASSED"] = "by name";
  options.environment["KEPT"] = "here";

  const Outcome outcome =
      kit_->Run(kController,
                ScriptWords({"--host", "h0", "-x", "PASSED", "-x", "GIVEN=by value"},
                            "echo $PASSED, $GIVEN, ${KEPT:-not here}, $HOME, $(umask)"),
                options);

  EXPECT_EQ(outcome.out, "[0] by name, by value, not here, /root, 0022\n") << outcome.err;
}

TEST_F(SshTest, RanksStartInTheLaunchersFolderWhereThereIsOne) {
  hosts::ProgramOptions options = Options();
  options.directory = "/usr/share";
  EXPECT_EQ(kit_->Run(kController, Words({"--host", "h0", "pwd"}), options).out,
            "[0] /usr/share\n");

  options.directory = scratch_.path();
  const Outcome elsewhere = kit_->Run(kController, Words({"--host", "h0:2", "pwd"}), options);

  EXPECT_THAT(SortedLines(elsewhere.out), ElementsAre("[0] /root", "[1] /root"));
  EXPECT_EQ(elsewhere.err, "lockstep: host h0: the folder " + scratch_.path() +
                               " is not there; ranks start in /root\n");
}

TEST_F(SshTest, LeftoverRanksFillTheHostsInOrder) {
  const Outcome outcome = RunIt({"--host", "h0:2,h1:2,h2:2", "-np", "3", "hostname"});

  EXPECT_THAT(SortedLines(outcome.out), ElementsAre("[0.0] h0", "[0.1] h0", "[1.2] h1"));
  EXPECT_THAT(outcome.err, HasSubstr("not used: h2"));
}

TEST_F(SshTest, InputForARankElsewhereIsNotLostSilently) {
  hosts::ProgramOptions options = Options();
  options.input = "text";
  const Outcome outcome = kit_->Run(kController, Words({"--host", "h0", "cat"}), options);

  EXPECT_EQ(outcome.status, 0);
  EXPECT_THAT(outcome.err, HasSubstr("standard input is not passed on to rank 0, which is on h0"));
}

// ------------------------------------------------------------------------------------- the program

TEST_F(SshTest, AProgramThatIsMissingSomewhereIsToldBeforeAnyRankRuns) {
  CopyTo(0, "/usr/bin/touch", "/tmp/program");

  const Outcome outcome = RunIt({"--host", "h0,h1", "/tmp/program", "/tmp/ran"});

  EXPECT_EQ(outcome.status, 127);
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("host h1 cannot run this job: the program is not there"),
                                 HasSubstr("--stage")));
  EXPECT_NE(kit_->Run(0, {"ls", "/tmp/ran"}).status, 0);
  kit_->Run(0, {"rm", "/tmp/program"});
}

TEST_F(SshTest, AnotherProgramSomewhereIsToldBeforeAnyRankRuns) {
  CopyTo(0, "/usr/bin/touch", "/tmp/program");
  CopyTo(1, "/usr/bin/true", "/tmp/program");

  const Outcome outcome = RunIt({"--host", "h0,h1", "/tmp/program", "/tmp/ran"});

  EXPECT_EQ(outcome.status, 69);
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("the program on host h"),
                                 HasSubstr("is not that on host h"), HasSubstr("--stage")));
  EXPECT_NE(kit_->Run(0, {"ls", "/tmp/ran"}).status, 0);
  kit_->Run(0, {"rm", "/tmp/program"});
  kit_->Run(1, {"rm", "/tmp/program"});
}

TEST_F(SshTest, StageCopiesTheProgramAndRunsThatCopy) {
  const std::string program = scratch_.Write("program", "#!/bin/sh\necho $0 of $RANK: $1\n", 0755);

  const Outcome outcome = RunIt({"--stage", "--host", "h0,h1", program, "argument"});

  EXPECT_EQ(outcome.status, 0) << outcome.err;
  const std::vector<std::string> lines = SortedLines(outcome.out);
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_THAT(lines[0], AllOf(HasSubstr("[0.0] /root/.cache/lockstep/programs/"),
                              HasSubstr("/program of 0: argument")));
  EXPECT_THAT(lines[1], HasSubstr("/program of 1: argument"));
}

TEST_F(SshTest, AStagedProgramIsCopiedOnceAndAgainWhenItHasChanged) {
  const std::string text = "#!/bin/sh\necho $0 $(stat -c %i.%Y $0)\n";
  const std::string program = scratch_.Write("program", text + "# first", 0755);
  const Outcome first = RunIt({"--stage", "--host", "h0", program});
  const Outcome again = RunIt({"--stage", "--host", "h0", program});
  // As long as before.
  scratch_.Write("program", text + "# other", 0755);
  const Outcome changed = RunIt({"--stage", "--host", "h0", program});

  EXPECT_THAT(first.out, HasSubstr("/programs/")) << first.err;
  EXPECT_EQ(again.out, first.out) << "another file: it was copied once more";
  const auto path_of = [](const std::string& out) { return out.substr(0, out.rfind(' ')); };
  EXPECT_THAT(changed.out, HasSubstr("/programs/")) << changed.err;
  EXPECT_NE(path_of(changed.out), path_of(first.out));
}

// -------------------------------------------------------------------------------------------- keys

// Those of the job's CA and of its nodes are PEM wherever they pass.
TEST_F(SshTest, KeysAreInNoFileArgumentOrEnvironment) {
  const auto job = Start({"--host", "h0,h1"}, "echo up; exec sleep 60");
  ASSERT_TRUE(WaitForLines(*job, 2)) << job->err();

  // The pattern is not what it matches, and what the kit keeps for sshd is not ours.
  const std::string look =
      "grep -rl --exclude-dir=lockstep-hosts 'PRIVATE K[E]Y' $0 2>/dev/null; "
      "cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n' > /dev/shm/said; "
      "grep 'PRIVATE K[E]Y' /dev/shm/said; "
      "grep -qx agent /dev/shm/said && echo looked; rm /dev/shm/said";
  for (const int host : {kController, 0, 1}) {
    const std::string folders =
        host == kController ? scratch_.path() : "/root/.local /root/.ssh /tmp /run";
    const Outcome found = kit_->Run(host, {"sh", "-c", look, folders});
    EXPECT_EQ(found.out, "looked\n") << host << ": " << found.err;
  }
  job->Signal(SIGINT);
  job->Wait(20s);
}

// -------------------------------------------------------------------------------------------- logs

TEST_F(SshTest, LogsOfARankComeFromItsHostOverTheAgents) {
  MakeGo({0, 1});
  const auto job = Start({"--host", "h0:2,h1:2", "--name", "job"},
                         "seq $((RANK * 1000)) $((RANK * 1000 + 499)); read word </tmp/go.$RANK; "
                         "seq $((RANK * 1000 + 500)) $((RANK * 1000 + 999))");
  ASSERT_TRUE(WaitForLines(*job, 2000));

  // From the launcher's machine, which has no file of any rank ...
  const auto follower = Follow(kController, "3");
  ASSERT_TRUE(WaitForLines(*follower, 500));
  EXPECT_EQ(Logs(kController, "3").out, Numbered(3000, 3499));
  EXPECT_EQ(Logs(kController, "0").out, Numbered(0, 499));
  // ... and from another host of the job, by that one's agent.
  const auto other = Follow(1, "0");
  ASSERT_TRUE(WaitForLines(*other, 500));
  EXPECT_EQ(Logs(1, "1").out, Numbered(1000, 1499));
  EXPECT_EQ(Logs(1, "2").out, Numbered(2000, 2499));

  LetGo({0, 1});
  EXPECT_EQ(job->Wait(30s).status, 0);
  const Outcome followed = follower->Wait(30s);
  const Outcome followed_there = other->Wait(30s);

  EXPECT_EQ(followed.status, 0) << followed.err;
  EXPECT_EQ(followed.out, Numbered(3000, 3999));
  EXPECT_EQ(followed_there.status, 0) << followed_there.err;
  EXPECT_EQ(followed_there.out, Numbered(0, 999));
}

// ----------------------------------------------------------------------- hosts that cannot be used

TEST_F(SshTest, EveryHostThatCannotBeReachedHasItsLineWithinTenSeconds) {
  // h1 is silent, h2 turns connections away, h3 is known under another key.
  ASSERT_THAT(kit_->Drop(1), IsOk());
  const std::string config =
      scratch_.Write("config",
                     "Host h3\n  UserKnownHostsFile /dev/null\n  GlobalKnownHostsFile /dev/null\n"
                     "Host h2\n  Port 9\nHost *\n  Include " +
                         Hosts::SshConfig() + "\n");

  const Clock::time_point begun = Clock::now();
  const Outcome outcome = kit_->Run(
      kController, RunWords({"--ssh-config", config, "--host", "h0,h1,h2,h3", "true"}), Options());

  EXPECT_LT(Clock::now() - begun, 11s);
  EXPECT_EQ(outcome.status, 69);
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("host h1: it does not answer within 9.5"),
                                 HasSubstr("host h2: no sshd takes connections there"),
                                 HasSubstr("host h3: its host key is not known here"),
                                 HasSubstr("3 of 4 hosts cannot be reached: h1, h2, h3")));
}

TEST_F(SshTest, UserAndPortReachSsh) {
  const Outcome port = RunIt({"--host", "h0", "--ssh-port", "9", "true"});
  EXPECT_THAT(port.err, HasSubstr("Connection refused"));

  const Outcome user = RunIt({"--host", "h0", "--ssh-user", "nobody", "true"});
  EXPECT_EQ(user.status, 69);
  // The account has no shell, which it says itself.
  EXPECT_THAT(user.err, HasSubstr("This account is currently"));
}

TEST_F(SshTest, TheSameMachineTwiceIsRefused) {
  const Outcome outcome = RunIt({"--host", "h0,h0-data", "true"});

  EXPECT_EQ(outcome.status, 69);
  EXPECT_THAT(outcome.err, HasSubstr("each host once"));
}

TEST_F(SshTest, CtrlCWhileConnectingLeavesNothing) {
  ASSERT_THAT(kit_->Drop(1), IsOk());
  const auto job = Start({"--host", "h0,h1"}, "sleep 60");
  // h0's agent waits for the other one by now.
  ASSERT_TRUE(Eventually([&] { return kit_->CountProcesses(0) >= 2; }, 30s));

  job->Signal(SIGINT);
  const Outcome outcome = job->Wait(10s);

  EXPECT_EQ(outcome.status, 130) << outcome.err;
}

}  // namespace
}  // namespace lockstep::e2e
