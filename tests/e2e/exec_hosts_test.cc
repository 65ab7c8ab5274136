// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// `lockstep exec` on two hosts: an agent on each, which has its ranks' recorders.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "collectives/recorder/ring_reader.h"
#include "runtime/base/testing/status_matchers.h"
#include "runtime/base/unique_fd.h"
#include "tests/e2e/command.h"
#include "tests/e2e/run_fixture.h"
#include "tests/hosts/hosts.h"

namespace lockstep::e2e {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using hosts::Hosts;
using hosts::Program;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

constexpr int kHosts = 2;

std::string LinkOf(const fs::path& path) {
  std::error_code error;
  return fs::read_symlink(path, error).string();
}

std::vector<fs::path> EntriesOf(const fs::path& folder) {
  std::vector<fs::path> entries;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) entries.push_back(entry.path());
  return entries;
}

class ExecHostsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto made = Hosts::Create({.count = kHosts, .sshd = false});
    if (!made.ok() && Hosts::Unsupported(made.status())) GTEST_SKIP() << made.status();
    ASSERT_OK(made.status());
    kit_ = *std::move(made);
  }

  /// Two ranks of a world of four, by a loop.
  std::unique_ptr<Program> StartRanks(int host) const {
    const std::string first = std::to_string(2 * host);
    const std::string script = "for r in 0 1; do RANK=$((" + first +
                               " + r)) WORLD_SIZE=4 LOCAL_RANK=$r LOCAL_WORLD_SIZE=2 " +
                               LockstepPath() + " exec --job two --name two -- " +
                               Runfile("tests/e2e/exec_rank") +
                               " place & p=\"$p $!\"; done; s=0; for i in $p; do wait $i || s=$?; "
                               "done; exit $s";
    hosts::ProgramOptions options;
    options.directory = "/tmp";
    auto started = kit_->Spawn(host, {"/bin/sh", "-c", script}, options);
    EXPECT_OK(started.status());
    return started.ok() ? *std::move(started) : nullptr;
  }
  /// Folders in /proc of the processes there that are still lockstep: ranks have become programs.
  std::vector<fs::path> AgentsOn(int host) const {
    std::vector<fs::path> agents;
    for (const fs::path& process : EntriesOf(kit_->Root(host) + "/proc")) {
      if (LinkOf(process / "exe").ends_with("/lockstep")) agents.push_back(process);
    }
    return agents;
  }
  /// The recorders that the agent holds, by rank.
  static std::map<int, collectives::RingHead> RecordersOf(const fs::path& agent) {
    std::map<int, collectives::RingHead> recorders;
    for (const fs::path& fd : EntriesOf(agent / "fd")) {
      if (LinkOf(fd).find("lockstep-recorder") == std::string::npos) continue;
      const base::UniqueFd ring(::open(fd.c_str(), O_RDONLY | O_CLOEXEC));
      const auto content = collectives::ReadRingFrom(ring.get());
      EXPECT_OK(content.status());
      if (content.ok()) recorders[content->head.rank] = content->head;
    }
    return recorders;
  }

  std::unique_ptr<Hosts> kit_;
};

TEST_F(ExecHostsTest, EachHostHasOneAgentWithItsOwnRanksRecorders) {
  std::vector<std::unique_ptr<Program>> programs;
  for (int host = 0; host < kHosts; ++host) programs.push_back(StartRanks(host));
  for (const auto& program : programs) {
    ASSERT_TRUE(program->WaitForOutput(
        [](const std::string& out, const std::string&) { return CountOf(out, "ready") == 2; }, 30s))
        << program->out() << program->err();
  }

  for (int host = 0; host < kHosts; ++host) {
    SCOPED_TRACE(Hosts::Name(host));
    const std::vector<fs::path> agents = AgentsOn(host);
    ASSERT_THAT(agents, SizeIs(1));
    const auto recorders = RecordersOf(agents.front());
    std::vector<int> ranks;
    for (const auto& [rank, head] : recorders) {
      ranks.push_back(rank);
      EXPECT_EQ(head.host, Hosts::Name(host));
      EXPECT_EQ(head.world_size, 4);
      EXPECT_EQ(head.step, 7);
    }
    EXPECT_THAT(ranks, ElementsAre(2 * host, 2 * host + 1));
    EXPECT_THAT(kit_->Run(host, {LockstepPath(), "status", "two"}).out,
                HasSubstr("of 4 ranks 2 have come here"));
    EXPECT_EQ(kit_->Run(host, {"touch", "/tmp/go"}).status, 0);
  }
  for (int host = 0; host < kHosts; ++host) {
    const Outcome outcome = programs[static_cast<size_t>(host)]->Wait(30s);
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    EXPECT_TRUE(Eventually([&] { return kit_->CountProcesses(host) == 0; }, 10s));
  }
}

}  // namespace
}  // namespace lockstep::e2e
