// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/config/program_arguments.h"

#include <gmock/gmock.h>

namespace lockstep::launcher {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

proto::Program ProgramOf(proto::ProgramKind kind, const std::vector<std::string>& command) {
  proto::Program program;
  program.set_kind(kind);
  program.mutable_command()->Assign(command.begin(), command.end());
  program.add_args("--lr");
  return program;
}

TEST(ProgramArgumentsTest, AutoLooksAtTheName) {
  EXPECT_THAT(ProgramArguments(ProgramOf(proto::PROGRAM_KIND_AUTO, {"./train"}), {}),
              ElementsAre("./train", "--lr"));
  EXPECT_THAT(ProgramArguments(ProgramOf(proto::PROGRAM_KIND_AUTO, {"train.py"}), {}),
              ElementsAre("python3", "-u", "train.py", "--lr"));
  EXPECT_THAT(ProgramArguments(ProgramOf(proto::PROGRAM_KIND_AUTO, {"numactl", "train.py"}), {}),
              ElementsAre("numactl", "train.py", "--lr"));
}

TEST(ProgramArgumentsTest, EachKindIsStartedInItsWay) {
  EXPECT_THAT(ProgramArguments(ProgramOf(proto::PROGRAM_KIND_EXECUTABLE, {"./train.py"}), {}),
              ElementsAre("./train.py", "--lr"));
  EXPECT_THAT(ProgramArguments(ProgramOf(proto::PROGRAM_KIND_PYTHON_SCRIPT, {"train"}), {}),
              ElementsAre("python3", "-u", "train", "--lr"));
  EXPECT_THAT(ProgramArguments(ProgramOf(proto::PROGRAM_KIND_PYTHON_MODULE, {"pkg.train"}), {}),
              ElementsAre("python3", "-u", "-m", "pkg.train", "--lr"));
  EXPECT_THAT(ProgramArguments(ProgramOf(proto::PROGRAM_KIND_PYTHON_PATH, {"app.zip"}), {}),
              ElementsAre("python3", "-u", "-c", HasSubstr("runpy.run_path"), "app.zip", "--lr"));
}

TEST(ProgramArgumentsTest, PythonExecWinsOverTheFlagOverPath) {
  proto::Program program = ProgramOf(proto::PROGRAM_KIND_PYTHON_SCRIPT, {"train.py"});
  program.set_python("/flag/python");
  EXPECT_EQ(ProgramArguments(program, {})[0], "/flag/python");
  EXPECT_EQ(ProgramArguments(program, {{"PYTHON_EXEC", ""}})[0], "/flag/python");
  EXPECT_EQ(ProgramArguments(program, {{"PYTHON_EXEC", "/env/python"}})[0], "/env/python");

  auto* variable = program.add_env();
  variable->set_name("PYTHON_EXEC");
  variable->set_value("/own/python");

  EXPECT_EQ(ProgramArguments(program, {{"PYTHON_EXEC", "/env/python"}})[0], "/own/python");
}

TEST(DefaultJobNameTest, IsMadeOfTheProgramsName) {
  const auto name_of = [](const std::string& command) {
    return DefaultJobName(ProgramOf(proto::PROGRAM_KIND_AUTO, {command}));
  };
  EXPECT_EQ(name_of("/home/me/train.py"), "train");
  EXPECT_EQ(name_of("./My_Program.v2"), "my-program-v2");
  EXPECT_EQ(name_of("pkg.train"), "pkg-train");
  EXPECT_EQ(name_of("___"), "job");
  EXPECT_EQ(name_of("/"), "job");
  EXPECT_EQ(name_of(std::string(100, 'a')).size(), 40u);
  EXPECT_EQ(DefaultJobName(proto::Program()), "job");
}

}  // namespace
}  // namespace lockstep::launcher
