// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/topology/environment.h"

#include <gtest/gtest.h>

#include <string>

#include "runtime/base/random.h"
#include "runtime/base/testing/golden.h"

namespace lockstep::topology {
namespace {

using namespace std::chrono_literals;

WorldSpec Laptop(int ranks) {
  return {.nodes = {{.host = "laptop", .slots = ranks}},
          .master_address = "127.0.0.1",
          .master_port = 20017};
}

JobFacts Mnist() {
  return {.job_id = "mnist-x1y2z3",
          .round = base::Round(1),
          .restart_count = 1,
          .max_restarts = 3,
          .checkpoint_directory = "/data/checkpoints",
          .backend = "nccl",
          .check_calls = true,
          .encrypts_data = true,
          .tcp_flows = 4,
          .tcp_link = "20,5",
          .stop_grace = 30s,
          .node_cores = 8,
          .home = "/home/ada"};
}

RankFacts Facts(const WorldSpec& world, int rank) {
  return {.place = PlaceRanks(world)[static_cast<size_t>(rank)],
          .incarnation = base::Incarnation(1),
          .socket_path = "/run/user/1000/lockstep/mnist-x1y2z3.attach",
          .cookie = "00ff",
          .error_file = "/jobs/mnist-x1y2z3/round-1/rank-" + std::to_string(rank) + ".error.json"};
}

std::string Joined(const Environment& environment) {
  std::string text;
  for (const std::string& entry : ToBlock(environment)) text += entry + "\n";
  return text;
}

TEST(EnvironmentTest, BlockOfOneRankOnALaptopIsAsTheGoldenFileHasIt) {
  const std::string actual = Joined(MakeRankEnvironment(
      Laptop(4), Mnist(), Facts(Laptop(4), 2),
      {{"PATH", "/usr/bin:/bin"}, {"LANG", "C.UTF-8"}, {"RANK", "7"}}, {{"LEARNING_RATE", "0.1"}}));

  EXPECT_TRUE(base::testing::MatchesGolden("runtime/topology/testdata/laptop_rank_2.env", actual));
}

TEST(EnvironmentTest, JobsOwnVariablesWinOverInheritedAndDefaultsButNotOverTheWorlds) {
  const Environment made = MakeRankEnvironment(
      Laptop(2), Mnist(), Facts(Laptop(2), 0), {{"HOME", "/root"}, {"DEBUG", "0"}},
      {{"DEBUG", "1"}, {"HOME", "/tmp"}, {"OMP_NUM_THREADS", "3"}, {"WORLD_SIZE", "9"}});

  EXPECT_EQ(made.at("DEBUG"), "1");
  EXPECT_EQ(made.at("HOME"), "/tmp");
  EXPECT_EQ(made.at("OMP_NUM_THREADS"), "3");
  EXPECT_EQ(made.at("WORLD_SIZE"), "2");
}

TEST(EnvironmentTest, WhatAnAgentAboveUsLeftDoesNotReachARankThatHasNoneOfItsOwn) {
  RankFacts rank = Facts(Laptop(1), 0);
  rank.socket_path.clear();
  rank.error_file.clear();
  JobFacts job = Mnist();
  job.checkpoint_directory.clear();
  job.backend.clear();
  job.check_calls = false;
  job.encrypts_data = false;
  job.tcp_flows = 1;
  job.tcp_link.clear();

  const Environment made = MakeRankEnvironment(Laptop(1), job, rank,
                                               {{"LOCKSTEP_SOCKET", "/other"},
                                                {"LOCKSTEP_COOKIE", "other"},
                                                {"LOCKSTEP_JOB_CHECKPOINT_DIR", "/other"},
                                                {"LOCKSTEP_JOB_BACKEND", "other"},
                                                {"LOCKSTEP_JOB_CHECK", "other"},
                                                {"LOCKSTEP_JOB_ENCRYPT_DATA", "other"},
                                                {"LOCKSTEP_JOB_TCP_FLOWS", "other"},
                                                {"LOCKSTEP_JOB_TCP_LINK", "other"},
                                                {"TORCHELASTIC_ERROR_FILE", "/other"}},
                                               {});

  EXPECT_EQ(Joined(made).find("other"), std::string::npos) << Joined(made);
}

TEST(EnvironmentTest, MarkOfAnAgentAboveUsStaysWhateverTheJobSays) {
  const Environment made =
      MakeRankEnvironment(Laptop(1), Mnist(), Facts(Laptop(1), 0),
                          {{"LOCKSTEP_MARK", "outer/rank-1/0/"}}, {{"LOCKSTEP_MARK", "hidden"}});

  EXPECT_EQ(made.at("LOCKSTEP_MARK"), "outer/rank-1/0/");
  EXPECT_EQ(
      MakeRankEnvironment(Laptop(1), Mnist(), Facts(Laptop(1), 0), {}, {{"LOCKSTEP_MARK", "x"}})
          .count("LOCKSTEP_MARK"),
      0u);
}

TEST(EnvironmentTest, ThreadsAreTheCoresOverTheNodesRanksAndAtLeastOne) {
  JobFacts job = Mnist();
  const auto threads = [&job](int ranks, int cores, const Environment& inherited) {
    job.node_cores = cores;
    return MakeRankEnvironment(Laptop(ranks), job, Facts(Laptop(ranks), 0), inherited, {})
        .at("OMP_NUM_THREADS");
  };

  EXPECT_EQ(threads(2, 8, {}), "4");
  EXPECT_EQ(threads(3, 8, {}), "2");
  EXPECT_EQ(threads(16, 8, {}), "1");
  EXPECT_EQ(threads(2, 8, {{"OMP_NUM_THREADS", "7"}}), "7");
}

TEST(EnvironmentTest, TorchsRecorderIsOnUnlessSomebodyHasSetItByAnyName) {
  const auto made = [](const Environment& inherited, const Environment& from_spec = {}) {
    return MakeRankEnvironment(Laptop(2), Mnist(), Facts(Laptop(2), 1), inherited, from_spec);
  };

  const std::string folder = "/jobs/mnist-x1y2z3/round-1/";
  for (const char* const name : {"TORCH_FR_BUFFER_SIZE", "TORCH_NCCL_TRACE_BUFFER_SIZE"})
    EXPECT_EQ(made({}).at(name), "2000");
  for (const char* const name : {"TORCH_FR_DUMP_TEMP_FILE", "TORCH_NCCL_DEBUG_INFO_TEMP_FILE"})
    EXPECT_EQ(made({}).at(name), folder + "torch_trace_rank_");
  EXPECT_EQ(made({}).at("TORCH_NCCL_DEBUG_INFO_PIPE_FILE"), folder + "torch_ask_rank_");
  EXPECT_EQ(made({}).at("TORCH_NCCL_DUMP_ON_TIMEOUT"), "1");

  EXPECT_EQ(made({{"TORCH_FR_BUFFER_SIZE", "0"}}).at("TORCH_FR_BUFFER_SIZE"), "0");
  EXPECT_EQ(made({{"TORCH_FR_BUFFER_SIZE", "9"}}).count("TORCH_NCCL_TRACE_BUFFER_SIZE"), 0u);
  EXPECT_EQ(made({}, {{"TORCH_FR_DUMP_TEMP_FILE", "/x"}}).at("TORCH_FR_DUMP_TEMP_FILE"), "/x");
  EXPECT_EQ(made({}, {{"TORCH_NCCL_TRACE_BUFFER_SIZE", "9"}}).count("TORCH_FR_BUFFER_SIZE"), 0u);
  EXPECT_EQ(made({{"TORCH_NCCL_DEBUG_INFO_TEMP_FILE", "/x"}}).count("TORCH_FR_DUMP_TEMP_FILE"), 0u);
  EXPECT_EQ(made({{"TORCH_NCCL_DEBUG_INFO_PIPE_FILE", "/x"}}).at("TORCH_NCCL_DEBUG_INFO_PIPE_FILE"),
            "/x");
  EXPECT_EQ(made({{"TORCH_NCCL_DUMP_ON_TIMEOUT", "0"}}).at("TORCH_NCCL_DUMP_ON_TIMEOUT"), "0");
}

TEST(EnvironmentTest, WhereTorchIsAskedFollowsFromWhatTheRankHas) {
  const auto files = [](const Environment& inherited, const std::string& error_file) {
    RankFacts facts = Facts(Laptop(2), 1);
    facts.error_file = error_file;
    return FlightFilesOf(MakeRankEnvironment(Laptop(2), Mnist(), facts, inherited, {}),
                         base::Rank(1));
  };
  const std::string error_file = "/jobs/round-1/rank-1.error.json";

  EXPECT_EQ(files({}, error_file).pipe, "/jobs/round-1/torch_ask_rank_1.pipe");
  EXPECT_EQ(files({}, error_file).dump, "/jobs/round-1/torch_trace_rank_1");
  // torch goes by the younger name where both are there.
  const auto users = files({{"TORCH_NCCL_DEBUG_INFO_PIPE_FILE", "/tmp/ask"},
                            {"TORCH_FR_DUMP_TEMP_FILE", "/tmp/new_"},
                            {"TORCH_NCCL_DEBUG_INFO_TEMP_FILE", "/tmp/old_"}},
                           error_file);
  EXPECT_EQ(users.pipe, "/tmp/ask1.pipe");
  EXPECT_EQ(users.dump, "/tmp/new_1");
  EXPECT_EQ(files({{"TORCH_NCCL_DEBUG_INFO_TEMP_FILE", "/tmp/old_"}}, error_file).dump,
            "/tmp/old_1");
  for (const auto& unknown :
       {files({{"TORCH_FR_DUMP_TEMP_FILE", "here_"}}, error_file),
        files({{"TORCH_NCCL_DEBUG_INFO_PIPE_FILE", ""}}, error_file), files({}, ""),
        files({}, "/" + std::string(1100, 'd') + "/rank-1.error.json")}) {
    EXPECT_EQ(unknown.pipe + unknown.dump, "");
  }
}

TEST(EnvironmentTest, HomeIsTheUserDatabasesWhenUnsetOrEmpty) {
  EXPECT_EQ(MakeRankEnvironment(Laptop(1), Mnist(), Facts(Laptop(1), 0), {}, {}).at("HOME"),
            "/home/ada");
  EXPECT_EQ(
      MakeRankEnvironment(Laptop(1), Mnist(), Facts(Laptop(1), 0), {{"HOME", ""}}, {}).at("HOME"),
      "/home/ada");
  EXPECT_EQ(
      MakeRankEnvironment(Laptop(1), Mnist(), Facts(Laptop(1), 0), {{"HOME", "/x"}}, {}).at("HOME"),
      "/x");
}

TEST(EnvironmentTest, RanksOfAnyNodesAreDenseUniqueAndCountedRight) {
  base::Random random(20260301);
  for (int round = 0; round < 200; ++round) {
    WorldSpec world{.master_address = "node0", .master_port = 20017};
    const int nodes = 1 + static_cast<int>(random.Below(9));
    int size = 0;
    for (int node = 0; node < nodes; ++node) {
      world.nodes.push_back(
          {.host = "node" + std::to_string(node), .slots = 1 + static_cast<int>(random.Below(16))});
      size += world.nodes.back().slots;
    }
    ASSERT_EQ(WorldSize(world), size);

    int rank = 0;
    for (int node = 0; node < nodes; ++node) {
      for (int local = 0; local < world.nodes[static_cast<size_t>(node)].slots; ++local, ++rank) {
        const Environment made = MakeRankEnvironment(world, Mnist(), Facts(world, rank), {}, {});
        ASSERT_EQ(made.at("RANK"), std::to_string(rank));
        ASSERT_EQ(made.at("ROLE_RANK"), std::to_string(rank));
        ASSERT_EQ(made.at("LOCAL_RANK"), std::to_string(local));
        ASSERT_EQ(made.at("GROUP_RANK"), std::to_string(node));
        ASSERT_EQ(made.at("GROUP_WORLD_SIZE"), std::to_string(nodes));
        ASSERT_EQ(made.at("WORLD_SIZE"), std::to_string(size));
        ASSERT_EQ(made.at("ROLE_WORLD_SIZE"), std::to_string(size));
        ASSERT_EQ(made.at("LOCAL_WORLD_SIZE"),
                  std::to_string(world.nodes[static_cast<size_t>(node)].slots));
      }
    }
    ASSERT_EQ(rank, size);
  }
}

TEST(EnvironmentTest, ParsingKeepsTheFirstOfEqualNamesAndDropsWhatIsNoVariable) {
  const Environment parsed = ParseEnvironment({"A=1", "B=x=y", "A=2", "=odd", "none", "E="});

  EXPECT_EQ(parsed, (Environment{{"A", "1"}, {"B", "x=y"}, {"E", ""}}));
  EXPECT_EQ(ToBlock(parsed), (std::vector<std::string>{"A=1", "B=x=y", "E="}));
}

}  // namespace
}  // namespace lockstep::topology
