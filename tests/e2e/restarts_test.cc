// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// Rounds: what a failure is followed by, and what is written down about it.
#include <gmock/gmock.h>
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>

#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "tests/e2e/command.h"
#include "tests/e2e/run_fixture.h"

namespace lockstep::e2e {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using google::protobuf::Struct;
using google::protobuf::Value;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsSupersetOf;
using ::testing::Not;
using ::testing::SizeIs;

Struct ReadJson(const std::string& path) {
  Struct json;
  const auto status = google::protobuf::util::JsonStringToMessage(ReadFile(path), &json);
  EXPECT_TRUE(status.ok()) << path << ": " << status.ToString();
  return json;
}

std::vector<std::string> KeysOf(const Struct& json) {
  std::vector<std::string> keys;
  for (const auto& [key, value] : json.fields()) keys.push_back(key);
  return keys;
}

const Value& At(const Struct& json, const std::string& key) { return json.fields().at(key); }

std::string NamesIn(const std::string& folder) {
  std::set<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) names.insert(entry.path().filename());
  std::string text;
  for (const std::string& name : names) text += name + " ";
  return text;
}

/// "1.5s", "183ms", "250us" after `before`, for each time it stands in `text`.
std::vector<double> MillisecondsAfter(const std::string& text, const std::string& before) {
  std::vector<double> found;
  for (size_t at = text.find(before); at != std::string::npos; at = text.find(before, at + 1)) {
    size_t used = 0;
    const std::string rest = text.substr(at + before.size());
    const double number = std::stod(rest, &used);
    found.push_back(rest.substr(used).starts_with("ms") ? number : number * 1000);
  }
  return found;
}

class RestartsTest : public RunFixture {};

// -------------------------------------------------------------------------------------------------
// what is written down

TEST_F(RestartsTest, TheVerdictHasTheKeysThatProgramsRelyOn) {
  const Outcome outcome = RunScriptIt({"-np", "4", "--name", "job"},
                                      "[ $RANK = 2 ] && { echo boom >&2; exit 7; }; sleep 60");

  EXPECT_EQ(outcome.status, 7);
  const std::string folder = JobFolder("job");
  const Struct verdict = ReadJson(folder + "/verdict.json");
  EXPECT_THAT(KeysOf(verdict),
              IsSupersetOf({"class", "culprits", "victims", "exit_code", "evidence", "action"}));
  EXPECT_EQ(At(verdict, "class").string_value(), "DEAD_RANK");
  EXPECT_EQ(At(verdict, "exit_code").number_value(), 7);
  EXPECT_EQ(At(verdict, "action").string_value(), "END_JOB");
  ASSERT_THAT(At(verdict, "culprits").list_value().values(), SizeIs(1));
  const Struct& culprit = At(verdict, "culprits").list_value().values(0).struct_value();
  EXPECT_THAT(KeysOf(culprit), ::testing::UnorderedElementsAre("rank", "host", "pid", "why"));
  EXPECT_EQ(At(culprit, "rank").number_value(), 2);
  EXPECT_GT(At(culprit, "pid").number_value(), 1);
  EXPECT_EQ(At(culprit, "why").string_value(), "exit code 7");
  std::vector<double> victims;
  for (const Value& victim : At(verdict, "victims").list_value().values())
    victims.push_back(victim.number_value());
  EXPECT_THAT(victims, ElementsAre(0, 1, 3));
  EXPECT_THAT(At(verdict, "evidence").ShortDebugString(), HasSubstr("boom"));
  EXPECT_EQ(ReadFile(folder + "/verdict.json"), ReadFile(folder + "/round-0/verdict.json"));
}

TEST_F(RestartsTest, EachRoundHasAFolderAndTheFailedOnesAVerdict) {
  const Outcome outcome =
      RunScriptIt({"-np", "2", "--max-restarts=2", "--grace=0s", "--name", "job"},
                  "echo try $TORCHELASTIC_RESTART_COUNT; [ $TORCHELASTIC_RESTART_COUNT = 1 ] && "
                  "exit 0; [ $RANK = 0 ] && exit 5; sleep 60");

  EXPECT_EQ(outcome.status, 0) << outcome.err;
  const std::string folder = JobFolder("job");
  EXPECT_THAT(
      NamesIn(folder + "/round-0"),
      AllOf(HasSubstr("rank-0.stdout"), HasSubstr("rank-1.stdout"), HasSubstr("verdict.json")));
  EXPECT_EQ(NamesIn(folder + "/round-1"), "rank-0.stdout rank-1.stdout ");
  const Struct verdict = ReadJson(folder + "/round-0/verdict.json");
  EXPECT_EQ(At(verdict, "action").string_value(), "RESTART_GANG");
  EXPECT_EQ(At(verdict, "round").number_value(), 0);
  EXPECT_FALSE(fs::exists(folder + "/verdict.json")) << "the job succeeded";
  EXPECT_EQ(Verb({"logs", "job", "--rank", "1", "--round", "0"}).out, "try 0\n");
  EXPECT_THAT(Verb({"status", "job"}).out,
              AllOf(HasSubstr("exit status 0"), HasSubstr("1 restarts used")));
}

TEST_F(RestartsTest, TheJobDirectoryIsForItsUserAloneAndHoldsNoSecrets) {
  Command::Options options = Options();
  options.environment["API_TOKEN"] = "hunter2-of-the-environment";
  const Outcome outcome =
      Command(RunScript({"-np", "1", "--name", "job", "-x", "DB_PASSWORD=hunter2-of-the-flag"},
                        "[ ${#DB_PASSWORD} = 19 ] && [ ${#API_TOKEN} = 26 ] && exit 3"),
              options)
          .Wait(20s);

  EXPECT_EQ(outcome.status, 3) << outcome.err;
  const std::string folder = JobFolder("job");
  EXPECT_THAT(NamesIn(folder),
              AllOf(HasSubstr("events."), HasSubstr("round-0"), HasSubstr("spec.yaml"),
                    HasSubstr("state."), HasSubstr("verdict.json")));
  EXPECT_EQ(fs::status(folder).permissions(), fs::perms::owner_all);
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (!entry.is_regular_file()) continue;
    EXPECT_THAT(ReadFile(entry.path()), Not(HasSubstr("hunter2"))) << entry.path();
  }
  EXPECT_THAT(ReadFile(folder + "/spec.yaml"), HasSubstr("DB_PASSWORD"));
}

// -------------------------------------------------------------------------------------------------
// restarts

TEST_F(RestartsTest, TheFirstRestartComesAtOnceAndFurtherOnesAfterAPause) {
  const Outcome outcome = RunScriptIt({"-np", "1", "--max-restarts=3", "--name", "job", "--set",
                                       "spec.restart.backoff.first=200ms"},
                                      "exit 6");

  EXPECT_EQ(outcome.status, 6);
  EXPECT_THAT(outcome.err, HasSubstr("restart 1 of 3, at once"));
  const auto second = MillisecondsAfter(outcome.err, "restart 2 of 3, in ");
  const auto third = MillisecondsAfter(outcome.err, "restart 3 of 3, in ");
  ASSERT_THAT(second, SizeIs(1));
  ASSERT_THAT(third, SizeIs(1));
  EXPECT_TRUE(second[0] >= 160 && second[0] <= 200) << second[0];  // a fifth is jitter
  EXPECT_TRUE(third[0] >= 320 && third[0] <= 400) << third[0];
  EXPECT_GE(outcome.elapsed, 480ms);
  EXPECT_THAT(outcome.err, HasSubstr("all 3 restarts are used"));
  EXPECT_TRUE(fs::exists(JobFolder("job") + "/round-3"));
  EXPECT_FALSE(fs::exists(JobFolder("job") + "/round-4"));
}

TEST_F(RestartsTest, ThePauseHasALimit) {
  const Outcome outcome =
      RunScriptIt({"-np", "1", "--max-restarts=5", "--set", "spec.restart.backoff.first=40ms",
                   "--set", "spec.restart.backoff.max=50ms"},
                  "exit 6");

  for (const char* restart :
       {"restart 3 of 5, in ", "restart 4 of 5, in ", "restart 5 of 5, in "}) {
    const auto pause = MillisecondsAfter(outcome.err, restart);
    ASSERT_THAT(pause, SizeIs(1));
    EXPECT_TRUE(pause[0] >= 40 && pause[0] <= 50) << pause[0];
  }
}

TEST_F(RestartsTest, JobsFelledTogetherDoNotReturnTogether) {
  std::set<double> pauses;
  for (int job = 0; job < 3; ++job) {
    const Outcome outcome = RunScriptIt(
        {"-np", "1", "--max-restarts=2", "--set", "spec.restart.backoff.first=100ms"}, "exit 6");
    for (const double pause : MillisecondsAfter(outcome.err, "restart 2 of 2, in "))
      pauses.insert(pause);
  }
  EXPECT_GT(pauses.size(), 1u);
}

TEST_F(RestartsTest, AStopDuringThePauseEndsTheJob) {
  Command command(
      RunScript({"-np", "1", "--max-restarts=5", "--set", "spec.restart.backoff.first=1h", "--set",
                 "spec.restart.backoff.max=1h"},
                "exit 6"),
      Options());
  ASSERT_TRUE(command.WaitForOutput(
      [](const std::string&, const std::string& err) { return Contains(err, "restart 2 of 5"); },
      20s));

  command.Signal(SIGTERM);

  const Outcome outcome = command.Wait(10s);
  EXPECT_EQ(outcome.status, 128 + SIGTERM) << outcome.err;
}

TEST_F(RestartsTest, TheSameFailureTwiceWithoutProgressEndsTheJobEarly) {
  const Outcome outcome = RunIt({"-np", "2", "--max-restarts=9", "--grace=0s", "--name", "job",
                                 Runfile("tests/e2e/progress_rank"), "5", "4"});

  EXPECT_EQ(outcome.status, 1);
  EXPECT_THAT(outcome.err, HasSubstr("the same failure came twice without a step of progress"));
  EXPECT_TRUE(fs::exists(JobFolder("job") + "/round-1"));
  EXPECT_FALSE(fs::exists(JobFolder("job") + "/round-2"));
}

TEST_F(RestartsTest, AFailureAfterProgressIsNotTheSame) {
  const Outcome outcome = RunIt({"-np", "2", "--max-restarts=9", "--grace=0s", "--name", "job",
                                 Runfile("tests/e2e/progress_rank"), "5", "6", "7", "8", "-9"});

  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(CountOf(outcome.err, ", at once"), 4)
      << outcome.err;  // progress clears the backoff too
  EXPECT_TRUE(fs::exists(JobFolder("job") + "/round-4"));
}

TEST_F(RestartsTest, RepeatedFailuresAreTriedOnWhereTheUserSaysSo) {
  const Outcome outcome =
      RunIt({"-np", "1", "--max-restarts=3", "--set", "spec.restart.stopOnRepeatedFailure=false",
             "--set", "spec.restart.backoff.first=1ms", Runfile("tests/e2e/progress_rank"), "5"});

  EXPECT_EQ(outcome.status, 1);
  EXPECT_THAT(outcome.err, HasSubstr("all 3 restarts are used"));
}

TEST_F(RestartsTest, ProgramsThatReportNoProgressUseTheirWholeBudget) {
  const Outcome outcome =
      RunScriptIt({"-np", "1", "--max-restarts=3", "--set", "spec.restart.backoff.first=1ms"},
                  "echo ValueError >&2; exit 1");

  EXPECT_EQ(outcome.status, 1);
  EXPECT_THAT(outcome.err, HasSubstr("all 3 restarts are used"));
}

// -------------------------------------------------------------------------------------------------
// a log-out between two rounds

TEST_F(RestartsTest, RanksAttachAgainWhenTheirSocketsWereRemovedMeanwhile) {
  MakeGo();
  for (const bool with_its_folder : {false, true}) {
    Command::Options options = Options();
    const std::string folder = scratch_.path() + "/r";  // short, as those of sockets must be
    ASSERT_EQ(::mkdir(folder.c_str(), 0700), 0);
    options.environment["XDG_RUNTIME_DIR"] = folder;
    // The first round fails when it may; the second attaches, and waits to be asked for.
    const std::string script =
        "if [ $TORCHELASTIC_RESTART_COUNT = 0 ]; then echo up; read w <go; exit 1; fi; " +
        Runfile("tests/e2e/progress_rank") + " -7 || exit 9; echo attached; read w <go";
    Command command(RunScript({"-np", "1", "--max-restarts=1", "--name", "job"}, script), options);
    ASSERT_TRUE(command.WaitForOutput(
        [](const std::string& out, const std::string&) { return Contains(out, "up"); }, 10s));
    fs::remove_all(with_its_folder ? folder : folder + "/lockstep");
    ASSERT_TRUE(LetGo());

    EXPECT_TRUE(command.WaitForOutput(
        [](const std::string& out, const std::string&) { return Contains(out, "attached"); }, 10s));
    EXPECT_TRUE(Eventually([&] { return Contains(Verb({"status", "job"}).out, "running"); }, 10s));
    EXPECT_TRUE(LetGo());
    const Outcome outcome = command.Wait(10s);
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    EXPECT_EQ(CountOf(outcome.err, "the job's sockets were removed"), 1) << outcome.err;
    EXPECT_EQ(fs::exists(folder), !with_its_folder);
    fs::remove_all(folder);
    EXPECT_EQ(Verb({"rm", "job"}).status, 0);
  }
}

// -------------------------------------------------------------------------------------------------
// ranks that end early

TEST_F(RestartsTest, ARankThatExitsEarlyIsWaitedForAndNamed) {
  MakeGo();
  Command command(
      RunScript({"-np", "3"}, "[ $RANK = 1 ] && exit 0; [ $RANK = 2 ] && read word <go; exit 0"),
      Options());

  // The notice comes after 10 s.
  EXPECT_TRUE(command.WaitForOutput(
      [](const std::string&, const std::string& err) {
        return Contains(err, "2 of 3 ranks exited 0") && Contains(err, "still running: 2");
      },
      30s));
  EXPECT_TRUE(LetGo());

  const Outcome outcome = command.Wait(20s);
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(CountOf(outcome.err, "exited 0"), 1) << outcome.err;
}

TEST_F(RestartsTest, AFailureAfterAnEarlyExitStillEndsTheJobWithItsStatus) {
  const Outcome outcome = RunScriptIt({"-np", "3", "--name", "job"},
                                      "[ $RANK = 0 ] && exit 0; [ $RANK = 2 ] && exit 9; sleep 60");

  EXPECT_EQ(outcome.status, 9);
  EXPECT_THAT(outcome.err, HasSubstr("rank 2 failed first: exit code 9"));
}

}  // namespace
}  // namespace lockstep::e2e
