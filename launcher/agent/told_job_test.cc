// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/agent/told_job.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <utility>
#include <vector>

#include "runtime/proto/testing/equals_proto.h"

namespace lockstep::launcher {
namespace {

using proto::testing::EqualsProto;
using ::testing::ElementsAre;

proto::Welcome WelcomeOf() {
  proto::Welcome welcome;
  welcome.set_job_id("mnist-x1y2z3");
  welcome.set_job_name("mnist");
  welcome.set_working_directory("/home/me");
  for (const char* word : {"python3", "train.py", "--lr"}) welcome.add_arguments(word);
  proto::JobSpec& spec = *welcome.mutable_job()->mutable_spec();
  spec.mutable_gang()->set_total_processes(4);
  spec.mutable_gang()->set_nodes(2);
  spec.mutable_program()->add_command("of the job");
  spec.mutable_logs()->set_directory("logs");
  return welcome;
}

OwnLine Line() {
  OwnLine line;
  line.spec.mutable_program()->add_command("of the line");
  line.spec.mutable_logs()->set_directory("/var/log/me");
  line.folder = "/home/here";
  line.state.set_command("lockstep run here");
  return line;
}

TEST(ToldJobTest, RanksStartWhereTheNodeHasFoundAFolderElseWhereTheLauncherDoes) {
  EXPECT_EQ(SpecOf(WelcomeOf(), nullptr, "/root").program().working_directory(), "/root");
  EXPECT_EQ(SpecOf(WelcomeOf(), nullptr, "").program().working_directory(), "/home/me");

  proto::Welcome welcome = WelcomeOf();
  welcome.mutable_job()->mutable_spec()->mutable_program()->set_working_directory("/data");
  EXPECT_EQ(SpecOf(welcome, nullptr, "").program().working_directory(), "/data");
}

TEST(ToldJobTest, ANodesOwnLineSaysWhatItsRanksExecuteAndWhereTheyWrite) {
  const OwnLine line = Line();

  const proto::JobSpec spec = SpecOf(WelcomeOf(), &line, "");

  EXPECT_THAT(spec.program().command(), ElementsAre("of the line"));
  EXPECT_EQ(spec.logs().directory(), "/var/log/me");
  EXPECT_EQ(spec.gang().total_processes(), 4);
}

TEST(ToldJobTest, AStagedProgramStandsInThePlaceOfItsName) {
  proto::Bootstrap bootstrap;
  EXPECT_THAT(ArgumentsOf(WelcomeOf(), bootstrap), ElementsAre("python3", "train.py", "--lr"));

  bootstrap.set_staged_program("/tmp/staged/train.py");
  bootstrap.set_program_word(1);
  EXPECT_THAT(ArgumentsOf(WelcomeOf(), bootstrap),
              ElementsAre("python3", "/tmp/staged/train.py", "--lr"));

  bootstrap.set_program_word(7);
  EXPECT_THAT(ArgumentsOf(WelcomeOf(), bootstrap), ElementsAre("python3", "train.py", "--lr"));
}

TEST(ToldJobTest, TheFirstStateIsOfTheJobOrOfTheOwnLine) {
  EXPECT_THAT(StateOf(WelcomeOf(), nullptr, ""), EqualsProto(R"pb(
                job_id: "mnist-x1y2z3"
                name: "mnist"
                rank_count: 4
                node_count: 2
                command: "python3 train.py --lr"
                log_directory: "/home/me/logs/mnist-x1y2z3"
              )pb"));

  const OwnLine line = Line();
  const proto::JobState state = StateOf(WelcomeOf(), &line, "");
  EXPECT_EQ(state.command(), "lockstep run here");
  EXPECT_EQ(state.log_directory(), "/var/log/me/mnist-x1y2z3");
}

TEST(ToldJobTest, ALogFolderThatIsNotSaidIsThatOfTheNodeBefore) {
  proto::World world;
  for (const auto& [host, folder] : {std::pair("a", "/logs"), {"b", ""}, {"c", "/other"}}) {
    proto::WorldNode& node = *world.add_nodes();
    node.set_host(host);
    node.set_slots(2);
    node.set_log_folder(folder);
  }
  world.set_master_address("10.0.0.1");
  world.set_master_port(29500);

  const std::vector<proto::JobNodeFacts> nodes = NodesOf(world);
  const topology::WorldSpec spec = WorldOf(world);

  ASSERT_EQ(nodes.size(), 3U);
  EXPECT_EQ(nodes[1].host(), "b");
  EXPECT_EQ(nodes[1].log_folder(), "/logs");
  EXPECT_EQ(nodes[2].log_folder(), "/other");
  ASSERT_EQ(spec.nodes.size(), 3U);
  EXPECT_EQ(spec.nodes[2].host, "c");
  EXPECT_EQ(spec.nodes[2].slots, 2);
  EXPECT_EQ(spec.master_address, "10.0.0.1");
  EXPECT_EQ(spec.master_port, 29500);
}

}  // namespace
}  // namespace lockstep::launcher
