// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// A busy machine is no lost node: jobs of several nodes under load of every kind, for 4 s, or 10
// minutes where LOCKSTEP_SOAK is set.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/e2e/command.h"
#include "tests/e2e/run_fixture.h"

namespace lockstep::e2e {
namespace {

using namespace std::chrono_literals;
using ::testing::IsEmpty;

constexpr int kBusyProcesses = 16;
constexpr int kBusyDisks = 2;

/// MemAvailable of /proc/meminfo.
size_t AvailableBytes() {
  std::ifstream file("/proc/meminfo");
  std::string word;
  while (file >> word) {
    size_t kib = 0;
    if (word == "MemAvailable:" && file >> kib) return kib * 1024;
  }
  return 0;
}

class FalseLossTest : public RunFixture {
 protected:
  void AddLoad(std::vector<std::string> words) {
    words.insert(words.begin(), Runfile("tests/e2e/load"));
    load_.push_back(std::make_unique<Command>(words, Options()));
  }

  std::vector<std::unique_ptr<Command>> load_;
};

TEST_F(FalseLossTest, NoNodeIsLostToLoad) {
  const bool soak = std::getenv("LOCKSTEP_SOAK") != nullptr;
  const std::chrono::seconds length = soak ? 600s : 4s;
  for (int i = 0; i < kBusyProcesses; ++i) AddLoad({"cpu"});
  for (int i = 0; i < kBusyDisks; ++i) {
    AddLoad({"disk", scratch_.path() + "/busy-" + std::to_string(i)});
  }
  // Three quarters of what is free: the page cache has to give way, and nobody is killed.
  AddLoad({"memory", std::to_string(AvailableBytes() / 4 * (soak ? 3 : 1))});

  Command command(RunScript({"--simulate-hosts", "--nnodes", "4", "-np", "8"},
                            "end=$(($(date +%s) + " + std::to_string(length.count()) +
                                ")); while [ $(date +%s) -lt $end ]; do sleep 0.2; done"),
                  Options());
  const Outcome outcome = command.Wait(length + 60s);
  int loaded = 0;
  for (const auto& load : load_) {
    const char state = ProcessState(load->pid());
    loaded += state == 'R' || state == 'S' || state == 'D' ? 1 : 0;
  }
  EXPECT_EQ(loaded, kBusyProcesses + kBusyDisks + 1) << "not all of the load was there to the end";
  load_.clear();

  EXPECT_EQ(outcome.status, 0);
  EXPECT_THAT(outcome.err, IsEmpty());
  EXPECT_GE(outcome.elapsed, length - 1s);
}

}  // namespace
}  // namespace lockstep::e2e
