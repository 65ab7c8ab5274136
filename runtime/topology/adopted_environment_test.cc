// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/topology/adopted_environment.h"

#include <gtest/gtest.h>

#include <chrono>
#include <fstream>
#include <string>
#include <vector>

#include "runtime/base/testing/golden.h"
#include "runtime/base/testing/status_matchers.h"

namespace lockstep::topology {
namespace {

using namespace std::chrono_literals;

constexpr char kFolder[] = "runtime/topology/testdata/";

Environment Captured(const std::string& name) {
  std::ifstream file(kFolder + name);
  std::vector<std::string> block;
  for (std::string line; std::getline(file, line);) block.push_back(line);
  return ParseEnvironment(block);
}

AdoptionFacts Facts() {
  return {.job_id = "train-x1y2z3",
          .socket_path = "/run/user/1000/lockstep/train-x1y2z3.attach",
          .cookie = "00ff",
          .checkpoint_directory = "/data/checkpoints",
          .backend = "mpi",
          .stop_grace = 30s,
          .master_port = 20017};
}

Environment Adopted(const Environment& inherited, const AdoptionFacts& facts = Facts()) {
  const auto rank = FindForeignRank(inherited);
  EXPECT_OK(rank);
  return MakeAdoptedEnvironment(*rank, facts, inherited);
}

std::string Joined(const Environment& environment) {
  std::string text;
  for (const std::string& entry : ToBlock(environment)) text += entry + "\n";
  return text;
}

std::string Get(const Environment& environment, const std::string& name) {
  const auto found = environment.find(name);
  return found == environment.end() ? "unset" : found->second;
}

Environment TwoNodes() {
  return {{"OMPI_COMM_WORLD_RANK", "3"},
          {"OMPI_COMM_WORLD_SIZE", "4"},
          {"OMPI_COMM_WORLD_LOCAL_RANK", "1"},
          {"OMPI_COMM_WORLD_LOCAL_SIZE", "2"}};
}

TEST(AdoptedEnvironmentTest, OfARankOfOpenMpiIsAsTheGoldenFileHasIt) {
  EXPECT_TRUE(base::testing::MatchesGolden(std::string(kFolder) + "openmpi_rank_2.adopted.env",
                                           Joined(Adopted(Captured("openmpi_rank_2.came.env")))));
}

TEST(AdoptedEnvironmentTest, OfARankOfMpichIsAsTheGoldenFileHasIt) {
  EXPECT_TRUE(base::testing::MatchesGolden(std::string(kFolder) + "mpich_rank_3.adopted.env",
                                           Joined(Adopted(Captured("mpich_rank_3.came.env")))));
}

TEST(AdoptedEnvironmentTest, WhatARankCameWithStays) {
  const Environment came = Captured("openmpi_rank_2.came.env");
  const Environment made = Adopted(came);

  for (const auto& [name, value] : came) EXPECT_EQ(Get(made, name), value) << name;
  EXPECT_EQ(Get(made, "OMP_NUM_THREADS"), "unset");
}

TEST(AdoptedEnvironmentTest, AMeetingPlaceThatIsSetStays) {
  Environment came = Captured("mpich_rank_3.came.env");
  came["MASTER_PORT"] = "29500";
  EXPECT_FALSE(NeedsMasterPort(*FindForeignRank(came), came));
  EXPECT_EQ(Get(Adopted(came), "MASTER_PORT"), "29500");
  EXPECT_EQ(Get(Adopted(came), "MASTER_ADDR"), "127.0.0.1");

  came["MASTER_ADDR"] = "node-a";
  came["MASTER_PORT"] = "";
  EXPECT_TRUE(NeedsMasterPort(*FindForeignRank(came), came));
  EXPECT_EQ(Get(Adopted(came), "MASTER_ADDR"), "node-a");
  EXPECT_EQ(Get(Adopted(came), "MASTER_PORT"), "20017");
}

TEST(AdoptedEnvironmentTest, RanksOfSeveralNodesAreToldNoMeetingPlace) {
  const Environment made = Adopted(TwoNodes());

  EXPECT_FALSE(NeedsMasterPort(*FindForeignRank(TwoNodes()), TwoNodes()));
  EXPECT_EQ(Get(made, "MASTER_ADDR"), "unset");
  EXPECT_EQ(Get(made, "MASTER_PORT"), "unset");
  EXPECT_EQ(Get(made, "LOCAL_WORLD_SIZE"), "2");
  EXPECT_EQ(Get(made, "GROUP_RANK"), "unset") << "Open MPI does not tell it";
}

TEST(AdoptedEnvironmentTest, WhatAnotherJobHasLeftIsTakenOut) {
  Environment came = TwoNodes();
  came.insert({{"RANK", "0"},
               {"WORLD_SIZE", "1"},
               {"GROUP_RANK", "5"},
               {"ROLE_NAME", "old"},
               {"TORCHELASTIC_ERROR_FILE", "/old"},
               {"TORCHELASTIC_USE_AGENT_STORE", "True"},
               {"LOCKSTEP_JOB_CHECKPOINT_DIR", "/old"},
               {"LOCKSTEP_MARK", "outer/rank-1/0"}});
  AdoptionFacts facts = Facts();
  facts.checkpoint_directory.clear();

  const Environment made = Adopted(came, facts);

  EXPECT_EQ(Joined(made).find("old"), std::string::npos) << Joined(made);
  EXPECT_EQ(Get(made, "TORCHELASTIC_USE_AGENT_STORE"), "unset");
  EXPECT_EQ(Get(made, "GROUP_RANK"), "unset");
  EXPECT_EQ(Get(made, "RANK"), "3");
  EXPECT_EQ(Get(made, "WORLD_SIZE"), "4");
  EXPECT_EQ(Get(made, "LOCKSTEP_MARK"), "outer/rank-1/0") << "an agent above us looks for it";
}

// torchrun's agent holds the store at MASTER_PORT: a rank that is told otherwise binds it too.
TEST(AdoptedEnvironmentTest, WhatTorchrunHasSetStays) {
  const Environment came = {{"RANK", "1"},
                            {"WORLD_SIZE", "4"},
                            {"LOCAL_RANK", "1"},
                            {"LOCAL_WORLD_SIZE", "4"},
                            {"GROUP_RANK", "0"},
                            {"ROLE_NAME", "default"},
                            {"MASTER_ADDR", "node-a"},
                            {"MASTER_PORT", "29500"},
                            {"TORCHELASTIC_RUN_ID", "none"},
                            {"TORCHELASTIC_USE_AGENT_STORE", "True"}};

  const Environment made = Adopted(came);

  for (const auto& [name, value] : came) EXPECT_EQ(Get(made, name), value) << name;
  EXPECT_EQ(Get(made, "LOCKSTEP_JOB_ID"), "train-x1y2z3");
}

}  // namespace
}  // namespace lockstep::topology
