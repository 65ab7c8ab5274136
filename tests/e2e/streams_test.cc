// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// What ranks write and read: consoles, files, terminals, stdin.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "tests/e2e/command.h"
#include "tests/e2e/run_fixture.h"

namespace lockstep::e2e {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;
using ::testing::UnorderedElementsAre;

constexpr char kEscape[] = "\x1b[";

class StreamsTest : public RunFixture {
 protected:
  /// A file of job "job": Output(0, 2, "stderr").
  std::string OutputPath(int round, int rank, const std::string& stream) const {
    return JobFolder("job") + "/round-" + std::to_string(round) + "/rank-" + std::to_string(rank) +
           "." + stream;
  }
  std::string Output(int round, int rank, const std::string& stream) const {
    return ReadFile(OutputPath(round, rank, stream));
  }
};

// -------------------------------------------------------------------------------------------------
// what goes where

TEST_F(StreamsTest, EachStreamIsKeptInAFileOfItsRank) {
  const Outcome outcome =
      RunScriptIt({"-np", "2", "--name", "job"}, "echo out $RANK; echo err $RANK >&2");

  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(Lines(outcome.out), UnorderedElementsAre("[0] out 0", "[1] out 1"));
  EXPECT_THAT(Lines(outcome.err), UnorderedElementsAre("[0] err 0", "[1] err 1"));
  EXPECT_EQ(Output(0, 1, "stdout"), "out 1\n");
  EXPECT_EQ(Output(0, 1, "stderr"), "err 1\n");
}

TEST_F(StreamsTest, RedirectedStreamsGoToTheFilesAlone) {
  for (const char* flag : {"-r=3", "--redirects=3"}) {
    const Outcome outcome =
        RunScriptIt({"-np", "2", flag, "--name", "job"}, "echo out $RANK; echo err $RANK >&2");

    EXPECT_EQ(outcome.status, 0) << outcome.err;
    EXPECT_EQ(outcome.out + outcome.err, "") << flag;
    EXPECT_EQ(Output(0, 0, "stdout"), "out 0\n");
    EXPECT_EQ(Output(0, 1, "stderr"), "err 1\n");
    EXPECT_EQ(Verb({"rm", "job"}).status, 0);
  }
}

TEST_F(StreamsTest, RedirectsNameRanksAboveNine) {
  const Outcome outcome =
      RunScriptIt({"-np", "12", "-r", "0:1,10:2,11:3", "--name", "job"}, "echo out; echo err >&2");

  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(Lines(outcome.out),
              UnorderedElementsAre("[ 1] out", "[ 2] out", "[ 3] out", "[ 4] out", "[ 5] out",
                                   "[ 6] out", "[ 7] out", "[ 8] out", "[ 9] out", "[10] out"));
  EXPECT_THAT(Lines(outcome.err),
              UnorderedElementsAre("[ 0] err", "[ 1] err", "[ 2] err", "[ 3] err", "[ 4] err",
                                   "[ 5] err", "[ 6] err", "[ 7] err", "[ 8] err", "[ 9] err"));
  for (int rank = 0; rank < 12; ++rank) {
    EXPECT_EQ(Output(0, rank, "stdout"), "out\n") << rank;
    EXPECT_EQ(Output(0, rank, "stderr"), "err\n") << rank;
  }
}

TEST_F(StreamsTest, TeeWinsOverRedirects) {
  const Outcome outcome =
      RunScriptIt({"-np", "12", "-r", "3", "-t", "1:2,11:3"}, "echo out; echo err >&2");

  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(Lines(outcome.out), ElementsAre("[11] out"));
  EXPECT_THAT(Lines(outcome.err), UnorderedElementsAre("[ 1] err", "[11] err"));
}

TEST_F(StreamsTest, StreamChoicesThatMeanNothingAreRefused) {
  for (const char* choice : {"4", "-1", "x", "0:9", "0:1:2", "1:1,1:2", "a:1", "5000:1"}) {
    const Outcome outcome = RunIt({"-np", "2", "--redirects", choice, "/bin/true"});
    EXPECT_EQ(outcome.status, 64) << choice << ": " << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr("redirects")) << choice;
  }
  EXPECT_EQ(RunIt({"-np", "2", "--redirects", "0", "/bin/true"}).status,
            0);  // torchrun's "nothing"
}

/// The files of that name in `folder` and below it.
std::vector<std::string> FilesBelow(const std::string& folder, const std::string& name) {
  std::vector<std::string> found;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (entry.path().string().ends_with(name)) found.push_back(entry.path());
  }
  return found;
}

TEST_F(StreamsTest, LogDirHoldsTheFilesOfEachRound) {
  const Outcome outcome =
      RunScriptIt({"-np", "2", "--log-dir", "deep/logs", "--max-restarts=1", "--name", "job"},
                  "echo try $TORCHELASTIC_RESTART_COUNT; exit $((1 - TORCHELASTIC_RESTART_COUNT))");

  EXPECT_EQ(outcome.status, 0) << outcome.err;
  const std::string folder = scratch_.path() + "/deep/logs";
  for (int round = 0; round < 2; ++round) {
    const auto files = FilesBelow(folder, "/round-" + std::to_string(round) + "/rank-1.stdout");
    ASSERT_THAT(files, SizeIs(1));
    EXPECT_EQ(ReadFile(files[0]), "try " + std::to_string(round) + "\n");
  }
  EXPECT_FALSE(std::filesystem::exists(OutputPath(0, 0, "stdout")));
  EXPECT_EQ(Verb({"logs", "job", "--rank", "1"}).out, "try 1\n");
}

TEST_F(StreamsTest, LogDirOfARunBeforeIsNotMixedWithThisOnes) {
  // A regression: the files were appended to, and the error file was taken for this run's.
  const std::string error =
      R"({"message":{"message":"OldError","extraInfo":{"timestamp":"1700000000"}}})";
  const Outcome first =
      RunScriptIt({"-np", "1", "--log-dir", "logs"},
                  "echo first; echo '" + error + "' >$TORCHELASTIC_ERROR_FILE; exit 3");
  EXPECT_THAT(first.err, HasSubstr("OldError"));

  const Outcome second =
      RunScriptIt({"-np", "1", "--log-dir", "logs", "--name", "job"}, "echo second; exit 4");

  EXPECT_EQ(second.status, 4);
  EXPECT_THAT(second.err, Not(HasSubstr("OldError")));
  EXPECT_EQ(Verb({"logs", "job"}).out, "second\n");
}

TEST_F(StreamsTest, PrefixesCanBeLeftOut) {
  const Outcome outcome = RunScriptIt({"-np", "1", "--log-prefix=false"}, "echo plain");

  EXPECT_EQ(outcome.out, "plain\n") << outcome.err;
}

// -------------------------------------------------------------------------------------------------
// bytes

TEST_F(StreamsTest, FilesHoldTheBytesAsTheyAre) {
  const std::string bytes("a\0b\rc\r\nd\xff\n\ttail", 15);
  scratch_.Write("bytes", bytes);

  EXPECT_EQ(RunIt({"-np", "1", "--name", "job", "--", "/bin/cat", "bytes"}).status, 0);

  EXPECT_EQ(Output(0, 0, "stdout"), bytes);
}

TEST_F(StreamsTest, SilentStreamsLeaveNoFile) {
  EXPECT_EQ(RunScriptIt({"-np", "1", "--name", "job"}, "echo out").status, 0);

  EXPECT_TRUE(std::filesystem::exists(OutputPath(0, 0, "stdout")));
  EXPECT_FALSE(std::filesystem::exists(OutputPath(0, 0, "stderr")));
}

TEST_F(StreamsTest, EveryByteBeforeASigkillArrivesInConsoleAndFiles) {
  constexpr int kCount = 20000;
  const Outcome outcome = RunIt(
      {"-np", "2", "--name", "job", "--", "/usr/bin/perl", "-e",
       "$ENV{RANK} == 1 or sleep 60; $| = 1;"
       "for my $i (1..20000) { print \"line $i\\n\"; print STDERR \"word $i\\n\" } kill 9, $$"});

  EXPECT_EQ(outcome.status, 128 + SIGKILL);
  std::string lines, words, shown_lines, shown_words;
  for (int i = 1; i <= kCount; ++i) {
    const std::string number = std::to_string(i) + "\n";
    lines += "line " + number;
    words += "word " + number;
    shown_lines += "[1] line " + number;
    shown_words += "[1] word " + number;
  }
  EXPECT_TRUE(outcome.out == shown_lines) << outcome.out.size();
  EXPECT_TRUE(outcome.err.starts_with(shown_words)) << outcome.err.size();
  EXPECT_TRUE(Output(0, 1, "stdout") == lines);
  EXPECT_TRUE(Output(0, 1, "stderr") == words);
}

TEST_F(StreamsTest, LinesOfManyRanksAreNeitherTornNorLost) {
  constexpr int kRanks = 8;
  constexpr int kCount = 3000;
  const Outcome outcome = RunIt({"-np", "8", "--", "/usr/bin/perl", "-e",
                                 "my $c = chr(97 + $ENV{RANK}); for my $i (1..3000) { print \"$i "
                                 "\", $c x ($i % 90), \"\\n\" }"});

  EXPECT_EQ(outcome.status, 0) << outcome.err;
  std::map<int, int> seen;
  for (const std::string& line : Lines(outcome.out)) {
    ASSERT_GE(line.size(), 5u);
    const int rank = line[1] - '0';
    const int number = ++seen[rank];
    ASSERT_EQ(line,
              "[" + std::to_string(rank) + "] " + std::to_string(number) + " " +
                  std::string(static_cast<size_t>(number % 90), static_cast<char>('a' + rank)));
  }
  ASSERT_THAT(seen, SizeIs(kRanks));
  for (const auto& [rank, count] : seen) EXPECT_EQ(count, kCount) << rank;
}

TEST_F(StreamsTest, ALineWithoutEndIsShownInPiecesAndKeptWhole) {
  constexpr size_t kBytes = 1'000'000;
  const Outcome outcome =
      RunIt({"-np", "1", "--name", "job", "--", "/usr/bin/perl", "-e", "print 'x' x 1000000"});

  EXPECT_EQ(outcome.status, 0) << outcome.err;
  size_t shown = 0;
  for (const std::string& line : Lines(outcome.out)) {
    EXPECT_THAT(line, StartsWith("[0] "));
    EXPECT_LE(line.size(), size_t{70'000});
    shown += static_cast<size_t>(std::count(line.begin(), line.end(), 'x'));
  }
  EXPECT_EQ(shown, kBytes);
  EXPECT_TRUE(outcome.out.ends_with("x\n"));
  EXPECT_TRUE(Output(0, 0, "stdout") == std::string(kBytes, 'x'));
}

// -------------------------------------------------------------------------------------------------
// terminals

/// Prints a line that stays in the C library's buffer unless stdout is a terminal, says so on
/// stderr, and goes on when somebody writes to the fifo `go`.
constexpr char kBuffered[] =
    "print \"early\\n\"; print STDERR \"printed\\n\"; open(my $go, '<', 'go'); <$go>;";

TEST_F(StreamsTest, LineBufferedShowsLinesAsTheyAreMade) {
  MakeGo();
  Command command(RunWords({"-np", "1", "--line-buffered", "--name", "job", "--", "/usr/bin/perl",
                            "-e", std::string(kBuffered) + "system('test -t 1 && echo terminal')"}),
                  Options());

  EXPECT_TRUE(command.WaitForOutput(
      [](const std::string& out, const std::string&) { return out == "[0] early\n"; }, 20s));
  EXPECT_TRUE(LetGo());

  const Outcome outcome = command.Wait(20s);
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(outcome.out, "[0] early\n[0] terminal\n");
  EXPECT_EQ(Output(0, 0, "stdout"), "early\nterminal\n");  // and no carriage returns
  EXPECT_EQ(outcome.err, "[0] printed\n");
}

TEST_F(StreamsTest, WithoutItTheProgramKeepsThemInItsBuffer) {
  MakeGo();
  Command command(RunWords({"-np", "1", "--", "/usr/bin/perl", "-e", kBuffered}), Options());

  std::string out;
  EXPECT_TRUE(command.WaitForOutput(
      [&out](const std::string& shown, const std::string& err) {
        out = shown;
        return Contains(err, "printed");
      },
      20s));
  EXPECT_EQ(out, "");  // else the test before this one shows nothing
  EXPECT_TRUE(LetGo());

  EXPECT_EQ(command.Wait(20s).out, "[0] early\n");
}

TEST_F(StreamsTest, LastBytesOfAKilledRankComeThroughATerminalToo) {
  const Outcome outcome =
      RunIt({"-np", "1", "--line-buffered", "--", "/usr/bin/perl", "-e",
             "$| = 1; for my $i (1..3000) { print \"line $i\\n\" } print 'tail'; kill 9, $$"});

  EXPECT_EQ(outcome.status, 128 + SIGKILL);
  EXPECT_EQ(CountOf(outcome.out, "[0] line "), 3000);
  EXPECT_TRUE(outcome.out.ends_with("[0] tail\n"));
}

TEST_F(StreamsTest, PrefixesAreColouredOnATerminalAlone) {
  Command::Options options = Options();
  EXPECT_THAT(Command(RunWords({"-np", "1", "/bin/echo", "x"}), options).Wait(20s).out,
              Not(HasSubstr(kEscape)));

  options.terminal = true;
  const Outcome coloured = Command(RunWords({"-np", "1", "/bin/echo", "x"}), options).Wait(20s);

  EXPECT_EQ(coloured.status, 0);
  EXPECT_THAT(coloured.out, AllOf(HasSubstr(kEscape), HasSubstr("[0]"), HasSubstr("x\n")));
}

TEST_F(StreamsTest, NoColorIsHonoured) {
  Command::Options options = Options();
  options.terminal = true;
  options.environment["NO_COLOR"] = "1";
  EXPECT_EQ(Command(RunWords({"-np", "1", "/bin/echo", "x"}), options).Wait(20s).out, "[0] x\n");

  options.environment["NO_COLOR"] = "";  // as unset, by no-color.org
  EXPECT_THAT(Command(RunWords({"-np", "1", "/bin/echo", "x"}), options).Wait(20s).out,
              HasSubstr(kEscape));
}

// -------------------------------------------------------------------------------------------------
// stdin

TEST_F(StreamsTest, StdinGoesToTheRankThatIsNamed) {
  const struct {
    std::vector<std::string> flags;
    std::vector<std::string> shown;
  } cases[] = {{{}, {"[0] hello"}}, {{"--stdin", "2"}, {"[2] hello"}}, {{"--stdin=none"}, {}}};
  for (const auto& [flags, shown] : cases) {
    std::vector<std::string> words = {"-np", "3"};
    words.insert(words.end(), flags.begin(), flags.end());
    words.push_back("/bin/cat");
    Command::Options options = Options();
    options.input = "hello\n";
    const Outcome outcome = Command(RunWords(words), options).Wait(20s);

    EXPECT_EQ(outcome.status, 0) << outcome.err;
    EXPECT_EQ(Lines(outcome.out), shown);
  }
}

TEST_F(StreamsTest, AllOfALargeStdinArrives) {
  Command::Options options = Options();
  options.input = std::string(5'000'000, 'x');
  const Outcome outcome =
      Command(RunWords({"-np", "2", "--stdin", "1", "--", "/usr/bin/wc", "-c"}), options).Wait(30s);

  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(Lines(outcome.out), UnorderedElementsAre("[0] 0", "[1] 5000000"));
}

TEST_F(StreamsTest, ARankThatDoesNotReadItsStdinEndsTheJobAllTheSame) {
  Command::Options options = Options();
  options.input = std::string(60'000, 'x');  // stays in the pipe
  const Outcome outcome = Command(RunWords({"-np", "2", "/bin/true"}), options).Wait(20s);

  EXPECT_EQ(outcome.status, 0) << outcome.err;
}

TEST_F(StreamsTest, StdinOfARankThatIsNotThereIsRefused) {
  const Outcome outcome = RunIt({"-np", "2", "--stdin", "2", "/bin/cat"});

  EXPECT_EQ(outcome.status, 64);
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("stdin"), HasSubstr("2")));
}

}  // namespace
}  // namespace lockstep::e2e
