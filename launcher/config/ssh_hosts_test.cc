// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/config/ssh_hosts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace lockstep::launcher {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

proto::JobSpec SpecOf(const std::string& list) {
  proto::JobSpec spec;
  EXPECT_THAT(ReadSshHosts(list, false, spec.mutable_placement()).problems, IsEmpty());
  return spec;
}

std::vector<std::string> Hosts(const proto::JobSpec& spec) {
  std::vector<std::string> texts;
  for (const proto::SshHost& host : spec.placement().ssh().hosts())
    texts.push_back(host.host() + ":" + std::to_string(host.slots()));
  return texts;
}

/// The one problem, as "path value what".
std::string ProblemOf(proto::JobSpec spec) {
  const SshHostsReading reading = CompleteSshHosts(&spec);
  if (reading.problems.size() != 1) return std::to_string(reading.problems.size()) + " problems";
  const proto::Problem& problem = reading.problems.front();
  return problem.path + " " + problem.value + " " + problem.what;
}

TEST(SshHostsTest, HostsKeepTheirOrderAndTheirRanks) {
  proto::JobSpec spec = SpecOf("b:4,me@a:2");

  const SshHostsReading reading = CompleteSshHosts(&spec);

  EXPECT_THAT(reading.problems, IsEmpty());
  EXPECT_THAT(Hosts(spec), ElementsAre("b:4", "a:2"));
  EXPECT_EQ(spec.placement().ssh().hosts(1).user(), "me");
  EXPECT_EQ(spec.gang().nodes(), 2);
  EXPECT_EQ(spec.gang().max_nodes(), 2);
  EXPECT_EQ(spec.gang().total_processes(), 6);
  EXPECT_FALSE(spec.gang().has_processes_per_node());
}

TEST(SshHostsTest, AFileIsReadAsWell) {
  proto::JobSpec spec;

  EXPECT_THAT(ReadSshHosts("a slots=2 # fast\nb\n", true, spec.mutable_placement()).problems,
              IsEmpty());
  CompleteSshHosts(&spec);

  EXPECT_THAT(Hosts(spec), ElementsAre("a:2", "b:1"));
}

TEST(SshHostsTest, WhatElseThePlacementSaysStays) {
  proto::Placement placement;
  placement.mutable_ssh()->set_port(2222);
  placement.mutable_ssh()->add_hosts()->set_host("old");

  ReadSshHosts("new", false, &placement);

  EXPECT_EQ(placement.ssh().port(), 2222);
  ASSERT_EQ(placement.ssh().hosts_size(), 1);
  EXPECT_EQ(placement.ssh().hosts(0).host(), "new");
}

TEST(SshHostsTest, AHostWithoutANumberHasProcessesPerNode) {
  proto::JobSpec spec = SpecOf("a,b");
  spec.mutable_gang()->mutable_processes_per_node()->set_count(3);

  CompleteSshHosts(&spec);

  EXPECT_THAT(Hosts(spec), ElementsAre("a:3", "b:3"));
  EXPECT_EQ(spec.gang().total_processes(), 6);
  EXPECT_EQ(spec.gang().processes_per_node().count(), 3);
}

TEST(SshHostsTest, FewerRanksFillTheHostsInTheirOrder) {
  proto::JobSpec spec = SpecOf("a:4,b:4,c:4");
  spec.mutable_gang()->set_total_processes(6);

  const SshHostsReading reading = CompleteSshHosts(&spec);

  EXPECT_THAT(Hosts(spec), ElementsAre("a:4", "b:2"));
  EXPECT_EQ(spec.gang().nodes(), 2);
  EXPECT_THAT(reading.notes, ElementsAre("6 ranks fit on 2 hosts; not used: c"));
}

TEST(SshHostsTest, MoreRanksThanThereIsRoomForAreRefusedWithTheCure) {
  proto::JobSpec spec = SpecOf("a:4,b:2");
  spec.mutable_gang()->set_total_processes(8);

  EXPECT_THAT(ProblemOf(spec), AllOf(HasSubstr("totalProcesses 8 is more"),
                                     HasSubstr("6 (a:4,b:2)"), HasSubstr("--host a:4")));
}

TEST(SshHostsTest, AnotherNumberOfNodesIsAContradiction) {
  proto::JobSpec spec = SpecOf("a,b");
  spec.mutable_gang()->set_nodes(3);

  EXPECT_THAT(ProblemOf(spec),
              AllOf(HasSubstr("spec.gang.nodes 3 contradicts"), HasSubstr("2 hosts")));
}

TEST(SshHostsTest, TwoNumbersForOneHostAreAContradiction) {
  proto::JobSpec spec = SpecOf("a:4,b");
  spec.mutable_gang()->mutable_processes_per_node()->set_count(2);

  EXPECT_THAT(ProblemOf(spec),
              AllOf(HasSubstr("processesPerNode 2 contradicts host a"), HasSubstr("4 ranks")));
}

TEST(SshHostsTest, ProcessorsOfOtherMachinesCannotBeCounted) {
  proto::JobSpec spec = SpecOf("a,b");
  spec.mutable_gang()->mutable_processes_per_node()->set_unit(proto::NODE_UNIT_CPU);

  EXPECT_THAT(ProblemOf(spec), HasSubstr("--host a:4"));
}

TEST(SshHostsTest, ALoopbackMasterOfSeveralMachinesIsRefused) {
  for (const char* address : {"127.0.0.1", "localhost", "::1"}) {
    proto::JobSpec spec = SpecOf("a,b");
    spec.mutable_gang()->set_master_address(address);

    EXPECT_THAT(ProblemOf(spec), HasSubstr("masterAddress " + std::string(address)));
  }
  proto::JobSpec one = SpecOf("a");
  one.mutable_gang()->set_master_address("127.0.0.1");
  EXPECT_THAT(CompleteSshHosts(&one).problems, IsEmpty());
}

TEST(SshHostsTest, AModuleCannotBeStaged) {
  proto::JobSpec spec = SpecOf("a");
  spec.mutable_placement()->mutable_ssh()->set_stage(true);
  EXPECT_THAT(CompleteSshHosts(&spec).problems, IsEmpty());
  spec.mutable_program()->set_kind(proto::PROGRAM_KIND_PYTHON_MODULE);

  EXPECT_THAT(ProblemOf(spec), HasSubstr("spec.placement.ssh.stage true has no file"));
}

TEST(SshHostsTest, APlacementWithoutHostsIsRefused) {
  proto::JobSpec spec;
  spec.mutable_placement()->mutable_ssh()->set_port(22);

  EXPECT_THAT(ProblemOf(spec), HasSubstr("names no host"));
}

TEST(SshHostsTest, WhatIsWrongWithAListIsTold) {
  proto::Placement placement;

  const SshHostsReading reading = ReadSshHosts("a:0,-b", false, &placement);

  ASSERT_EQ(reading.problems.size(), 1u);
  EXPECT_THAT(reading.problems[0].what, AllOf(HasSubstr("host 1"), HasSubstr("host 2")));
}

}  // namespace
}  // namespace lockstep::launcher
