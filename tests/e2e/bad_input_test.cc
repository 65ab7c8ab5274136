// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// Programs, numbers, files and limits that cannot work: each is refused with what, where and why,
// and with the documented exit status.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "tests/e2e/command.h"
#include "tests/e2e/run_fixture.h"
#include "tests/e2e/stage.h"

namespace lockstep::e2e {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::HasSubstr;

class BadInputTest : public RunFixture {
 protected:
  Outcome RunWrapped(std::vector<std::string> wrapper, std::vector<std::string> words) const {
    Command::Options options = Options();
    options.wrapper = std::move(wrapper);
    return Command(RunWords(std::move(words)), options).Wait(30s);
  }

  /// The job that was refused with this status says so to everybody who asks later. A job that
  /// never got a directory is none.
  void ExpectEnded(const std::string& name, int status) const {
    if (JobFolder(name).empty()) return;
    const std::string code = std::to_string(status);
    EXPECT_THAT(Verb({"ps", "--all"}).out, HasSubstr("ended (" + code + ")"));
    EXPECT_THAT(Verb({"status", name}).out,
                AllOf(HasSubstr("ended with exit status " + code), HasSubstr("LAUNCH_FAILED")));
    EXPECT_EQ(Verb({"rm", name}).status, 0);
  }
};

/// Runs the program with its stdout and status as the script says: "\"$@\" >/dev/full".
std::vector<std::string> InShell(const std::string& script) {
  return {"/bin/sh", "-c", script, "sh"};
}

/// In a mount namespace of its own, with 64 KiB of disk at `folder`.
std::vector<std::string> WithSmallDisk(const std::string& folder) {
  std::vector<std::string> words = {"/usr/bin/unshare", "--mount"};
  for (const std::string& word :
       InShell("mount -t tmpfs -o size=64k none " + folder + " && exec \"$@\"")) {
    words.push_back(word);
  }
  return words;
}

// -------------------------------------------------------------------------------------------------
// the program

TEST_F(BadInputTest, ProgramsThatCannotStartHaveTheirExitStatus) {
  ::mkdir((scratch_.path() + "/folder").c_str(), 0755);
  scratch_.Write("plain", "hello\n");
  scratch_.Write("empty", "", 0755);
  scratch_.Write("noise", "\x01\x02\x03", 0755);
  scratch_.Write("script", "#!/no/such/interpreter\n", 0755);
  scratch_.Write("nested", "#!./plain\n", 0755);
  const struct {
    const char* program;
    int status;
    const char* reason;
  } cases[] = {
      {"./missing", 127, "missing"},     {"no-such-program-on-path", 127, "PATH"},
      {"./plain/below", 127, "plain"},   {"./script", 127, "/no/such/interpreter"},
      {"./plain", 126, "executable"},    {"./folder", 126, "folder"},
      {"./noise", 126, "noise"},         {"./nested", 126, "plain"},
      {"./empty", 126, "not a program"},  // a shell would run it as a script without lines
  };
  for (const auto& [program, status, reason] : cases) {
    const Outcome outcome = RunIt({"-np", "3", "--name", "job", program});

    EXPECT_EQ(outcome.status, status) << program << "\n" << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr(reason));
    EXPECT_EQ(CountOf(outcome.err, "could not be started"), 1) << outcome.err;  // not once a rank
    EXPECT_THAT(ReadFile(JobFolder("job") + "/verdict.json"),
                HasSubstr("\"class\": \"LAUNCH_FAILED\""));
    EXPECT_EQ(Verb({"rm", "job"}).status, 0);
  }
}

TEST_F(BadInputTest, ABrokenProgramIsNotRestarted) {
  const Outcome outcome = RunIt({"-np", "2", "--max-restarts", "5", "./missing"});

  EXPECT_EQ(outcome.status, 127);
  EXPECT_EQ(CountOf(outcome.err, "could not be started"), 1) << outcome.err;
}

TEST_F(BadInputTest, MissingInterpretersAndFoldersAreNamed) {
  const Outcome python = RunIt({"--python", "/no/such/python", "train.py"});
  EXPECT_EQ(python.status, 127);
  EXPECT_THAT(python.err, HasSubstr("/no/such/python"));

  const Outcome folder = RunIt({"--wdir", "/no/such/folder", "/bin/true"});
  EXPECT_EQ(folder.status, 127) << folder.err;
  EXPECT_THAT(folder.err, HasSubstr("/no/such/folder"));
}

// -------------------------------------------------------------------------------------------------
// the command line

TEST_F(BadInputTest, NumbersAreReadWholeAndInTheirRange) {
  const struct {
    std::vector<std::string> words;
    const char* named;
  } cases[] = {
      {{"-np", "1.5", "/bin/true"}, "1.5"},
      {{"-np", "", "/bin/true"}, "-np"},
      {{"-np", "99999999999999999999", "/bin/true"}, "99999999999999999999"},
      {{"-np", "2x", "/bin/true"}, "2x"},
      {{"--nproc-per-node", "0", "/bin/true"}, "nproc-per-node"},
      {{"--nproc-per-node", "many", "/bin/true"}, "many"},
      {{"--max-restarts", "-2", "/bin/true"}, "-2"},
      {{"--grace", "soon", "/bin/true"}, "soon"},
      {{"--nnodes", "2", "/bin/true"}, "nnodes"},
      {{"-np", "4", "--nproc-per-node", "3", "/bin/true"}, "contradicts"},
      {{"--master-port", "70000", "/bin/true"}, "70000"},
      {{"--name", "No_Good", "/bin/true"}, "No_Good"},
  };
  for (const auto& [words, named] : cases) {
    const Outcome outcome = RunIt(words);
    EXPECT_EQ(outcome.status, 64) << ::testing::PrintToString(words) << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr(named)) << ::testing::PrintToString(words);
    EXPECT_EQ(outcome.out, "");
  }
}

TEST_F(BadInputTest, WhatIsMissingOrUnknownIsNamed) {
  scratch_.Write("job.yaml",
                 "apiVersion: lockstep.dev/v1alpha1\nkind: TrainingJob\nspec:\n  program:\n"
                 "    comand: [x]\n  gang:\n    totalProcesses: none\n");
  const struct {
    std::vector<std::string> words;
    int status;
    std::vector<std::string> named;
  } cases[] = {
      {{"run"}, 64, {"program"}},
      {{"run", "-np"}, 64, {"-np"}},
      {{"run", "--nproc-per-nod", "2", "x"}, 64, {"--nproc-per-node"}},
      {{"rum", "-np", "2", "x"}, 64, {"rum", "run"}},
      {{"run", "--set", "spec.gang.totalProceses=2", "x"}, 64, {"totalProcesses"}},
      {{"run", "--set", "nonsense", "x"}, 64, {"nonsense"}},
      {{"run", "-f", "missing.yaml"}, 64, {"missing.yaml"}},
      {{"run", "-f", "job.yaml"}, 64, {"comand", "command", "totalProcesses"}},  // all at once
      {{"status", "no-such-job"}, 66, {"no-such-job"}},
      {{"logs", "no-such-job"}, 66, {"no-such-job"}},
      {{"stop", "no-such-job"}, 66, {"no-such-job"}},
      {{"rm", "no-such-job"}, 66, {"no-such-job"}},
      {{"prune", "--older", "yesterday"}, 64, {"yesterday"}},
  };
  for (const auto& [words, status, named] : cases) {
    const Outcome outcome = Verb(words);
    EXPECT_EQ(outcome.status, status) << ::testing::PrintToString(words) << outcome.err;
    for (const std::string& name : named) EXPECT_THAT(outcome.err, HasSubstr(name));
  }
}

// -------------------------------------------------------------------------------------------------
// folders that cannot be written

TEST_F(BadInputTest, ALogFolderThatCannotBeMadeIsRefusedBeforeAnyRankRuns) {
  scratch_.Write("file", "");
  for (const char* folder : {"file", "file/logs", "/proc/logs"}) {
    const Outcome outcome = RunIt({"-np", "2", "--log-dir", folder, "/bin/echo", "ran"});

    EXPECT_EQ(outcome.status, 73) << folder << ": " << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr(folder));
    EXPECT_EQ(outcome.out, "");
  }
}

TEST_F(BadInputTest, ALogFolderOfSomebodyElseIsRefused) {
  if (::getuid() != 0) GTEST_SKIP() << "needs root, to be two users";
  const Stage stage({.as_root = false, .cgroups = false}, scratch_);
  ASSERT_EQ(stage.why_not(), "");
  ::mkdir((scratch_.path() + "/theirs").c_str(), 0755);  // root's
  Command::Options options = Options();
  options.wrapper = stage.wrapper();
  const Outcome outcome =
      Command({stage.lockstep(), "run", "--log-dir", "theirs", "/bin/true"}, options).Wait(20s);

  EXPECT_EQ(outcome.status, 73) << outcome.err;
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("theirs"), HasSubstr("ermission")));
}

TEST_F(BadInputTest, AHomeForJobsThatCannotBeWrittenIsRefused) {
  scratch_.Write("file", "");
  Command::Options options = Options();
  options.environment["LOCKSTEP_HOME"] = scratch_.path() + "/file";
  const Outcome outcome = Command(RunWords({"/bin/true"}), options).Wait(20s);

  EXPECT_EQ(outcome.status, 73) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("LOCKSTEP_HOME"));
}

// A full disk and used up descriptors are one code of a Status; the stage says which exit status it
// is.
TEST_F(BadInputTest, AFullDiskUnderTheJobDirectoryIsRefusedBeforeAnyRankRuns) {
  ::mkdir((scratch_.path() + "/.local").c_str(), 0755);
  std::vector<std::string> wrapper = WithSmallDisk(scratch_.path() + "/.local");
  if (const std::string why = WhyNotIn(wrapper); !why.empty()) GTEST_SKIP() << why;
  for (const std::string& word :
       InShell("head -c 64k /dev/zero >.local/fill 2>fill.err; exec \"$@\"")) {
    wrapper.push_back(word);
  }
  const Outcome outcome = RunWrapped(wrapper, {"/bin/echo", "ran"});

  EXPECT_EQ(outcome.status, 73) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("No space left"));
  EXPECT_EQ(outcome.out, "");
}

TEST_F(BadInputTest, AFullDiskUnderTheSocketsIsRefusedBeforeAnyRankRuns) {
  const std::string folder = scratch_.path() + "/r";  // short, as those of sockets must be
  ::mkdir(folder.c_str(), 0700);
  // Room for the folder and for Lockstep's in it.
  std::vector<std::string> wrapper = {"/usr/bin/unshare", "--mount"};
  for (const std::string& word :
       InShell("mount -t tmpfs -o nr_inodes=2,mode=700 none " + folder + " && exec \"$@\"")) {
    wrapper.push_back(word);
  }
  if (const std::string why = WhyNotIn(wrapper); !why.empty()) GTEST_SKIP() << why;
  Command::Options options = Options();
  options.environment["XDG_RUNTIME_DIR"] = folder;
  options.wrapper = wrapper;
  const Outcome outcome =
      Command(RunWords({"--name", "job", "/bin/echo", "ran"}), options).Wait(20s);

  EXPECT_EQ(outcome.status, 73) << outcome.err;
  EXPECT_THAT(outcome.err, AllOf(HasSubstr(folder + "/lockstep"), HasSubstr("No space left")));
  EXPECT_EQ(outcome.out, "");
  ExpectEnded("job", 73);
}

TEST_F(BadInputTest, AFolderAsJobFileIsAWrongCommandLine) {
  EXPECT_EQ(RunIt({"-f", "."}).status, 64);
}

// -------------------------------------------------------------------------------------------------
// limits

TEST_F(BadInputTest, AnyDescriptorLimitIsEnoughOrNamed) {
#if defined(__SANITIZE_ADDRESS__)
  GTEST_SKIP() << "the sanitizer looks at memory through a pipe, and takes a failed one for a bug";
#endif
  int refused = 0;
  for (int limit = 5; limit <= 72; limit += limit < 12 ? 1 : 4) {
    const Outcome outcome = RunWrapped({"/usr/bin/prlimit", "--nofile=" + std::to_string(limit)},
                                       {"-np", "6", "--name", "job", "/bin/true"});
    if (outcome.status != 0) {
      ++refused;
      EXPECT_EQ(outcome.status, 71) << limit << ": " << outcome.err;
      EXPECT_THAT(outcome.err, HasSubstr("ulimit -n")) << limit;
      ExpectEnded("job", 71);
    }
    Verb({"rm", "job"});
  }
  EXPECT_GT(refused, 10);
  EXPECT_LT(refused, 24);
}

TEST_F(BadInputTest, AProcessLimitIsNamed) {
  if (::getuid() != 0) GTEST_SKIP() << "needs root, to be a user without other processes";
  const Stage stage({.as_root = false, .cgroups = false}, scratch_, Stage::kLimitedUser);
  ASSERT_EQ(stage.why_not(), "");
  Command::Options options = Options();
  options.wrapper = stage.wrapper();
  options.wrapper.insert(options.wrapper.end(), {"/usr/bin/prlimit", "--nproc=12"});
  const Outcome outcome =
      Command({stage.lockstep(), "run", "-np", "20", "--grace", "0s", "--", "/bin/sleep", "60"},
              options)
          .Wait(30s);

  EXPECT_EQ(outcome.status, 71) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("ulimit -u"));
}

TEST_F(BadInputTest, AProcessLimitThatLeavesNoAgentIsNamed) {
  if (::getuid() != 0) GTEST_SKIP() << "needs root, to be a user without other processes";
  const Stage stage({.as_root = false, .cgroups = false}, scratch_, Stage::kLimitedUser);
  ASSERT_EQ(stage.why_not(), "");
  Command::Options options = Options();
  options.wrapper = stage.wrapper();
  options.wrapper.insert(options.wrapper.end(), {"/usr/bin/prlimit", "--nproc=1"});
  for (const char* where : {"--detach=false", "--detach"}) {
    const Outcome outcome =
        Command({stage.lockstep(), "run", where, "--name", "job", "/bin/true"}, options).Wait(20s);

    EXPECT_EQ(outcome.status, 71) << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr("ulimit -u"));
    ASSERT_NE(JobFolder("job"), "");
    ExpectEnded("job", 71);
  }
}

// -------------------------------------------------------------------------------------------------
// a disk that is full, a console that is gone

// Nor ends by the TERM that the failure of rank 1 brings it: every line is counted.
constexpr char kFillsTheDisk[] =
    "trap '' TERM; i=0; while [ $i -lt 3000 ]; do echo \"line $i of the many that do not fit\"; "
    "i=$((i+1)); done;"
    " exit $((RANK * 5))";

TEST_F(BadInputTest, AFullLogDiskStopsTheFilesAndNotTheJob) {
  ::mkdir((scratch_.path() + "/small").c_str(), 0755);
  const std::vector<std::string> wrapper = WithSmallDisk(scratch_.path() + "/small");
  if (const std::string why = WhyNotIn(wrapper); !why.empty()) GTEST_SKIP() << why;
  const Outcome outcome =
      RunWrapped(wrapper, {"-np", "2", "--log-dir", "small", "--", "/bin/sh", "-c", kFillsTheDisk});

  EXPECT_EQ(outcome.status, 5) << outcome.err;
  EXPECT_EQ(CountOf(outcome.err, "log files stopped"), 1) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("No space left"));
  EXPECT_EQ(CountOf(outcome.out, "[0] line "), 3000);
  EXPECT_EQ(CountOf(outcome.out, "[1] line "), 3000);
}

TEST_F(BadInputTest, AFullDiskBelowTheJobDirectoryDoesNotEndTheJob) {
  ::mkdir((scratch_.path() + "/.local").c_str(), 0755);
  std::vector<std::string> wrapper = WithSmallDisk(scratch_.path() + "/.local");
  if (const std::string why = WhyNotIn(wrapper); !why.empty()) GTEST_SKIP() << why;
  // The disk is that of the wrapper's namespace, so the job is asked for in there.
  for (const std::string& word :
       InShell("\"$@\"; code=$?; " + LockstepPath() + " ps --all >shown; exit $code")) {
    wrapper.push_back(word);
  }
  const Outcome outcome =
      RunWrapped(wrapper, {"-np", "2", "--max-restarts=1", "--", "/bin/sh", "-c", kFillsTheDisk});

  // State, events and verdict meet the full disk too, and the restart its new round folder.
  EXPECT_EQ(outcome.status, 5) << outcome.err;
  EXPECT_EQ(CountOf(outcome.err, "log files stopped"), 1) << outcome.err;
  EXPECT_EQ(CountOf(outcome.err, "rank 1 failed first: exit code 5"), 2) << outcome.err;
  EXPECT_EQ(CountOf(outcome.out, "[0] line 2999"), 2);
  EXPECT_THAT(scratch_.Read("shown"), HasSubstr("ended (5)"));
}

TEST_F(BadInputTest, AFullConsoleDoesNotEndTheJob) {
  const Outcome outcome =
      RunWrapped(InShell("exec \"$@\" >/dev/full"),
                 {"-np", "2", "--name", "job", "--", "/bin/sh", "-c", kFillsTheDisk});

  EXPECT_EQ(outcome.status, 5) << outcome.err;
  EXPECT_EQ(CountOf(ReadFile(JobFolder("job") + "/round-0/rank-0.stdout"), "line "), 3000);
  EXPECT_EQ(CountOf(outcome.err, "ranks' output is no longer shown"), 1) << outcome.err;
}

TEST_F(BadInputTest, AVerbWhoseOutputIsLostFails) {
  Command::Options options = Options();
  options.wrapper = InShell("exec \"$@\" >/dev/full");
  Command command({RunWords({}).front(), "help"}, std::move(options));

  const Outcome outcome = command.Wait(20s);

  EXPECT_EQ(outcome.status, 73);
  EXPECT_THAT(outcome.err, HasSubstr("No space left on device"));
}

TEST_F(BadInputTest, ALimitOnTheSizeOfFilesIsNotOurDeath) {
  const Outcome outcome = RunWrapped(
      InShell("ulimit -f 1; exec \"$@\""),
      {"-np", "8", "--max-restarts", "2", "--name", "job", "--", "/bin/sh", "-c", "exit 3"});

  EXPECT_EQ(outcome.status, 3) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("failed first: exit code 3"));
}

TEST_F(BadInputTest, AReaderThatLeavesDoesNotEndTheJob) {
  const Outcome outcome =
      RunWrapped(InShell("{ \"$@\"; echo $? >status; } | head -n 1"),
                 {"-np", "2", "--name", "job", "--", "/bin/sh", "-c", kFillsTheDisk});

  EXPECT_EQ(scratch_.Read("status"), "5\n") << outcome.err;
  EXPECT_EQ(Lines(outcome.out).size(), 1u);
  EXPECT_EQ(CountOf(ReadFile(JobFolder("job") + "/round-0/rank-0.stdout"), "line "), 3000);
}

TEST_F(BadInputTest, ClosedStandardStreamsAreNoTrouble) {
  const Outcome outcome =
      RunWrapped(InShell("exec \"$@\" <&- >&- 2>&-"),
                 {"-np", "2", "--name", "job", "--", "/bin/sh", "-c", "echo out; exit $RANK"});

  EXPECT_EQ(outcome.status, 1);
  EXPECT_EQ(ReadFile(JobFolder("job") + "/round-0/rank-0.stdout"), "out\n");
}

}  // namespace
}  // namespace lockstep::e2e
