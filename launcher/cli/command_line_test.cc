// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/cli/command_line.h"

#include <gmock/gmock.h>

#include <set>

#include "runtime/base/testing/status_matchers.h"
#include "runtime/proto/job_yaml.h"

namespace lockstep::launcher {
namespace {

using base::Code;
using base::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

base::Result<Command> Parse(std::vector<std::string> words) { return ParseCommandLine(words); }

// What is wrong with the flags and operands: OK when nothing is.
base::Status Checked(std::vector<std::string> words) {
  const auto command = Parse(std::move(words));
  return command.ok() ? proto::ProblemsToStatus(command->problems) : command.status();
}

// "--name=value" of every flag, by its long name.
std::vector<std::string> Flags(const Command& command) {
  std::vector<std::string> texts;
  for (const GivenFlag& given : command.flags)
    texts.push_back(std::string(given.flag->name) + "=" + given.value);
  return texts;
}

TEST(CommandLineTest, FlagsEndAtTheProgram) {
  ASSERT_OK_AND_ASSIGN(const Command command,
                       Parse({"run", "-np", "2", "./train", "--np", "8", "--lr", "0.1", "-h"}));

  EXPECT_EQ(command.verb, Verb::kRun);
  EXPECT_THAT(Flags(command), ElementsAre("--np=2"));
  EXPECT_THAT(command.operands, ElementsAre("./train", "--np", "8", "--lr", "0.1", "-h"));
}

TEST(CommandLineTest, RenderTakesWhatRunTakes) {
  ASSERT_OK_AND_ASSIGN(const Command command, Parse({"render", "--to", "env", "-np", "2",
                                                     "--rank=1", "./train", "--to", "disk", "-h"}));

  EXPECT_EQ(command.verb, Verb::kRender);
  EXPECT_THAT(Flags(command), ElementsAre("--to=env", "--np=2", "--rank=1"));
  EXPECT_THAT(command.operands, ElementsAre("./train", "--to", "disk", "-h"));
  EXPECT_THAT(Checked({"render", "--max-restart=1", "x"}),
              StatusIs(Code::kInvalidArgument, HasSubstr("mean --max-restarts?")));
  EXPECT_THAT(Checked({"run", "--to", "env", "x"}), StatusIs(Code::kInvalidArgument));
}

TEST(CommandLineTest, FlagsEndAtTwoDashes) {
  ASSERT_OK_AND_ASSIGN(const Command command,
                       Parse({"run", "-np=2", "--", "--odd-program", "--", "x"}));

  EXPECT_THAT(command.operands, ElementsAre("--odd-program", "--", "x"));
}

TEST(CommandLineTest, EverySpellingIsTheSameFlag) {
  for (const char* spelling : {"--nproc-per-node", "--nproc_per_node", "--nproc-per_node"}) {
    ASSERT_OK_AND_ASSIGN(const Command separate, Parse({"run", spelling, "auto", "x"}));
    ASSERT_OK_AND_ASSIGN(const Command joined,
                         Parse({"run", spelling + std::string("=auto"), "x"}));
    EXPECT_THAT(Flags(separate), ElementsAre("--nproc-per-node=auto"));
    EXPECT_THAT(Flags(joined), ElementsAre("--nproc-per-node=auto"));
  }
  for (const char* spelling : {"-n", "-np", "--np"}) {
    ASSERT_OK_AND_ASSIGN(const Command command, Parse({"run", spelling, "4", "x"}));
    EXPECT_THAT(Flags(command), ElementsAre("--np=4"));
    EXPECT_EQ(command.flags[0].spelling, spelling);
  }
}

TEST(CommandLineTest, SwitchesTakeNoNextWord) {
  ASSERT_OK_AND_ASSIGN(const Command command,
                       Parse({"run", "-m", "--log-prefix=false", "pkg.train", "true"}));

  EXPECT_THAT(Flags(command), ElementsAre("--module=true", "--log-prefix=false"));
  EXPECT_THAT(command.operands, ElementsAre("pkg.train", "true"));
  EXPECT_THAT(Checked({"run", "--detach=maybe", "x"}),
              StatusIs(Code::kInvalidArgument, HasSubstr("takes =true or =false")));
}

TEST(CommandLineTest, RepeatedFlagsStayInOrderAndTheLastIsTheValue) {
  ASSERT_OK_AND_ASSIGN(const Command command,
                       Parse({"run", "--env", "A=1", "-x", "B=2", "--name", "a", "--name=b", "x"}));

  EXPECT_THAT(Flags(command), ElementsAre("--env=A=1", "--env=B=2", "--name=a", "--name=b"));
  EXPECT_EQ(command.Value("--name"), "b");
  EXPECT_EQ(command.Value("--file"), std::nullopt);
  EXPECT_FALSE(command.IsOn("--detach"));
}

TEST(CommandLineTest, ANegativeNumberIsAValue) {
  ASSERT_OK_AND_ASSIGN(const Command command, Parse({"run", "-np", "-1", "x"}));

  EXPECT_THAT(Flags(command), ElementsAre("--np=-1"))
      << "whether it may be negative is the job's business";
}

TEST(CommandLineTest, UnknownFlagsAreAnsweredWithTheNearest) {
  EXPECT_THAT(Checked({"run", "--max-restart", "1", "x"}),
              StatusIs(Code::kInvalidArgument,
                       HasSubstr("unknown flag --max-restart; did you mean --max-restarts?")));
  EXPECT_THAT(Checked({"run", "--nproc_per_nod=2", "x"}),
              StatusIs(Code::kInvalidArgument, HasSubstr("--nproc-per-node?")));
  EXPECT_THAT(Checked({"run", "--zzzzzzzzz"}),
              StatusIs(Code::kInvalidArgument, HasSubstr("see lockstep help run")));
  EXPECT_THAT(Checked({"ps", "--al"}),
              StatusIs(Code::kInvalidArgument, HasSubstr("did you mean --all?")));
}

TEST(CommandLineTest, AMissingValueIsNotTakenFromTheNextFlag) {
  EXPECT_THAT(Checked({"run", "--name", "--detach", "x"}),
              StatusIs(Code::kInvalidArgument, HasSubstr("--name needs a value: --name NAME")));
  EXPECT_THAT(Checked({"run", "-np"}),
              StatusIs(Code::kInvalidArgument, HasSubstr("-np needs a value: -np N")));
  EXPECT_THAT(Checked({"run", "-np", "--", "x"}), StatusIs(Code::kInvalidArgument));
}

TEST(CommandLineTest, AllProblemsComeAtOnce) {
  EXPECT_THAT(
      Checked({"run", "--max-restart", "1", "--nam=x", "--detach=maybe", "--zzzzzzzzz", "--env",
               "--set", "a=b", "./train", "--its-own"}),
      StatusIs(Code::kInvalidArgument,
               AllOf(HasSubstr("5 problems"), HasSubstr("--max-restarts?"),
                     HasSubstr("did you mean --name?"), HasSubstr("--detach is a switch"),
                     HasSubstr("unknown flag --zzzzzzzzz"), HasSubstr("--env needs a value"))));
  EXPECT_THAT(Checked({"run", "--max-restart", "--nam", "x", "./train", "--its-own"}),
              StatusIs(Code::kInvalidArgument, HasSubstr("2 problems")));
  EXPECT_THAT(Checked({"logs", "--rnk", "3", "mnist", "--folow"}),
              StatusIs(Code::kInvalidArgument,
                       AllOf(HasSubstr("did you mean --rank?"), HasSubstr("--follow?"))));
}

TEST(CommandLineTest, VerbsAreKnown) {
  EXPECT_EQ(Parse({"version"}).value().verb, Verb::kVersion);
  EXPECT_EQ(Parse({"--version"}).value().verb, Verb::kVersion);
  EXPECT_EQ(Parse({}).value().verb, Verb::kHelp);
  EXPECT_THAT(Parse({"rnu", "x"}),
              StatusIs(Code::kInvalidArgument, HasSubstr("did you mean lockstep run?")));
  EXPECT_THAT(Parse({"--np", "2"}),
              StatusIs(Code::kInvalidArgument, HasSubstr("the verbs are run, render, exec, ps")));
}

TEST(CommandLineTest, HelpIsAFlagOfEveryVerb) {
  for (const std::vector<std::string>& words :
       std::vector<std::vector<std::string>>{{"help", "run"},
                                             {"run", "--help"},
                                             {"run", "-np", "2", "-h", "x"},
                                             {"run", "--nonsense", "--help"}}) {
    ASSERT_OK_AND_ASSIGN(const Command command, ParseCommandLine(words));
    EXPECT_EQ(command.verb, Verb::kHelp);
    EXPECT_THAT(command.operands, ElementsAre("run"));
  }
  EXPECT_EQ(Parse({"run", "x", "--help"}).value().verb, Verb::kRun) << "the program's";
  EXPECT_EQ(Parse({"exec", "x", "--help"}).value().verb, Verb::kExec) << "the program's";
  EXPECT_EQ(Parse({"exec", "--job", "x", "--help"}).value().verb, Verb::kHelp);
  EXPECT_EQ(Parse({"logs", "job", "--help"}).value().verb, Verb::kHelp);
  EXPECT_THAT(Parse({"help", "rum"}), StatusIs(Code::kInvalidArgument, HasSubstr("lockstep r")));
}

TEST(CommandLineTest, VerbsTakeFlagsBehindTheirJob) {
  ASSERT_OK_AND_ASSIGN(const Command command, Parse({"logs", "mnist", "--rank", "3", "--follow"}));

  EXPECT_THAT(Flags(command), ElementsAre("--rank=3", "--follow=true"));
  EXPECT_THAT(command.operands, ElementsAre("mnist"));
}

TEST(CommandLineTest, VerbsCountTheirOperands) {
  EXPECT_THAT(
      Checked({"exec", "--job", "x"}),
      StatusIs(Code::kInvalidArgument, HasSubstr("no program is named; usage: lockstep exec")));
  EXPECT_THAT(Checked({"stop"}),
              StatusIs(Code::kInvalidArgument, HasSubstr("usage: lockstep stop [FLAGS] JOB")));
  EXPECT_THAT(Checked({"stop", "a", "b"}),
              StatusIs(Code::kInvalidArgument, HasSubstr("nothing more is expected at b")));
  EXPECT_THAT(Checked({"ps", "a"}), StatusIs(Code::kInvalidArgument));
}

TEST(FlagTablesTest, NoSpellingStandsForTwoFlags) {
  for (const VerbSpec& verb : Verbs()) {
    std::set<std::string_view> spellings;
    for (const FlagSpec& flag : verb.flags) {
      EXPECT_TRUE(flag.name.starts_with("--")) << flag.name;
      EXPECT_TRUE(spellings.insert(flag.name).second) << flag.name;
      EXPECT_EQ(FindFlag(verb, flag.name), &flag);
      std::string_view rest = flag.aliases;
      while (!rest.empty()) {
        const std::string_view alias = rest.substr(0, rest.find(' '));
        EXPECT_TRUE(spellings.insert(alias).second) << alias;
        EXPECT_EQ(FindFlag(verb, alias), &flag);
        rest.remove_prefix(std::min(alias.size() + 1, rest.size()));
      }
    }
  }
}

TEST(FlagTablesTest, EveryFieldOfAFlagIsAFieldOfTheJob) {
  for (const FlagSpec& flag : VerbSpecOf(Verb::kRun).flags) {
    if (flag.field.empty()) continue;
    proto::TrainingJob job;
    for (const proto::Problem& problem : proto::SetJobField(flag.field, "", &job).problems) {
      EXPECT_THAT(problem.what, ::testing::Not(HasSubstr("unknown field"))) << flag.name;
    }
    if (flag.field_value.empty()) continue;
    EXPECT_THAT(proto::SetJobField(flag.field, flag.field_value, &job).problems, IsEmpty())
        << flag.name;
  }
}

}  // namespace
}  // namespace lockstep::launcher
