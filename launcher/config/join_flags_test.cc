// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/config/join_flags.h"

#include <gmock/gmock.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "launcher/config/resolve_job.h"
#include "runtime/base/testing/status_matchers.h"
#include "runtime/proto/testing/equals_proto.h"

namespace lockstep::launcher {
namespace {

using proto::testing::EqualsProto;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

struct Case {
  std::vector<std::string> words;  // after `lockstep run`
  topology::Environment environment = {};
  std::string spec = "";  // of a file, in YAML's flow style
};

base::Result<ResolvedJob> Resolve(Case inputs) {
  inputs.words.insert(inputs.words.begin(), "run");
  ASSIGN_OR_RETURN(Command command, ParseCommandLine(inputs.words));
  std::optional<JobFile> file;
  if (!inputs.spec.empty()) {
    file = JobFile{"job.yaml",
                   "apiVersion: lockstep.dev/v1alpha1\nkind: TrainingJob\nspec: " + inputs.spec};
  }
  return ResolveJob({command, file, inputs.environment, [] { return MachineFacts{6, 0}; }});
}

ResolvedJob Resolved(Case inputs) {
  auto resolved = Resolve(std::move(inputs));
  EXPECT_OK(resolved.status());
  return resolved.ok() ? *resolved : ResolvedJob();
}

proto::Placement PlacementOf(Case inputs) {
  return Resolved(std::move(inputs)).job.spec().placement();
}

std::string Error(Case inputs) { return Resolve(std::move(inputs)).status().message(); }

TEST(JoinFlagsTest, FlagsSayWhereTheNodesMeetAndWhoThisOneIs) {
  const ResolvedJob resolved =
      Resolved({{"--nnodes=4", "--node-rank=2", "--rdzv-endpoint=node-a:4000", "--rdzv-id=J",
                 "--token-file=/etc/token", "--local-addr=10.0.0.3",
                 "--rdzv-conf=join_timeout=60,is_host=0", "--rdzv-backend=c10d", "x"}});

  EXPECT_THAT(resolved.job.spec().placement().join(),
              EqualsProto(R"pb(endpoint: "node-a:4000" id: "J" token_file: "/etc/token")pb"));
  EXPECT_EQ(resolved.job.spec().placement().join_timeout().seconds(), 60);
  EXPECT_EQ(resolved.this_node.node_rank, 2);
  EXPECT_EQ(resolved.this_node.address, "10.0.0.3");
  EXPECT_EQ(resolved.this_node.holds_coordinator, false);
  EXPECT_THAT(resolved.notes, IsEmpty());
  EXPECT_EQ(resolved.sources.at("spec.placement.join.endpoint"), "flag --rdzv-endpoint");
}

TEST(JoinFlagsTest, EachNodesOwnCountIsThatOfItsOwnLine) {
  const proto::Gang gang =
      Resolved({{"--nnodes=3", "--nproc-per-node=auto", "--rdzv-endpoint=a", "--allow-plain", "x"}})
          .job.spec()
          .gang();

  EXPECT_EQ(gang.processes_per_node().count(), 6);
  EXPECT_EQ(gang.total_processes(), 18) << "as far as this node knows";
  EXPECT_THAT(Error({{"--nnodes=3", "-np=4", "--rdzv-endpoint=a", "--allow-plain", "x"}}),
              HasSubstr("4 must be a multiple of nodes (3); else say what each node has: "
                        "--nproc-per-node"));
}

TEST(JoinFlagsTest, TheMasterAddressIsAMeetingPlaceToo) {
  const auto endpoint = [](std::vector<std::string> words) {
    words.insert(words.begin(), {"--nnodes=2", "--allow-plain", "--node-rank=1"});
    words.push_back("x");
    return PlacementOf({words}).join().endpoint();
  };

  EXPECT_EQ(endpoint({"--master-addr=node-a", "--master-port=29500"}), "node-a:29400");
  EXPECT_EQ(endpoint({"--master-addr=node-a", "--master-port=29400"}), "node-a:29401")
      << "rank 0 has that port";
  EXPECT_EQ(endpoint({"--master-addr=fd77::1"}), "[fd77::1]:29400");
  EXPECT_EQ(endpoint({"--master-addr=node-a", "--rdzv-endpoint=node-b"}), "node-b");
}

TEST(JoinFlagsTest, ALaterLayerWins) {
  const topology::Environment environment = {{"PET_NNODES", "2"},
                                             {"PET_RDZV_ENDPOINT", "pet:1"},
                                             {"LOCKSTEP_RDZV_ID", "environment"},
                                             {"LOCKSTEP_TOKEN_FILE", "/environment"}};
  const std::string file =
      "{program: {command: [x]}, placement: {join: {endpoint: 'file:1', id: file}}}";

  EXPECT_THAT(PlacementOf({{}, environment, file}).join(),
              EqualsProto(R"pb(endpoint: "pet:1" id: "environment" token_file: "/environment")pb"));
  EXPECT_THAT(
      PlacementOf(
          {{"--set", "spec.placement.join.id=set", "--rdzv-endpoint=flag:1"}, environment, file})
          .join(),
      EqualsProto(R"pb(endpoint: "flag:1" id: "set" token_file: "/environment")pb"));
}

TEST(JoinFlagsTest, OtherWaysOntoTheNodesWinOverWhatOnlyTheEnvironmentSays) {
  const ResolvedJob resolved =
      Resolved({{"--nnodes=2", "--simulate-hosts", "x"},
                {{"PET_RDZV_ENDPOINT", "a:1"}, {"LOCKSTEP_TOKEN_FILE", "t"}}});

  EXPECT_TRUE(resolved.job.spec().placement().has_simulated());
  EXPECT_THAT(resolved.notes,
              ElementsAre(AllOf(HasSubstr("environment PET_RDZV_ENDPOINT has no effect"),
                                HasSubstr("started by `lockstep run` itself"))));
  EXPECT_TRUE(PlacementOf({{"--nnodes=2", "--rdzv-endpoint=a:1", "--allow-plain", "x"},
                           {},
                           "{placement: {simulated: {}}}"})
                  .has_join());
  EXPECT_THAT(Error({{"--nnodes=2", "--simulate-hosts", "--rdzv-endpoint=a:1", "x"}}),
              HasSubstr("flag --rdzv-endpoint: a:1 contradicts flag --simulate-hosts"));
  EXPECT_TRUE(
      PlacementOf({{"--simulate-hosts", "torchrun", "--nnodes=2", "--rdzv-endpoint=a:1", "x"}})
          .has_simulated())
      << "lockstep's own flag has the last word";
}

TEST(JoinFlagsTest, OnOneNodeNothingOfItHasAnEffect) {
  const ResolvedJob resolved =
      Resolved({{"--rdzv-endpoint=localhost:0", "--rdzv-id=1", "--node-rank=0", "x"},
                {{"LOCKSTEP_TOKEN_FILE", "/for/all/jobs"}},
                "{placement: {join: {id: file}}}"});

  EXPECT_TRUE(resolved.job.spec().placement().has_local());
  EXPECT_THAT(resolved.notes,
              ElementsAre(HasSubstr("--rdzv-endpoint has no effect: ranks of one node need no"),
                          HasSubstr("--rdzv-id has no effect")));
}

TEST(JoinFlagsTest, WhatCannotBeIsRefusedWithTheCure) {
  const auto error = [](std::vector<std::string> words) {
    words.insert(words.begin(), "--nnodes=2");
    words.push_back("x");
    return Error({words});
  };

  EXPECT_THAT(error({"--rdzv-endpoint=a:1"}),
              AllOf(HasSubstr("spec.placement.join.tokenFile: is missing"),
                    HasSubstr("head -c 32 /dev/urandom | base64 > FILE; chmod 600 FILE")));
  EXPECT_THAT(error({"--rdzv-endpoint=a:1", "--token-file=t", "--allow-plain"}),
              HasSubstr("contradicts the token file, t"));
  EXPECT_THAT(error({"--set", "spec.placement.join.allowPlain=true"}),
              HasSubstr("spec.placement.join.endpoint: \"\" is missing"));
  for (const char* loopback : {"localhost:1", "127.0.0.1:1", "[::1]:1", "localhost"}) {
    EXPECT_THAT(error({std::string("--rdzv-endpoint=") + loopback, "--allow-plain"}),
                AllOf(HasSubstr("means this machine alone"), HasSubstr("--simulate-hosts")))
        << loopback;
  }
  EXPECT_THAT(error({"--rdzv-endpoint=a", "--rdzv-id=two words", "--allow-plain"}),
              HasSubstr("must be of ASCII's letters"));
  EXPECT_THAT(error({"--rdzv-endpoint=a:0", "--allow-plain"}), HasSubstr("is no HOST:PORT"));
  EXPECT_THAT(error({"--rdzv-endpoint=a:b", "--allow-plain"}), HasSubstr("is no HOST:PORT"));
  EXPECT_THAT(error({"--rdzv-endpoint=a:7", "--master-port=7", "--allow-plain"}),
              HasSubstr("has the port that ranks are to meet at"));
  EXPECT_THAT(error({"--rdzv-endpoint=a:7", "--local-addr=localhost", "--allow-plain"}),
              HasSubstr("flag --local-addr: localhost means this machine alone"));
  EXPECT_THAT(error({"--rdzv-endpoint=a:7", "--rdzv-conf=x", "--allow-plain"}),
              HasSubstr("flag --rdzv-conf: x is no KEY=VALUE"));
}

TEST(JoinFlagsTest, ANodesPlaceIsANumberBelowTheirCount) {
  const auto place = [](const std::string& text) {
    return Resolve(
        {{"--nnodes=3", "--rdzv-endpoint=a", "--allow-plain", "--node-rank=" + text, "x"}});
  };

  EXPECT_EQ(place("2")->this_node.node_rank, 2);
  EXPECT_EQ(place("auto")->this_node.node_rank, -1);
  EXPECT_THAT(place("3").status().message(), HasSubstr("less than the number of nodes, 3"));
  for (const char* bad : {"-1", "", "one", "1x", "99999999999"}) {
    EXPECT_THAT(place(bad).status().message(), HasSubstr("must be auto, or a number")) << bad;
  }
}

TEST(JoinFlagsTest, WhatMeansSomethingToTorchrunAloneIsNoted) {
  const std::vector<std::string> notes =
      Resolved({{"--nnodes=2", "--rdzv-endpoint=a:1", "--allow-plain", "--rdzv-backend=etcd-v2",
                 "--rdzv-conf=last_call_timeout=1", "x"}})
          .notes;

  EXPECT_THAT(notes, ElementsAre(HasSubstr("--rdzv-conf last_call_timeout has no effect"),
                                 AllOf(HasSubstr("--rdzv-backend has no effect"),
                                       HasSubstr("must be one of the job's nodes"))));
}

TEST(JoinFlagsTest, NoRankIsToldWhereTheTokenIs) {
  const topology::Environment left = EnvironmentForRanks(
      {{"LOCKSTEP_TOKEN_FILE", "/t"}, {"PET_RDZV_ENDPOINT", "a:1"}, {"PET_NODE_RANK", "1"}});

  EXPECT_THAT(left, IsEmpty());
}

TEST(JoinFlagsTest, TheConfigurationNamesTheTokensFileAndReadsItNot) {
  const std::string text = PrintConfig(
      Resolved({{"--nnodes=2", "--rdzv-endpoint=a:1", "--token-file=/no/such/file", "x"}}));

  EXPECT_THAT(text, HasSubstr("tokenFile: /no/such/file"));
}

}  // namespace
}  // namespace lockstep::launcher
