// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// Files of ranks' output that have limits: rotated by size, and a cap of all of them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <set>
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
using ::testing::IsEmpty;
using ::testing::Not;

constexpr uint64_t kMinFileBytes = 64 << 10;

/// What `seq FIRST LAST` prints.
std::string Numbered(int first, int last) {
  std::string text;
  for (int i = first; i <= last; ++i) text += std::to_string(i) + "\n";
  return text;
}

class LogFilesTest : public RunFixture {
 protected:
  std::string RoundFolder(int round) const {
    return JobFolder("job") + "/round-" + std::to_string(round);
  }
  /// The files of a stream, the oldest first.
  static std::vector<std::string> Files(const std::string& path) {
    std::vector<std::string> files;
    for (int number = 99; number >= 0; --number) {
      const std::string name = number == 0 ? path : path + "." + std::to_string(number);
      if (std::filesystem::exists(name)) files.push_back(name);
    }
    return files;
  }
  static std::string Joined(const std::vector<std::string>& files) {
    std::string text;
    for (const std::string& file : files) text += ReadFile(file);
    return text;
  }
  /// What all files of ranks' output in the job directory hold.
  uint64_t OutputBytes() const {
    uint64_t bytes = 0;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(JobFolder("job"))) {
      if (entry.path().string().find(".std") != std::string::npos) bytes += entry.file_size();
    }
    return bytes;
  }
};

TEST_F(LogFilesTest, FilesAreRotatedAndLogsReadsThemAsOne) {
  const Outcome outcome =
      RunScriptIt({"-np", "2", "--name", "job", "--log-max-file", "64Ki", "--log-keep", "50"},
                  "seq $((RANK * 1000000)) $((RANK * 1000000 + 60000)); echo short >&2");

  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(outcome.err, Not(HasSubstr("lockstep:")));
  const std::vector<std::string> files = Files(RoundFolder(0) + "/rank-1.stdout");
  EXPECT_EQ(files.size(), 8U);
  for (const std::string& file : files) {
    EXPECT_LE(std::filesystem::file_size(file), kMinFileBytes);
    EXPECT_TRUE(ReadFile(file).ends_with('\n')) << file;
  }
  EXPECT_EQ(Joined(files), Numbered(1000000, 1060000));
  EXPECT_EQ(Files(RoundFolder(0) + "/rank-1.stderr").size(), 1U);

  EXPECT_EQ(Verb({"logs", "job", "--rank", "1", "--stream", "stdout"}).out,
            Numbered(1000000, 1060000));
  EXPECT_EQ(Verb({"logs", "job", "--rank", "1", "--tail", "20000", "--stream", "stdout"}).out,
            Numbered(1040001, 1060000));
}

TEST_F(LogFilesTest, TheOldestFilesAreGivenUp) {
  const Outcome outcome = RunScriptIt(
      {"-np", "1", "--name", "job", "--log-max-file", "64Ki", "--log-keep", "2", "-r", "1"},
      "seq 1000000 1060000");

  EXPECT_EQ(outcome.status, 0) << outcome.err;
  const std::string kept = Joined(Files(RoundFolder(0) + "/rank-0.stdout"));
  EXPECT_LE(kept.size(), 3 * kMinFileBytes);
  EXPECT_GT(kept.size(), 2 * kMinFileBytes - 100);
  EXPECT_TRUE(Numbered(1000000, 1060000).ends_with(kept));
  EXPECT_EQ(Verb({"logs", "job"}).out, kept);
}

TEST_F(LogFilesTest, ARotationIsFollowed) {
  MakeGo();
  Command run(RunScript({"-np", "1", "--name", "job", "--log-max-file", "64Ki", "--log-keep", "90",
                         "-r", "1"},
                        "seq 1 100; read word <go; seq 101 300000; printf 'the end'"),
              Options());
  ASSERT_TRUE(Eventually(
      [&] { return Contains(ReadFile(RoundFolder(0) + "/rank-0.stdout"), "\n100\n"); }, 20s));
  Command logs({LockstepPath(), "logs", "job", "--follow"}, Options());
  ASSERT_TRUE(logs.WaitForOutput(
      [](const std::string& out, const std::string&) { return Contains(out, "\n100\n"); }, 20s));

  ASSERT_TRUE(LetGo());
  EXPECT_EQ(run.Wait(60s).status, 0);
  const Outcome followed = logs.Wait(60s);

  EXPECT_EQ(followed.status, 0) << followed.err;
  EXPECT_TRUE(followed.out == Numbered(1, 300000) + "the end") << followed.out.size();
  EXPECT_GT(Files(RoundFolder(0) + "/rank-0.stdout").size(), 20U);
}

TEST_F(LogFilesTest, BeyondTheCapTheConsoleAloneHasIt) {
  const Outcome outcome =
      RunScriptIt({"-np", "1", "--name", "job", "--log-max-total", "1Mi", "--log-prefix=false"},
                  "seq 1000000 1200000");

  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_TRUE(outcome.out == Numbered(1000000, 1200000)) << outcome.out.size();
  const std::string kept = ReadFile(RoundFolder(0) + "/rank-0.stdout");
  EXPECT_LE(kept.size(), uint64_t{1} << 20);
  EXPECT_GT(kept.size(), (uint64_t{1} << 20) - 8);
  EXPECT_TRUE(outcome.out.starts_with(kept));
  const uint64_t unwritten = outcome.out.size() - kept.size();
  EXPECT_EQ(CountOf(outcome.err, "the ranks' log files are full, the job goes on"), 1);
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("spec.logs.maxTotalBytes"),
                                 HasSubstr("lockstep: " + std::to_string(unwritten) +
                                           " bytes of ranks' output are in no log file")));
  bool told = false;
  for (const auto& entry : std::filesystem::directory_iterator(JobFolder("job"))) {
    if (entry.path().extension() != ".jsonl") continue;
    told = Contains(ReadFile(entry.path()), "\"output_trouble\":{\"sink\":\"files\"");
  }
  EXPECT_TRUE(told);
}

TEST_F(LogFilesTest, FilesOfEarlierRoundsMakeRoom) {
  const Outcome outcome = RunScriptIt(
      {"-np", "1", "--name", "job", "--log-max-total", "1Mi", "--max-restarts", "2", "-r", "1"},
      "seq 1000000 1090000; [ $TORCHELASTIC_RESTART_COUNT = 2 ] || exit 7");

  EXPECT_EQ(outcome.status, 0) << outcome.err;
  for (const std::string round : {"0", "1"}) {
    const std::string folder = JobFolder("job") + "/round-" + round;
    EXPECT_THAT(outcome.err, HasSubstr("log files in " + folder + " were removed to make room"));
    EXPECT_FALSE(std::filesystem::exists(folder + "/rank-0.stdout"));
    EXPECT_TRUE(std::filesystem::exists(folder + "/verdict.json"));
  }
  EXPECT_EQ(ReadFile(RoundFolder(2) + "/rank-0.stdout"), Numbered(1000000, 1090000));
  EXPECT_THAT(outcome.err, Not(HasSubstr("in no log file")));
}

TEST_F(LogFilesTest, RotationWithinTheCapGoesOnForEver) {
  // A stream keeps 5 files of 64 KiB at most.
  const Outcome outcome = RunScriptIt(
      {"-np", "3", "--name", "job", "--log-max-file", "64Ki", "--log-max-total", "1Mi", "-r", "1"},
      "seq 1000000 1200000");

  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(outcome.err, IsEmpty());
  EXPECT_LE(OutputBytes(), uint64_t{1} << 20);
  for (const std::string rank : {"0", "1", "2"}) {
    EXPECT_THAT(ReadFile(RoundFolder(0) + "/rank-" + rank + ".stdout"),
                ::testing::EndsWith("1200000\n"));
  }
}

TEST_F(LogFilesTest, EachNodeKeepsToTheCapAndNamesItself) {
  const Outcome outcome = RunScriptIt({"--simulate-hosts", "--nnodes", "2", "-np", "2", "--name",
                                       "job", "--log-max-total", "1Mi", "-r", "1"},
                                      "[ $RANK = 0 ] || seq 1000000 1200000; echo last");

  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(ReadFile(RoundFolder(0) + "/rank-0.stdout"), "last\n");
  EXPECT_LE(std::filesystem::file_size(RoundFolder(0) + "/rank-1.stdout"), uint64_t{1} << 20);
  EXPECT_EQ(CountOf(outcome.err, "log files are full"), 1);
  EXPECT_EQ(CountOf(outcome.err, "bytes of ranks' output are in no log file"), 1);
  EXPECT_EQ(CountOf(outcome.err, "-n1)\n"), 2);
}

TEST_F(LogFilesTest, ALogFolderThatIsTakenAwayEndsTheFilesAndNotTheJob) {
  MakeGo();
  Command run(RunScript({"-np", "1", "--name", "job", "--log-dir", "logs", "--log-max-file", "64Ki",
                         "--log-prefix=false"},
                        "echo up; read word <go; seq 1000000 1040000"),
              Options());
  const std::string logs = scratch_.path() + "/logs";
  ASSERT_TRUE(run.WaitForOutput(
      [](const std::string& out, const std::string&) { return out == "up\n"; }, 20s));
  ASSERT_TRUE(Eventually(
      [&] {
        const std::string job = std::filesystem::path(JobFolder("job")).filename();
        return ReadFile(logs + "/" + job + "/round-0/rank-0.stdout") == "up\n";
      },
      20s));

  std::filesystem::remove_all(logs);
  ASSERT_TRUE(LetGo());
  const Outcome outcome = run.Wait(30s);

  EXPECT_EQ(outcome.status, 0);
  EXPECT_TRUE(outcome.out == "up\n" + Numbered(1000000, 1040000)) << outcome.out.size();
  EXPECT_EQ(CountOf(outcome.err, "the ranks' log files stopped, the job goes on"), 1);
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("open " + logs), HasSubstr("ENOENT")));
}

/// In a mount namespace of its own, with a small disk at `folder`.
std::vector<std::string> WithDisk(const std::string& folder, const std::string& limits) {
  return {"/usr/bin/unshare",
          "--mount",
          "/bin/sh",
          "-c",
          "mount -t tmpfs -o " + limits + " none " + folder + " && exec \"$@\"",
          "sh"};
}

TEST_F(LogFilesTest, ADiskThatIsFullInTheMiddleOfARotationEndsTheFilesAndNotTheJob) {
  const std::string logs = scratch_.path() + "/logs";
  std::filesystem::create_directory(logs);
  Command::Options options = Options();
  // Its root, the job's and the round's folder, and three files: the third rotation's next file has
  // no room.
  options.wrapper = WithDisk(logs, "nr_inodes=6,mode=700");
  if (const std::string why = WhyNotIn(options.wrapper); !why.empty()) GTEST_SKIP() << why;

  const Outcome outcome = Command(RunScript({"-np", "1", "--name", "job", "--log-dir", "logs",
                                             "--log-max-file", "64Ki", "--log-prefix=false"},
                                            "seq 1000000 1040000"),
                                  options)
                              .Wait(30s);

  EXPECT_EQ(outcome.status, 0);
  EXPECT_TRUE(outcome.out == Numbered(1000000, 1040000)) << outcome.out.size();
  EXPECT_EQ(CountOf(outcome.err, "the ranks' log files stopped, the job goes on"), 1);
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("open " + logs), HasSubstr("ENOSPC")));
}

TEST_F(LogFilesTest, LimitsThatMeanNothingAreRefused) {
  const struct {
    std::vector<std::string> flags;
    const char* why;
  } cases[] = {
      {{"--log-max-file", "10"}, "must be 64Ki to 1Pi"},
      {{"--log-max-total", "1k"}, "must be 1Mi to 1Pi"},
      {{"--log-keep", "0"}, "must be 1 to 99"},
      {{"--log-max-total", "1Mi", "--log-max-file", "2Mi"}, "must not be less than maxFileBytes"},
  };
  for (const auto& [flags, why] : cases) {
    const Outcome outcome = RunScriptIt(flags, "true");
    EXPECT_EQ(outcome.status, 64) << flags[0];
    EXPECT_THAT(outcome.err, HasSubstr(why));
  }
}

}  // namespace
}  // namespace lockstep::e2e
