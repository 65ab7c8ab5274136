// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/proto/job_checks.h"

#include <gmock/gmock.h>

#include "runtime/proto/job_yaml.h"
#include "runtime/proto/testing/equals_proto.h"

namespace lockstep::proto {
namespace {

using ::testing::ElementsAre;
using testing::EqualsProto;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// A job that is complete with `settings` (path, value) on top of the least that is needed.
TrainingJob JobWith(const std::vector<std::pair<std::string, std::string>>& settings) {
  TrainingJob job;
  job.mutable_spec()->mutable_program()->add_command("./train");
  for (const auto& [path, value] : settings) {
    EXPECT_THAT(SetJobField(path, value, &job).problems, IsEmpty()) << path;
  }
  ApplyDefaults(&job);
  return job;
}

std::vector<std::string> ProblemsWith(
    const std::vector<std::pair<std::string, std::string>>& settings) {
  std::vector<std::string> texts;
  for (const Problem& problem : Validate(JobWith(settings))) texts.push_back(problem.ToString());
  return texts;
}

TEST(ApplyDefaultsTest, CompletesTheSmallestJob) {
  const TrainingJob job = JobWith({});

  EXPECT_THAT(job, EqualsProto(R"pb(
                api_version: "lockstep.dev/v1alpha1"
                kind: "TrainingJob"
                metadata {}
                spec {
                  program { command: "./train" kind: PROGRAM_KIND_AUTO mpi: MPI_SERVER_AUTO }
                  gang {
                    nodes: 1
                    min_nodes: 1
                    max_nodes: 1
                    processes_per_node { count: 1 }
                    total_processes: 1
                    role: "default"
                  }
                  resources {}
                  restart {
                    max_restarts: 0
                    backoff {
                      first { seconds: 1 }
                      max { seconds: 60 }
                    }
                    stop_on_repeated_failure: true
                    on_rank_failure: RANK_FAILURE_TEARDOWN
                    min_ranks: 1
                  }
                  grace {
                    peer_failure { seconds: 2 }
                    user_stop { seconds: 30 }
                  }
                  logs {
                    redirects { every_rank: STREAMS_NONE }
                    tee { every_rank: STREAMS_NONE }
                    prefix: true
                    line_buffered: false
                    stdin_reader { rank: 0 }
                    keep_files: 4
                  }
                  checkpoint {}
                  placement {
                    local {}
                    heartbeat { nanos: 250000000 }
                    lease { seconds: 2 }
                  }
                  collectives {
                    backend: COLLECTIVES_BACKEND_HOST
                    check: COLLECTIVES_CHECK_FAST
                    encrypt_data: false
                    tcp_flows: 1
                  }
                  hangs {
                    action: HANG_ACTION_RESTART
                    grace { seconds: 2 }
                    action_after { seconds: 60 }
                    deadline { seconds: 300 }
                    watch: WATCH_AUTO
                    pace_window { seconds: 10 }
                    straggler_percent: 10
                    init_deadline { seconds: 120 }
                  }
                  metrics {}
                })pb"));
  EXPECT_THAT(Validate(job), IsEmpty());
}

TEST(ApplyDefaultsTest, EitherCountGivesTheOther) {
  EXPECT_EQ(JobWith({{"spec.gang.totalProcesses", "6"}, {"spec.gang.nodes", "2"}})
                .spec()
                .gang()
                .processes_per_node()
                .count(),
            3);
  EXPECT_EQ(JobWith({{"spec.gang.processesPerNode", "3"}, {"spec.gang.nodes", "2"}})
                .spec()
                .gang()
                .total_processes(),
            6);
  EXPECT_FALSE(
      JobWith({{"spec.gang.processesPerNode", "cpu"}}).spec().gang().has_total_processes());
}

TEST(ApplyDefaultsTest, IsDoneOnceAndForAll) {
  TrainingJob job = JobWith({{"spec.gang.totalProcesses", "4"}});
  const TrainingJob before = job;

  ApplyDefaults(&job);

  EXPECT_THAT(job, EqualsProto(before));
}

TEST(ValidateTest, AProgramIsNeeded) {
  TrainingJob job;
  ApplyDefaults(&job);

  ASSERT_EQ(Validate(job).size(), 1u);
  EXPECT_THAT(Validate(job)[0].ToString(),
              HasSubstr("spec.program.command: is missing; name the program"));
}

TEST(ValidateTest, CountsHaveLimits) {
  EXPECT_THAT(ProblemsWith({{"spec.gang.totalProcesses", "0"}}),
              ElementsAre("spec.gang.totalProcesses: 0 must be 1 to 65536, at most 4096 a node"));
  EXPECT_THAT(ProblemsWith({{"spec.gang.totalProcesses", "-1"}}),
              ElementsAre(HasSubstr("-1 must be 1 to 65536")));
  EXPECT_THAT(
      ProblemsWith({{"spec.gang.totalProcesses", "100000"}}),
      ElementsAre("spec.gang.totalProcesses: 100000 must be 1 to 65536, at most 4096 a node"));
  EXPECT_THAT(ProblemsWith({{"spec.gang.totalProcesses", "4096"}}), IsEmpty());
  EXPECT_THAT(ProblemsWith({{"spec.gang.totalProcesses", "4097"}}),
              ElementsAre("spec.gang.totalProcesses: 4097 is more than 4096 a node on 1 node"));
  EXPECT_THAT(ProblemsWith({{"spec.gang.processesPerNode", "0"}}),
              ElementsAre("spec.gang.processesPerNode: 0 must be 1 to 4096"));
  EXPECT_THAT(ProblemsWith({{"spec.gang.processesPerNode", "4097"}}),
              ElementsAre(HasSubstr("must be 1 to 4096")));
  EXPECT_THAT(ProblemsWith({{"spec.gang.nodes", "10000"}, {"spec.gang.processesPerNode", "4096"}}),
              ElementsAre(HasSubstr("40960000 must be 1 to 65536")));
  EXPECT_THAT(ProblemsWith({{"spec.gang.nodes", "0"}}),
              ElementsAre("spec.gang.nodes: 0 must be 1 to 10000"));
  EXPECT_THAT(ProblemsWith({{"spec.gang.nodes", "10001"}}),
              ElementsAre(HasSubstr("10001 must be 1 to 10000")));
}

TEST(ValidateTest, CountsMustNotContradict) {
  EXPECT_THAT(
      ProblemsWith({{"spec.gang.totalProcesses", "4"}, {"spec.gang.processesPerNode", "2"}}),
      ElementsAre("spec.gang.totalProcesses: 4 contradicts processesPerNode 2 on 1 node; give one "
                  "of the two"));
  EXPECT_THAT(
      ProblemsWith({{"spec.gang.totalProcesses", "4"}, {"spec.gang.processesPerNode", "4"}}),
      IsEmpty());
  EXPECT_THAT(
      ProblemsWith({{"spec.gang.totalProcesses", "4"}, {"spec.gang.processesPerNode", "auto"}}),
      ElementsAre(HasSubstr("which is to be counted")));
  EXPECT_THAT(ProblemsWith({{"spec.gang.totalProcesses", "1"}, {"spec.gang.nodes", "2"}}),
              ElementsAre(HasSubstr("1 is less than nodes (2)")));
  EXPECT_THAT(ProblemsWith({{"spec.gang.nodes", "2"}, {"spec.gang.minNodes", "3"}}),
              ElementsAre(HasSubstr("must lie between minNodes (3) and maxNodes (2)")));
}

TEST(ValidateTest, NodesMayHaveUnequalNumbersOfRanks) {
  EXPECT_THAT(ProblemsWith({{"spec.gang.totalProcesses", "3"}, {"spec.gang.nodes", "2"}}),
              IsEmpty());
  EXPECT_THAT(ProblemsWith({{"spec.gang.totalProcesses", "8191"}, {"spec.gang.nodes", "2"}}),
              IsEmpty());
  EXPECT_THAT(ProblemsWith({{"spec.gang.totalProcesses", "8193"}, {"spec.gang.nodes", "2"}}),
              ElementsAre(HasSubstr("8193 is more than 4096 a node on 2 nodes")));
  EXPECT_FALSE(JobWith({{"spec.gang.totalProcesses", "3"}, {"spec.gang.nodes", "2"}})
                   .spec()
                   .gang()
                   .has_processes_per_node());
}

TEST(ValidateTest, TheCapOfAllLogFilesHoldsOneAtLeast) {
  EXPECT_THAT(
      ProblemsWith({{"spec.logs.maxTotalBytes", "1Gi"}, {"spec.logs.maxFileBytes", "1025Mi"}}),
      ElementsAre("spec.logs.maxTotalBytes: 1Gi must not be less than maxFileBytes, 1025Mi"));
  EXPECT_THAT(ProblemsWith({{"spec.logs.maxTotalBytes", "1Gi"}, {"spec.logs.maxFileBytes", "1Gi"}}),
              IsEmpty());
  EXPECT_THAT(ProblemsWith({{"spec.logs.maxTotalBytes", "1Mi"}}), IsEmpty());
  EXPECT_THAT(ProblemsWith({{"spec.logs.maxFileBytes", "1k"}}),
              ElementsAre(HasSubstr("must be 64Ki to 1Pi")));
  EXPECT_THAT(ProblemsWith({{"spec.logs.keepFiles", "0"}}), ElementsAre(HasSubstr("1 to 99")));
}

TEST(ValidateTest, AMetricsFileIsNamedAsItsReadersTakeIt) {
  EXPECT_THAT(ProblemsWith({{"spec.metrics.file", "train.py"}}),
              ElementsAre(HasSubstr("spec.metrics.file: train.py must end with .prom")));
  EXPECT_THAT(ProblemsWith({{"spec.metrics.file", "metrics/job.prom"}}), IsEmpty());
}

TEST(ValidateTest, TheReaderOfStdinIsARankOfTheJob) {
  EXPECT_THAT(ProblemsWith({{"spec.logs.stdin", "1"}}),
              ElementsAre("spec.logs.stdin: 1 is no rank of the job; it has ranks 0 to 0"));
  EXPECT_THAT(ProblemsWith({{"spec.logs.stdin", "1"}, {"spec.gang.totalProcesses", "2"}}),
              IsEmpty());
  EXPECT_THAT(ProblemsWith({{"spec.logs.stdin", "none"}}), IsEmpty());
}

TEST(ValidateTest, DurationsAndQuantitiesHaveLimits) {
  EXPECT_THAT(ProblemsWith({{"spec.grace.userStop", "24h"}}), IsEmpty());
  EXPECT_THAT(ProblemsWith({{"spec.grace.userStop", "25h"}}),
              ElementsAre("spec.grace.userStop: 25h must be 0s to 24h"));
  EXPECT_THAT(ProblemsWith({{"spec.resources.memory", "1Ki"}}),
              ElementsAre("spec.resources.memory: 1Ki must be 1Mi to 1Pi"));
  EXPECT_THAT(ProblemsWith({{"spec.restart.backoff.first", "2m"}}),
              ElementsAre("spec.restart.backoff.first: 2m must not be longer than max, 1m"));
}

TEST(ValidateTest, TextsHaveTheirForm) {
  EXPECT_THAT(ProblemsWith({{"metadata.name", "My_Job"}}),
              ElementsAre(HasSubstr("metadata.name: My_Job must consist of")));
  EXPECT_THAT(ProblemsWith({{"metadata.name", std::string(63, 'a')}}), IsEmpty());
  for (const std::string& name :
       {std::string(63, 'a'), std::string(64, 'a'), std::string("a-1"), std::string("A"),
        std::string("-a"), std::string("a-"), std::string("a.b"), std::string()}) {
    EXPECT_EQ(IsJobName(name), ProblemsWith({{"metadata.name", name}}).empty()) << name;
  }
  EXPECT_THAT(ProblemsWith({{"metadata.name", std::string(64, 'a')}}),
              ElementsAre(HasSubstr("64 bytes; at most 63")));
  EXPECT_THAT(ProblemsWith({{"kind", "PyTorchJob"}}),
              ElementsAre("kind: PyTorchJob must be TrainingJob"));
  EXPECT_THAT(ProblemsWith({{"spec.gang.masterAddress", "a b"}}),
              ElementsAre(HasSubstr("must be a host name")));
  EXPECT_THAT(ProblemsWith({{"spec.gang.masterPort", "65536"}}),
              ElementsAre(HasSubstr("must be 1 to 65535")));
  EXPECT_THAT(ProblemsWith({{"spec.program.env", "[{name: A=B, value: c}, {value: d}]"}}),
              ElementsAre(HasSubstr("spec.program.env[0].name: A=B must be a variable's name"),
                          "spec.program.env[1].name: is missing"));
  EXPECT_THAT(
      ProblemsWith({{"spec.program.kind", "PythonModule"}, {"spec.program.command", "[a, b]"}}),
      ElementsAre(HasSubstr("must be one word")));
}

TEST(ValidateTest, ArgumentsMustBeUtf8WithoutZeroBytes) {
  const auto problems_of = [](const std::string& argument) {
    TrainingJob job = JobWith({});
    job.mutable_spec()->mutable_program()->add_args(argument);
    std::vector<std::string> texts;
    for (const Problem& problem : Validate(job)) texts.push_back(problem.ToString());
    return texts;
  };

  EXPECT_THAT(problems_of("gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80"), IsEmpty());
  EXPECT_THAT(problems_of(std::string("a\0b", 3)),
              ElementsAre(HasSubstr("spec.program.args[0]: \"a?b\" holds a zero byte")));
  for (const char* bad :
       {"\xff", "a\xc3", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe0\x80\x80"}) {
    EXPECT_THAT(problems_of(bad), ElementsAre(HasSubstr("is not UTF-8 at byte"))) << bad;
  }
  EXPECT_THAT(problems_of(std::string(131072, 'a')), ElementsAre(HasSubstr("at most 131071")));
}

TEST(ValidateTest, ListsHaveLimits) {
  TrainingJob job = JobWith({});
  for (int i = 0; i < 4096; ++i) job.mutable_spec()->mutable_program()->add_args("a");
  EXPECT_THAT(Validate(job), IsEmpty());

  job.mutable_spec()->mutable_program()->add_args("a");

  ASSERT_EQ(Validate(job).size(), 1u);
  EXPECT_EQ(Validate(job)[0].ToString(), "spec.program.args: has 4097 entries; at most 4096");
}

TEST(ValidateTest, RanksOfStreamChoicesHaveLimits) {
  EXPECT_THAT(ProblemsWith({{"spec.logs.tee.ranks.4095", "Both"}}), IsEmpty());
  EXPECT_THAT(ProblemsWith({{"spec.logs.tee.ranks.4096", "Both"}}),
              ElementsAre("spec.logs.tee.ranks.4096: 4096 must be 0 to 4095"));
}

TEST(ValidateTest, ALeaseOutlivesALostHeartbeat) {
  EXPECT_THAT(ProblemsWith({{"spec.placement.heartbeat", "1s"}, {"spec.placement.lease", "2s"}}),
              IsEmpty());
  EXPECT_THAT(ProblemsWith({{"spec.placement.heartbeat", "1001ms"}}),
              ElementsAre(HasSubstr("2s must be at least twice the heartbeat, 1s1ms")));
}

TEST(ValidateTest, TheLeastThatGoOnAreNoMoreThanThereAre) {
  EXPECT_THAT(ProblemsWith({{"spec.gang.totalProcesses", "4"}, {"spec.restart.minRanks", "4"}}),
              IsEmpty());
  EXPECT_THAT(ProblemsWith({{"spec.gang.totalProcesses", "4"}, {"spec.restart.minRanks", "5"}}),
              ElementsAre("spec.restart.minRanks: 5 must not be more than the job's ranks, 4"));
}

TEST(ValidateTest, PortsAreARange) {
  EXPECT_THAT(ProblemsWith({{"spec.placement.ports", "29400-29499"}}), IsEmpty());
  EXPECT_THAT(ProblemsWith({{"spec.placement.ports", "29499-29400"}}),
              ElementsAre(HasSubstr("must be ports from 1 to 65535")));
  EXPECT_THAT(ProblemsWith({{"spec.collectives.tcpLink", "20,5"}}), IsEmpty());
  EXPECT_THAT(ProblemsWith({{"spec.collectives.tcpLink", "20"}}),
              ElementsAre(HasSubstr("must be microseconds and GB a second")));
}

TEST(ValidateTest, AHostIsNoOptionOfSsh) {
  EXPECT_THAT(ProblemsWith({{"spec.placement.ssh", "{hosts: [{host: node-1, slots: 1}]}"}}),
              IsEmpty());
  EXPECT_THAT(ProblemsWith({{"spec.placement.ssh", "{hosts: [{host: -oProxyCommand, slots: 1}]}"}}),
              ElementsAre(HasSubstr("must be a host name")));
}

TEST(ValidateTest, UnspecifiedEnumsAreRefused) {
  TrainingJob job = JobWith({});
  job.mutable_spec()->mutable_program()->set_kind(PROGRAM_KIND_UNSPECIFIED);
  job.mutable_spec()->mutable_gang()->mutable_processes_per_node()->set_unit(NODE_UNIT_UNSPECIFIED);
  job.mutable_spec()->mutable_gang()->clear_total_processes();

  ASSERT_EQ(Validate(job).size(), 2u);
  EXPECT_EQ(Validate(job)[0].ToString(), "spec.program.kind: 0 is no known value");
}

TEST(ProblemTest, OneLineEachAndAllOfThem) {
  EXPECT_TRUE(ProblemsToStatus({}).ok());
  EXPECT_EQ(ProblemsToStatus({{"a.b", "3", "must be 1 to 2", 7, "job.yaml"}}).message(),
            "job.yaml:7: a.b: 3 must be 1 to 2");
  EXPECT_EQ(ProblemsToStatus({{"a", "", "x"}, {"b", "", "y"}}).message(),
            "2 problems:\n  a: x\n  b: y");
  EXPECT_THAT(ProblemsToStatus(std::vector<Problem>(51, {"a", "", "x"})).message(),
              HasSubstr("and 1 more"));
  EXPECT_EQ(ShortValue(std::string(100, 'a')).size(), 65u);
}

}  // namespace
}  // namespace lockstep::proto
