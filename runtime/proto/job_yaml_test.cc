// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/proto/job_yaml.h"

#include <gmock/gmock.h>

#include <fstream>
#include <sstream>

#include "runtime/proto/testing/equals_proto.h"

namespace lockstep::proto {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using testing::EqualsProto;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

constexpr char kHead[] = "apiVersion: lockstep.dev/v1alpha1\nkind: TrainingJob\n";

std::string FullFile() {
  std::ifstream file("runtime/proto/testdata/yaml/full.yaml");
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

// The problems of a file that begins with kHead, so that its own first line is line 3.
std::vector<std::string> Problems(const std::string& text) {
  TrainingJob job;
  std::vector<std::string> texts;
  for (const Problem& problem : ReadJobYaml(kHead + text, &job).problems)
    texts.push_back(problem.ToString());
  return texts;
}

TEST(JobYamlTest, ReadsEveryField) {
  TrainingJob job;
  const ReadReport report = ReadJobYaml(FullFile(), &job);

  EXPECT_THAT(report.problems, IsEmpty());
  EXPECT_THAT(job, EqualsProto(R"pb(
                api_version: "lockstep.dev/v1alpha1"
                kind: "TrainingJob"
                metadata {
                  name: "mnist"
                  labels { key: "app.kubernetes.io/name" value: "mnist" }
                  labels { key: "team" value: "vision" }
                  annotations { key: "note" value: "two\nlines" }
                }
                spec {
                  program {
                    command: "train.py"
                    args: "--lr"
                    args: "0.1"
                    args: "--epochs"
                    args: "2"
                    env { name: "HF_TOKEN" value: "hf_123" }
                    env { name: "FROM_CLUSTER" }
                    working_directory: "/tmp"
                    kind: PROGRAM_KIND_PYTHON_SCRIPT
                    python: "/usr/bin/python3"
                  }
                  gang {
                    nodes: 1
                    min_nodes: 1
                    max_nodes: 1
                    processes_per_node { count: 4 }
                    total_processes: 4
                    role: "worker"
                    master_address: "127.0.0.1"
                    master_port: 29500
                  }
                  resources { cpu_millis: 500 memory_bytes: 2147483648 gpus: 1 }
                  restart {
                    max_restarts: 3
                    backoff {
                      first { nanos: 500000000 }
                      max { seconds: 90 }
                    }
                    stop_on_repeated_failure: false
                    on_rank_failure: RANK_FAILURE_KEEP
                    min_ranks: 2
                  }
                  grace {
                    peer_failure {}
                    user_stop { seconds: 60 }
                  }
                  logs {
                    directory: "logs"
                    redirects {
                      every_rank: STREAMS_BOTH
                      ranks { key: 0 value: STREAMS_NONE }
                    }
                    tee { ranks { key: 12 value: STREAMS_STDOUT } }
                    prefix: false
                    line_buffered: true
                    stdin_reader { nobody: NOBODY_NONE }
                  }
                  checkpoint { directory: "/ckpt" }
                  placement { local {} }
                })pb"));
  EXPECT_THAT(report.paths, Contains("spec.program.args"));
  EXPECT_THAT(report.paths, Contains("spec.logs.redirects.ranks.0"));
}

TEST(JobYamlTest, ClusterOnlyFieldsAreAcceptedWithANote) {
  TrainingJob job;
  const ReadReport report = ReadJobYaml(FullFile(), &job);

  EXPECT_THAT(report.notes,
              UnorderedElementsAre(
                  HasSubstr("metadata.namespace means something to a cluster alone"),
                  HasSubstr("spec.program.env[1].valueFrom"), HasSubstr("spec.program.image"),
                  HasSubstr("spec.podTemplate"), HasSubstr("status")));
}

TEST(JobYamlTest, WhatIsWrittenReadsBackAsTheSameJob) {
  TrainingJob job;
  ReadJobYaml(FullFile(), &job);
  job.mutable_spec()->mutable_program()->add_args("a \"quoted\\\" tab\t\x7f end");
  job.mutable_spec()->mutable_program()->add_args("yes");
  TrainingJob again;

  EXPECT_THAT(ReadJobYaml(FormatJobYaml(job), &again).problems, IsEmpty()) << FormatJobYaml(job);

  EXPECT_THAT(again, EqualsProto(job));
}

TEST(JobYamlTest, JsonIsReadToo) {
  TrainingJob job;
  const ReadReport report = ReadJobYaml(
      R"({"apiVersion": "lockstep.dev/v1alpha1", "kind": "TrainingJob", "spec": {"gang": {"nodes": 1}}})",
      &job);

  EXPECT_THAT(report.problems, IsEmpty());
  EXPECT_EQ(job.spec().gang().nodes(), 1);
}

TEST(JobYamlTest, EveryProblemIsReportedAtOnceWithItsLine) {
  EXPECT_THAT(
      Problems("metadata: {nmae: x}\n"
               "spec:\n"
               "  program: {command: ./train, args: [8]}\n"
               "  gang: {nodes: many}\n"
               "  grace: {userStop: 30}\n"
               "  gnag: {}\n"),
      ElementsAre(
          "line 3: metadata.nmae: unknown field; did you mean name?",
          "line 5: spec.program.command: is a single value, expected a list: [./train]",
          "line 5: spec.program.args[0]: 8 is no string in YAML; put it in quotes: \"8\"",
          "line 6: spec.gang.nodes: many is no whole number; expected 1 to 10000",
          HasSubstr("line 7: spec.grace.userStop: 30 \"30\" is no duration: the unit is missing"),
          "line 8: spec.gnag: unknown field; did you mean gang?"));
}

TEST(JobYamlTest, AnUnknownFieldFarFromAllIsAnsweredWithTheKnownOnes) {
  EXPECT_THAT(
      Problems("spec: {grace: {zzz: 1}}"),
      ElementsAre("line 3: spec.grace.zzz: unknown field; known here: peerFailure, userStop"));
}

TEST(JobYamlTest, AKeyGivenTwiceIsAProblem) {
  EXPECT_THAT(Problems("spec:\n  gang: {nodes: 1}\n  gang: {nodes: 2}\n"),
              ElementsAre("line 5: spec.gang: is given twice, first in line 4"));
}

TEST(JobYamlTest, WrongKindsAreNamed) {
  EXPECT_THAT(Problems("spec: [1]"),
              ElementsAre("line 3: spec: is a list, expected a map of fields"));
  EXPECT_THAT(Problems("spec: {gang: {nodes: {a: b}}}"),
              ElementsAre("line 3: spec.gang.nodes: is a map, expected a single value"));
  EXPECT_THAT(Problems("metadata: {labels: [a]}"),
              ElementsAre("line 3: metadata.labels: is a list, expected a map"));
  EXPECT_THAT(Problems("? [a]\n: b"), ElementsAre(HasSubstr("has a key that is a list")));
}

TEST(JobYamlTest, SecretsAreNotRepeatedInProblems) {
  for (const std::string& problem :
       Problems("spec: {program: {env: [{name: MY_TOKEN, value: 12345}]}}")) {
    EXPECT_EQ(problem.find("MY_TOKEN"), std::string::npos);
    EXPECT_EQ(problem.find(": 12345"), std::string::npos) << problem;
  }
}

TEST(JobYamlTest, TheTypeOfTheFileMustBeNamed) {
  TrainingJob job;
  std::vector<std::string> texts;
  for (const Problem& problem : ReadJobYaml("spec: {}", &job).problems)
    texts.push_back(problem.ToString());

  EXPECT_THAT(texts, ElementsAre("apiVersion: is missing; write apiVersion: lockstep.dev/v1alpha1",
                                 "kind: is missing; write kind: TrainingJob"));
}

TEST(JobYamlTest, AFileReplacesListsAndLeavesOtherFields) {
  TrainingJob job;
  job.mutable_spec()->mutable_program()->add_args("old");
  job.mutable_spec()->mutable_gang()->set_role("kept");

  ReadJobYaml(std::string(kHead) + "spec: {program: {args: [new]}, gang: ~}", &job);

  EXPECT_THAT(job.spec().program().args(), ElementsAre("new"));
  EXPECT_EQ(job.spec().gang().role(), "kept");
}

TEST(SetJobFieldTest, SetsScalarsListsAndMapEntries) {
  TrainingJob job;
  const std::pair<const char*, const char*> settings[] = {
      {"spec.program.args", R"(["--lr", "0.2"])"}, {"spec.program.workingDirectory", "a: b"},
      {"spec.gang.processesPerNode", "auto"},      {"metadata.labels.app.kubernetes.io/name", "5"},
      {"spec.resources", "{memory: 2Gi}"},         {"spec.logs.tee.ranks.12", "Both"},
      {"spec.logs.tee.ranks.12", "None"},
  };
  for (const auto& [path, text] : settings)
    EXPECT_THAT(SetJobField(path, text, &job).problems, IsEmpty()) << path;

  EXPECT_THAT(job, EqualsProto(R"pb(
                metadata { labels { key: "app.kubernetes.io/name" value: "5" } }
                spec {
                  program { args: "--lr" args: "0.2" working_directory: "a: b" }
                  gang { processes_per_node { unit: NODE_UNIT_AUTO } }
                  resources { memory_bytes: 2147483648 }
                  logs { tee { ranks { key: 12 value: STREAMS_NONE } } }
                })pb"));
}

TEST(SetJobFieldTest, NamesWhatIsWrong) {
  TrainingJob job;
  const auto problem = [&](const char* path, const char* text) {
    const ReadReport report = SetJobField(path, text, &job);
    return report.problems.empty() ? "" : report.problems[0].ToString();
  };

  EXPECT_THAT(problem("spec.gnag.nodes", "1"),
              HasSubstr("spec.gnag: unknown field; did you mean gang?"));
  EXPECT_THAT(problem("", "1"), HasSubstr("unknown field"));
  EXPECT_THAT(problem("spec.gang.nodes.x", "1"), HasSubstr("is a single value, not a map"));
  EXPECT_THAT(problem("spec.program.args.0", "1"), HasSubstr("set as a whole"));
  EXPECT_THAT(problem("spec.program.args", "--lr"), HasSubstr("expected a list"));
  EXPECT_THAT(problem("spec.program.args", "[1"), HasSubstr("no valid YAML"));
  EXPECT_THAT(problem("spec.gang.nodes", "x"), HasSubstr("no whole number"));
  EXPECT_THAT(problem("spec.logs.tee.ranks.x", "Both"), HasSubstr("key is no whole number"));
  EXPECT_THAT(SetJobField("spec.podTemplate", "{}", &job).notes,
              ElementsAre(HasSubstr("ignored here")));
}

TEST(FormatJobYamlTest, CommentsStandAtTheEndOfTheirLine) {
  TrainingJob job;
  job.mutable_spec()->mutable_gang()->set_nodes(2);
  job.mutable_spec()->mutable_program()->add_command("./train");
  job.mutable_spec()->mutable_program()->add_env()->set_name("A");

  EXPECT_EQ(FormatJobYaml(
                job, [](const std::string& path) { return path.ends_with("nodes") ? path : ""; }),
            "spec:\n"
            "  program:\n"
            "    command: [./train]\n"
            "    env:\n"
            "    - name: A\n"
            "  gang:\n"
            "    nodes: 2                                    # spec.gang.nodes\n");
}

}  // namespace
}  // namespace lockstep::proto
