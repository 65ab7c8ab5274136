// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// What `lockstep render` says against what `lockstep run` does.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "tests/e2e/command.h"
#include "tests/e2e/run_fixture.h"

namespace lockstep::e2e {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr char kChosen[] = "<chosen at start>";

std::vector<std::string> Sorted(std::vector<std::string> lines) {
  std::sort(lines.begin(), lines.end());
  return lines;
}

void ReplaceAll(std::string& text, const std::string& from, const std::string& to) {
  for (size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size())) {
    text.replace(at, from.size(), to);
  }
}

class RenderTest : public RunFixture {
 protected:
  Outcome Lockstep(const std::string& verb, const std::vector<std::string>& words) const {
    std::vector<std::string> all = {LockstepPath(), verb};
    all.insert(all.end(), words.begin(), words.end());
    Command::Options options = Options();
    options.environment.insert(variables_.begin(), variables_.end());
    return Command(all, options).Wait(std::chrono::seconds(30));
  }

  /// The lines of `env` in a rank of job "job", as far as they were known before it started.
  std::vector<std::string> KnownEnvironment(const std::string& round_folder, int rank) const {
    const std::string job_id = std::filesystem::path(JobFolder("job")).filename();
    std::vector<std::string> known;
    for (std::string line :
         Lines(ReadFile(round_folder + "/rank-" + std::to_string(rank) + ".stdout"))) {
      static const std::set<std::string> kUnknown = {"LOCKSTEP_COOKIE", "LOCKSTEP_MARK",
                                                     "LOCKSTEP_SOCKET", "MASTER_PORT"};
      const std::string name = line.substr(0, line.find('='));
      if (kUnknown.contains(name)) line = name + "=" + kChosen;
      if (name == "HUB_TOKEN") line = name + "=<redacted>";
      ReplaceAll(line, job_id, kChosen);
      known.push_back(line);
    }
    return Sorted(known);
  }

  /// Runs `env` with these words and compares every rank's environment with what was rendered.
  void ExpectSameEnvironments(std::vector<std::string> words, int ranks,
                              const std::string& log_folder = "") {
    words.insert(words.end(), {"--name", "job", "-x", "HUB_TOKEN=secret", "-x", "SHOWN=1"});
    std::vector<std::string> run = words;
    run.insert(run.end(), {"-r", "3", "/usr/bin/env"});
    const Outcome ran = Lockstep("run", run);
    ASSERT_EQ(ran.status, 0) << ran.err;
    std::string folder = JobFolder("job");
    if (!log_folder.empty()) {
      folder = log_folder / std::filesystem::path(folder).filename();
    }

    for (int rank = 0; rank < ranks; ++rank) {
      std::vector<std::string> render = {"--to", "env", "--all", "--rank", std::to_string(rank)};
      render.insert(render.end(), words.begin(), words.end());
      render.push_back("/usr/bin/env");
      const Outcome rendered = Lockstep("render", render);

      EXPECT_EQ(rendered.status, 0) << rendered.err;
      EXPECT_THAT(Lines(rendered.out), SizeIs(::testing::Gt(25u)));
      EXPECT_EQ(Sorted(Lines(rendered.out)), KnownEnvironment(folder + "/round-0", rank))
          << "of rank " << rank;
    }
  }

  std::map<std::string, std::string> variables_;  // of both commands, beside the scratch's own
};

TEST_F(RenderTest, EnvironmentsOnOneNodeAreThoseThatRanksHave) {
  ExpectSameEnvironments({"-np", "3", "--checkpoint-dir", "saved", "--master-addr", "10.0.0.7"}, 3);
}

TEST_F(RenderTest, EnvironmentsOnUnequalNodesAreThoseThatRanksHave) {
  ExpectSameEnvironments({"--simulate-hosts", "--nnodes", "2", "-np", "5", "--max-restarts=1"}, 5);
}

TEST_F(RenderTest, EveryEntranceCounts) {
  const std::string file =
      scratch_.Write("job.yaml",
                     "apiVersion: lockstep.dev/v1alpha1\nkind: TrainingJob\n"
                     "spec:\n  gang: {nodes: 3, totalProcesses: 4, role: trainer}\n"
                     "  program: {env: [{name: FROM_FILE, value: 'a b'}]}\n");
  variables_ = {{"LOCKSTEP_MAX_RESTARTS", "2"}, {"PET_ROLE", "tester"}, {"OMP_NUM_THREADS", "7"}};

  ExpectSameEnvironments(
      {"-f", file, "--simulate-hosts", "--set", "spec.grace.userStop=5s", "--log-dir", "deep/logs"},
      4, scratch_.path() + "/deep/logs");
}

TEST_F(RenderTest, ProcessesAndAgentsAreWhereRanksFindThemselves) {
  std::filesystem::create_directory(scratch_.path() + "/inner");
  const std::vector<std::string> words = {"--simulate-hosts",
                                          "--nnodes",
                                          "2",
                                          "-np",
                                          "3",
                                          "--wdir",
                                          "inner",
                                          "--",
                                          "/bin/sh",
                                          "-c",
                                          "echo $RANK $GROUP_RANK $LOCAL_RANK $(pwd -P)"};
  const auto with = [&words](std::vector<std::string> more) {
    more.insert(more.end(), words.begin(), words.end());
    return more;
  };
  const Outcome ran = Lockstep("run", with({"--log-prefix=false"}));
  ASSERT_EQ(ran.status, 0) << ran.err;

  const Outcome processes = Lockstep("render", with({"--to", "processes"}));
  std::vector<std::string> places;
  for (const std::string& line : Lines(processes.out)) {
    std::istringstream row(line);
    std::string rank, node, local, host, folder;
    row >> rank >> node >> local >> host >> folder;
    if (rank != "RANK") places.push_back(rank + " " + node + " " + local + " " + folder);
  }
  EXPECT_EQ(places, Sorted(Lines(ran.out)));
  EXPECT_THAT(processes.out, HasSubstr("/bin/sh -c 'echo $RANK"));

  const Outcome agents = Lockstep("render", with({"--to", "agents"}));
  EXPECT_THAT(Lines(agents.out),
              ElementsAre(HasSubstr("NODE"), HasSubstr("  2      0-1    lockstep run"),
                          HasSubstr("-n1  1      2      lockstep agent")));
}

TEST_F(RenderTest, NothingIsStartedOrLeft) {
  const Outcome outcome =
      Lockstep("render", {"--to", "env", "-np", "2", "--log-dir", "logs", "/bin/sh", "-c",
                          "touch " + scratch_.path() + "/started"});

  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_FALSE(std::filesystem::exists(scratch_.path() + "/started"));
  EXPECT_FALSE(std::filesystem::exists(scratch_.path() + "/logs"));
  EXPECT_THAT(Lines(Verb({"ps", "--all", "--quiet"}).out), IsEmpty());
}

TEST_F(RenderTest, WhatIsWrongWithTheJobIsSaidAsRunSaysIt) {
  const std::vector<std::string> words = {"-np", "0", "--set", "spec.gang.nods=1", "./train"};
  std::vector<std::string> render = words;
  render.insert(render.begin(), {"--to", "agents"});

  const Outcome rendered = Lockstep("render", render);

  EXPECT_EQ(rendered.status, 64);
  EXPECT_EQ(rendered.err, Lockstep("run", words).err);
}

TEST_F(RenderTest, TheProgramNeedNotBeThere) {
  EXPECT_EQ(Lockstep("run", {"./train"}).status, 127);
  EXPECT_EQ(Lockstep("render", {"--to", "processes", "./train"}).status, 0);
}

}  // namespace
}  // namespace lockstep::e2e
