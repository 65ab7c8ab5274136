// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// Programs and command lines that were written for torchrun.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "tests/e2e/command.h"
#include "tests/e2e/run_fixture.h"

namespace lockstep::e2e {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

class TorchrunTest : public RunFixture {
 protected:
  void SetUp() override {
    scratch_.Write("script.py",
                   "import os, sys\n"
                   "print(os.environ['RANK'], 'of', os.environ['WORLD_SIZE'], *sys.argv[1:])\n");
  }
};

TEST_F(TorchrunTest, ItsLineAsTheProgramIsUnderstoodAndNotRunOnceARank) {
  const std::vector<std::string> lines[] = {
      {"-np", "2", "python3", "-m", "torch.distributed.run", "--nproc_per_node=2", "script.py",
       "--lr", "0.1"},
      {"python3", "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
       "--nnodes=1", "script.py", "--lr", "0.1"},
      {"torchrun", "--nproc_per_node=2", "--rdzv_backend=c10d", "--rdzv-endpoint=localhost:0",
       "script.py", "--lr", "0.1"},
  };
  for (const std::vector<std::string>& line : lines) {
    const Outcome outcome = RunIt(line);
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    EXPECT_THAT(Lines(outcome.out),
                UnorderedElementsAre("[0] 0 of 2 --lr 0.1", "[1] 1 of 2 --lr 0.1"))
        << ::testing::PrintToString(line);
  }
}

// The outer job's variables, its ranks' own among them, say nothing about a job that a rank starts.
TEST_F(TorchrunTest, ARunInsideARankTakesNothingOfTheOuterJobForItsOwn) {
  Command::Options options = Options();
  options.environment["LOCKSTEP_NAME"] = "outer";
  options.environment["LOCKSTEP_CHECKPOINT_DIR"] = scratch_.path() + "/outer";
  options.environment["PET_NPROC_PER_NODE"] = "2";
  scratch_.Write("inner.sh",
                 "[ \"$RANK\" = 0 ] || exit 0\n"
                 "echo \"outer: $LOCKSTEP_JOB_CHECKPOINT_DIR\"\n" +
                     LockstepPath() + " run --print-config true\n",
                 0755);
  const Outcome outcome =
      Command(RunWords({"--log-prefix=false", "/bin/sh", "inner.sh"}), options).Wait(30s);

  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("outer: " + scratch_.path() + "/outer\n"));
  EXPECT_THAT(outcome.out, HasSubstr("totalProcesses: 1 "));
  EXPECT_EQ(CountOf(outcome.out, "outer"), 2) << outcome.out;  // in that line alone
}

TEST_F(TorchrunTest, ItsLineMayNotContradictOurs) {
  const Outcome outcome = RunIt(
      {"-np", "2", "python3", "-m", "torch.distributed.run", "--nproc_per_node=3", "script.py"});

  EXPECT_EQ(outcome.status, 64);
  EXPECT_THAT(outcome.err, HasSubstr("contradicts"));
  EXPECT_EQ(outcome.out, "");
}

TEST_F(TorchrunTest, ItsFlagsThatMeanNothingHereAreAcceptedAndSaidToMeanNothing) {
  const Outcome outcome = RunIt({"--standalone", "--nnodes=1:1", "--monitor_interval=5",
                                 "--rdzv_id=7", "--nproc_per_node=1", "script.py"});

  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(outcome.out, "[0] 0 of 1\n");
  EXPECT_THAT(outcome.err, HasSubstr("monitor_interval has no effect"));
}

TEST_F(TorchrunTest, ModulesAndRunPathWork) {
  const Outcome module = RunIt({"-np", "1", "-m", "script", "a"});
  EXPECT_EQ(module.out, "[0] 0 of 1 a\n") << module.err;

  const Outcome path = RunIt({"-np", "1", "--run-path", "script.py", "a"});
  EXPECT_EQ(path.out, "[0] 0 of 1 a\n") << path.err;

  scratch_.Write("exec.py", "#!/bin/sh\necho shell\n", 0755);
  const Outcome plain = RunIt({"-np", "1", "--no-python", "./exec.py"});
  EXPECT_EQ(plain.out, "[0] shell\n") << plain.err;
}

TEST_F(TorchrunTest, PythonIsTakenFromWhereTheUserSays) {
  scratch_.Write("mine", "#!/bin/sh\necho mine \"$@\"\n", 0755);
  Command::Options options = Options();
  options.environment["PYTHON_EXEC"] = scratch_.path() + "/mine";
  const Outcome outcome = Command(RunWords({"-np", "1", "script.py", "a"}), options).Wait(20s);

  EXPECT_EQ(outcome.out, "[0] mine -u script.py a\n") << outcome.err;
}

// -------------------------------------------------------------------------------------------------
// errors that a rank writes down

TEST_F(TorchrunTest, TheErrorFileOfARankIsInTheVerdict) {
  scratch_.Write("train.py",
                 "import json, os, sys, time\n"
                 "if os.environ['RANK'] != '1': time.sleep(60)\n"
                 "error = {'message': {'message': 'ValueError: bad shape (3, 4)', 'extraInfo': {\n"
                 "    'py_callstack': 'Traceback\\n  File \"train.py\", line 7, in step\\n',\n"
                 "    'timestamp': str(int(time.time()))}}}\n"
                 "json.dump(error, open(os.environ['TORCHELASTIC_ERROR_FILE'], 'w'))\n"
                 "sys.exit(1)\n");
  const Outcome outcome = RunIt({"-np", "2", "--grace=0s", "--name", "job", "train.py"});

  EXPECT_EQ(outcome.status, 1);
  EXPECT_THAT(outcome.err,
              AllOf(HasSubstr("rank 1 failed first"), HasSubstr("ValueError: bad shape (3, 4)"),
                    HasSubstr("line 7, in step")));
  EXPECT_THAT(ReadFile(JobFolder("job") + "/verdict.json"),
              AllOf(HasSubstr("ERROR_FILE"), HasSubstr("ValueError: bad shape (3, 4)")));
}

TEST_F(TorchrunTest, AnErrorFileThatIsNoneIsNoReasonToFail) {
  for (const char* content : {"", "{", "[]", "{\"message\": 7}", "\\377\\376"}) {
    const Outcome outcome = RunScriptIt(
        {"-np", "1"}, "printf '" + std::string(content) + "' >$TORCHELASTIC_ERROR_FILE; exit 3");
    EXPECT_EQ(outcome.status, 3) << content;
    EXPECT_THAT(outcome.err, HasSubstr("rank 0 failed first: exit code 3")) << content;
  }
}

TEST_F(TorchrunTest, TorchsOwnRecorderIsUnderstood) {
  if (::access("/usr/lib/python3/dist-packages/torch/__init__.py", R_OK) != 0)
    GTEST_SKIP() << "python3-torch is not installed";
  scratch_.Write("train.py",
                 "from torch.distributed.elastic.multiprocessing.errors import record\n"
                 "@record\n"
                 "def main():\n"
                 "    raise ValueError('the loss is not a number')\n"
                 "main()\n");
  const Outcome outcome =
      RunToEnd(RunWords({"-np", "1", "--name", "job", "--python", "/usr/bin/python3", "train.py"}),
               scratch_, 60s);

  EXPECT_EQ(outcome.status, 1) << outcome.err;
  EXPECT_THAT(ReadFile(JobFolder("job") + "/verdict.json"),
              AllOf(HasSubstr("ERROR_FILE"), HasSubstr("ValueError: the loss is not a number"),
                    HasSubstr("train.py")));
}

}  // namespace
}  // namespace lockstep::e2e
