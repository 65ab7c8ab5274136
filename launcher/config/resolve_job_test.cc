// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/config/resolve_job.h"

#include <gmock/gmock.h>

#include "runtime/base/testing/status_matchers.h"
#include "runtime/proto/job_yaml.h"
#include "runtime/proto/testing/equals_proto.h"

namespace lockstep::launcher {
namespace {

using base::Code;
using base::testing::StatusIs;
using proto::testing::EqualsProto;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr char kHead[] = "apiVersion: lockstep.dev/v1alpha1\nkind: TrainingJob\n";

struct Case {
  std::vector<std::string> words;  // after `lockstep run`
  std::string file = "";           // after kHead
  topology::Environment environment = {};
  MachineFacts machine = {};
  std::string host_file = "";
};

base::Result<ResolvedJob> Resolve(Case inputs) {
  inputs.words.insert(inputs.words.begin(), "run");
  ASSIGN_OR_RETURN(Command command, ParseCommandLine(inputs.words));
  std::optional<JobFile> file;
  if (!inputs.file.empty()) file = JobFile{"job.yaml", kHead + inputs.file};
  JobInputs all{command, file, inputs.environment, [&inputs] { return inputs.machine; }};
  if (!inputs.host_file.empty()) all.host_file = JobFile{"hosts.txt", inputs.host_file};
  return ResolveJob(all);
}

// Checked to resolve.
ResolvedJob Resolved(Case inputs) {
  auto resolved = Resolve(std::move(inputs));
  EXPECT_OK(resolved.status());
  return resolved.ok() ? *resolved : ResolvedJob();
}

std::string Error(Case inputs) { return Resolve(std::move(inputs)).status().message(); }

std::vector<std::string> Program(const ResolvedJob& resolved) {
  const proto::Program& program = resolved.job.spec().program();
  std::vector<std::string> words(program.command().begin(), program.command().end());
  words.insert(words.end(), program.args().begin(), program.args().end());
  return words;
}

TEST(ResolveJobTest, ACommandLineAloneIsAJob) {
  const ResolvedJob resolved = Resolved({{"-np", "4", "./train", "--lr", "0.1"}});

  EXPECT_THAT(Program(resolved), ElementsAre("./train", "--lr", "0.1"));
  EXPECT_EQ(resolved.job.spec().gang().total_processes(), 4);
  EXPECT_EQ(resolved.job.spec().gang().processes_per_node().count(), 4);
  EXPECT_THAT(resolved.notes, IsEmpty());
}

TEST(ResolveJobTest, ABackendIsGivenAsOneWord) {
  EXPECT_EQ(Resolved({{"./train"}}).job.spec().collectives().backend(),
            proto::COLLECTIVES_BACKEND_HOST);
  EXPECT_EQ(Resolved({{"--check", "strict", "./train"}}).job.spec().collectives().check(),
            proto::COLLECTIVES_CHECK_STRICT);
  const auto groups = [](std::vector<std::string> flags) {
    flags.push_back("./train");
    return Resolved({flags}).job.spec().collectives();
  };
  EXPECT_FALSE(groups({}).encrypt_data());
  EXPECT_TRUE(groups({"--encrypt-data"}).encrypt_data());
  EXPECT_EQ(groups({}).tcp_flows(), 1);
  EXPECT_EQ(groups({"--tcp-flows=4"}).tcp_flows(), 4);
  EXPECT_THAT(Error({{"--tcp-flows", "17", "./train"}}), HasSubstr("1 to 16"));
  EXPECT_FALSE(groups({}).has_tcp_link());
  EXPECT_EQ(groups({"--tcp-link=20,5"}).tcp_link(), "20,5");
  EXPECT_THAT(Error({{"--tcp-link", "20", "./train"}}), HasSubstr("as in 20,5"));
  EXPECT_EQ(Resolved({{"--backend", "nccl", "./train"}}).job.spec().collectives().backend(),
            proto::COLLECTIVES_BACKEND_NCCL);
  EXPECT_THAT(Error({{"--backend", "gloo", "./train"}}),
              HasSubstr("must be one of Host, Mpi, Nccl"));
}

TEST(ResolveJobTest, RanksOfRunMeetOverMpiWhereItIsServed) {
  for (const char* server : {"pmix", "pmi1"}) {
    EXPECT_EQ(Resolved({{"--backend", "mpi", "--mpi", server, "./train"}})
                  .job.spec()
                  .collectives()
                  .backend(),
              proto::COLLECTIVES_BACKEND_MPI);
  }
  EXPECT_THAT(Error({{"--backend", "mpi", "--mpi", "none", "./train"}}), HasSubstr("--mpi=pmix"));
  EXPECT_THAT(Error({{"./train"}, "", {{"LOCKSTEP_BACKEND", "mpi"}}}),
              AllOf(HasSubstr("environment LOCKSTEP_BACKEND"),
                    HasSubstr("mpirun -np N lockstep exec --backend mpi -- PROGRAM")));
}

TEST(ResolveJobTest, WithoutACountThereIsOneRank) {
  EXPECT_EQ(Resolved({{"./train"}}).job.spec().gang().total_processes(), 1);
}

// One layer more each time; the last has the say.
TEST(ResolveJobTest, EachSourceWinsOverTheOneBefore) {
  const std::string file = "spec: {program: {command: [./train]}, restart: {maxRestarts: 1}}";
  const auto restarts = [&](std::vector<std::string> words, topology::Environment environment) {
    const ResolvedJob resolved = Resolved({std::move(words), file, std::move(environment)});
    const auto source = resolved.sources.find("spec.restart.maxRestarts");
    return std::to_string(resolved.job.spec().restart().max_restarts()) + " " +
           (source == resolved.sources.end() ? "built-in" : source->second);
  };

  EXPECT_EQ(restarts({}, {}), "1 job.yaml");
  EXPECT_EQ(restarts({}, {{"PET_MAX_RESTARTS", "2"}}), "2 environment PET_MAX_RESTARTS");
  EXPECT_EQ(restarts({}, {{"PET_MAX_RESTARTS", "2"}, {"LOCKSTEP_MAX_RESTARTS", "3"}}),
            "3 environment LOCKSTEP_MAX_RESTARTS");
  EXPECT_EQ(restarts({"--set", "spec.restart.maxRestarts=4"}, {{"LOCKSTEP_MAX_RESTARTS", "3"}}),
            "4 --set");
  EXPECT_EQ(restarts({"--max-restarts=5", "--set", "spec.restart.maxRestarts=4"}, {}),
            "5 flag --max-restarts");
  EXPECT_EQ(Resolved({{"./train"}}).sources.count("spec.restart.maxRestarts"), 0u) << "0, built-in";
}

TEST(ResolveJobTest, SetReplacesTheProgramsArguments) {
  const ResolvedJob resolved = Resolved({{"--set", R"(spec.program.args=["--lr","0.2"])"},
                                         "spec: {program: {command: [./train], args: [old]}}"});

  EXPECT_THAT(Program(resolved), ElementsAre("./train", "--lr", "0.2"));
}

TEST(ResolveJobTest, TheCommandLinesProgramReplacesTheFiles) {
  const ResolvedJob resolved = Resolved({{"./other", "x"},
                                         "spec: {program: {command: [a.py], args: [b], kind: "
                                         "PythonScript, env: [{name: K, value: v}]}}"});

  EXPECT_THAT(Program(resolved), ElementsAre("./other", "x"));
  EXPECT_EQ(resolved.job.spec().program().kind(), proto::PROGRAM_KIND_AUTO);
  EXPECT_EQ(resolved.job.spec().program().env_size(), 1);
}

TEST(ResolveJobTest, BadCountsAreNamedWithTheirFlagAndLimit) {
  EXPECT_EQ(Error({{"-np", "0", "x"}}),
            "flag -np: spec.gang.totalProcesses: 0 must be 1 to 65536, at most 4096 a node");
  EXPECT_THAT(Error({{"-np", "-1", "x"}}), HasSubstr("-1 must be 1 to 65536"));
  EXPECT_EQ(Error({{"-np", "abc", "x"}}),
            "flag -np: spec.gang.totalProcesses: abc is no whole number; expected 1 to 65536");
  EXPECT_THAT(Error({{"-np", "100000", "x"}}),
              AllOf(HasSubstr("-np"), HasSubstr("100000"), HasSubstr("4096 a node")));
  EXPECT_THAT(Error({{"-np", "5000", "x"}}),
              AllOf(HasSubstr("-np"), HasSubstr("5000 is more than 4096 a node")));
  EXPECT_THAT(Error({{"--nproc-per-node", "many", "x"}}),
              HasSubstr("must be one of 1 to 4096, auto, cpu, gpu"));
}

TEST(ResolveJobTest, ContradictoryCountsAreRefused) {
  EXPECT_THAT(Error({{"-np", "4", "--nproc-per-node=2", "x"}}),
              HasSubstr("4 contradicts processesPerNode 2 on 1 node"));
  EXPECT_THAT(Error({{"-np", "4", "--nproc-per-node=auto", "x"}}),
              HasSubstr("give one of the two"));
  EXPECT_EQ(Resolved({{"-np", "4", "--nproc-per-node=4", "x"}}).job.spec().gang().total_processes(),
            4);
}

// processesPerNode and totalProcesses say one thing, so a layer's one replaces another's other.
TEST(ResolveJobTest, ACountReplacesTheOtherCountOfALayerBefore) {
  const auto counts = [](Case inputs) {
    const ResolvedJob resolved = Resolved(std::move(inputs));
    const proto::Gang& gang = resolved.job.spec().gang();
    return std::to_string(gang.processes_per_node().count()) + " " +
           resolved.sources.at("spec.gang.processesPerNode") + ", " +
           std::to_string(gang.total_processes()) + " " +
           resolved.sources.at("spec.gang.totalProcesses");
  };
  const std::string file = "spec: {program: {command: [x]}, gang: {processesPerNode: 2}}";
  const std::string both =
      "spec: {program: {command: [x]}, gang: {processesPerNode: 2, totalProcesses: 2}}";

  EXPECT_EQ(counts({{"-np", "4"}, file}), "4 from totalProcesses, 4 flag -np");
  EXPECT_EQ(counts({{"-np", "4"}, both}), "4 from totalProcesses, 4 flag -np");
  EXPECT_EQ(counts({{"-np", "4", "x"}, "", {{"PET_NPROC_PER_NODE", "2"}}}),
            "4 from totalProcesses, 4 flag -np");
  EXPECT_EQ(counts({{"-np", "4", "x"}, "", {{"PET_NPROC_PER_NODE", "gpu"}}}),
            "4 from totalProcesses, 4 flag -np");
  EXPECT_EQ(counts({{"--nproc-per-node=3", "x"}, "", {{"LOCKSTEP_NP", "2"}}}),
            "3 flag --nproc-per-node, 3 from processesPerNode");
  EXPECT_EQ(counts({{"x"}, "", {{"LOCKSTEP_NP", "3"}, {"PET_NPROC_PER_NODE", "2"}}}),
            "3 from totalProcesses, 3 environment LOCKSTEP_NP");
  EXPECT_EQ(counts({{"--set", "spec.gang.totalProcesses=5"}, file, {{"PET_NPROC_PER_NODE", "3"}}}),
            "5 from totalProcesses, 5 --set");
  EXPECT_EQ(counts({{"torchrun", "--nproc-per-node=2", "x"}, "", {{"LOCKSTEP_NP", "3"}}}),
            "2 command line, torchrun line --nproc-per-node, 2 from processesPerNode");
  EXPECT_EQ(counts({{"--name", "no-count"}, both}), "2 job.yaml, 2 job.yaml");
}

TEST(ResolveJobTest, CountsOfOneLayerMayNotContradictEachOther) {
  EXPECT_THAT(Error({{"-np", "3", "torchrun", "--nproc-per-node=2", "x"}}),
              HasSubstr("flag -np: spec.gang.totalProcesses: 3 contradicts"))
      << "both stand on the command line";
  EXPECT_THAT(Error({{"x"}, "", {{"LOCKSTEP_NP", "3"}, {"LOCKSTEP_NPROC_PER_NODE", "2"}}}),
              HasSubstr("environment LOCKSTEP_NP: spec.gang.totalProcesses: 3 contradicts"));
  EXPECT_THAT(
      Error(
          {{}, "spec: {program: {command: [x]}, gang: {processesPerNode: 2, totalProcesses: 3}}"}),
      HasSubstr("contradicts processesPerNode 2"));
}

TEST(ResolveJobTest, AllProblemsComeAtOnceWithTheirSource) {
  const std::string error =
      Error({{"--set", "spec.gnag.nodes=1", "--set", "nonsense", "--dtach", "--grace", "soon", "x"},
             "spec: {program: {comand: [x]}}\nmetadata: {name: 3}",
             {{"PET_MAX_RESTARTS", "x"}}});

  EXPECT_THAT(
      error,
      AllOf(
          HasSubstr("7 problems:"),
          HasSubstr("lockstep run: unknown flag --dtach; did you mean --detach?"),
          HasSubstr("job.yaml:3: spec.program.comand: unknown field; did you mean command?"),
          HasSubstr("job.yaml:4: metadata.name: 3 is no string"),
          HasSubstr("environment PET_MAX_RESTARTS: spec.restart.maxRestarts: x is no whole number"),
          HasSubstr("--set: spec.gnag: unknown field; did you mean gang?"),
          HasSubstr("--set: nonsense is no setting; write --set PATH=VALUE"),
          HasSubstr("flag --grace: spec.grace.peerFailure: soon")));
}

TEST(ResolveJobTest, AProgramIsNeeded) {
  EXPECT_THAT(Error({{"-np", "2"}}), HasSubstr("name the program: lockstep run [FLAGS] PROGRAM"));
}

TEST(ResolveJobTest, SeveralNodesNeedMachines) {
  for (const char* nodes : {"1", "1:1"}) EXPECT_OK(Resolve({{"--nnodes", nodes, "x"}}));
  for (const char* nodes : {"2", "1:4"}) {
    EXPECT_THAT(Resolve({{"--nnodes", nodes, "x"}}),
                StatusIs(Code::kInvalidArgument, HasSubstr("need machines")))
        << nodes;
    EXPECT_OK(Resolve({{"--nnodes=2", "--simulate-hosts", "x"}}));
  }
  EXPECT_THAT(Resolve({{"--nnodes=1:4", "--simulate-hosts", "x"}}),
              StatusIs(Code::kUnimplemented, HasSubstr("--nnodes=4")));
  EXPECT_THAT(Resolve({{}, "spec: {program: {command: [x]}, gang: {nodes: 2}}"}),
              StatusIs(Code::kInvalidArgument, HasSubstr("need machines")));
  EXPECT_OK(Resolve({{"--node-rank=0", "x"}}));
  EXPECT_THAT(Error({{"--node-rank=1", "x"}}), HasSubstr("1 must be 0 or auto: the job has one"));
  EXPECT_THAT(Error({{"--nnodes=2:1", "x"}}), HasSubstr("must lie between"));
  EXPECT_THAT(Error({{"--nnodes=1:", "x"}}), HasSubstr("no whole number"));
  for (const char* nodes : {"--nnodes=0", "--nnodes=10001", "--nnodes=many"}) {
    EXPECT_THAT(Error({{nodes, "x"}}),
                AllOf(HasSubstr("spec.gang.nodes"), Not(HasSubstr("inNodes"))));
  }
}

TEST(ResolveJobTest, NodesMayHaveUnequalNumbersOfRanks) {
  const proto::Gang gang =
      Resolved({{"--simulate-hosts", "--nnodes=2", "-np", "5", "x"}}).job.spec().gang();

  EXPECT_EQ(gang.total_processes(), 5);
  EXPECT_FALSE(gang.has_processes_per_node());
  EXPECT_THAT(Error({{"--simulate-hosts", "--nnodes=3", "-np", "2", "x"}}),
              HasSubstr("2 is less than nodes (3)"));
}

TEST(ResolveJobTest, UnitsAreCountedOnThisMachine) {
  const auto count = [](const char* unit, MachineFacts machine) {
    const proto::Gang gang =
        Resolved({{"--nproc-per-node", unit, "x"}, "", {}, machine}).job.spec().gang();
    return std::pair(gang.processes_per_node().count(), gang.total_processes());
  };

  EXPECT_EQ(count("cpu", {8, 2}), std::pair(8, 8));
  EXPECT_EQ(count("gpu", {8, 2}), std::pair(2, 2));
  EXPECT_EQ(count("auto", {8, 2}), std::pair(2, 2));
  EXPECT_EQ(count("auto", {8, 0}), std::pair(8, 8));
  EXPECT_EQ(Resolved({{"--simulate-hosts", "--nnodes=3", "--nproc-per-node=cpu", "x"}, "", {}, {8}})
                .job.spec()
                .gang()
                .total_processes(),
            24);
  EXPECT_THAT(Error({{"--nproc-per-node=gpu", "x"}, "", {}, {8, 0}}), HasSubstr("shows no GPU"));
  EXPECT_THAT(Error({{"--nproc-per-node=cpu", "--stdin", "8", "x"}, "", {}, {8, 0}}),
              HasSubstr("ranks 0 to 7"));
}

TEST(ResolveJobTest, StreamsAreTorchruns) {
  const auto logs = [](std::vector<std::string> words) {
    words.push_back("x");
    return Resolved({words}).job.spec().logs();
  };

  EXPECT_THAT(logs({"-r", "3"}).redirects(), EqualsProto("every_rank: STREAMS_BOTH"));
  EXPECT_THAT(logs({"-t", "0:3,12:1"}).tee(), EqualsProto(R"pb(
                every_rank: STREAMS_NONE
                ranks { key: 0 value: STREAMS_BOTH }
                ranks { key: 12 value: STREAMS_STDOUT })pb"));
  EXPECT_THAT(logs({"-r", "0:3", "-r", "1:2"}).redirects(),
              EqualsProto("every_rank: STREAMS_NONE ranks { key: 1 value: STREAMS_STDERR }"));
  for (const char* bad : {"4", "", "0:4", "a:1", ":1", "0:", ",", "0:1,,1:1", "-1:1", "123456:1"}) {
    EXPECT_THAT(Error({{std::string("-r=") + bad, "x"}}), HasSubstr("is no choice of streams"))
        << bad;
  }
  EXPECT_THAT(Error({{"-r", "5000:1", "x"}}), HasSubstr("must be 0 to 4095"));
}

TEST(ResolveJobTest, GraceTakesSecondsAsTorchrunDoes) {
  const proto::Grace grace =
      Resolved({{"--grace=0", "--shutdown-timeout", "1.5", "x"}}).job.spec().grace();

  EXPECT_THAT(grace, EqualsProto("peer_failure {} user_stop { seconds: 1 nanos: 500000000 }"));
  EXPECT_THAT(Resolved({{"--grace=250ms", "x"}}).job.spec().grace().peer_failure(),
              EqualsProto("nanos: 250000000"));
}

TEST(ResolveJobTest, TheGraceOfHangsAloneIsAlsoTheTimeBeforeAnAction) {
  const auto action_after = [](std::vector<std::string> words) {
    words.push_back("x");
    return Resolved({std::move(words)}).job.spec().hangs().action_after();
  };
  EXPECT_THAT(action_after({}), EqualsProto("seconds: 60"));
  EXPECT_THAT(action_after({"--hang-grace=10s"}), EqualsProto("seconds: 10"));
  EXPECT_THAT(action_after({"--hang-grace=10s", "--hang-action-after=2m"}),
              EqualsProto("seconds: 120"));
  EXPECT_THAT(action_after({"--set", "spec.hangs.actionAfter=2m", "--hang-grace=10s"}),
              EqualsProto("seconds: 120"));
}

TEST(ResolveJobTest, WhatARanksFailureDoesIsOneOfTwoWords) {
  const auto restart = [](std::vector<std::string> words) {
    words.push_back("x");
    return Resolved({words}).job.spec().restart();
  };
  EXPECT_EQ(restart({}).on_rank_failure(), proto::RANK_FAILURE_TEARDOWN);
  EXPECT_EQ(restart({"--on-rank-failure", "teardown"}).on_rank_failure(),
            proto::RANK_FAILURE_TEARDOWN);
  EXPECT_EQ(restart({"--on-rank-failure=keep", "--min-ranks=1"}).on_rank_failure(),
            proto::RANK_FAILURE_KEEP);
  for (const char* bad : {"kept", "", "RANK_FAILURE_KEEP"}) {
    EXPECT_THAT(Error({{std::string("--on-rank-failure=") + bad, "x"}}),
                HasSubstr("must be one of Teardown, Keep"))
        << bad;
  }
  EXPECT_THAT(Error({{"-np", "2", "--min-ranks", "3", "x"}}), HasSubstr("spec.restart.minRanks"));
}

TEST(ResolveJobTest, RankVariablesAddUpAndReplaceEachOther) {
  const ResolvedJob resolved =
      Resolved({{"--env", "A=1", "-x", "B=x=y", "--env=A=2", "-x", "HOME", "x"},
                "spec: {program: {command: [x], env: [{name: B, value: old}]}}",
                {{"HOME", "/root"}}});

  EXPECT_THAT(resolved.job.spec().program().env(),
              ElementsAre(EqualsProto(R"pb(name: "B" value: "x=y")pb"),
                          EqualsProto(R"pb(name: "A" value: "2")pb")));
  EXPECT_THAT(Error({{"-x", "NOT_SET", "x"}}), HasSubstr("write NOT_SET=VALUE"));
  EXPECT_THAT(Error({{"-x", "=v", "x"}}), HasSubstr("spec.program.env[0].name"));
}

TEST(ResolveJobTest, PythonProgramsAreChosenByFlags) {
  const auto kind = [](std::vector<std::string> words) {
    return Resolved({words}).job.spec().program().kind();
  };

  EXPECT_EQ(kind({"train.py"}), proto::PROGRAM_KIND_AUTO);
  EXPECT_EQ(kind({"-m", "pkg.train"}), proto::PROGRAM_KIND_PYTHON_MODULE);
  EXPECT_EQ(kind({"--no-python", "train.py"}), proto::PROGRAM_KIND_EXECUTABLE);
  EXPECT_EQ(kind({"--run-path", "app"}), proto::PROGRAM_KIND_PYTHON_PATH);
  EXPECT_EQ(Resolved({{"x"}, "", {{"PET_MODULE", "1"}}}).job.spec().program().kind(),
            proto::PROGRAM_KIND_PYTHON_MODULE);
  EXPECT_EQ(Resolved({{"x"}, "", {{"PET_MODULE", "0"}}}).job.spec().program().kind(),
            proto::PROGRAM_KIND_AUTO);
  EXPECT_THAT(Error({{"-m", "--no-python", "x"}}), HasSubstr("flag --no-python: contradicts -m"));
  EXPECT_THAT(Error({{"x"}, "", {{"PET_MODULE", "yes"}}}), HasSubstr("must be true or false"));
}

TEST(ResolveJobTest, ATorchrunLineIsNoProgram) {
  for (const std::vector<std::string>& prefix : std::vector<std::vector<std::string>>{
           {"torchrun"},
           {"/usr/bin/torchrun"},
           {"python3", "-m", "torch.distributed.run"},
           {"/opt/py/bin/python3.11", "-u", "-m", "torch.distributed.run"}}) {
    std::vector<std::string> words = {"--max-restarts", "2"};
    words.insert(words.end(), prefix.begin(), prefix.end());
    words.insert(words.end(), {"--standalone", "--nproc_per_node=3", "--max-restarts=9", "train",
                               "--nproc_per_node=8"});
    const ResolvedJob resolved = Resolved({words});

    EXPECT_THAT(Program(resolved), ElementsAre("train", "--nproc_per_node=8"));
    EXPECT_EQ(resolved.job.spec().gang().total_processes(), 3);
    EXPECT_EQ(resolved.job.spec().program().kind(), proto::PROGRAM_KIND_PYTHON_SCRIPT);
    EXPECT_EQ(resolved.job.spec().restart().max_restarts(), 2)
        << "lockstep's own flag has the last word";
    EXPECT_EQ(resolved.job.spec().program().python(),
              prefix[0].find("python") == std::string::npos ? "" : prefix[0]);
    EXPECT_THAT(resolved.notes, ElementsAre(HasSubstr("the torchrun line is understood")));
    EXPECT_EQ(resolved.sources.at("spec.gang.processesPerNode"),
              "command line, torchrun line --nproc_per_node");
  }
}

TEST(ResolveJobTest, ATorchrunLineInAFileIsNoProgramEither) {
  const ResolvedJob resolved = Resolved(
      {{"--set", "spec.restart.maxRestarts=1"},
       "spec: {program: {command: [torchrun, --max-restarts=7, -m], args: [pkg.train, a]}}"});

  EXPECT_THAT(Program(resolved), ElementsAre("pkg.train", "a"));
  EXPECT_EQ(resolved.job.spec().program().kind(), proto::PROGRAM_KIND_PYTHON_MODULE);
  EXPECT_EQ(resolved.job.spec().restart().max_restarts(), 1);
}

TEST(ResolveJobTest, ATorchrunLineMustBeUnderstood) {
  EXPECT_THAT(Error({{"torchrun", "--nproc-per-nod=2", "train.py"}}),
              HasSubstr("command line, torchrun line: unknown flag --nproc-per-nod;"));
  EXPECT_THAT(Error({{"torchrun", "--nproc-per-node=2"}}), HasSubstr("names no script"));
  EXPECT_THAT(Program(Resolved({{"python3", "train.py", "-m", "torch.distributed.run"}})),
              ElementsAre("python3", "train.py", "-m", "torch.distributed.run"));
}

TEST(ResolveJobTest, FlagsWithoutEffectSaySo) {
  EXPECT_THAT(Resolved({{"--standalone", "--oversubscribe", "x"}}).notes, IsEmpty());
  EXPECT_THAT(Resolved({{"--monitor-interval=1", "x"}}).notes,
              ElementsAre(AllOf(HasSubstr("flag --monitor-interval has no effect"),
                                HasSubstr("meaningless"))));
  EXPECT_THAT(Resolved({{"torchrun", "--start-method=fork", "x"}}).notes,
              ElementsAre(HasSubstr("torchrun line is understood"),
                          HasSubstr("--start-method has no effect")));
  EXPECT_THAT(Resolved({{"x"}, "", {{"PET_RDZV_ENDPOINT", "a:1"}}}).notes,
              ElementsAre(HasSubstr("environment PET_RDZV_ENDPOINT has no effect")));
  EXPECT_THAT(
      Resolved({{}, "spec: {program: {command: [x]}, podTemplate: {a: b}, resources: {gpus: 1}}"})
          .notes,
      ElementsAre("job.yaml: spec.podTemplate means something to a cluster alone; ignored here",
                  HasSubstr("spec.resources is for clusters")));
}

TEST(ResolveJobTest, MistypedVariablesAreNoted) {
  EXPECT_THAT(Resolved({{"x"}, "", {{"LOCKSTEP_MAX_RESTART", "3"}}}).notes,
              ElementsAre("environment LOCKSTEP_MAX_RESTART is read by nobody; did you mean "
                          "LOCKSTEP_MAX_RESTARTS?"));
  EXPECT_THAT(Resolved({{"x"}, "", {{"LOCKSTEP_HOME", "/x"}, {"LOCKSTEP_COOKIE", "y"}}}).notes,
              IsEmpty());
}

TEST(ResolveJobTest, ADetachedJobHasNoStdin) {
  EXPECT_TRUE(Resolved({{"--detach", "x"}}).job.spec().logs().stdin_reader().has_nobody());
  EXPECT_TRUE(Resolved({{"--detach=false", "x"}}).job.spec().logs().stdin_reader().has_rank());
  EXPECT_THAT(Error({{"--detach", "--stdin", "0", "x"}}), HasSubstr("contradicts --detach"));
}

TEST(EnvironmentForRanksTest, WhatConfiguredThisRunIsNotForARunInsideARank) {
  EXPECT_EQ(
      EnvironmentForRanks({{"LOCKSTEP_NAME", "outer"},
                           {"LOCKSTEP_NP", "4"},
                           {"LOCKSTEP_CHECKPOINT_DIR", "/outer"},
                           {"PET_NPROC_PER_NODE", "4"},
                           {"LOCKSTEP_HOME", "/jobs"},
                           {"PET_NP", "no flag of torchrun's"},
                           {"PATH", "/bin"}}),
      (topology::Environment{
          {"LOCKSTEP_HOME", "/jobs"}, {"PET_NP", "no flag of torchrun's"}, {"PATH", "/bin"}}));
}

// The ranks' own variables win over what a flag would have set there.
TEST(EnvironmentForRanksTest, NoVariableOfARankIsReadByARunInsideIt) {
  for (const FlagSpec& flag : VerbSpecOf(Verb::kRun).flags) {
    EXPECT_FALSE(topology::IsWorldVariable(FlagVariable(flag, "LOCKSTEP_"))) << flag.name;
    EXPECT_FALSE(topology::IsWorldVariable(FlagVariable(flag, "PET_"))) << flag.name;
  }
}

std::vector<std::string> HostsOf(const ResolvedJob& resolved) {
  std::vector<std::string> hosts;
  for (const proto::SshHost& host : resolved.job.spec().placement().ssh().hosts())
    hosts.push_back(host.host() + ":" + std::to_string(host.slots()));
  return hosts;
}

TEST(ResolveHostsTest, AListOfHostsIsAJobOfSeveralNodes) {
  const ResolvedJob resolved = Resolved({{"--host", "a:4,b:2", "-H", "c", "--ssh-port=2222", "x"}});

  EXPECT_THAT(HostsOf(resolved), ElementsAre("a:4", "b:2", "c:1"));
  EXPECT_EQ(resolved.job.spec().placement().ssh().port(), 2222);
  EXPECT_EQ(resolved.job.spec().gang().max_nodes(), 3);
  EXPECT_EQ(resolved.job.spec().gang().total_processes(), 7);
  EXPECT_EQ(resolved.sources.at("spec.gang.totalProcesses"), "from flag -H");
}

TEST(ResolveHostsTest, AFileOfHostsIsOneToo) {
  const ResolvedJob resolved =
      Resolved({.words = {"--hostfile", "hosts.txt", "x"}, .host_file = "a slots=2\nb slots=2\n"});

  EXPECT_THAT(HostsOf(resolved), ElementsAre("a:2", "b:2"));
  EXPECT_EQ(resolved.sources.at("spec.placement.ssh.hosts"), "hosts.txt");
  EXPECT_THAT(Error({.words = {"--hostfile", "hosts.txt", "--host", "c", "x"}, .host_file = "a\n"}),
              HasSubstr("flag --hostfile: contradicts --host"));
}

TEST(ResolveHostsTest, ThePlacementOfAFileIsTakenAndTheCommandLinesListWins) {
  const std::string file =
      "spec: {program: {command: [x]}, placement: {ssh: {user: me, hosts: [{host: a, slots: 2}]}}}";

  EXPECT_THAT(HostsOf(Resolved({{}, file})), ElementsAre("a:2"));
  const ResolvedJob resolved = Resolved({{"--host", "b:3"}, file});
  EXPECT_THAT(HostsOf(resolved), ElementsAre("b:3"));
  EXPECT_EQ(resolved.job.spec().placement().ssh().user(), "me");
}

TEST(ResolveHostsTest, HostsContradictSimulatedOnes) {
  EXPECT_THAT(Error({{"--host", "a,b", "--simulate-hosts", "x"}}),
              HasSubstr("flag --host: contradicts"));
}

TEST(ResolveHostsTest, WhatIsWrongNamesItsFlag) {
  EXPECT_THAT(Error({{"--host", "a:2,b:2", "-np", "5", "x"}}), HasSubstr("flag -np: "));
  EXPECT_THAT(Error({{"--host", "a,b", "--nnodes=3", "x"}}), HasSubstr("flag --nnodes: "));
  EXPECT_THAT(Error({{"--host", "a,b", "--master-addr=127.0.0.1", "x"}}),
              HasSubstr("flag --master-addr: "));
  EXPECT_THAT(Error({{"--host", "a:x", "x"}}), HasSubstr("flag --host: "));
}

TEST(ResolveHostsTest, AVariableByNameAloneIsPassedOnToOtherMachines) {
  const auto variables = [](std::vector<std::string> words) {
    return Resolved({std::move(words), "", {{"TOKEN", "value"}}}).job.spec().program().env();
  };

  const auto passed = variables({"--host", "a", "-x", "TOKEN", "x"});
  ASSERT_EQ(passed.size(), 1);
  EXPECT_EQ(passed[0].value(), "value");
  EXPECT_EQ(variables({"-x", "TOKEN", "x"}).size(), 0);
}

TEST(ResolveHostsTest, FewerRanksLeaveHostsOutWithANote) {
  const ResolvedJob resolved = Resolved({{"--host", "a:2,b:2", "-np", "2", "x"}});

  EXPECT_THAT(HostsOf(resolved), ElementsAre("a:2"));
  EXPECT_THAT(resolved.notes, ElementsAre(HasSubstr("not used: b")));
}

TEST(PrintConfigTest, ShowsEachValueWithItsSourceAndNoSecret) {
  const std::string text =
      PrintConfig(Resolved({{"-np", "2", "--env", "API_KEY=hush", "./train", "a b"}}));

  EXPECT_THAT(text,
              HasSubstr("    processesPerNode: 2                         # from totalProcesses\n"));
  EXPECT_THAT(text, HasSubstr("    totalProcesses: 2                           # flag -np\n"));
  EXPECT_THAT(text,
              HasSubstr("    args: [\"a b\"]                               # command line\n"));
  EXPECT_THAT(text, HasSubstr("    maxRestarts: 0                              # built-in\n"));
  EXPECT_THAT(text, AllOf(HasSubstr("<redacted>"), Not(HasSubstr("hush"))));
}

TEST(PrintConfigTest, IsAJobFileOfTheSameJob) {
  const ResolvedJob resolved =
      Resolved({{"-np", "2", "-t", "1:3", "--stdin", "none", "./train", "--x", "# no comment"}});
  proto::TrainingJob again;

  EXPECT_THAT(proto::ReadJobYaml(PrintConfig(resolved), &again).problems, IsEmpty());

  EXPECT_THAT(again.spec(), EqualsProto(resolved.job.spec()));
}

}  // namespace
}  // namespace lockstep::launcher
