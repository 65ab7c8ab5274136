// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// Programs over (a fake) NCCL that know nothing of Lockstep and stand still under `lockstep run`,
// with the shim preloaded: who is named, as what. On one machine, and on several nodes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <ostream>
#include <string>
#include <vector>

#include "tests/e2e/command.h"
#include "tests/e2e/run_fixture.h"
#include "tests/e2e/ssh_fixture.h"
#include "tests/faults/job_facts.h"

namespace lockstep::e2e {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::ContainsRegex;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

struct Hang {
  const char* mode;    // of shim_rank
  const char* detail;  // of it
  const char* verdict_class;
  const char* said;  // of rank 1, on the screen
};

std::ostream& operator<<(std::ostream& out, const Hang& hang) {
  return out << hang.mode << " " << hang.detail;
}

class NcclHangTest : public RunFixture, public ::testing::WithParamInterface<Hang> {
 protected:
  /// Three ranks of the program.
  std::vector<std::string> Words(std::vector<std::string> flags, const std::string& mode,
                                 const std::string& detail) const {
    std::vector<std::string> words{"-np", "3", "--name", "nccl"};
    words.insert(words.end(), flags.begin(), flags.end());
    const std::string script =
        "TEST_TMPDIR=" + scratch_.path() +
        " LD_PRELOAD=" + Runfile("collectives/nccl/shim/liblockstep_nccl.so") + " exec " +
        Runfile("tests/nccl_shim/shim_rank_2_30") + " " + mode + " " + scratch_.path() + "/id " +
        detail;
    for (const std::string& word :
         {std::string("--"), std::string("sh"), std::string("-c"), script})
      words.push_back(word);
    return words;
  }
};

/// The screen wraps lines.
std::string Unwrapped(std::string text) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

TEST_P(NcclHangTest, IsNamed) {
  const Hang& hang = GetParam();

  const Outcome run =
      RunIt(Words({"--hang-action-after", "4s", "--grace", "200ms"}, hang.mode, hang.detail));

  EXPECT_EQ(run.status, 69) << run.err;
  EXPECT_LT(run.elapsed, 40s);
  EXPECT_THAT(Unwrapped(run.err),
              AllOf(HasSubstr("lockstep: rank 1 "), HasSubstr(hang.said),
                    HasSubstr("op 2 of group NCCL "), HasSubstr("victims  2: ranks 0, 2")));
  const proto::Verdict verdict = VerdictIn(JobFolder("nccl") + "/round-0");
  EXPECT_EQ(ClassOf(verdict), hang.verdict_class);
  EXPECT_THAT(CulpritsOf(verdict), ElementsAre(1));
  EXPECT_EQ(verdict.confidence(), proto::Verdict::HIGH);
}

INSTANTIATE_TEST_SUITE_P(
    All, NcclHangTest,
    ::testing::Values(
        Hang{"missing", "stops", "MISSING_RANK", "its process is stopped by a signal"},
        Hang{"missing", "ends", "MISSING_RANK", "its process has ended, with exit status 0"},
        Hang{"missing", "sleeps", "MISSING_RANK", "its process sleeps, in no op"},
        Hang{"missing", "computes", "MISSING_RANK", "its process runs, in no op"},
        Hang{"mismatch", "count", "MISMATCH", "called all_reduce(f32, sum, 4)"},
        Hang{"mismatch", "root", "MISMATCH", "called broadcast(f32, root 1, 8)"}),
    [](const auto& hang) { return std::string(hang.param.mode) + "_" + hang.param.detail; });

using CleanNcclTest = NcclHangTest;

TEST_F(CleanNcclTest, WhatRunsWellIsNotSpokenOf) {
  const Outcome run = RunIt(Words({}, "collectives", ""));

  EXPECT_EQ(run.status, 0) << run.err;
  EXPECT_EQ(CountOf(run.out, " has ended well"), 3);
  EXPECT_EQ(CountOf(run.err, "waiting"), 0) << run.err;
}

// ------------------------------------------------------------------------------ on several nodes

struct NodesHang {
  const char* fault;  // of nccl_fault_rank
  int victim;
  const char* verdict_class;
  const char* said;  // of it, on the screen
};

std::ostream& operator<<(std::ostream& out, const NodesHang& hang) {
  return out << hang.fault << " of rank " << hang.victim;
}

/// Two ranks on each of two nodes, which are agents on this machine. `lockstep run` itself preloads
/// the shim.
class NcclNodesHangTest : public RunFixture, public ::testing::WithParamInterface<NodesHang> {
 protected:
  static std::vector<std::string> Layout() {
    return {"--simulate-hosts", "--nnodes", "2", "--nproc-per-node", "2", "--name", "nccl"};
  }
  Outcome RunRanks(const std::vector<std::string>& flags, const std::string& fault,
                   int victim) const {
    std::vector<std::string> words = Layout();
    words.insert(words.end(), flags.begin(), flags.end());
    for (const std::string& word :
         {std::string("--"), std::string("env"), "TEST_TMPDIR=" + scratch_.path(),
          Runfile("tests/faults/nccl_fault_rank"), std::string("--fault"), fault,
          std::string("--victim"), std::to_string(victim), std::string("--id"),
          scratch_.path() + "/id"})
      words.push_back(word);
    return RunIt(words);
  }
};

TEST_P(NcclNodesHangTest, IsNamedWithItsCallSite) {
  const NodesHang& hang = GetParam();
  const std::string rank = "rank " + std::to_string(hang.victim);

  const Outcome run =
      RunRanks({"--hang-grace", "500ms", "--hang-action-after", "1500ms", "--grace", "100ms"},
               hang.fault, hang.victim);

  EXPECT_EQ(run.status, 69) << run.err;
  EXPECT_THAT(Unwrapped(run.err), AllOf(HasSubstr("lockstep: " + rank + " "), HasSubstr(hang.said),
                                        HasSubstr(" of group NCCL ")));
  // Of the victim, by its last call or the one that differs; and of those that wait.
  EXPECT_THAT(Unwrapped(run.err),
              ContainsRegex(rank + " called [^|]*at +([|] +)?nccl_fault_rank[+]0x"));
  EXPECT_GE(CountOf(run.err, "nccl_fault_rank+0x"), 2) << run.err;
  const std::string json = ReadFile(JobFolder("nccl") + "/verdict.json");
  const std::string culprits = json.substr(0, json.find("\"victims\""));
  EXPECT_THAT(culprits, AllOf(HasSubstr("\"class\": \"" + std::string(hang.verdict_class) + "\""),
                              HasSubstr("\"rank\": " + std::to_string(hang.victim) + ",")));
  EXPECT_EQ(CountOf(culprits, "\"rank\": "), 1) << json;
  EXPECT_THAT(json, HasSubstr("\"confidence\": \"HIGH\""));
}

INSTANTIATE_TEST_SUITE_P(
    All, NcclNodesHangTest,
    ::testing::Values(NodesHang{"stops", 3, "MISSING_RANK", "its process is stopped by a signal"},
                      NodesHang{"sleeps", 2, "MISSING_RANK", "its process sleeps, in no op"},
                      NodesHang{"exits", 0, "MISSING_RANK", "with exit status 0"},
                      NodesHang{"skips", 3, "MISMATCH", "where the others called"}),
    [](const auto& hang) {
      return std::string(hang.param.fault) + "_" + std::to_string(hang.param.victim);
    });

using CleanNcclNodesTest = NcclNodesHangTest;

TEST_F(CleanNcclNodesTest, WhatRunsWellIsNotSpokenOf) {
  const Outcome run = RunRanks({"--watch=nccl", "--hang-grace", "500ms"}, "none", 0);

  EXPECT_EQ(run.status, 0) << run.err;
  EXPECT_EQ(CountOf(run.out, " is through"), 4) << run.out;
  EXPECT_EQ(CountOf(run.err, "lockstep: "), 0) << run.err;
}

TEST_F(CleanNcclNodesTest, OnlyNcclsShimIsPreloadedAndWithoutWatchingNone) {
  std::vector<std::string> words = Layout();
  words.insert(words.end(), {"--log-prefix=false"});
  const std::string script = "echo preloaded ${LD_PRELOAD##*/}, $(grep -c lockstep_ /proc/$$/maps)";
  const Outcome with = RunScriptIt(words, script);
  words.push_back("--watch=off");
  const Outcome without = RunScriptIt(words, script);

  EXPECT_EQ(CountOf(with.out, "preloaded liblockstep_nccl.so, "), 4) << with.out;
  EXPECT_EQ(CountOf(with.out, ", 0\n"), 0) << "it could not be loaded: " << with.out << with.err;
  EXPECT_EQ(CountOf(without.out, "preloaded , 0\n"), 4) << without.out;
}

/// Hosts that have nothing of Lockstep's but the agent that ssh brings.
using NcclHostsTest = SshFixture;

TEST_F(NcclHostsTest, TheShimComesWithTheAgent) {
  const Outcome run = RunScriptIt({"--host", "h0:1,h1:2", "--log-prefix=false"},
                                  "grep -q liblockstep_nccl.so /proc/$$/maps && echo loaded");

  EXPECT_EQ(run.status, 0) << run.err;
  EXPECT_EQ(CountOf(run.out, "loaded\n"), 3) << run.out << run.err;
  EXPECT_EQ(CountOf(run.err, "NCCL"), 0) << run.err;
}

}  // namespace
}  // namespace lockstep::e2e
